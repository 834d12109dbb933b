// An Io whose process ends, as by kill -9, at one of the operations that change the disk.

#ifndef TALLYSTICK_TESTS_API_DYING_IO_H_
#define TALLYSTICK_TESTS_API_DYING_IO_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "tests/api/counting_io.h"
#include "wal/posix_io.h"

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

// Does `run` in processes of their own, which die before a change each, every `step`th of them,
// until one lives; it says whether all went well, and then it must. `died` is called behind each
// death. Returns how many have died.
inline uint64_t DieUntilDone(uint64_t step, const std::function<bool(wal::Io&)>& run,
                             const std::function<void()>& died) {
  uint64_t deaths = 0;
  for (uint64_t boundary = 1;; boundary += step, ++deaths) {
    SCOPED_TRACE("boundary " + std::to_string(boundary));
    const pid_t child = fork();
    if (child == 0) {
      DyingIo dying(*wal::PosixIo::Create(), boundary);
      _exit(run(dying) ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != kDied) {
      EXPECT_EQ(status, 0);
      return deaths;
    }
    died();
  }
}

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_DYING_IO_H_
