#include "wal/key_index_files.h"

#include "absl/strings/str_cat.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

constexpr char kSuffix[] = ".idx";
constexpr char kNewSuffix[] = ".idx.new";

}  // namespace

std::string KeyIndexPath(const std::string& directory, uint64_t segment) {
  return absl::StrCat(directory, "/", absl::Hex(segment, absl::kZeroPad16), kSuffix);
}

std::string NewKeyIndexPath(const std::string& directory, uint64_t segment) {
  return absl::StrCat(directory, "/", absl::Hex(segment, absl::kZeroPad16), kNewSuffix);
}

absl::StatusOr<std::vector<uint64_t>> ListKeyIndexes(Io& io, const std::string& directory) {
  return ListNumbered(io, directory, kSuffix);
}

absl::Status RemoveUnfinishedKeyIndexes(Io& io, const std::string& directory) {
  return RemoveNumbered(io, directory, kNewSuffix);
}

}  // namespace tallystick::wal
