#include "wal/open_files.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wal/check.h"
#include "wal/missing_segment.h"

namespace tallystick::wal {

OpenFiles::OpenFiles(Io& io, std::string directory, Path path, size_t most)
    : io_(io),
      open_([this, directory = std::move(directory), path](File& file) {
        return OpenPlain(path(directory, file.number), file);
      }),
      most_(most) {}

OpenFiles::OpenFiles(Io& io, LogFolders folders, size_t most)
    : io_(io),
      open_(
          [this, folders = std::move(folders)](File& file) { return OpenSegment(folders, file); }),
      most_(most) {}

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
    File opened;
    opened.number = number;
    if (absl::Status status = open_(opened); !status.ok()) return status;
    files_.push_front(std::move(opened));
  }
  ++files_.front().users;
  CloseUnused(most_);
  return &files_.front();
}

absl::Status OpenFiles::OpenPlain(const std::string& path, File& file) const {
  const absl::StatusOr<Handle> handle = io_.Open(path, {.direct = true});
  if (handle.ok()) file.handle = *handle;
  return handle.status();
}

absl::Status OpenFiles::OpenSegment(const LogFolders& folders, File& file) const {
  absl::Status plain = OpenPlain(FilePath(folders.log, file.number, FileKind::kSegment), file);
  if (!absl::IsNotFound(plain)) return plain;
  absl::StatusOr<std::unique_ptr<ArchiveFile>> archive = ArchiveFile::Open(
      io_, FilePath(folders.archive, file.number, FileKind::kArchive), file.number);
  if (absl::IsNotFound(archive.status())) return MissingSegment(io_, folders, file.number);
  if (!archive.ok()) return archive.status();
  file.archive = *std::move(archive);
  file.handle = file.archive->handle();
  return absl::OkStatus();
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
    if (it->archive == nullptr) io_.Close(it->handle);
    it = files_.erase(it);
    --open;
  }
}

}  // namespace tallystick::wal
