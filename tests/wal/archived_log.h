// Logs of which segments lie in the archive.

#ifndef TALLYSTICK_TESTS_WAL_ARCHIVED_LOG_H_
#define TALLYSTICK_TESTS_WAL_ARCHIVED_LOG_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tests/wal/log_harness.h"
#include "wal/archive_writer.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

inline std::string ArchivePath(uint64_t segment) {
  return FilePath(LogFolders(kLogDirectory).archive, segment, FileKind::kArchive);
}
inline std::string SegmentPath(uint64_t segment) {
  return FilePath(kLogDirectory, segment, FileKind::kSegment);
}

// What the one behind `segment` says of it. REQUIRES: there is one, and both are sound.
SealedSegment SealedOf(const LogCopy& log, uint64_t segment);

// Writes the archive of a segment; the segment stays.
absl::Status WriteArchive(Io& io, const SealedSegment& segment);

// Puts the segment into the archive and removes it.
void MoveToArchive(Io& io, const LogCopy& log, uint64_t segment);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_TESTS_WAL_ARCHIVED_LOG_H_
