// Reads a snapshot from its first chunk to its last, checking everything.

#ifndef TALLYSTICK_WAL_SNAPSHOT_READER_H_
#define TALLYSTICK_WAL_SNAPSHOT_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/snapshot_format.h"

namespace tallystick::wal {

class SnapshotReader {
 public:
  // Reads the head of the snapshot of `position`. `identity`: whose it must be; absent (offline
  // tools): anybody's. NotFound: no such file. DataLoss: damaged. InvalidArgument: of another
  // ledger, shard or position. FailedPrecondition: of another format version. Other errors: the
  // file could not be read.
  static absl::StatusOr<std::unique_ptr<SnapshotReader>> Open(
      Io& io, const std::string& directory, uint64_t position,
      const std::optional<LogIdentity>& identity);
  const std::string& path() const;
  ~SnapshotReader();

  const LogIdentity& identity() const;
  // The last position that it covers, and where the log goes on behind it.
  uint64_t position() const;
  const LogPlace& place() const;
  int64_t taken_us() const;

  // True: *part is the next one of the image, valid until the next call, aligned to 8. False: that
  // was all, and all of it is sound. DataLoss: it is damaged; says where.
  absl::StatusOr<bool> Next(absl::Span<const std::byte>* part);
  // Of the last chunk, which names all others: the same for the same bytes. Valid when Next has
  // returned false.
  Id128 root() const;

  uint64_t bytes_read() const;
  uint64_t bytes_total() const;

 private:
  struct State;
  explicit SnapshotReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SNAPSHOT_READER_H_
