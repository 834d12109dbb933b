// The files of a log directory and their names.
//
//   0000000000000001.log     segment 1 (16 lower-case hexadecimal digits)
//   0000000000000001.cut     a segment that lay wholly behind a cut; kept, never read
//   0000000000000001.spare   zeros, of full size and durable, to become a segment
//   0000000000000001.prep    a spare that is being written; worthless after a crash
//   lock                     held by the writer

#ifndef TALLYSTICK_WAL_SEGMENT_FILES_H_
#define TALLYSTICK_WAL_SEGMENT_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "wal/io.h"

namespace tallystick::wal {

enum class FileKind : uint8_t { kSegment, kCut, kSpare, kPreparing };

std::string FileName(uint64_t number, FileKind kind);
std::string FilePath(const std::string& directory, uint64_t number, FileKind kind);

// The number in `name` if it is 16 lower-case hexadecimal digits and the suffix, and not 0.
std::optional<uint64_t> ParseNumberedName(absl::string_view name, absl::string_view suffix);

struct LogFiles {
  std::vector<uint64_t> segments;  // each ascending
  std::vector<uint64_t> cut;
  std::vector<uint64_t> spares;
  std::vector<uint64_t> preparing;

  // The highest number that a segment has or had; 0: there was none.
  uint64_t HighestSegment() const;
};

// Files with other names are not ours and left out.
absl::StatusOr<LogFiles> ListLogFiles(Io& io, const std::string& directory);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_FILES_H_
