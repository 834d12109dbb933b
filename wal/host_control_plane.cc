#include "wal/host_control_plane.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/listener.h"

namespace tallystick::wal {
namespace {

// What a ledger holds is its owner's business; the group may look.
constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;
constexpr size_t kHugePageBytes = size_t{2} << 20;

absl::string_view Advice(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return "; check who owns it and its permissions";
    case ENOSPC:
    case EDQUOT:
      return "; free some space";
    case EFBIG:
      return "; raise the limit of file sizes (ulimit -f)";
    case EMFILE:
      return "; raise the limit of open files (ulimit -n)";
    case EROFS:
      return "; the file system is mounted read-only";
    default:
      return "";
  }
}

absl::Status Failure(int error, absl::string_view what, const std::string& path) {
  const absl::Status status = absl::ErrnoToStatus(error, absl::StrCat("cannot ", what, " ", path));
  return absl::Status(status.code(), absl::StrCat(status.message(), Advice(error)));
}

// The kernel knows it, follows renames, and is asked only when something has failed.
std::string PathOf(Handle handle) {
  std::error_code error;
  const std::filesystem::path path =
      std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", handle), error);
  return error ? absl::StrCat("handle ", handle) : path.string();
}

absl::string_view WithoutTrailingSlashes(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

std::string ParentOf(absl::string_view path) {
  path = WithoutTrailingSlashes(path);
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return std::string(WithoutTrailingSlashes(path.substr(0, slash + 1)));
}

// Tells a short read at the end of a file from one before a bad sector. Reading on to see a count
// of 0 would not do: after an odd length a direct read fails with EINVAL.
bool EndsAt(Handle handle, uint64_t position) {
  struct stat file;
  return fstat(handle, &file) == 0 && position >= static_cast<uint64_t>(file.st_size);
}

int64_t Micros(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

// Whether direct I/O in units of kSectorBytes works on the file; yes when the kernel cannot say.
bool SectorsSuitDirectIo(int fd) {
  struct statx file = {};
  if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &file) != 0) return true;
  if ((file.stx_mask & STATX_DIOALIGN) == 0) return true;
  return file.stx_dio_offset_align != 0 && file.stx_dio_offset_align <= kSectorBytes &&
         file.stx_dio_mem_align <= kSectorBytes;
}

// Not by open(2): where a file system has no direct I/O, open(O_CREAT | O_EXCL | O_DIRECT) fails
// with EINVAL *after* it has made the file, and the second try would find it there.
absl::Status EnableDirectIo(int fd, const std::string& path) {
  if (!SectorsSuitDirectIo(fd)) return absl::OkStatus();
  const int flags = fcntl(fd, F_GETFL);
  if (fcntl(fd, F_SETFL, flags | O_DIRECT) == 0 || errno == EINVAL) return absl::OkStatus();
  return Failure(errno, "use direct I/O on", path);
}

// `fd`: what open(2) returned; `kind`: of flock(2).
absl::StatusOr<Handle> TakeLock(int fd, int kind, const std::string& path) {
  if (fd < 0) return Failure(errno, "open the lock", path);
  if (flock(fd, kind | LOCK_NB) == 0) return fd;
  const int error = errno;
  close(fd);
  if (error == EWOULDBLOCK) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot lock ", path,
        ": another process holds it; is another tallyd running on it, or a tool reading it?"));
  }
  return Failure(error, "lock", path);
}

}  // namespace

HostControlPlane::~HostControlPlane() {
  for (const IoBuffer& buffer : buffers_) munmap(buffer.data, buffer.size);
}

int64_t HostControlPlane::WallMicros() { return Micros(CLOCK_REALTIME); }
int64_t HostControlPlane::MonotonicMicros() { return Micros(CLOCK_MONOTONIC); }

absl::StatusOr<Handle> HostControlPlane::Open(const std::string& path, const OpenOptions& options) {
  int flags = O_CLOEXEC | (options.write ? O_RDWR : O_RDONLY);
  if (options.create) flags |= O_CREAT | O_EXCL;
  if (options.dsync) flags |= O_DSYNC;
  const int fd = open(path.c_str(), flags, kFileMode);
  if (fd < 0) return Failure(errno, options.create ? "create" : "open", path);
  if (options.direct) {
    if (absl::Status status = EnableDirectIo(fd, path); !status.ok()) {
      close(fd);
      return status;
    }
  }
  return fd;
}

void HostControlPlane::Close(Handle handle) {
  // Linux has freed the number even when it reports EINTR or EIO.
  const bool was_open = close(handle) == 0 || errno != EBADF;
  TALLYSTICK_CHECK(was_open && "closed a handle that is not open");
}

absl::StatusOr<uint64_t> HostControlPlane::Size(Handle handle) {
  struct stat file;
  if (fstat(handle, &file) != 0) return Failure(errno, "tell the size of", PathOf(handle));
  return static_cast<uint64_t>(file.st_size);
}

absl::Status HostControlPlane::Resize(Handle handle, uint64_t size) {
  if (ftruncate(handle, static_cast<off_t>(size)) == 0) return absl::OkStatus();
  return Failure(errno, absl::StrCat("set the size of ", size, " bytes for"), PathOf(handle));
}

absl::StatusOr<size_t> HostControlPlane::ReadAt(Handle handle, uint64_t offset, std::byte* data,
                                                size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count =
        pread(handle, data + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return Failure(errno, absl::StrCat("read at offset ", offset + done, " of"), PathOf(handle));
    }
    done += static_cast<size_t>(count);
    if (count == 0 || (done < size && EndsAt(handle, offset + done))) break;
  }
  return done;
}

absl::Status HostControlPlane::WriteAt(Handle handle, uint64_t offset, const std::byte* data,
                                       size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count =
        pwrite(handle, data + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      return Failure(count < 0 ? errno : EIO,
                     absl::StrCat("write at offset ", offset + done, " of"), PathOf(handle));
    }
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::Status HostControlPlane::Sync(Handle handle) {
  if (fdatasync(handle) == 0) return absl::OkStatus();
  return Failure(errno, "sync", PathOf(handle));
}

absl::Status HostControlPlane::MakeDirectory(const std::string& path) {
  const std::string parent = ParentOf(path);
  int error = mkdir(path.c_str(), kDirectoryMode) == 0 ? 0 : errno;
  if (error == ENOENT && parent != path) {
    if (absl::Status status = MakeDirectory(parent); !status.ok()) return status;
    error = mkdir(path.c_str(), kDirectoryMode) == 0 ? 0 : errno;
  }
  if (error == 0) return SyncDirectory(parent);
  std::error_code ignored;
  if (error != EEXIST || !std::filesystem::is_directory(path, ignored)) {
    return Failure(error, "make the directory", path);
  }
  // It may be the work of a process that died before it synced; but the parent of a directory that
  // an administrator has prepared need not be ours to open.
  const absl::Status status = SyncDirectory(parent);
  return absl::IsPermissionDenied(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<std::string>> HostControlPlane::List(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) return Failure(error.value(), "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

bool HostControlPlane::Exists(const std::string& path) {
  struct stat file;
  return stat(path.c_str(), &file) == 0;
}

absl::Status HostControlPlane::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return Failure(errno, absl::StrCat("rename ", from, " to"), to);
  }
  // The new name first: no crash may leave the file without any.
  if (absl::Status synced = SyncDirectory(ParentOf(to)); !synced.ok()) return synced;
  return ParentOf(from) == ParentOf(to) ? absl::OkStatus() : SyncDirectory(ParentOf(from));
}

absl::Status HostControlPlane::Remove(const std::string& path) {
  // A file, or an empty directory.
  if (std::remove(path.c_str()) != 0) return Failure(errno, "remove", path);
  return SyncDirectory(ParentOf(path));
}

absl::Status HostControlPlane::SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failure(errno, "open the directory", path);
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  return error == 0 ? absl::OkStatus() : Failure(error, "sync the directory", path);
}

absl::StatusOr<uint64_t> HostControlPlane::FreeBytes(const std::string& path) {
  struct statvfs file_system;
  if (statvfs(path.c_str(), &file_system) != 0)
    return Failure(errno, "tell the free space of", path);
  return uint64_t{file_system.f_bavail} * file_system.f_frsize;
}

absl::StatusOr<Handle> HostControlPlane::Lock(const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0 && errno == EISDIR) fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return TakeLock(fd, LOCK_EX, path);
}

absl::StatusOr<Handle> HostControlPlane::LockShared(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) fd = open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, kFileMode);
  return TakeLock(fd, LOCK_SH, path);
}

absl::StatusOr<IoBuffer> HostControlPlane::AllocateBuffer(size_t size) {
  const size_t sectors = std::max<size_t>(size / kSectorBytes + (size % kSectorBytes != 0), 1);
  IoBuffer buffer;
  buffer.size = sectors * kSectorBytes;
  void* const mapping =
      mmap(nullptr, buffer.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot allocate a buffer of ", size, " bytes"));
  }
  if (buffer.size >= kHugePageBytes) madvise(mapping, buffer.size, MADV_HUGEPAGE);
  // Touches the pages now, so that no first write on the hot path faults.
  std::memset(mapping, 0, buffer.size);
  buffer.data = static_cast<std::byte*>(mapping);
  buffers_.push_back(buffer);
  return buffer;
}

absl::StatusOr<Handle> HostControlPlane::Listen(const std::string& address) {
  return OpenListener(address);
}

absl::StatusOr<std::string> HostControlPlane::LocalAddress(Handle listener) {
  return BoundAddress(listener);
}

// ENOTCONN: the peer was faster.
void HostControlPlane::Shutdown(Handle socket) { shutdown(socket, SHUT_RDWR); }

void HostControlPlane::Stop(const char* what, int error) {
  std::fprintf(stderr, "tallystick: %s: %s; stopping\n", what, std::strerror(error));
  std::abort();
}

}  // namespace tallystick::wal
