// Fixture for tests of wal::Io that hold for every backend on a real host.

#ifndef TALLYSTICK_TESTS_WAL_HOST_BACKEND_H_
#define TALLYSTICK_TESTS_WAL_HOST_BACKEND_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/io.h"
#include "wal/posix_io.h"
#include "wal/uring_io.h"

namespace tallystick::wal {

// Longer than anything here takes, so that reaching it is a failure.
constexpr int64_t kPatienceUs = 60'000'000;

enum class Backend { kUringDeferred, kUringCooperative, kUringInterrupting, kPosix };

inline std::string NameOf(Backend backend) {
  switch (backend) {
    case Backend::kUringDeferred:
      return "UringDeferred";
    case Backend::kUringCooperative:
      return "UringCooperative";
    case Backend::kUringInterrupting:
      return "UringInterrupting";
    case Backend::kPosix:
      return "Posix";
  }
  return "";
}

inline absl::StatusOr<std::unique_ptr<Io>> Create(Backend backend, uint32_t queue_depth = 64) {
  if (backend == Backend::kPosix) return PosixIo::Create();
  UringMode mode = UringMode::kDeferred;
  if (backend == Backend::kUringCooperative) mode = UringMode::kCooperative;
  if (backend == Backend::kUringInterrupting) mode = UringMode::kInterrupting;
  return UringIo::Create(queue_depth, mode);
}

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

// Whether the host forbids io_uring, or is too old for it.
inline bool IsRefusal(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnimplemented(status);
}

// A request that remembers whether it has completed.
struct Request : IoRequest {
  Request(IoOp request_op, Handle request_handle, std::byte* request_data = nullptr,
          uint32_t request_size = 0, uint64_t request_offset = 0) {
    op = request_op;
    handle = request_handle;
    data = request_data;
    size = request_size;
    offset = request_offset;
    owner = this;
    complete = [](IoRequest& request) { ++static_cast<Request*>(request.owner)->completions; };
  }
  bool done() const { return completions != 0; }
  int completions = 0;
};

// A backend, and a directory of its own.
class HostBackend : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::canonical(testing::TempDir()) / "tallystick_io_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr) << std::strerror(errno);
    directory_ = name;
    absl::StatusOr<std::unique_ptr<Io>> io = Create(GetParam());
    if (IsRefusal(io.status())) {
      GTEST_SKIP() << io.status();
    }
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = *std::move(io);
  }
  void TearDown() override {
    io_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  Handle OpenNew(const std::string& name, bool direct = false) {
    const auto handle = io_->Open(Path(name), {.write = true, .create = true, .direct = direct});
    EXPECT_TRUE(handle.ok()) << handle.status();
    return handle.value_or(kNoHandle);
  }

  std::byte* Buffer(size_t size) {
    const auto buffer = io_->AllocateBuffer(size);
    EXPECT_TRUE(buffer.ok()) << buffer.status();
    return buffer->data;
  }

  // Polls until the request has completed; its result.
  int32_t Finish(Request& request) {
    const int64_t end = io_->MonotonicMicros() + kPatienceUs;
    while (!request.done() && io_->MonotonicMicros() < end) io_->Poll(kPatienceUs);
    EXPECT_EQ(request.completions, 1);
    return request.result;
  }
  int32_t Run(Request& request) {
    io_->Submit(request);
    return Finish(request);
  }
  int32_t Run(Request&& request) { return Run(request); }

  std::string directory_;
  std::unique_ptr<Io> io_;
};

// The same bytes for the same seed.
inline void Fill(std::byte* data, size_t size, uint32_t seed) {
  for (size_t index = 0; index < size; ++index) {
    seed = seed * 1664525 + 1013904223;
    data[index] = static_cast<std::byte>(seed >> 24);
  }
}

}  // namespace tallystick::wal

#endif  // TALLYSTICK_TESTS_WAL_HOST_BACKEND_H_
