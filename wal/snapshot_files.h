// The snapshots of a shard, in the directory of its log.
//
//   0000000000000001.snap       of position 1 (16 lower-case hexadecimal digits): whole and durable
//   0000000000000001.snap.new   being written; worthless after a crash
//   0000000000000001.snap.bad   was found damaged, and set aside; never read

#ifndef TALLYSTICK_WAL_SNAPSHOT_FILES_H_
#define TALLYSTICK_WAL_SNAPSHOT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

std::string SnapshotPath(const std::string& directory, uint64_t position);
// While it is written.
std::string NewSnapshotPath(const std::string& directory, uint64_t position);

// Positions, ascending.
absl::StatusOr<std::vector<uint64_t>> ListSnapshots(Io& io, const std::string& directory);

// Removes what a crash has left half written.
absl::Status RemoveUnfinishedSnapshots(Io& io, const std::string& directory);
// Removes all but the `kept` newest.
absl::Status RemoveOldSnapshots(Io& io, const std::string& directory, size_t kept);
// Gives it a name under which it is not read any more.
absl::Status SetSnapshotAside(Io& io, const std::string& directory, uint64_t position);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SNAPSHOT_FILES_H_
