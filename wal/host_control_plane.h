// What both backends on a real host share: the synchronous half of Io on files, sockets and clocks.

#ifndef TALLYSTICK_WAL_HOST_CONTROL_PLANE_H_
#define TALLYSTICK_WAL_HOST_CONTROL_PLANE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

// Handles are file descriptors.
class HostControlPlane : public Io {
 public:
  HostControlPlane() = default;
  ~HostControlPlane() override;
  HostControlPlane(const HostControlPlane&) = delete;
  HostControlPlane& operator=(const HostControlPlane&) = delete;

  int64_t WallMicros() override;
  int64_t MonotonicMicros() override;

  absl::StatusOr<Handle> Open(const std::string& path, const OpenOptions& options) override;
  void Close(Handle handle) override;
  absl::StatusOr<uint64_t> Size(Handle handle) override;
  absl::Status Resize(Handle handle, uint64_t size) override;
  absl::StatusOr<size_t> ReadAt(Handle handle, uint64_t offset, std::byte* data,
                                size_t size) override;
  absl::Status WriteAt(Handle handle, uint64_t offset, const std::byte* data, size_t size) override;
  absl::Status Sync(Handle handle) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  bool Exists(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  // `path` is a file, made if it is missing, or a directory.
  absl::StatusOr<Handle> Lock(const std::string& path) override;
  // A lock that any number may hold, while none holds that of Lock. `path` is a file, made if it is
  // missing; whoever may read it may lock it. FailedPrecondition when another holds Lock's.
  absl::StatusOr<Handle> LockShared(const std::string& path);

  // In huge pages where the host grants them.
  absl::StatusOr<IoBuffer> AllocateBuffer(size_t size) override;

  absl::StatusOr<Handle> Listen(const std::string& address) override;
  absl::StatusOr<std::string> LocalAddress(Handle listener) override;
  void Shutdown(Handle socket) override;

 protected:
  // Ends the process: the kernel has refused, with errno `error`, what the event loop cannot go on
  // without.
  [[noreturn]] static void Stop(const char* what, int error);

 private:
  std::vector<IoBuffer> buffers_;  // page-aligned mappings
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_HOST_CONTROL_PLANE_H_
