// The files of a log and their names.
//
//   0000000000000001.log     segment 1 (16 lower-case hexadecimal digits)
//   0000000000000001.cut     a segment that lay wholly behind a cut; kept, never read
//   0000000000000001.free    a segment that lies in the archive, to be written over
//   0000000000000001.spare   zeros, of full size and durable, to become a segment
//   0000000000000001.prep    a spare that is being written; worthless after a crash
//   lock                     held by the writer
//
// and in the archive's directory
//
//   0000000000000001.arc     segment 1, packed
//   0000000000000001.arc.new one that is being written; worthless after a crash
//
// and in one of the two
//
//   0000000000000001.gone    empty: the archive's limits removed segments up to 1

#ifndef TALLYSTICK_WAL_SEGMENT_FILES_H_
#define TALLYSTICK_WAL_SEGMENT_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "wal/io.h"

namespace tallystick::wal {

enum class FileKind : uint8_t {
  kSegment,
  kCut,
  kFree,
  kSpare,
  kPreparing,
  kArchive,
  kNewArchive,
  kGone,
};

// Where the segments of one log lie.
struct LogFolders {
  std::string log;
  std::string archive;  // missing: nothing was archived yet

  // A log's directory names its archive, unless it is told to lie elsewhere.
  LogFolders(const std::string& log_folder)  // NOLINT(google-explicit-constructor)
      : log(log_folder), archive(log_folder + "/archive") {}
  LogFolders(const char* log_folder)  // NOLINT(google-explicit-constructor)
      : LogFolders(std::string(log_folder)) {}
  LogFolders(std::string log_folder, std::string archive_folder)
      : log(std::move(log_folder)), archive(std::move(archive_folder)) {}

  // Copied with the log, so that it may hold the log's end.
  bool archive_is_within() const { return archive == log + "/archive"; }
};

std::string FileName(uint64_t number, FileKind kind);
std::string FilePath(const std::string& directory, uint64_t number, FileKind kind);

// The number in `name` if it is 16 lower-case hexadecimal digits and the suffix, and not 0.
std::optional<uint64_t> ParseNumberedName(absl::string_view name, absl::string_view suffix);

// The numbers of a directory's files that end so, ascending.
absl::StatusOr<std::vector<uint64_t>> ListNumbered(Io& io, const std::string& directory,
                                                   absl::string_view suffix);
// Removes them.
absl::Status RemoveNumbered(Io& io, const std::string& directory, absl::string_view suffix);

struct LogFiles {
  std::vector<uint64_t> segments;  // each ascending
  std::vector<uint64_t> cut;
  std::vector<uint64_t> free;
  std::vector<uint64_t> spares;
  std::vector<uint64_t> preparing;

  // The highest number that a segment has or had; 0: there was none.
  uint64_t HighestSegment() const;
};

// Files with other names are not ours and left out.
absl::StatusOr<LogFiles> ListLogFiles(Io& io, const std::string& directory);
// Segments, ascending; none where there is no such directory.
absl::StatusOr<std::vector<uint64_t>> ListArchives(Io& io, const std::string& directory);

// Up to which segment an archive's limits removed them; 0: none, ever.
absl::StatusOr<uint64_t> LastGone(Io& io, const LogFolders& folders);
// Makes that durable in one of the folders.
absl::Status MarkGone(Io& io, const std::string& directory, uint64_t segment);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_FILES_H_
