#include "bench/points_world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "api/outcomes.h"
#include "api/program_file.h"
#include "bench/stopwatch.h"

namespace tallystick::bench {
namespace {

constexpr uint16_t kProgram = 1;
constexpr size_t kBlockSlots = 2048;
constexpr size_t kBatch = 1000;
constexpr Instant kStart = 1'700'000'000 * kMicrosPerSecond;
// Dates need the calendar of a zone with daylight saving, as real ones do.
constexpr char kProgramFile[] = R"({
  "id": 1, "name": "Bench", "currency": "USD", "time_zone": "America/New_York",
  "implicit_enrolment": true, "retention_days": 1, "return_days": 1, "debt_floor": 1000000,
  "hold": {"timeout_minutes": 1440},
  "earn": {"points": 1, "per_spend": 1, "rounding": "floor"},
  "expiry": {"after": "earning", "months": 12, "round_up_to": "month"}})";

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "the benchmark's ledger: %s\n", what);
  std::abort();
}

}  // namespace

PointsWorld::PointsWorld(uint64_t members, std::vector<Block>* log)
    : members_(members), log_(log), slots_(kBlockSlots), now_(kStart), balances_(members + 1) {
  const auto file = ProgramFile::Parse(kProgramFile, "the benchmark's program");
  if (!file.ok()) Fail("its program cannot be read");
  Begin(1);
  const Operation put(NewId(), Id(), Id(), static_cast<int64_t>(file->bytes().size()), 0, 0, 0,
                      kProgram, 1, Kind::ProgramPut, 0, 0);
  if (machine_.PutProgram(put, file->bytes(), sink_).outcome() != Outcome::Ok) {
    Fail("its program is refused");
  }
  // Each somewhere between spending and spending again.
  for (uint64_t member = 1; member <= members;) {
    operations_.clear();
    for (; member <= members && operations_.size() < kChunk; ++member) {
      const auto saved = static_cast<int32_t>(random_.Below(kWorthSpending));
      do operations_.push_back(Accrual(member));
      while (balances_[member] <= saved);
    }
    Apply();
  }
}

void PointsWorld::SkewMembers(double theta) {
  zipf_.reset();
  if (theta > 0) zipf_.emplace(members_, theta);
}

void PointsWorld::Draw(Operation (PointsWorld::*what)(uint64_t member)) {
  operations_.clear();
  while (operations_.size() < kChunk) {
    const uint64_t member = zipf_ ? Scatter(zipf_->Draw(random_)) : random_.Below(members_);
    operations_.push_back((this->*what)(1 + member));
  }
}

void PointsWorld::DrawAgain(Operation (PointsWorld::*what)(uint64_t member)) {
  for (Operation& operation : operations_) operation = (this->*what)(operation.member().low());
}

void PointsWorld::DrawReturns() {
  for (Operation& operation : operations_) {
    operation = Make(Kind::Return, operation.member().low(), operation.amount(), operation.id());
  }
}

void PointsWorld::DrawNaming(Kind of, Kind kind) {
  for (Operation& operation : operations_) {
    const uint64_t member = operation.member().low();
    const bool all = kind == Kind::Capture;
    operation = operation.kind() == of
                    ? Make(kind, member, all ? 0 : operation.amount(), operation.id())
                    : Accrual(member);
  }
}

Id PointsWorld::NewId() {
  const uint64_t low = random_.Next();
  return Id(low, random_.Next());
}

Operation PointsWorld::Make(Kind kind, uint64_t member, int64_t amount, const Id& related) {
  const bool takes = kind == Kind::Redeem || kind == Kind::Return || kind == Kind::Hold;
  balances_[member] += static_cast<int32_t>(takes ? -amount : amount);
  return Operation(NewId(), Id(member, 0), related, amount, now_, 0, 0, kProgram, 0, kind, 0, 0);
}

void PointsWorld::Begin(int64_t operations) {
  if (log_ != nullptr && sink_.used > 0) {
    log_->push_back({{now_, false},
                     sink_.first_position,
                     {slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(sink_.used)}});
  }
  now_ += kMicrosPerDay / kReceiptsAlive * operations;
  machine_.BeginBlock({now_, false});
  sink_ = {slots_.data(), slots_.size(), 0, sink_.next_position() + (sink_.slots == nullptr)};
}

double PointsWorld::Apply() {
  results_.resize(operations_.size());
  const Stopwatch watch;
  for (size_t at = 0; at < operations_.size();) {
    const size_t size = std::min(kBatch, operations_.size() - at);
    const absl::Span<const Operation> batch(operations_.data() + at, size);
    const size_t applied = machine_.Apply(batch, results_.data() + at, sink_);
    at += applied;
    if (applied < size) Begin(kBlockSlots);
  }
  const double seconds = watch.Seconds();
  for (const Result& result : results_) {
    if (result.outcome() != Outcome::Ok) Fail(OutcomeName(result.outcome()).data());
  }
  return seconds;
}

double PointsWorld::ReadBalances() const {
  const Stopwatch watch;
  int64_t sum = 0;
  for (const Operation& operation : operations_) {
    sum += machine_.BalanceAt(kProgram, operation.member(), now_)->available;
  }
  const double seconds = watch.Seconds();
  if (sum < 0) Fail("its members owe more than they have");
  return seconds;
}

}  // namespace tallystick::bench
