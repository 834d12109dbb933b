// Numbered files of a directory that are read again and again: opened when they are asked for, and
// kept open until others need their place.

#ifndef TALLYSTICK_WAL_OPEN_FILES_H_
#define TALLYSTICK_WAL_OPEN_FILES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

class OpenFiles {
 public:
  struct File {
    uint64_t number = 0;
    Handle handle = kNoHandle;
    size_t users = 0;
    bool replaced = false;
  };

  // Names the path of a file.
  using Path = std::string (*)(const std::string& directory, uint64_t number);

  // More than `most` are open only while more are in use.
  OpenFiles(Io& io, std::string directory, Path path, size_t most);
  ~OpenFiles();  // REQUIRES: none is in use
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;

  // For direct reads, until it is given back. Opening blocks for some microseconds.
  absl::StatusOr<File*> Take(uint64_t number);
  void Give(File* file);
  // Another file has the name now, or none has: who asks next does not get the old one.
  void Forget(uint64_t number);

 private:
  void CloseUnused(size_t most);

  Io& io_;
  const std::string directory_;
  const Path path_;
  const size_t most_;
  std::list<File> files_;  // the one asked for last first; some dozens
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_OPEN_FILES_H_
