// Segment files prepared ahead: full of zeros, durable, waiting to be written over.
//
// Overwriting a pre-written file is what makes a durable write cheap (no allocation, no change of
// metadata), and space that is written already cannot run out under a block. A segment that lies in
// the archive is written over in preference to a new file.

#ifndef TALLYSTICK_WAL_SPARE_SEGMENTS_H_
#define TALLYSTICK_WAL_SPARE_SEGMENTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

struct SpareOptions {
  std::string directory;
  uint64_t segment_bytes = 0;
  uint32_t count = 0;  // kept prepared
  bool dsync = false;  // how a segment is opened for its blocks
  // No new file is made that would leave less than this on the disk, unless the log cannot be
  // opened without one.
  uint64_t reserve_bytes = 0;
};

class SpareSegments {
 public:
  // Adopts the finished spares of an earlier run, removes unfinished ones and those of another
  // size, and returns with at least one spare, which it prepares on the spot if it must.
  // ResourceExhausted: the disk is full.
  static absl::StatusOr<std::unique_ptr<SpareSegments>> Open(Io& io, const SpareOptions& options);

  // Closes what it holds. REQUIRES: !busy().
  ~SpareSegments();
  SpareSegments(const SpareSegments&) = delete;
  SpareSegments& operator=(const SpareSegments&) = delete;

  bool available() const { return !prepared_.empty(); }

  // Gives a spare its name as a segment, durably, and hands over the open file.
  // REQUIRES: available().
  absl::StatusOr<Handle> Take(const std::string& segment_path);

  // Goes on preparing: at the log's pace, which has come to `log_offset` of the segment in use, or
  // without delay where no spare is left. Returns how many microseconds may pass until the next
  // call; negative: until a request has completed, the log has gone on, or a spare was taken.
  int64_t Tick(int64_t monotonic_us, uint64_t log_offset);

  // Why there is no spare; OK when there is one.
  absl::Status status() const;

  // Whether requests are under way.
  bool busy() const { return in_flight_ > 0; }

  // Starts no more requests.
  void Stop() { stopped_ = true; }

 private:
  enum class Phase : uint8_t { kIdle, kWriting, kSyncing, kSynced };
  struct Prepared {
    uint64_t number;
    Handle handle;
  };
  // Blocks wait behind pieces, so these are small, few in flight unless the log comes nearer, and
  // spread over the time in which the segment in use fills: bytes for each of the log's, in
  // quarters.
  static constexpr size_t kPieceBytes = size_t{256} << 10;
  static constexpr size_t kPieces = 8;
  static constexpr size_t kPiecesInTime = 2;
  static constexpr uint64_t kPaceQuarters = 6;
  static constexpr int64_t kRetryUs = 1'000'000;

  SpareSegments(Io& io, const SpareOptions& options);
  absl::Status Adopt();
  absl::Status PrepareNow();
  absl::Status Create(uint64_t reserve_bytes);
  absl::StatusOr<bool> TakeFree();
  absl::Status CheckReserve(uint64_t reserve_bytes);
  absl::Status Publish();
  bool AheadOfLog() const;
  bool InTime() const;
  void SubmitPieces();
  void SubmitSync();
  void OnPiece(IoRequest& request);
  void OnSync(IoRequest& request);
  void GiveUp();
  void Failed(const absl::Status& cause);

  Io& io_;
  const SpareOptions options_;
  IoBuffer zeros_;
  std::vector<Prepared> prepared_;  // first in, first out
  uint64_t next_number_ = 1;
  bool stopped_ = false;

  // The one being prepared.
  Phase phase_ = Phase::kIdle;
  uint64_t number_ = 0;
  std::string path_;
  Handle handle_ = kNoHandle;
  uint64_t written_bytes_ = 0;  // handed to pieces; the rest is still to write
  uint64_t failed_offset_ = 0;  // the lowest that a piece failed at
  int32_t error_ = 0;           // errno of a piece or the sync
  uint32_t in_flight_ = 0;
  IoRequest pieces_[kPieces];
  IoRequest sync_;

  uint64_t log_offset_ = 0;
  int64_t now_us_ = 0;
  int64_t retry_at_us_ = -1;      // negative: no failure to wait after
  const absl::Status preparing_;  // made once: it is asked for often
  absl::Status failure_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SPARE_SEGMENTS_H_
