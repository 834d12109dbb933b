#include "api/tally/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace tallystick::tally {
namespace {

constexpr size_t kFlushBytes = size_t{1} << 20;

absl::Status Failed(const std::string& path) {
  const int error = errno;
  return absl::UnavailableError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(error),
                   ". Nothing is left of it; make room, or name another file"));
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

std::string UnfinishedName(const std::string& path) { return path + ".unfinished"; }

absl::Status RequireAbsent(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(path, " is there already: name a new file, or remove it first"));
}

absl::Status PublishFile(const std::string& path) {
  const std::string unfinished = UnfinishedName(path);
  const int fd = open(unfinished.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed(path);
  const bool synced = fsync(fd) == 0;
  absl::Status status = synced ? absl::OkStatus() : Failed(path);
  close(fd);
  if (!status.ok()) return status;
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) return Failed(path);
  return SyncDirectoryOf(path);
}

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Create(const std::string& path) {
  struct stat info;
  const bool in_place = stat(path.c_str(), &info) == 0 &&
                        (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
  if (!in_place) {
    if (absl::Status s = RequireAbsent(path); !s.ok()) return s;
  }
  const std::string name = in_place ? path : UnfinishedName(path);
  const int flags = in_place ? O_WRONLY : O_WRONLY | O_CREAT | O_TRUNC;
  const int fd = open(name.c_str(), flags | O_CLOEXEC, 0644);
  if (fd < 0) return Failed(path);
  return std::unique_ptr<OutputFile>(new OutputFile(path, in_place, fd));
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) close(fd_);
  if (!published_ && !in_place_) unlink(UnfinishedName(path_).c_str());
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
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) != 0) return Failed(path_);
  if (!in_place_) {
    if (absl::Status s = PublishFile(path_); !s.ok()) return s;
  }
  published_ = true;
  return absl::OkStatus();
}

}  // namespace tallystick::tally
