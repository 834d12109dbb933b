#include "wal/snapshot_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

constexpr char kSuffix[] = ".snap";
constexpr char kNewSuffix[] = ".snap.new";

}  // namespace

std::string SnapshotPath(const std::string& directory, uint64_t position) {
  return absl::StrCat(directory, "/", absl::Hex(position, absl::kZeroPad16), kSuffix);
}

std::string NewSnapshotPath(const std::string& directory, uint64_t position) {
  return absl::StrCat(directory, "/", absl::Hex(position, absl::kZeroPad16), kNewSuffix);
}

absl::StatusOr<std::vector<uint64_t>> ListSnapshots(Io& io, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> positions;
  for (const std::string& name : *names) {
    if (auto position = ParseNumberedName(name, kSuffix)) positions.push_back(*position);
  }
  std::sort(positions.begin(), positions.end());
  return positions;
}

absl::Status RemoveUnfinishedSnapshots(Io& io, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!ParseNumberedName(name, kNewSuffix)) continue;
    if (absl::Status s = io.Remove(absl::StrCat(directory, "/", name)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status RemoveOldSnapshots(Io& io, const std::string& directory, size_t kept) {
  absl::StatusOr<std::vector<uint64_t>> positions = ListSnapshots(io, directory);
  if (!positions.ok()) return positions.status();
  for (size_t i = 0; i + kept < positions->size(); ++i) {
    if (absl::Status s = io.Remove(SnapshotPath(directory, (*positions)[i])); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status SetSnapshotAside(Io& io, const std::string& directory, uint64_t position) {
  const std::string path = SnapshotPath(directory, position);
  const std::string aside = path + ".bad";
  if (io.Exists(aside)) {
    if (absl::Status s = io.Remove(aside); !s.ok()) return s;
  }
  return io.Rename(path, aside);
}

}  // namespace tallystick::wal
