// What a ledger in its process is made of; embedded.h is its face. Opened by ledger_opening.cc,
// served by embedded.cc.

#ifndef TALLYSTICK_API_LEDGER_STATE_H_
#define TALLYSTICK_API_LEDGER_STATE_H_

#include <atomic>
#include <barrier>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/built_indexes.h"
#include "api/embedded.h"
#include "api/keeper_thread.h"
#include "api/ledger_files.h"
#include "api/memory_ahead.h"
#include "api/shard_worker.h"
#include "wal/io.h"

namespace tallystick {

struct Ledger::State {
  explicit State(const LedgerOptions& o) : options(o) {}
  ~State() {
    keeper.reset();
    for (const wal::Handle held : {lock, archive_lock}) {
      if (held != wal::kNoHandle) workers[0]->io().Close(held);
    }
  }

  absl::Status MakeWorkers();
  absl::StatusOr<std::unique_ptr<wal::Io>> MakeIo(size_t index);
  absl::Status FindArchive();
  absl::Status LockArchive();
  absl::Status MakeKeeper();
  absl::Status FindIdentity();
  absl::Status OpenShards(ShardWorker& worker);
  absl::Status CompletePrograms(ShardWorker& worker);
  // Whether all shards' logs are of one moment, as far as what they sent each other tells.
  absl::Status CheckArrivals() const;
  absl::Status OpenAll();
  void ThreadMain(size_t index);
  void Connect();
  void Report(const std::string& sentence) const {
    if (options.report) options.report(sentence);
  }
  ShardWorker& WorkerOfThisThread();
  // A call that was let in is answered before the workers end.
  absl::Status Enter(size_t most);
  bool OnWorkerThread() const;
  void Leave();
  template <typename Answer>
  absl::StatusOr<Answer> Await(
      const std::function<void(Dispatcher&, Dispatcher::Done<Answer>)>& ask);

  LedgerOptions options;
  LedgerIdentity identity;              // with how it is served now
  LedgerIdentity stored;                // as the LEDGER file has it
  std::unique_ptr<MemoryAhead> memory;  // null in manual mode; outlives the shards
  std::unique_ptr<KeeperThread> keeper;
  std::vector<std::shared_ptr<BuiltIndexes>> built;  // by shard; none without history
  std::vector<std::unique_ptr<ShardWorker>> workers;
  std::vector<uint16_t> owners;  // worker of each shard
  wal::Handle lock = wal::kNoHandle;
  wal::Handle archive_lock = wal::kNoHandle;
  // The steps of opening, in which all threads keep pace; main decides between them.
  std::vector<absl::Status> statuses;  // one a worker
  std::unique_ptr<std::barrier<>> pace;
  std::vector<std::thread> threads;
  std::atomic<bool> give_up{false};
  std::atomic<bool> closed{false};
  absl::Status close_status;
  std::atomic<size_t> under_way{0};             // calls of embedding threads, from Enter to Leave
  std::atomic<size_t> operations_under_way{0};  // of Submits
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_LEDGER_STATE_H_
