// Appends blocks to one shard's log: group commit with several blocks in flight.
//
// The layer above fills a block in place (OpenBlock, SealBlock) and learns from
// durable_position() how far the log is safe; blocks become durable in order, whatever the order in
// which their writes complete. A failed write or sync is final: failed() is set, nothing more
// becomes durable, and recovery decides at the next start.
//
// Space is promised before it is used: CanOpenBlock() is true only when the current segment or a
// prepared (pre-written, durable) spare one holds a whole block, so a full disk shows as
// back-pressure before anything was applied.

#ifndef TALLYSTICK_WAL_LOG_WRITER_H_
#define TALLYSTICK_WAL_LOG_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/log_index.h"
#include "wal/log_reader.h"

namespace tallystick::wal {

enum class Durability : uint8_t {
  kOpenDsync,  // the segment is opened O_DSYNC
  kDsync,      // RWF_DSYNC on each write
  kFdatasync,  // a sync after the write has completed whole
  kNone,       // durable when written, for benchmarks only: a crash may leave a log that is refused
};

// Room for a start block, the smallest block of records and a witness, and as much again.
inline constexpr uint64_t kMinSegmentBytes = 6 * kSectorBytes;

// Each holds a buffer of the largest block's size; a device is saturated by far fewer.
inline constexpr uint32_t kMaxBlocksInFlight = 64;

struct LogWriterOptions {
  std::string directory;
  LogIdentity identity;
  // A multiple of kSectorBytes, from kMinSegmentBytes to kMaxSegmentBytes. A block is at most as
  // large as what an empty segment has room for: see LogWriter::max_block_slots().
  uint64_t segment_bytes = uint64_t{64} << 20;
  uint32_t blocks_in_flight = 8;  // writes at most; one more buffer than that is held
  uint32_t spare_segments = 2;    // kept prepared, from 1
  // Room on the disk that new segments leave alone; see SpareOptions.
  uint64_t reserve_bytes = 0;
  int64_t witness_after_us = 20'000;  // idle time before a witness block
  Durability durability = Durability::kOpenDsync;
};

// What the layer above says of a block.
struct BlockAttributes {
  int64_t timestamp_us = 0;  // not before the previous block's
  uint64_t digest = 0;
  uint16_t engine_version = 0;
  uint8_t flags = 0;
};

struct OpenedBlock {
  uint64_t first_position = 0;
  absl::Span<Slot> slots;  // uninitialised; the writer's until sealed
};

class LogWriter {
 public:
  // Locks the directory (made if it is missing), renames what lies wholly behind the end to
  // "*.cut", prepares a first segment and begins a new epoch in it; returns when its start block is
  // durable. `tail` is from the LogReader that read this directory; LogTail() for a directory that
  // is not there yet. InvalidArgument: an option. FailedPrecondition: another writer has the
  // directory, or has written to it since; or the tail is of another ledger. ResourceExhausted: the
  // disk is full.
  static absl::StatusOr<std::unique_ptr<LogWriter>> Open(Io& io, const LogWriterOptions& options,
                                                         LogTail tail);
  ~LogWriter();  // waits for requests under way (polls the Io)

  // The most slots that a block can hold: kMaxBlockSlots, or fewer if the segments are small.
  size_t max_block_slots() const;

  // Whether OpenBlock(slots) may be called: a buffer is free, space is promised, nothing has
  // failed. While blocks_in_flight() is at options().blocks_in_flight, one more block may be
  // opened, filled and sealed; its write starts when one of the others has ended.
  // REQUIRES: 1 <= slots <= max_block_slots(); no block is open.
  bool CanOpenBlock(size_t slots) const;
  // Why CanOpenBlock is false although no write is in flight: the disk is full (ResourceExhausted,
  // with the path and what to do), or a spare segment is being written (Unavailable). OK when a
  // spare is there.
  absl::Status space_status() const;

  // A block with room for at least `slots`, and as many more as fit. Changes to the next segment if
  // need be, which renames a file; if that fails, failure() says so and the block, though handed
  // out, is never written. REQUIRES: CanOpenBlock(slots).
  OpenedBlock OpenBlock(size_t slots);
  // Submits the first `count` (>= 1) slots of the open block; the write starts at the next
  // Io::Poll.
  void SealBlock(size_t count, const BlockAttributes& attributes);
  // Gives the open block back unused.
  void AbandonBlock();

  // All positions below it are durable. Changes only inside Io::Poll.
  uint64_t durable_position() const;
  // The next block's first position. May grow by a witness or start block inside Tick or OpenBlock.
  uint64_t next_position() const;
  // Blocks that are sealed and not yet durable, start and witness blocks included.
  uint32_t blocks_in_flight() const;
  int64_t last_timestamp_us() const;
  // Behind the last block that was sealed; start and witness blocks count. REQUIRES: no block is
  // open.
  LogPlace place() const;
  // The segments below are sealed: whole, durable, and never written again. Changes inside Tick.
  uint64_t sealed_before() const;
  // OK, or why the log has stopped for good.
  const absl::Status& failure() const;

  // Housekeeping, once per turn of the event loop: prepares spare segments piece by piece, retries
  // after a full disk once a second, writes a witness block when idle. Returns how many
  // microseconds may pass until it wants to be called again; negative: until something happens.
  int64_t Tick(int64_t monotonic_us);

  // Writes a last witness block and waits until all is durable (polls the Io); no block can be
  // opened any more. The failure, if there is one. REQUIRES: no block is open.
  absl::Status Stop();

  const LogIndex& index() const;
  // For a BlockFetcher, which adds to it.
  LogIndex& index();
  const LogWriterOptions& options() const;

 private:
  struct State;
  explicit LogWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LOG_WRITER_H_
