// The thread that looks after the sealed segments of all shards of a ledger: at the lowest priority
// that the host grants, with an Io of its own. Without its thread, it is driven step by step.

#ifndef TALLYSTICK_API_KEEPER_THREAD_H_
#define TALLYSTICK_API_KEEPER_THREAD_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "wal/io.h"
#include "wal/segment_keeper.h"

namespace tallystick {

class KeeperThread {
 public:
  // One keeper for each of `shards`, in their order.
  KeeperThread(std::unique_ptr<wal::Io> io, const std::vector<wal::KeeperOptions>& shards);
  ~KeeperThread();

  // For what a keeper does beside archiving; before Start.
  wal::SegmentKeeper& keeper(uint16_t shard) { return *keepers_[shard]; }
  wal::Io& io() { return *io_; }

  void Start();
  // Waits for the piece of work under way. Idempotent.
  void Stop();

  // Segments of the shard below `sealed_before` are sealed, or it has published a snapshot.
  // Thread-safe; for once a segment.
  void Note(uint16_t shard, uint64_t sealed_before);

  // SegmentKeeper::Redo. Thread-safe.
  void Redo(uint16_t shard, const wal::SealedSegment& segment);

  // A piece of one shard's work; REQUIRES: not started, or stopped. Returns how many microseconds
  // may pass until the next; 0: there is more to do; negative: until Note.
  int64_t Step();

 private:
  void Run();
  void WakeUp();

  const std::unique_ptr<wal::Io> io_;
  std::vector<std::unique_ptr<wal::SegmentKeeper>> keepers_;
  size_t current_ = 0;  // it ends its segment first: one archive at a time takes memory

  std::mutex mutex_;  // guards the two below
  std::condition_variable changed_;
  bool noted_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_KEEPER_THREAD_H_
