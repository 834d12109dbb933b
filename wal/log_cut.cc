#include "wal/log_cut.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "wal/log_reader.h"
#include "wal/log_scan.h"
#include "wal/log_takeover.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"
#include "wal/snapshot_files.h"

namespace tallystick::wal {
namespace {

// The steps, and what a crash behind each leaves:
//   1. the folder                                     the log as it was
//   2. a copy of the segment, if it is to be cut      as it was
//   3. the empty .cut of the highest number           as it was
//   4. newer snapshots are moved, newest first        as it was, read from an older one or the log
//   5. the segment is cut short                       refused: a later block knows of more; or cut,
//                                                     if there is none
//   6. later segments are moved, the first one first  refused, while any of them knows of positions
//                                                     behind the cut; then cut
//   7. the file CUT says that the folder is done
constexpr char kDone[] = "CUT";
constexpr size_t kPortionBytes = size_t{1} << 20;

class Cutter {
 public:
  Cutter(Io& io, const LogFolders& folders, const LogIdentity& identity, const LogPlace& place)
      : io_(io), folders_(folders), identity_(identity), place_(place) {}

  absl::StatusOr<LogCut> Run();

 private:
  absl::Status Plan();
  absl::Status ChooseFolder();
  absl::StatusOr<bool> Suits(const std::string& folder);
  absl::Status CopySegment();
  absl::Status CopyTo(Handle to);
  absl::Status ReserveNumbers();
  absl::Status MoveAll(const std::vector<std::string>& names);
  absl::Status Shorten();
  absl::Status WriteDone();
  absl::StatusOr<uint64_t> SizeOf(const std::string& path);
  std::string Here(const std::string& name) const { return absl::StrCat(folders_.log, "/", name); }
  std::string Aside(const std::string& name) const {
    return absl::StrCat(folders_.log, "/", cut_.aside, "/", name);
  }

  Io& io_;
  const LogFolders& folders_;
  const LogIdentity& identity_;
  const LogPlace& place_;
  LogCut cut_;
  std::string segment_;  // that is cut short
  uint64_t segment_bytes_ = 0;
  bool has_more_ = false;  // something lies behind the place in it
  uint64_t highest_ = 0;
  std::vector<std::string> snapshots_;
  std::vector<std::string> later_;
};

absl::StatusOr<LogCut> Cutter::Run() {
  const absl::StatusOr<Handle> lock = LockLog(io_, folders_.log);
  if (!lock.ok()) return lock.status();
  const absl::Cleanup unlock = [&] { io_.Close(*lock); };
  const auto found = LogReader::OpenForSurvey(io_, folders_, identity_, place_);
  if (!found.ok()) return found.status();
  if (absl::Status s = CheckCuttable(io_, folders_, place_); !s.ok()) return s;
  for (const auto step :
       {&Cutter::Plan, &Cutter::ChooseFolder, &Cutter::CopySegment, &Cutter::ReserveNumbers}) {
    if (absl::Status s = (this->*step)(); !s.ok()) return s;
  }
  if (absl::Status s = MoveAll(snapshots_); !s.ok()) return s;
  if (absl::Status s = Shorten(); !s.ok()) return s;
  if (absl::Status s = MoveAll(later_); !s.ok()) return s;
  if (absl::Status s = WriteDone(); !s.ok()) return s;
  return std::move(cut_);
}

absl::Status Cutter::Plan() {
  const absl::StatusOr<LogFiles> files = ListLogFiles(io_, folders_.log);
  if (!files.ok()) return files.status();
  highest_ = files->HighestSegment();
  for (const uint64_t number : files->segments) {
    if (number > place_.segment) later_.push_back(FileName(number, FileKind::kSegment));
  }
  absl::StatusOr<std::vector<uint64_t>> positions = ListSnapshots(io_, folders_.log);
  if (!positions.ok()) return positions.status();
  for (auto it = positions->rbegin(); it != positions->rend(); ++it) {
    if (*it < place_.next_position) break;
    snapshots_.push_back(SnapshotPath("", *it).substr(1));
  }
  segment_ = FileName(place_.segment, FileKind::kSegment);
  absl::StatusOr<uint64_t> size = SizeOf(Here(segment_));
  if (!size.ok()) return size.status();
  segment_bytes_ = *size;
  SegmentWindow window(io_, folders_, kSectorBytes);
  ScanResult behind;
  const absl::Status scanned =
      ScanSegment(window, identity_, place_.segment, place_.offset, behind);
  // What cannot be read is not nothing.
  has_more_ = !scanned.ok() || behind.leftover_bytes > 0;
  return absl::OkStatus();
}

// The newest folder if an earlier cut at this place was not finished; else the next one.
absl::Status Cutter::ChooseFolder() {
  int number = 1;
  const auto name = [](int n) { return absl::StrCat("aside-", n); };
  while (io_.Exists(Here(name(number)))) ++number;
  if (number > 1) {
    absl::StatusOr<bool> suits = Suits(Here(name(number - 1)));
    if (!suits.ok()) return suits.status();
    if (*suits) --number;
  }
  cut_.aside = name(number);
  return io_.MakeDirectory(Here(cut_.aside));
}

// Whether it was not finished, and nothing in it would be replaced by something else.
absl::StatusOr<bool> Cutter::Suits(const std::string& folder) {
  if (io_.Exists(absl::StrCat(folder, "/", kDone))) return false;
  for (const auto* names : {&snapshots_, &later_}) {
    for (const std::string& name : *names) {
      if (io_.Exists(absl::StrCat(folder, "/", name))) return false;
    }
  }
  const std::string copy = absl::StrCat(folder, "/", segment_);
  if (!has_more_ || !io_.Exists(copy)) return true;
  const absl::StatusOr<uint64_t> size = SizeOf(copy);
  if (!size.ok()) return size.status();
  return *size == segment_bytes_;
}

absl::Status Cutter::CopySegment() {
  if (!has_more_) return absl::OkStatus();
  cut_.copied = segment_;
  if (io_.Exists(Aside(segment_))) return absl::OkStatus();
  const std::string part = Aside(segment_ + ".part");
  if (io_.Exists(part)) {
    if (absl::Status s = io_.Remove(part); !s.ok()) return s;
  }
  const absl::StatusOr<Handle> to = io_.Open(part, {.write = true, .create = true});
  if (!to.ok()) return to.status();
  absl::Status status = CopyTo(*to);
  if (status.ok()) status = io_.Sync(*to);
  io_.Close(*to);
  return status.ok() ? io_.Rename(part, Aside(segment_)) : status;
}

absl::Status Cutter::CopyTo(Handle to) {
  SegmentWindow window(io_, kPortionBytes);
  if (absl::Status s = window.OpenFile(Here(segment_)); !s.ok()) return s;
  for (uint64_t at = 0; at < segment_bytes_; at += kPortionBytes) {
    const auto bytes = window.Read(at, kPortionBytes);
    if (!bytes.ok()) return bytes.status();
    const size_t size = std::min(bytes->size(), kPortionBytes);
    if (absl::Status s = io_.WriteAt(to, at, bytes->data(), size); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Cutter::ReserveNumbers() {
  const std::string name = FilePath(folders_.log, highest_, FileKind::kCut);
  if (later_.empty() || io_.Exists(name)) return absl::OkStatus();
  const absl::StatusOr<Handle> handle = io_.Open(name, {.write = true, .create = true});
  if (!handle.ok()) return handle.status();
  const absl::Status synced = io_.Sync(*handle);
  io_.Close(*handle);
  return synced.ok() ? io_.SyncDirectory(folders_.log) : synced;
}

absl::Status Cutter::MoveAll(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (absl::Status s = io_.Rename(Here(name), Aside(name)); !s.ok()) return s;
    cut_.moved.push_back(name);
  }
  return absl::OkStatus();
}

absl::Status Cutter::Shorten() {
  if (segment_bytes_ <= place_.offset) return absl::OkStatus();
  const absl::StatusOr<Handle> handle = io_.Open(Here(segment_), {.write = true});
  if (!handle.ok()) return handle.status();
  absl::Status status = io_.Resize(*handle, place_.offset);
  if (status.ok()) status = io_.Sync(*handle);
  io_.Close(*handle);
  cut_.given_back_bytes = segment_bytes_ - place_.offset;
  return status;
}

absl::Status Cutter::WriteDone() {
  const std::string text = absl::StrCat(
      "These are the originals of what a cut of this log has changed. It ends behind segment ",
      place_.segment, ", offset ", place_.offset, ": position ", place_.next_position - 1, ".\n");
  const std::string part = Aside(absl::StrCat(kDone, ".part"));
  if (io_.Exists(part)) {
    if (absl::Status s = io_.Remove(part); !s.ok()) return s;
  }
  const absl::StatusOr<Handle> handle = io_.Open(part, {.write = true, .create = true});
  if (!handle.ok()) return handle.status();
  absl::Status status =
      io_.WriteAt(*handle, 0, reinterpret_cast<const std::byte*>(text.data()), text.size());
  if (status.ok()) status = io_.Sync(*handle);
  io_.Close(*handle);
  return status.ok() ? io_.Rename(part, Aside(kDone)) : status;
}

absl::StatusOr<uint64_t> Cutter::SizeOf(const std::string& path) {
  const absl::StatusOr<Handle> handle = io_.Open(path, {});
  if (!handle.ok()) return handle.status();
  absl::StatusOr<uint64_t> size = io_.Size(*handle);
  io_.Close(*handle);
  return size;
}

}  // namespace

absl::Status CheckCuttable(Io& io, const LogFolders& folders, const LogPlace& place) {
  const absl::StatusOr<std::vector<uint64_t>> archives = ListArchives(io, folders.archive);
  if (!archives.ok()) return archives.status();
  const bool plain = io.Exists(FilePath(folders.log, place.segment, FileKind::kSegment));
  if (plain && (archives->empty() || archives->back() < place.segment)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      FilePath(folders.archive, plain ? archives->back() : place.segment, FileKind::kArchive),
      " would have to be cut: restore the ledger to the position before the damage, into a new "
      "directory, instead"));
}

absl::StatusOr<LogCut> CutLog(Io& io, const LogFolders& folders, const LogIdentity& identity,
                              const LogPlace& place) {
  return Cutter(io, folders, identity, place).Run();
}

}  // namespace tallystick::wal
