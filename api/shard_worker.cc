#include "api/shard_worker.h"

#include <algorithm>
#include <utility>

#include "ledger/check.h"

namespace tallystick {

ShardWorker::ShardWorker(uint16_t index, std::unique_ptr<wal::Io> io)
    : index_(index), io_(std::move(io)) {}

ShardWorker::~ShardWorker() = default;

void ShardWorker::AddShard(std::unique_ptr<Shard> shard) {
  shard->set_answer([this](ShardRequest& request) { Answer(request); });
  shard->set_send([this](ShardRequest* request) { return Send(request); });
  shards_.push_back(std::move(shard));
}

void ShardWorker::Connect(const std::vector<uint16_t>& owners,
                          const std::vector<ShardWorker*>& workers, const ServerInfo& info) {
  owners_ = owners;
  workers_ = workers;
  own_.assign(owners.size(), nullptr);
  for (const auto& shard : shards_) own_[shard->number()] = shard.get();
  for (size_t i = 0; i < workers.size(); ++i) inbox_.push_back(std::make_unique<Mailbox>());
  to_wake_.assign(workers.size(), false);
  dispatcher_ = std::make_unique<Dispatcher>(*this, info);
}

void ShardWorker::Post(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  has_tasks_.store(true, std::memory_order_release);
  io_->Wake();
}

void ShardWorker::AddService(Service* service) { services_.push_back(service); }

void ShardWorker::RemoveService(Service* service) {
  services_.erase(std::remove(services_.begin(), services_.end(), service), services_.end());
}

bool ShardWorker::Send(ShardRequest* request) {
  request->origin = index_;
  if (Shard* shard = own_[request->shard]; shard != nullptr) {
    shard->Enqueue(request);
    sent_here_ = true;
    return true;
  }
  const uint16_t owner = owners_[request->shard];
  Mailbox& mailbox = *workers_[owner]->inbox_[index_];
  // Counting to the answer, so that the answers' queue always has room.
  if (mailbox.under_way == kMaxCrossings) return false;
  ++mailbox.under_way;
  TALLYSTICK_LEDGER_CHECK(mailbox.requests.Push(request));
  to_wake_[owner] = true;
  return true;
}

void ShardWorker::Answer(ShardRequest& request) {
  const uint16_t origin = request.origin;
  if (origin == index_) {
    Finish(&request);
    return;
  }
  // From here on it is the origin's, who may have freed it already.
  TALLYSTICK_LEDGER_CHECK(inbox_[origin]->answers.Push(&request));
  to_wake_[origin] = true;
}

bool ShardWorker::DrainMail() {
  bool any = false;
  ShardRequest* request;
  for (const auto& mailbox : inbox_) {
    while (mailbox->requests.Pop(&request)) {
      own_[request->shard]->Enqueue(request);
      any = true;
    }
  }
  for (ShardWorker* other : workers_) {
    Mailbox& sent = *other->inbox_[index_];
    while (sent.answers.Pop(&request)) {
      --sent.under_way;
      Finish(request);
      any = true;
    }
  }
  return any;
}

bool ShardWorker::MailWaits() const {
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (!inbox_[i]->requests.empty() || !workers_[i]->inbox_[index_]->answers.empty()) return true;
  }
  return has_tasks_.load(std::memory_order_acquire);
}

bool ShardWorker::DrainTasks() {
  if (!has_tasks_.load(std::memory_order_acquire)) return false;
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks.swap(tasks_);
    has_tasks_.store(false, std::memory_order_release);
  }
  for (const auto& task : tasks) task();
  return true;
}

bool ShardWorker::DeliverFinished() {
  const bool any = !finished_.empty();
  while (!finished_.empty()) {
    ShardRequest* request = finished_.Pop();
    request->done(*request);
  }
  return any;
}

void ShardWorker::WakeOthers() {
  for (size_t i = 0; i < to_wake_.size(); ++i) {
    if (!to_wake_[i]) continue;
    to_wake_[i] = false;
    workers_[i]->io_->Wake();
  }
}

void ShardWorker::NoteFailure(const absl::Status& failure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure_.ok()) failure_ = failure;
}

bool ShardWorker::Turn(int64_t wait_us) {
  if (next_wait_us_ >= 0) wait_us = wait_us < 0 ? next_wait_us_ : std::min(wait_us, next_wait_us_);
  // What came in since the last look must not sleep through the wait; a later arrival wakes it.
  bool any = io_->Poll(MailWaits() ? 0 : wait_us) > 0;
  any |= DrainMail();
  any |= DrainTasks();
  next_wait_us_ = -1;
  sent_here_ = false;
  for (const auto& shard : shards_) {
    const int64_t shard_wait_us = shard->Step();
    if (!shard->failure().ok()) NoteFailure(shard->failure());
    if (shard_wait_us < 0) continue;
    next_wait_us_ = next_wait_us_ < 0 ? shard_wait_us : std::min(next_wait_us_, shard_wait_us);
  }
  any |= DeliverFinished();
  for (size_t i = 0; i < services_.size(); ++i) services_[i]->Turn();
  // What the turn itself has sent to shards here is theirs in the next.
  const auto has_answers = [](const auto& shard) { return shard->has_answers(); };
  if (!finished_.empty() || sent_here_ ||
      std::any_of(shards_.begin(), shards_.end(), has_answers)) {
    next_wait_us_ = 0;
  }
  if (stop_asked_.load(std::memory_order_acquire)) AdvanceStop();
  WakeOthers();
  return any;
}

void ShardWorker::Run() {
  while (!ended_.load(std::memory_order_acquire)) Turn(-1);
}

void ShardWorker::BeginStop() {
  stop_asked_.store(true, std::memory_order_release);
  io_->Wake();
}

void ShardWorker::AdvanceStop() {
  if (!stopping_) {
    stopping_ = true;
    for (size_t i = 0; i < services_.size(); ++i) services_[i]->Stop();
  }
  const bool stopped = std::all_of(services_.begin(), services_.end(),
                                   [](const Service* s) { return s->Stopped(); });
  if (stopped && Idle() && !quiet()) {
    quiet_.store(true, std::memory_order_release);
    quiet_.notify_all();
  }
}

void ShardWorker::End() {
  ended_.store(true, std::memory_order_release);
  io_->Wake();
}

bool ShardWorker::Idle() const {
  return finished_.empty() && !MailWaits() &&
         std::all_of(shards_.begin(), shards_.end(), [](const auto& s) { return s->idle(); }) &&
         std::all_of(workers_.begin(), workers_.end(),
                     [&](const ShardWorker* w) { return w->inbox_[index_]->under_way == 0; });
}

absl::Status ShardWorker::CloseLogs() {
  absl::Status first_failure;
  for (const auto& shard : shards_) first_failure.Update(shard->Stop());
  CloseShards();
  return first_failure;
}

void ShardWorker::CloseShards() {
  own_.clear();
  shards_.clear();
}

absl::Status ShardWorker::health() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_;
}

}  // namespace tallystick
