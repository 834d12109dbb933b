#include "api/tally/format_survey.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "wal/archive_format.h"
#include "wal/format.h"
#include "wal/key_index_format.h"
#include "wal/segment_files.h"
#include "wal/snapshot_format.h"

namespace tallystick::tally {
namespace {

// Magic at 0, version at 4: the place of both in every format but LEDGER's, and in all versions.
struct Start {
  uint32_t magic;
  uint16_t version;
};

// By the end of its name.
struct Format {
  const char* suffix;
  const char* what;
  uint32_t magic;
  uint16_t newest;
};

constexpr Format kFormats[] = {
    {".log", "log segment", wal::kBlockMagic, wal::kFormatVersion},
    {".cut", "log segment that was set aside", wal::kBlockMagic, wal::kFormatVersion},
    {".snap", "snapshot", wal::kSnapshotMagic, wal::kSnapshotVersion},
    {".arc", "archived log segment", wal::kArchiveMagic, wal::kArchiveVersion},
    {".idx", "index", wal::kIndexMagic, wal::kIndexVersion},
};

const Format* FormatOf(absl::string_view name) {
  for (const Format& format : kFormats) {
    if (wal::ParseNumberedName(name, format.suffix).has_value()) return &format;
  }
  return nullptr;
}

absl::StatusOr<Start> ReadStart(wal::Io& io, const std::string& path) {
  const absl::StatusOr<wal::Handle> handle = io.Open(path, {});
  if (!handle.ok()) return handle.status();
  std::byte bytes[8] = {};
  const absl::StatusOr<size_t> read = io.ReadAt(*handle, 0, bytes, sizeof(bytes));
  io.Close(*handle);
  if (!read.ok()) return read.status();
  Start start{};
  std::memcpy(&start.magic, bytes, sizeof(start.magic));
  std::memcpy(&start.version, bytes + 4, sizeof(start.version));
  return start;
}

absl::StatusOr<FileFormat> Look(wal::Io& io, const std::string& path, const Format& format) {
  const absl::StatusOr<Start> start = ReadStart(io, path);
  if (!start.ok()) return start.status();
  FileFormat file{path, format.what, start->version, format.newest};
  // A segment that nothing was written to is zeros.
  const bool is_blank = start->magic == 0 && start->version == 0;
  if (is_blank || start->magic == format.magic) return file;
  return absl::DataLossError(absl::StrCat(path, " does not begin as a ", format.what,
                                          " does: tally log verify says what is wrong"));
}

absl::Status SurveyFolder(wal::Io& io, const std::string& folder, std::vector<FileFormat>& files) {
  const absl::StatusOr<std::vector<std::string>> names = io.List(folder);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const Format* format = FormatOf(name);
    if (format == nullptr) continue;
    const auto file = Look(io, absl::StrCat(folder, "/", name), *format);
    if (!file.ok()) return file.status();
    files.push_back(*file);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<FileFormat>> SurveyFormats(OfflineLedger& ledger) {
  // It was read: a newer one is refused before anything else is.
  std::vector<FileFormat> files = {{absl::StrCat(ledger.directory(), "/LEDGER"), "identity",
                                    wal::kFormatVersion, wal::kFormatVersion}};
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    const wal::LogFolders folders = ledger.FoldersOf(shard);
    for (const std::string& folder : {folders.log, folders.archive}) {
      if (!ledger.io().Exists(folder)) continue;  // nothing was archived
      if (absl::Status s = SurveyFolder(ledger.io(), folder, files); !s.ok()) return s;
    }
  }
  return files;
}

}  // namespace tallystick::tally
