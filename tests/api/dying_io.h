// An Io whose process ends, as by kill -9, at one of the operations that change the disk.

#ifndef TALLYSTICK_TESTS_API_DYING_IO_H_
#define TALLYSTICK_TESTS_API_DYING_IO_H_

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "tests/api/counting_io.h"

namespace tallystick {

// The exit status of a process that ended so.
inline constexpr int kDied = 99;

class DyingIo : public CountingIo {
 public:
  // Ends the process before the nth change, from 1.
  DyingIo(std::unique_ptr<wal::Io> io, uint64_t nth)
      : CountingIo(std::move(io), polls_), left_(nth) {}

  absl::StatusOr<wal::Handle> Open(const std::string& path,
                                   const wal::OpenOptions& options) override {
    if (options.create) Cross();
    return CountingIo::Open(path, options);
  }
  absl::Status Resize(wal::Handle handle, uint64_t size) override {
    Cross();
    return CountingIo::Resize(handle, size);
  }
  absl::Status WriteAt(wal::Handle handle, uint64_t offset, const std::byte* data,
                       size_t size) override {
    Cross();
    return CountingIo::WriteAt(handle, offset, data, size);
  }
  absl::Status Sync(wal::Handle handle) override {
    Cross();
    return CountingIo::Sync(handle);
  }
  absl::Status MakeDirectory(const std::string& path) override {
    Cross();
    return CountingIo::MakeDirectory(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    Cross();
    return CountingIo::Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    Cross();
    return CountingIo::Remove(path);
  }
  void Submit(wal::IoRequest& request) override {
    if (request.op == wal::IoOp::kWrite) Cross();
    CountingIo::Submit(request);
  }

 private:
  void Cross() {
    if (--left_ == 0) _exit(kDied);
  }

  std::atomic<uint64_t> polls_ = 0;
  uint64_t left_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_DYING_IO_H_
