#include "wal/snapshot_files.h"

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
  return ListNumbered(io, directory, kSuffix);
}

absl::Status RemoveUnfinishedSnapshots(Io& io, const std::string& directory) {
  return RemoveNumbered(io, directory, kNewSuffix);
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
