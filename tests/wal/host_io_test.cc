// Which Io a host gets, and what happens where it grants less.

#include "wal/host_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "tests/wal/host_backend.h"
#include "wal/uring_io.h"

namespace tallystick::wal {
namespace {

TEST(UringIo, RefusesADepthOfZero) {
  EXPECT_TRUE(absl::IsInvalidArgument(UringIo::Create(0).status()));
}

TEST(UringIo, DepthBeyondTheLimitIsClamped) {
  const auto io = UringIo::Create(1'000'000);
  if (IsRefusal(io.status())) GTEST_SKIP();
  ASSERT_TRUE(io.ok()) << io.status();
  EXPECT_EQ((*io)->Poll(0), 0u);
}

// From here on the process's system call `number` fails with `error`.
void Forbid(uint32_t number, uint32_t error) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    std::_Exit(2);
  }
}

// Exits with 0 when the host's Io is the blocking one, works, and says that it is.
[[noreturn]] void ExitIfBlockingIoServes() {
  absl::StatusOr<HostIo> host = CreateHostIo();
  if (!host.ok() || host->io->name() != "posix") std::_Exit(3);
  std::fprintf(stderr, "%s\n", host->degraded.c_str());
  std::byte data[8];
  const auto file = host->io->Open("/proc/version", {});
  Request request(IoOp::kRead, *file, data, sizeof(data));
  host->io->Submit(request);
  std::_Exit(host->io->Poll(kPatienceUs) == 1 && request.result == 8 ? 0 : 4);
}

TEST(HostIoDeathTest, BlockingIoServesWhereIoUringIsForbidden) {
  const std::pair<uint32_t, std::string> cases[] = {
      {EPERM, "io_uring is not permitted here .*: using slower blocking I/O"},
      {ENOSYS, "this kernel has no io_uring: using slower blocking I/O"},
      {EINVAL, "too old .*: using slower blocking I/O"},
      {ENOMEM, "ulimit -l\\): using slower blocking I/O"},
      {EMFILE, "cannot be set up.*: using slower blocking I/O"},
  };
  for (const auto& [error, sentence] : cases) {
    EXPECT_EXIT(
        {
          Forbid(SYS_io_uring_setup, error);
          ExitIfBlockingIoServes();
        },
        testing::ExitedWithCode(0), sentence);
  }
}

TEST(HostIo, IsIoUringWhereItIsPermitted) {
  const auto uring = UringIo::Create();
  if (IsRefusal(uring.status())) GTEST_SKIP();
  const auto host = CreateHostIo();
  ASSERT_TRUE(host.ok()) << host.status();
  EXPECT_EQ(host->io->name(), "io_uring");
  EXPECT_EQ(host->degraded, "");
}

TEST(UringIo, RegistersItsBuffers) {
  const auto io = UringIo::Create();
  if (IsRefusal(io.status())) GTEST_SKIP();
  ASSERT_TRUE((*io)->AllocateBuffer(kSectorBytes).ok());
  EXPECT_EQ((*io)->registered_buffers(), 1u);
}

// Exits with 0 when a UringIo writes from a buffer that is too large to be locked, and so to be
// registered.
[[noreturn]] void ExitIfUnregisteredBufferServes(int file) {
  constexpr uid_t kNobody = 65'534;
  constexpr size_t kLockable = size_t{1} << 20;  // the ring itself needs some
  const rlimit limit = {kLockable, kLockable};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) std::_Exit(2);
  // Root may lock memory beyond the limit.
  if (getuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) std::_Exit(2);
  const auto io = UringIo::Create();
  if (!io.ok()) std::_Exit(3);
  const auto buffer = (*io)->AllocateBuffer(kLockable + kSectorBytes);
  if (!buffer.ok() || (*io)->registered_buffers() != 0) std::_Exit(4);
  Request request(IoOp::kWrite, file, buffer->data, kSectorBytes);
  (*io)->Submit(request);
  std::_Exit((*io)->Poll(kPatienceUs) == 1 && request.result == int32_t{kSectorBytes} ? 0 : 5);
}

TEST(UringIoDeathTest, BufferBeyondTheLimitOfLockedMemoryServesUnregistered) {
  const auto io = UringIo::Create();
  if (IsRefusal(io.status())) GTEST_SKIP();
  const int file = open(testing::TempDir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0) << std::strerror(errno);
  EXPECT_EXIT(ExitIfUnregisteredBufferServes(file), testing::ExitedWithCode(0), "");
  close(file);
}

}  // namespace
}  // namespace tallystick::wal
