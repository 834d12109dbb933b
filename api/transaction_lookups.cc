#include "api/transaction_lookups.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

// Of one request, before another's turn comes.
constexpr size_t kAtOnceOfOne = kMaxSearchedAtOnce * 3 / 4;

}  // namespace

void TransactionLookups::Start(ControlRequest* request) {
  if (reads_waiting_ == kMaxWaitingTransactions) {
    request->status = absl::ResourceExhaustedError(
        "too many transactions are being looked for in this shard: try again");
    finished_(*request);
    return;
  }
  ++reads_waiting_;
  jobs_.push_back({.request = request});
}

void TransactionLookups::Start(SubmitPart* part) {
  too_old_waiting_ += part->too_old.size();
  jobs_.push_back({.request = part});
}

size_t TransactionLookups::SizeOf(const ShardRequest& request) {
  return request.type == ShardRequest::Type::kSubmit
             ? static_cast<const SubmitPart&>(request).too_old.size()
             : 1;
}

TransactionSought TransactionLookups::SoughtBy(const ShardRequest& request, size_t number) {
  TransactionSought sought;
  if (request.type != ShardRequest::Type::kSubmit) {
    const auto& read = static_cast<const ControlRequest&>(request);
    sought.program = read.program;
    sought.member = read.member;
    sought.id = read.transaction;
    sought.head = read.head;
    return sought;
  }
  const auto& part = static_cast<const SubmitPart&>(request);
  const Operation& operation = part.operations[part.too_old[number].index];
  sought.program = operation.program();
  sought.member = operation.member();
  sought.id = operation.id();
  sought.head = part.too_old[number].head;
  sought.same = &operation;
  return sought;
}

// Takes a share of each request in turn, until as much is sought as may be at once. What is found
// in memory is found at once, so that others' turns come in between.
bool TransactionLookups::Step() {
  if (search_.busy() || jobs_.empty()) return false;
  std::vector<TransactionSought> sought;
  places_.clear();
  for (Job& job : jobs_) {
    const size_t share = std::min(
        {SizeOf(*job.request) - job.begun, kAtOnceOfOne, kMaxSearchedAtOnce - sought.size()});
    for (size_t i = 0; i < share; ++i) {
      places_.push_back({&job, job.begun});
      sought.push_back(SoughtBy(*job.request, job.begun++));
    }
    job.under_way = share;
  }
  search_.Start(std::move(sought), [this](std::vector<TransactionSought>& found) { Found(found); });
  return !search_.busy() && !jobs_.empty();
}

void TransactionLookups::Found(std::vector<TransactionSought>& sought) {
  bool failed = false;
  for (size_t i = 0; i < sought.size(); ++i) {
    ShardRequest& request = *places_[i].job->request;
    if (request.type == ShardRequest::Type::kSubmit) {
      Answer(static_cast<SubmitPart&>(request), places_[i].number, sought[i]);
    } else {
      Answer(static_cast<ControlRequest&>(request), sought[i]);
    }
    if (!sought[i].status.ok() && !std::exchange(told_failure_, true)) {
      report_(absl::StrCat("a transaction is looked for in vain: ", sought[i].status.message()));
    }
    failed |= !sought[i].status.ok();
  }
  told_failure_ = failed;
  // Those that were served go behind the others.
  std::list<Job> served;
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto at = job++;
    if (std::exchange(at->under_way, 0) == 0) continue;
    if (at->begun == SizeOf(*at->request) || !failure_.ok()) {
      Finish(at);
    } else {
      served.splice(served.end(), jobs_, at);
    }
  }
  jobs_.splice(jobs_.end(), served);
}

void TransactionLookups::Finish(std::list<Job>::iterator job) {
  ShardRequest& request = *job->request;
  if (job->begun < SizeOf(request)) request.status = failure_;
  const bool is_submit = request.type == ShardRequest::Type::kSubmit;
  (is_submit ? too_old_waiting_ : reads_waiting_) -= SizeOf(request);
  jobs_.erase(job);
  finished_(request);
}

// What is being looked for is answered when that is done.
void TransactionLookups::Fail(const absl::Status& failure) {
  failure_ = failure;
  for (auto job = jobs_.begin(); job != jobs_.end();) {
    const auto at = job++;
    if (at->under_way == 0) Finish(at);
  }
}

void TransactionLookups::Answer(ControlRequest& request, const TransactionSought& sought) const {
  request.status = sought.status;
  auto& answer = std::get<TransactionAnswer>(request.answer);
  answer.outcome = sought.found ? Outcome::Ok : Outcome::UnknownOriginal;
  answer.movement = sought.movement;
  answer.time = sought.time;
}

void TransactionLookups::Answer(SubmitPart& part, size_t number, const TransactionSought& sought) {
  Result& result = part.results[part.too_old[number].index];
  if (!sought.status.ok()) {
    result.mutate_outcome(Outcome::NotLookedUp);
  } else if (sought.found) {
    result = sought.movement.result;
    result.mutate_flags(result.flags() | kReplayed);
  } else if (sought.other) {
    result.mutate_outcome(Outcome::IdConflict);
  }
}

}  // namespace tallystick
