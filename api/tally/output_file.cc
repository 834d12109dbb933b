#include "api/tally/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick::tally {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 20;

absl::Status Failed(const std::string& path) {
  const int error = errno;
  return absl::UnavailableError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(error), ". Nothing is left of it; ",
                   error == EFBIG ? "raise the limit of file sizes (ulimit -f)" : "make room",
                   ", or name another file"));
}

absl::Status IsThere(const std::string& path) {
  return absl::AlreadyExistsError(
      absl::StrCat(path, " is there already: name a new file, or remove it first"));
}

absl::Status IsBeingWritten(const std::string& path) {
  return absl::FailedPreconditionError(absl::StrCat(
      path, " is being written by another process: name another file, or wait for that"));
}

// A link that leads nowhere is something, too.
absl::Status RequireAbsent(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 ? IsThere(path) : absl::OkStatus();
}

bool Names(const std::string& path, int fd) {
  struct stat named;
  struct stat held;
  return lstat(path.c_str(), &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
         named.st_ino == held.st_ino;
}

// Over nothing that has come there, as far as the file system can promise it.
bool RenameToNew(const char* from, const char* to) {
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
  return (errno == EINVAL || errno == ENOSYS) && std::rename(from, to) == 0;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed(path);
  const bool synced = fsync(fd) == 0;
  absl::Status status = synced ? absl::OkStatus() : Failed(path);
  close(fd);
  return status;
}

}  // namespace

absl::Status RequireOutside(const std::string& path, const OfflineLedger* reading) {
  if (reading == nullptr) return absl::OkStatus();
  return CheckOutside(path, reading->directory(), reading->identity());
}

absl::StatusOr<std::unique_ptr<UnfinishedFile>> UnfinishedFile::Create(
    const std::string& path, const OfflineLedger* reading) {
  if (absl::Status s = RequireOutside(path, reading); !s.ok()) return s;
  while (true) {
    if (absl::Status s = RequireAbsent(path); !s.ok()) return s;
    // Emptied only under the lock: it may be another's.
    const int fd =
        open((path + ".unfinished").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return Failed(path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const absl::Status status = errno == EWOULDBLOCK ? IsBeingWritten(path) : Failed(path);
      close(fd);
      return status;
    }
    // Since it was opened, its holder may have published or removed it.
    if (!Names(path + ".unfinished", fd)) {
      close(fd);
      continue;
    }
    std::unique_ptr<UnfinishedFile> file(new UnfinishedFile(path, fd));
    if (absl::Status s = RequireAbsent(path); !s.ok()) return s;
    if (ftruncate(fd, 0) != 0) return Failed(path);
    return file;
  }
}

UnfinishedFile::~UnfinishedFile() {
  if (!published_) unlink(name_.c_str());
  close(fd_);
}

absl::Status UnfinishedFile::Publish() {
  if (fsync(fd_) != 0) return Failed(path_);
  if (absl::Status s = RequireAbsent(path_); !s.ok()) return s;
  if (!RenameToNew(name_.c_str(), path_.c_str())) {
    return errno == EEXIST ? IsThere(path_) : Failed(path_);
  }
  published_ = true;
  return SyncDirectoryOf(path_);
}

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Create(const std::string& path,
                                                               const OfflineLedger* reading) {
  struct stat info;
  const bool in_place = stat(path.c_str(), &info) == 0 &&
                        (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
  if (!in_place) {
    auto file = UnfinishedFile::Create(path, reading);
    if (!file.ok()) return file.status();
    const int fd = (*file)->fd();
    return std::unique_ptr<OutputFile>(new OutputFile(path, *std::move(file), fd));
  }
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Failed(path);
  return std::unique_ptr<OutputFile>(new OutputFile(path, nullptr, fd));
}

OutputFile::~OutputFile() {
  if (file_ == nullptr && fd_ >= 0) close(fd_);
}

absl::Status OutputFile::FlushSome() {
  return buffer_.size() < kFlushBytes ? absl::OkStatus() : Flush();
}

absl::Status OutputFile::Flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed(path_);
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status OutputFile::Publish() {
  if (absl::Status s = Flush(); !s.ok()) return s;
  if (file_ != nullptr) return file_->Publish();
  return close(std::exchange(fd_, -1)) == 0 ? absl::OkStatus() : Failed(path_);
}

}  // namespace tallystick::tally
