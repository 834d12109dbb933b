#include "wal/segment_files.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tallystick::wal {
namespace {

constexpr size_t kDigits = 16;

absl::string_view Suffix(FileKind kind) {
  switch (kind) {
    case FileKind::kSegment:
      return ".log";
    case FileKind::kCut:
      return ".cut";
    case FileKind::kFree:
      return ".free";
    case FileKind::kSpare:
      return ".spare";
    case FileKind::kPreparing:
      return ".prep";
    case FileKind::kArchive:
      return ".arc";
    case FileKind::kNewArchive:
      return ".arc.new";
    case FileKind::kGone:
      return ".gone";
  }
  return "";
}

std::optional<uint64_t> ParseName(absl::string_view name, FileKind kind) {
  return ParseNumberedName(name, Suffix(kind));
}

}  // namespace

std::optional<uint64_t> ParseNumberedName(absl::string_view name, absl::string_view suffix) {
  if (!absl::ConsumeSuffix(&name, suffix) || name.size() != kDigits) return std::nullopt;
  uint64_t number = 0;
  for (const char digit : name) {
    number <<= 4;
    if (digit >= '0' && digit <= '9') {
      number |= static_cast<uint64_t>(digit - '0');
    } else if (digit >= 'a' && digit <= 'f') {
      number |= static_cast<uint64_t>(digit - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  if (number == 0) return std::nullopt;
  return number;
}

std::string FileName(uint64_t number, FileKind kind) {
  return absl::StrCat(absl::Hex(number, absl::kZeroPad16), Suffix(kind));
}

std::string FilePath(const std::string& directory, uint64_t number, FileKind kind) {
  return absl::StrCat(directory, "/", FileName(number, kind));
}

absl::StatusOr<std::vector<uint64_t>> ListNumbered(Io& io, const std::string& directory,
                                                   absl::string_view suffix) {
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> numbers;
  for (const std::string& name : *names) {
    if (auto number = ParseNumberedName(name, suffix)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

absl::Status RemoveNumbered(Io& io, const std::string& directory, absl::string_view suffix) {
  const absl::StatusOr<std::vector<uint64_t>> numbers = ListNumbered(io, directory, suffix);
  if (!numbers.ok()) return numbers.status();
  for (const uint64_t number : *numbers) {
    const std::string name = absl::StrCat(absl::Hex(number, absl::kZeroPad16), suffix);
    if (absl::Status s = io.Remove(absl::StrCat(directory, "/", name)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

uint64_t LogFiles::HighestSegment() const {
  const uint64_t segment = segments.empty() ? 0 : segments.back();
  return std::max(segment, cut.empty() ? 0 : cut.back());
}

absl::StatusOr<LogFiles> ListLogFiles(Io& io, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  LogFiles files;
  for (const std::string& name : *names) {
    if (auto number = ParseName(name, FileKind::kSegment)) files.segments.push_back(*number);
    if (auto number = ParseName(name, FileKind::kCut)) files.cut.push_back(*number);
    if (auto number = ParseName(name, FileKind::kFree)) files.free.push_back(*number);
    if (auto number = ParseName(name, FileKind::kSpare)) files.spares.push_back(*number);
    if (auto number = ParseName(name, FileKind::kPreparing)) files.preparing.push_back(*number);
  }
  for (auto* numbers :
       {&files.segments, &files.cut, &files.free, &files.spares, &files.preparing}) {
    std::sort(numbers->begin(), numbers->end());
  }
  return files;
}

absl::StatusOr<std::vector<uint64_t>> ListArchives(Io& io, const std::string& directory) {
  if (!io.Exists(directory)) return std::vector<uint64_t>();
  return ListNumbered(io, directory, Suffix(FileKind::kArchive));
}

absl::StatusOr<uint64_t> LastGone(Io& io, const LogFolders& folders) {
  uint64_t last = 0;
  for (const std::string& directory : {folders.log, folders.archive}) {
    if (!io.Exists(directory)) continue;
    const auto marks = ListNumbered(io, directory, Suffix(FileKind::kGone));
    if (!marks.ok()) return marks.status();
    if (!marks->empty()) last = std::max(last, marks->back());
  }
  return last;
}

// The marks before it go when it is durable.
absl::Status MarkGone(Io& io, const std::string& directory, uint64_t segment) {
  const auto marks = ListNumbered(io, directory, Suffix(FileKind::kGone));
  if (!marks.ok()) return marks.status();
  const std::string path = FilePath(directory, segment, FileKind::kGone);
  if (!io.Exists(path)) {
    const absl::StatusOr<Handle> handle = io.Open(path, {.write = true, .create = true});
    if (!handle.ok()) return handle.status();
    io.Close(*handle);
  }
  if (absl::Status s = io.SyncDirectory(directory); !s.ok()) return s;
  for (const uint64_t mark : *marks) {
    if (mark >= segment) continue;
    if (absl::Status s = io.Remove(FilePath(directory, mark, FileKind::kGone)); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::wal
