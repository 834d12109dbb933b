#include "wal/key_index_files.h"

#include <algorithm>

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
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> segments;
  for (const std::string& name : *names) {
    if (auto segment = ParseNumberedName(name, kSuffix)) segments.push_back(*segment);
  }
  std::sort(segments.begin(), segments.end());
  return segments;
}

absl::Status RemoveUnfinishedKeyIndexes(Io& io, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!ParseNumberedName(name, kNewSuffix)) continue;
    if (absl::Status s = io.Remove(absl::StrCat(directory, "/", name)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::wal
