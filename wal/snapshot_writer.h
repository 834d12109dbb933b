// Writes one snapshot of a shard beside its log, in small portions, while the shard serves.
//
// The layer above gives an image part by part (TakePart, PutPart, then Finish); Tick writes it,
// asynchronously, sharing the disk with the log. When all is durable, Publish gives the file the
// name under which it is found. An error is final for this snapshot, and nobody else's.

#ifndef TALLYSTICK_WAL_SNAPSHOT_WRITER_H_
#define TALLYSTICK_WAL_SNAPSHOT_WRITER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/snapshot_format.h"

namespace tallystick::wal {

struct SnapshotOptions {
  std::string directory;
  LogIdentity identity;
  // Parts that wait to be written are kept in so much memory at most; all of it is given back at
  // the end.
  size_t buffer_bytes = size_t{64} << 20;
  // Of the disk's time, while the log is in use.
  uint32_t disk_share_percent = 50;
  // None begins with less free space on the disk.
  uint64_t reserve_bytes = 0;
};

// Chunks that wait to be written before what can wait does, unless less memory is allowed.
inline constexpr size_t kCrowdedChunks = 8;
inline constexpr size_t kMinSnapshotBufferBytes = 4 * kMaxChunkBytes;

class SnapshotWriter {
 public:
  // Makes the file. `place`: where the log goes on behind what the snapshot covers.
  // ResourceExhausted: the disk is full.
  static absl::StatusOr<std::unique_ptr<SnapshotWriter>> Begin(Io& io,
                                                               const SnapshotOptions& options,
                                                               const LogPlace& place);
  // Waits for requests under way (polls the Io); removes the file, unless it was published.
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // The last position that the snapshot covers.
  uint64_t position() const { return position_; }

  // Room for kMaxPartBytes, aligned to 64; empty: all memory waits to be written.
  absl::Span<std::byte> TakePart();
  // The part that was taken has so many bytes. REQUIRES: size_bytes > 0.
  void PutPart(size_t size_bytes);
  bool crowded() const { return unwritten() >= crowded_chunks_; }
  // No part follows.
  void Finish();

  // Once per turn of the event loop. `in_a_hurry`: the disk is nobody else's now. Returns how many
  // microseconds may pass until the next call; negative: until a request has completed.
  int64_t Tick(int64_t monotonic_us, bool in_a_hurry);
  // All is durable under the temporary name.
  bool durable() const { return durable_; }
  // REQUIRES: durable().
  absl::Status Publish();

  // OK, or why it will never be whole.
  const absl::Status& failure() const { return failure_; }
  // Bytes of the file so far, and the most memory that it took.
  uint64_t size_bytes() const { return end_; }
  size_t memory_bytes() const { return chunks_.size() * kMaxChunkBytes; }

 private:
  // Log blocks wait behind chunks: one at a time, unless the disk is nobody else's.
  static constexpr size_t kWritesInHurry = 4;
  static constexpr uint32_t kMaxStalls = 16;

  struct Free {
    void operator()(std::byte* data) const;
  };
  struct Chunk {
    std::unique_ptr<std::byte[], Free> data;
    IoRequest request;
    int64_t submitted_us = 0;
    uint32_t stalls = 0;
    SnapshotWriter* writer = nullptr;
  };

  SnapshotWriter(Io& io, const SnapshotOptions& options, const LogPlace& place);
  size_t unwritten() const { return sealed_.size() + in_flight_; }
  Chunk* TakeChunk();
  Chunk* NewChunk();
  void Seal(Chunk* chunk, ChunkType type, size_t body_bytes);
  void OnWrite(Chunk& chunk);
  void OnSync();
  void Fail(const char* what, int error);

  Io& io_;
  const SnapshotOptions options_;
  const uint64_t position_;
  const size_t max_chunks_;
  const size_t crowded_chunks_;
  std::string path_;  // while it is written
  Handle handle_ = kNoHandle;
  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<Chunk*> free_;
  std::deque<Chunk*> sealed_;  // not yet submitted
  Chunk* taken_ = nullptr;
  size_t in_flight_ = 0;
  int64_t next_write_us_ = 0;
  uint32_t next_number_ = 0;
  uint64_t end_ = 0;
  Id128 last_hash_;
  bool finished_ = false;
  bool syncing_ = false;
  bool durable_ = false;
  bool published_ = false;
  IoRequest sync_;
  absl::Status failure_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SNAPSHOT_WRITER_H_
