// The one seam between this program and its surroundings: files, sockets,
// clocks. Everything above it is a stepped event loop, so that a whole ledger
// runs in one thread under the simulator.
//
//   UringIo  wal/uring_io.h   the production backend
//   PosixIo  wal/posix_io.h   for hosts that forbid io_uring; slower, and says so
//   SimIo    tests/sim/       a disk that reorders, tears and forgets; a clock that obeys
//
// Two halves. The control plane (open, list, rename, ...) is synchronous and for
// starts, stops and segment changes. The data plane is asynchronous: a caller owns
// an IoRequest, submits it, and its `complete` is called from Poll() on the same
// thread. An Io and all that belongs to it is used from one thread; only Wake()
// may be called from others.

#ifndef TALLYSTICK_WAL_IO_H_
#define TALLYSTICK_WAL_IO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tallystick::wal {

// What offset, length and address of direct I/O are multiples of.
inline constexpr size_t kSectorBytes = 4096;

constexpr uint64_t WholeSectors(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// A file or a socket. A backend never reuses a number while a request that names it is under way.
using Handle = int;
inline constexpr Handle kNoHandle = -1;

enum class IoOp : uint8_t {
  kRead,     // up to `size` bytes at `offset` into `data`
  kWrite,    // up to `size` bytes at `offset` from `data`; may be short
  kSync,     // fdatasync
  kAccept,   // result: the new connection's handle
  kReceive,  // up to `size` bytes into `data`; 0: the peer has closed
  kSend,     // up to `size` bytes from `data`; may be short
};

// Owned by the caller, who keeps it and its buffer alive and unchanged from Submit()
// to `complete`. `result` is a count of bytes (or a handle), or a negative errno.
struct IoRequest {
  IoOp op = IoOp::kRead;
  bool dsync = false;  // kWrite: durable when complete (RWF_DSYNC)
  Handle handle = kNoHandle;
  std::byte* data = nullptr;
  uint32_t size = 0;
  uint64_t offset = 0;
  int32_t result = 0;
  void (*complete)(IoRequest& request) = nullptr;
  void* owner = nullptr;
};

struct OpenOptions {
  bool write = false;
  bool create = false;  // must not exist yet
  bool direct = false;  // O_DIRECT; falls back to buffered where the file system has none
  bool dsync = false;   // O_DSYNC: a write is durable when complete
};

// Page-aligned memory for direct I/O, registered with the backend where that pays.
struct IoBuffer {
  std::byte* data = nullptr;
  size_t size = 0;
};

class Io {
 public:
  virtual ~Io() = default;

  // "io_uring", "posix", "sim"; for logs and benchmarks.
  virtual absl::string_view name() const = 0;

  // ---- clocks ----
  virtual int64_t WallMicros() = 0;  // since 1970-01-01 UTC
  virtual int64_t MonotonicMicros() = 0;

  // ---- control plane: synchronous; errors name the path ----
  virtual absl::StatusOr<Handle> Open(const std::string& path, const OpenOptions& options) = 0;
  virtual void Close(Handle handle) = 0;  // no request on it may be under way
  virtual absl::StatusOr<uint64_t> Size(Handle handle) = 0;
  // Sets the length; new bytes read as zeros.
  virtual absl::Status Resize(Handle handle, uint64_t size) = 0;
  // Synchronous positioned read: fills all of `size` or returns fewer bytes at the end of the file.
  virtual absl::StatusOr<size_t> ReadAt(Handle handle, uint64_t offset, std::byte* data,
                                        size_t size) = 0;
  // Synchronous positioned write of all of `size`; not durable until Sync.
  virtual absl::Status WriteAt(Handle handle, uint64_t offset, const std::byte* data,
                               size_t size) = 0;
  virtual absl::Status Sync(Handle handle) = 0;
  virtual absl::Status MakeDirectory(const std::string& path) = 0;  // and its parents; durable
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;  // names, sorted
  virtual bool Exists(const std::string& path) = 0;
  // On the same file system; durable. A directory may take the place of an empty one.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // A file or an empty directory; durable.
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  // What the file system of an existing file or directory has room for, for this user.
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
  // An exclusive lock that dies with the process. FailedPrecondition when another holds one.
  virtual absl::StatusOr<Handle> Lock(const std::string& path) = 0;

  // Zeroed, aligned to kSectorBytes, freed with the Io. For startup only.
  virtual absl::StatusOr<IoBuffer> AllocateBuffer(size_t size) = 0;

  // ---- sockets ----
  // `address`: "unix:PATH" or "tcp:127.0.0.1:PORT" (loopback only; port 0: any). A stale
  // socket file that nobody listens on is replaced.
  virtual absl::StatusOr<Handle> Listen(const std::string& address) = 0;
  // The address that a listener is bound to, with its real port.
  virtual absl::StatusOr<std::string> LocalAddress(Handle listener) = 0;
  // Ends both directions; requests under way complete with 0 or an error. Close() follows when all
  // have.
  virtual void Shutdown(Handle socket) = 0;

  // ---- data plane ----
  // Queues a request. Costs no system call; Poll() hands queued requests over together.
  virtual void Submit(IoRequest& request) = 0;
  // Submits what is queued and calls `complete` of whatever has finished. Waits for the first
  // completion (or Wake) at most `wait_us`; 0 polls, negative waits without limit.
  // Returns how many completed.
  virtual size_t Poll(int64_t wait_us) = 0;
  // Ends a Poll that waits, now or the next one. From any thread.
  virtual void Wake() = 0;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_IO_H_
