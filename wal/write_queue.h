// Blocks on their way to disk: written in any order, durable in theirs.

#ifndef TALLYSTICK_WAL_WRITE_QUEUE_H_
#define TALLYSTICK_WAL_WRITE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "wal/io.h"
#include "wal/log_writer.h"

namespace tallystick::wal {

// Owns the handles of the segments that it writes. Allocates nothing after construction.
//
// Invariants: a block counts as written when all its bytes were accepted; a sync covers only
// blocks that were written when it was submitted; the durable position moves over a block only
// when all before it are durable. After the first failure it never moves again.
class WriteQueue {
 public:
  struct Block {
    std::byte* data = nullptr;  // given back through `release`
    uint32_t size_bytes = 0;
    uint64_t offset = 0;        // in the current segment
    uint64_t end_position = 0;  // behind its last slot
  };
  // Called inside Io::Poll for each block that has become durable, in order.
  using Release = void (*)(void* owner, std::byte* data);

  // `writes_in_flight`: at most; `capacity`: blocks not yet durable, at most.
  WriteQueue(Io& io, const LogWriterOptions& options, size_t capacity, uint64_t durable_position,
             Release release, void* owner);
  // REQUIRES: !busy().
  ~WriteQueue();
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;

  // The blocks that follow go to this file. Takes the handle.
  void BeginSegment(Handle handle, uint64_t number);
  // REQUIRES: size() < capacity. After a failure the block goes nowhere.
  void Push(const Block& block);
  // Stops the queue for good; the first cause stays.
  void Fail(const absl::Status& cause);

  uint64_t durable_position() const { return durable_position_; }
  const absl::Status& failure() const { return failure_; }
  size_t size() const { return count_; }                  // blocks not yet durable
  bool busy() const { return writing_ > 0 || syncing_; }  // requests are under way

 private:
  struct Entry {
    Block block;
    Handle handle = kNoHandle;
    uint64_t segment = 0;
    bool written = false;
    uint32_t stalls = 0;  // writes in a row that accepted no whole sector
    WriteQueue* queue = nullptr;
    IoRequest request;
  };
  // A device that accepts nothing so often in a row will not accept anything.
  static constexpr uint32_t kMaxStalls = 16;

  Entry& At(size_t index) { return entries_[(head_ + index) % entries_.size()]; }
  void SubmitMore();
  void OnWrite(Entry& entry);
  void OnSync();
  void Advance();
  void PopDurable();
  void FailRequest(const Entry& entry, const char* what, int error);

  Io& io_;
  const std::string directory_;
  const Durability durability_;
  const uint32_t writes_in_flight_;
  const Release release_;
  void* const owner_;

  std::vector<Entry> entries_;  // a ring
  size_t head_ = 0;
  size_t count_ = 0;
  size_t submitted_ = 0;  // of them, from the head
  uint32_t writing_ = 0;
  IoRequest sync_;
  bool syncing_ = false;
  size_t sync_covers_ = 0;  // blocks from the head

  Handle current_ = kNoHandle;
  uint64_t current_segment_ = 0;
  uint64_t durable_position_;
  absl::Status failure_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_WRITE_QUEUE_H_
