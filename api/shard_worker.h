// The worker of a ledger: a stepped event loop, run by a thread of its own or by the caller.

#ifndef TALLYSTICK_API_SHARD_WORKER_H_
#define TALLYSTICK_API_SHARD_WORKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "api/dispatcher.h"
#include "api/request.h"
#include "api/shard.h"
#include "api/spsc_queue.h"
#include "api/worker.h"
#include "wal/io.h"

namespace tallystick {

// Requests under way from one worker to another at most; more are overloaded.
inline constexpr size_t kMaxCrossings = 1024;

class ShardWorker : public Worker {
 public:
  // Between two workers: requests one way, answers back.
  struct Mailbox {
    SpscQueue<ShardRequest*, kMaxCrossings> requests;
    SpscQueue<ShardRequest*, kMaxCrossings> answers;
    size_t under_way = 0;  // the sender's
  };

  ShardWorker(uint16_t index, std::unique_ptr<wal::Io> io);
  ~ShardWorker() override;

  uint16_t index() const override { return index_; }
  wal::Io& io() override { return *io_; }
  Dispatcher& dispatcher() override { return *dispatcher_; }
  void Post(std::function<void()> task) override;
  void AddService(Service* service) override;
  void RemoveService(Service* service) override;

  void AddShard(std::unique_ptr<Shard> shard);
  // Makes the dispatcher. `owners`: worker of each shard; `workers`: all, this one too.
  void Connect(const std::vector<uint16_t>& owners, const std::vector<ShardWorker*>& workers,
               const ServerInfo& info);
  const std::vector<std::unique_ptr<Shard>>& shards() const { return shards_; }

  // One turn of the loop; waits at most `wait_us` (< 0: without limit) when there is nothing to do.
  // True when something was done.
  bool Turn(int64_t wait_us);
  // Turns until End(); for a thread of its own.
  void Run();

  // The way down, in steps that all workers take together. BeginStop: services stop. quiet():
  // nothing is under way here; requests of others may still come. End, when all are quiet: Run
  // returns. CloseLogs, from the thread that turned: last witnesses, and no shards any more.
  // BeginStop, quiet and End are thread-safe.
  void BeginStop();
  bool quiet() const { return quiet_.load(std::memory_order_acquire); }
  void WaitQuiet() const { quiet_.wait(false, std::memory_order_acquire); }
  void End();
  absl::Status CloseLogs();
  // Ends the shards as they are, from the thread that opened them: its Io is no other's.
  void CloseShards();
  // The first failure of a shard. From any thread.
  absl::Status health() const;

  // For the dispatcher: takes a request for its shard, here or elsewhere. False: too many are under
  // way.
  bool Send(ShardRequest* request);
  // Calls request->done on this thread, in a later part of this turn or the next.
  void Finish(ShardRequest* request) { finished_.Push(request); }
  uint16_t shard_count() const { return static_cast<uint16_t>(owners_.size()); }
  // A shard of this worker, or null.
  Shard* Own(uint16_t shard) const { return own_[shard]; }

 private:
  bool DrainMail();
  bool DrainTasks();
  bool DeliverFinished();
  void Answer(ShardRequest& request);
  void WakeOthers();
  void NoteFailure(const absl::Status& failure);
  bool MailWaits() const;
  bool Idle() const;
  void AdvanceStop();

  const uint16_t index_;
  std::unique_ptr<wal::Io> io_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<Shard*> own_;       // by shard number; null: elsewhere
  std::vector<uint16_t> owners_;  // worker by shard number
  std::vector<ShardWorker*> workers_;
  std::vector<std::unique_ptr<Mailbox>> inbox_;  // by sending worker
  std::vector<Service*> services_;
  RequestQueue finished_;
  std::vector<bool> to_wake_;
  bool sent_here_ = false;

  mutable std::mutex mutex_;  // guards the two below; taken once a turn at most
  std::vector<std::function<void()>> tasks_;
  absl::Status failure_;
  std::atomic<bool> has_tasks_{false};
  std::atomic<bool> stop_asked_{false};
  bool stopping_ = false;
  std::atomic<bool> quiet_{false};
  std::atomic<bool> ended_{false};
  int64_t next_wait_us_ = 0;  // what the shards asked for in the last turn
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_SHARD_WORKER_H_
