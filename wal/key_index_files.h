// The key indexes of a shard, in the directory of its log.
//
//   0000000000000001.idx       of segment 1 (16 lower-case hexadecimal digits): whole and durable
//   0000000000000001.idx.new   being written; worthless after a crash

#ifndef TALLYSTICK_WAL_KEY_INDEX_FILES_H_
#define TALLYSTICK_WAL_KEY_INDEX_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

std::string KeyIndexPath(const std::string& directory, uint64_t segment);
// While it is written.
std::string NewKeyIndexPath(const std::string& directory, uint64_t segment);

// Numbers of segments, ascending.
absl::StatusOr<std::vector<uint64_t>> ListKeyIndexes(Io& io, const std::string& directory);
// Removes what a crash has left half written.
absl::Status RemoveUnfinishedKeyIndexes(Io& io, const std::string& directory);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_FILES_H_
