#include "wal/open_files.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wal/check.h"

namespace tallystick::wal {

OpenFiles::OpenFiles(Io& io, std::string directory, Path path, size_t most)
    : io_(io), directory_(std::move(directory)), path_(path), most_(most) {}

OpenFiles::~OpenFiles() {
  CloseUnused(0);
  TALLYSTICK_CHECK(files_.empty());
}

absl::StatusOr<OpenFiles::File*> OpenFiles::Take(uint64_t number) {
  const auto found = std::find_if(files_.begin(), files_.end(), [number](const File& file) {
    return file.number == number && !file.replaced;
  });
  if (found != files_.end()) {
    files_.splice(files_.begin(), files_, found);
  } else {
    absl::StatusOr<Handle> handle = io_.Open(path_(directory_, number), {.direct = true});
    if (!handle.ok()) return handle.status();
    files_.push_front({.number = number, .handle = *handle});
  }
  ++files_.front().users;
  CloseUnused(most_);
  return &files_.front();
}

void OpenFiles::Give(File* file) {
  TALLYSTICK_CHECK(file->users > 0);
  if (--file->users == 0) CloseUnused(most_);
}

void OpenFiles::Forget(uint64_t number) {
  for (File& file : files_) file.replaced = file.replaced || file.number == number;
  CloseUnused(most_);
}

void OpenFiles::CloseUnused(size_t most) {
  size_t open = files_.size();
  for (auto it = files_.end(); it != files_.begin();) {
    --it;
    if (it->users > 0 || (open <= most && !it->replaced)) continue;
    io_.Close(it->handle);
    it = files_.erase(it);
    --open;
  }
}

}  // namespace tallystick::wal
