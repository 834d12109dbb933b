#include "api/keeper_thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace tallystick {
namespace {

// Only when nobody else wants the CPU; else as nice as may be. Where neither is granted, it
// competes.
void LowerPriority() {
  const sched_param none = {};
  if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) == 0) return;
  constexpr int kNicest = 19;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNicest);
}

}  // namespace

KeeperThread::KeeperThread(std::unique_ptr<wal::Io> io,
                           const std::vector<wal::KeeperOptions>& shards)
    : io_(std::move(io)) {
  for (const wal::KeeperOptions& options : shards) {
    keepers_.push_back(std::make_unique<wal::SegmentKeeper>(*io_, options));
  }
}

KeeperThread::~KeeperThread() { Stop(); }

void KeeperThread::Start() {
  thread_ = std::thread([this] { Run(); });
}

void KeeperThread::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void KeeperThread::Note(uint16_t shard, uint64_t sealed_before) {
  keepers_[shard]->Note(sealed_before);
  WakeUp();
}

void KeeperThread::Redo(uint16_t shard, const wal::SealedSegment& segment) {
  keepers_[shard]->Redo(segment);
  WakeUp();
}

void KeeperThread::WakeUp() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    noted_ = true;
  }
  changed_.notify_all();
}

int64_t KeeperThread::Step() {
  int64_t wait_us = -1;
  for (size_t i = 0; i < keepers_.size(); ++i) {
    wal::SegmentKeeper& keeper = *keepers_[current_];
    const int64_t keeper_us = keeper.Step(io_->MonotonicMicros());
    if (keeper_us != 0 || !keeper.at_work()) current_ = (current_ + 1) % keepers_.size();
    if (keeper_us == 0) return 0;
    if (keeper_us > 0) wait_us = wait_us < 0 ? keeper_us : std::min(wait_us, keeper_us);
  }
  return wait_us;
}

void KeeperThread::Run() {
  LowerPriority();
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    noted_ = false;
    lock.unlock();
    const int64_t wait_us = Step();
    lock.lock();
    const auto woken = [this] { return noted_ || stopping_; };
    if (wait_us < 0) {
      changed_.wait(lock, woken);
    } else if (wait_us > 0) {
      changed_.wait_for(lock, std::chrono::microseconds(wait_us), woken);
    }
  }
  lock.unlock();
  for (const auto& keeper : keepers_) keeper->Abandon();
}

}  // namespace tallystick
