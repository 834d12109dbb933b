// Numbered files that are read again and again: opened when they are asked for, and kept open until
// others need their place.

#ifndef TALLYSTICK_WAL_OPEN_FILES_H_
#define TALLYSTICK_WAL_OPEN_FILES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "wal/archive_file.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

class OpenFiles {
 public:
  struct File {
    uint64_t number = 0;
    Handle handle = kNoHandle;
    std::unique_ptr<ArchiveFile> archive;  // of an archived segment, whose handle it is
    size_t users = 0;
    bool replaced = false;
  };

  // Names the path of a file.
  using Path = std::string (*)(const std::string& directory, uint64_t number);

  // More than `most` are open only while more are in use.
  OpenFiles(Io& io, std::string directory, Path path, size_t most);
  // The segments of a log, plain or else archived.
  OpenFiles(Io& io, LogFolders folders, size_t most);
  ~OpenFiles();  // REQUIRES: none is in use
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;

  // For direct reads, until it is given back. Opening blocks for some microseconds; that of an
  // archive for two reads. NotFound: no such file.
  absl::StatusOr<File*> Take(uint64_t number);
  void Give(File* file);
  // Another file has the name now, or none has: who asks next does not get the old one.
  void Forget(uint64_t number);

 private:
  using Opener = std::function<absl::Status(File& file)>;

  absl::Status OpenPlain(const std::string& path, File& file) const;
  absl::Status OpenSegment(const LogFolders& folders, File& file) const;
  void CloseUnused(size_t most);

  Io& io_;
  const Opener open_;
  const size_t most_;
  std::list<File> files_;  // the one asked for last first; some dozens
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_OPEN_FILES_H_
