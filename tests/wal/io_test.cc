// Files, requests and the loop of wal::Io, on every backend for a real host.

#include "wal/io.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/wal/host_backend.h"

namespace tallystick::wal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using HostBackendDeathTest = HostBackend;

INSTANTIATE_TEST_SUITE_P(Io, HostBackend,
                         testing::Values(Backend::kUringDeferred, Backend::kUringCooperative,
                                         Backend::kUringInterrupting, Backend::kPosix),
                         [](const auto& info) { return NameOf(info.param); });
INSTANTIATE_TEST_SUITE_P(Io, HostBackendDeathTest,
                         testing::Values(Backend::kUringDeferred, Backend::kPosix),
                         [](const auto& info) { return NameOf(info.param); });

// ---- files ----

TEST_P(HostBackend, ReadsBackWhatItWroteDirectAndBuffered) {
  constexpr uint32_t kSize = 16 * kSectorBytes;
  std::byte* const written = Buffer(kSize);
  std::byte* const read = Buffer(kSize);
  for (const bool direct : {false, true}) {
    for (const bool dsync : {false, true}) {
      SCOPED_TRACE(absl::StrCat("direct ", direct, " dsync ", dsync));
      const Handle file = OpenNew(absl::StrCat("file", direct, dsync), direct);
      EXPECT_EQ((fcntl(file, F_GETFL) & O_DIRECT) != 0, direct);
      Fill(written, kSize, direct * 2 + dsync);
      Request write(IoOp::kWrite, file, written, kSize, kSectorBytes);
      write.dsync = dsync;
      EXPECT_EQ(Run(write), static_cast<int32_t>(kSize));
      EXPECT_EQ(Run(Request(IoOp::kSync, file)), 0);
      EXPECT_EQ(Run(Request(IoOp::kRead, file, read, kSize, kSectorBytes)),
                static_cast<int32_t>(kSize));
      EXPECT_EQ(std::memcmp(written, read, kSize), 0);
      io_->Close(file);
    }
  }
}

TEST_P(HostBackend, WritesFromMemoryThatItDidNotAllocate) {
  std::string text = "a sentence";
  const Handle file = OpenNew("file");
  auto* const data = reinterpret_cast<std::byte*>(text.data());
  ASSERT_EQ(Run(Request(IoOp::kWrite, file, data, text.size(), 3)),
            static_cast<int32_t>(text.size()));
  std::string back(text.size(), ' ');
  ASSERT_EQ(
      Run(Request(IoOp::kRead, file, reinterpret_cast<std::byte*>(back.data()), back.size(), 3)),
      static_cast<int32_t>(back.size()));
  EXPECT_EQ(back, text);
  io_->Close(file);
}

TEST_P(HostBackend, ReadIsShortAtTheEndOfTheFile) {
  constexpr uint32_t kSize = 4 * kSectorBytes;
  constexpr uint32_t kLength = kSectorBytes + 100;
  std::byte* const data = Buffer(kSize);
  for (const bool direct : {false, true}) {
    const Handle file = OpenNew(absl::StrCat("file", direct), direct);
    ASSERT_TRUE(io_->Resize(file, kLength).ok());
    EXPECT_EQ(*io_->Size(file), kLength);
    EXPECT_EQ(Run(Request(IoOp::kRead, file, data, kSize)), static_cast<int32_t>(kLength));
    EXPECT_EQ(Run(Request(IoOp::kRead, file, data, kSize, kSize)), 0);
    EXPECT_EQ(*io_->ReadAt(file, 0, data, kSize), kLength);
    EXPECT_EQ(*io_->ReadAt(file, kSize, data, kSize), 0u);
    io_->Close(file);
  }
}

TEST_P(HostBackend, SynchronousWriteIsReadBack) {
  std::byte* const data = Buffer(2 * kSectorBytes);
  Fill(data, kSectorBytes, 7);
  const Handle file = OpenNew("file", true);
  ASSERT_TRUE(io_->WriteAt(file, kSectorBytes, data, kSectorBytes).ok());
  ASSERT_TRUE(io_->Sync(file).ok());
  std::byte* const back = data + kSectorBytes;
  EXPECT_EQ(*io_->ReadAt(file, kSectorBytes, back, kSectorBytes), kSectorBytes);
  EXPECT_EQ(std::memcmp(data, back, kSectorBytes), 0);
  io_->Close(file);
}

TEST_P(HostBackend, DirectFallsBackToBufferedWhereTheFileSystemHasNone) {
  const auto file = io_->Open("/proc/version", {.direct = true});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(fcntl(*file, F_GETFL) & O_DIRECT, 0);
  std::byte data[5];
  EXPECT_EQ(*io_->ReadAt(*file, 0, data, sizeof(data)), sizeof(data));
  EXPECT_EQ(std::memcmp(data, "Linux", sizeof(data)), 0);
  io_->Close(*file);
}

TEST_P(HostBackend, BuffersAreAlignedAndZeroed) {
  for (const size_t size : {size_t{1}, kSectorBytes, size_t{3} << 20}) {
    const auto buffer = io_->AllocateBuffer(size);
    ASSERT_TRUE(buffer.ok()) << buffer.status();
    EXPECT_GE(buffer->size, size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data) % kSectorBytes, 0u);
    for (size_t index = 0; index < buffer->size; ++index) {
      ASSERT_EQ(buffer->data[index], std::byte{0});
    }
  }
}

// More than the queue depth, and than one Poll delivers of them.
TEST_P(HostBackend, ManyMoreRequestsThanTheQueueIsDeepAllComplete) {
  constexpr uint32_t kRequests = 20'000;
  constexpr uint32_t kBlocks = 64;
  std::byte* const data = Buffer(kBlocks * kSectorBytes);
  const Handle file = OpenNew("file");
  Fill(data, kBlocks * kSectorBytes, 11);
  ASSERT_TRUE(io_->WriteAt(file, 0, data, kBlocks * kSectorBytes).ok());

  std::vector<Request> requests;
  std::vector<uint64_t> values(kRequests);
  requests.reserve(kRequests);
  for (uint32_t index = 0; index < kRequests; ++index) {
    requests.emplace_back(IoOp::kRead, file, reinterpret_cast<std::byte*>(&values[index]),
                          sizeof(uint64_t), index % kBlocks * kSectorBytes);
    io_->Submit(requests.back());
  }
  size_t completed = 0;
  while (completed < kRequests) completed += io_->Poll(kPatienceUs);
  EXPECT_EQ(completed, kRequests);
  for (uint32_t index = 0; index < kRequests; ++index) {
    ASSERT_EQ(requests[index].completions, 1);
    ASSERT_EQ(requests[index].result, static_cast<int32_t>(sizeof(uint64_t)));
    ASSERT_EQ(std::memcmp(&values[index], data + index % kBlocks * kSectorBytes, sizeof(uint64_t)),
              0);
  }
  io_->Close(file);
}

TEST_P(HostBackend, CompletionMaySubmitAgain) {
  struct Chain {
    Io& io;
    int left;
  } chain{*io_, 1'000};
  const Handle file = OpenNew("file");
  std::byte value[8] = {};
  Request request(IoOp::kWrite, file, value, sizeof(value));
  request.owner = &chain;
  request.complete = [](IoRequest& written) {
    Chain& chain = *static_cast<Chain*>(written.owner);
    if (--chain.left > 0) chain.io.Submit(written);
  };
  io_->Submit(request);
  while (chain.left > 0) ASSERT_EQ(io_->Poll(kPatienceUs), 1u);
  EXPECT_EQ(request.result, static_cast<int32_t>(sizeof(value)));
  io_->Close(file);
}

TEST_P(HostBackend, RequestFailsWithNegativeErrno) {
  std::byte* const data = Buffer(kSectorBytes);
  EXPECT_EQ(Run(Request(IoOp::kRead, 1'000'000, data, kSectorBytes)), -EBADF);
  EXPECT_EQ(Run(Request(IoOp::kWrite, 1'000'000, data, kSectorBytes)), -EBADF);
  EXPECT_EQ(Run(Request(IoOp::kSync, 1'000'000)), -EBADF);
  EXPECT_EQ(Run(Request(IoOp::kAccept, 1'000'000)), -EBADF);
  EXPECT_EQ(Run(Request(IoOp::kReceive, 1'000'000, data, kSectorBytes)), -EBADF);
  EXPECT_EQ(Run(Request(IoOp::kSend, 1'000'000, data, kSectorBytes)), -EBADF);

  const Handle full = *io_->Open("/dev/full", {.write = true});
  EXPECT_EQ(Run(Request(IoOp::kWrite, full, data, kSectorBytes)), -ENOSPC);
  io_->Close(full);

  const Handle folder = *io_->Open(directory_, {});
  EXPECT_EQ(Run(Request(IoOp::kRead, folder, data, kSectorBytes)), -EISDIR);
  EXPECT_EQ(Run(Request(IoOp::kSend, folder, data, kSectorBytes)), -ENOTSOCK);
  // EAGAIN where it is polled first, which a folder cannot be.
  EXPECT_LT(Run(Request(IoOp::kReceive, folder, data, kSectorBytes)), 0);
  io_->Close(folder);

  const Handle file = OpenNew("file", true);
  EXPECT_EQ(Run(Request(IoOp::kWrite, file, data, kSectorBytes, 1)), -EINVAL);
  io_->Close(file);
}

TEST_P(HostBackend, ControlPlaneErrorNamesThePathAndWhatToDo) {
  EXPECT_TRUE(absl::IsNotFound(io_->Open(Path("none"), {}).status()));
  EXPECT_THAT(Message(io_->Open(Path("none"), {}).status()), HasSubstr(Path("none")));
  io_->Close(OpenNew("file"));
  EXPECT_TRUE(
      absl::IsAlreadyExists(io_->Open(Path("file"), {.write = true, .create = true}).status()));
  EXPECT_FALSE(io_->Open(directory_, {.write = true}).ok());

  const Handle read_only = *io_->Open(Path("file"), {});
  std::byte data[8] = {};
  EXPECT_THAT(Message(io_->WriteAt(read_only, 0, data, sizeof(data))), HasSubstr(Path("file")));
  EXPECT_THAT(Message(io_->Resize(read_only, 1)), HasSubstr(Path("file")));
  io_->Close(read_only);

  const Handle full = *io_->Open("/dev/full", {.write = true});
  const absl::Status status = io_->WriteAt(full, 0, data, sizeof(data));
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr("/dev/full"));
  EXPECT_THAT(Message(status), HasSubstr("free some space"));
  io_->Close(full);

  const Handle folder = *io_->Open(directory_, {});
  EXPECT_THAT(Message(io_->ReadAt(folder, 0, data, sizeof(data)).status()), HasSubstr(directory_));
  io_->Close(folder);
  EXPECT_FALSE(io_->Size(1'000'000).ok());
  EXPECT_FALSE(io_->Sync(1'000'000).ok());
}

TEST_P(HostBackend, DirectoriesAreMadeListedAndSynced) {
  const std::string deep = Path("a/b//c/");
  ASSERT_TRUE(io_->MakeDirectory(deep).ok());
  ASSERT_TRUE(io_->MakeDirectory(deep).ok()) << "it exists already";
  EXPECT_TRUE(io_->Exists(Path("a/b/c")));
  EXPECT_FALSE(io_->Exists(Path("a/b/d")));
  EXPECT_TRUE(io_->SyncDirectory(Path("a/b")).ok());
  for (const char* name : {"a/b/z", "a/b/d", "a/b/m"}) io_->Close(OpenNew(name));
  EXPECT_THAT(*io_->List(Path("a/b")), ElementsAre("c", "d", "m", "z"));

  EXPECT_TRUE(absl::IsAlreadyExists(io_->MakeDirectory(Path("a/b/z"))));
  EXPECT_FALSE(io_->MakeDirectory(Path("a/b/z/under")).ok());
  EXPECT_FALSE(io_->MakeDirectory("").ok());
  EXPECT_TRUE(absl::IsNotFound(io_->List(Path("none")).status()));
  EXPECT_TRUE(absl::IsNotFound(io_->SyncDirectory(Path("none"))));
}

TEST_P(HostBackend, RenameReplacesAndRemoveRemoves) {
  std::byte data[3] = {std::byte{1}, std::byte{2}, std::byte{3}};
  const Handle from = OpenNew("from");
  ASSERT_TRUE(io_->WriteAt(from, 0, data, sizeof(data)).ok());
  io_->Close(from);
  io_->Close(OpenNew("to"));
  ASSERT_TRUE(io_->Rename(Path("from"), Path("to")).ok());
  EXPECT_THAT(*io_->List(directory_), ElementsAre("to"));
  const Handle to = *io_->Open(Path("to"), {});
  EXPECT_EQ(*io_->Size(to), sizeof(data));
  io_->Close(to);

  EXPECT_TRUE(absl::IsNotFound(io_->Rename(Path("from"), Path("to"))));
  ASSERT_TRUE(io_->MakeDirectory(Path("folder")).ok());
  ASSERT_TRUE(io_->Rename(Path("to"), Path("folder/to")).ok());
  EXPECT_FALSE(io_->Exists(Path("to")));
  ASSERT_TRUE(io_->Rename(Path("folder/to"), Path("to")).ok());
  ASSERT_TRUE(io_->Remove(Path("to")).ok());
  EXPECT_FALSE(io_->Exists(Path("to")));
  EXPECT_THAT(Message(io_->Remove(Path("to"))), HasSubstr(Path("to")));
}

TEST_P(HostBackend, FoldersAreRenamedOntoEmptyOnesAndRemovedWhenEmpty) {
  ASSERT_TRUE(io_->MakeDirectory(Path("from")).ok());
  ASSERT_TRUE(io_->MakeDirectory(Path("to")).ok());
  io_->Close(OpenNew("from/file"));
  ASSERT_TRUE(io_->Rename(Path("from"), Path("to")).ok());
  EXPECT_THAT(*io_->List(directory_), ElementsAre("to"));
  EXPECT_THAT(Message(io_->Remove(Path("to"))), HasSubstr(Path("to")));
  ASSERT_TRUE(io_->Remove(Path("to/file")).ok());
  ASSERT_TRUE(io_->Remove(Path("to")).ok());
  EXPECT_FALSE(io_->Exists(Path("to")));
}

TEST_P(HostBackend, LockIsExclusiveUntilItsHolderIsGone) {
  ASSERT_TRUE(io_->MakeDirectory(Path("folder")).ok());
  for (const char* name : {"lock", "folder"}) {
    SCOPED_TRACE(name);
    const auto held = io_->Lock(Path(name));
    ASSERT_TRUE(held.ok()) << held.status();
    auto other = Create(Backend::kPosix);
    ASSERT_TRUE(other.ok());
    const absl::Status refused = (*other)->Lock(Path(name)).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_THAT(Message(refused),
                HasSubstr("is another tallyd running on it, or a tool reading it?"));
    io_->Close(*held);
    const auto taken = (*other)->Lock(Path(name));
    EXPECT_TRUE(taken.ok()) << taken.status();
    (*other)->Close(*taken);
  }
  EXPECT_TRUE(absl::IsNotFound(io_->Lock(Path("none/lock")).status()));
}

TEST_P(HostBackend, SharedLocksKeepOutOnlyTheExclusiveOne) {
  auto& first = static_cast<HostControlPlane&>(*io_);
  auto second = PosixIo::Create();
  ASSERT_TRUE(second.ok());
  const auto one = first.LockShared(Path("lock"));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_TRUE(io_->Exists(Path("lock")));
  std::filesystem::permissions(Path("lock"), std::filesystem::perms::owner_read);
  const auto other = (*second)->LockShared(Path("lock"));
  ASSERT_TRUE(other.ok()) << other.status();
  std::filesystem::permissions(Path("lock"), std::filesystem::perms::owner_all);
  EXPECT_TRUE(absl::IsFailedPrecondition((*second)->Lock(Path("lock")).status()));
  first.Close(*one);
  (*second)->Close(*other);
  const auto exclusive = (*second)->Lock(Path("lock"));
  ASSERT_TRUE(exclusive.ok()) << exclusive.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(first.LockShared(Path("lock")).status()));
  (*second)->Close(*exclusive);
  EXPECT_TRUE(absl::IsNotFound(first.LockShared(Path("none/lock")).status()));
}

TEST_P(HostBackend, ClocksMoveAndAreInMicroseconds) {
  const int64_t before = io_->MonotonicMicros();
  EXPECT_EQ(io_->Poll(2'000), 0u);
  EXPECT_GE(io_->MonotonicMicros() - before, 2'000)
      << "a Poll without limit of its own returned early";
  EXPECT_GT(io_->WallMicros(), int64_t{1'600'000'000} * 1'000'000);
  EXPECT_LT(io_->WallMicros(), int64_t{10'000'000'000} * 1'000'000);
}

// ---- the loop ----

TEST_P(HostBackend, WakeFromAnotherThreadEndsALongPoll) {
  const int64_t before = io_->MonotonicMicros();
  std::thread waker([&] { io_->Wake(); });
  EXPECT_EQ(io_->Poll(kPatienceUs), 0u);
  waker.join();
  EXPECT_LT(io_->MonotonicMicros() - before, kPatienceUs / 2);
}

TEST_P(HostBackend, WakeIsKeptForTheNextPollThatWaits) {
  const int64_t before = io_->MonotonicMicros();
  io_->Wake();
  io_->Wake();
  EXPECT_EQ(io_->Poll(0), 0u);
  EXPECT_EQ(io_->Poll(kPatienceUs), 0u);
  EXPECT_LT(io_->MonotonicMicros() - before, kPatienceUs / 2);
  // Both are used up.
  const int64_t start = io_->MonotonicMicros();
  EXPECT_EQ(io_->Poll(2'000), 0u);
  EXPECT_GE(io_->MonotonicMicros() - start, 2'000);
}

// A backend that has got used to crowds waits for no more than there are.
TEST_P(HostBackend, FewBehindACrowdAreNotKeptWaiting) {
  constexpr size_t kCrowd = 64;
  std::byte* const data = Buffer(kCrowd * kSectorBytes);
  const Handle file = OpenNew("file");
  ASSERT_TRUE(io_->WriteAt(file, 0, data, kCrowd * kSectorBytes).ok());
  const auto read = [&](size_t count) {
    std::vector<Request> requests;
    requests.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      requests.emplace_back(IoOp::kRead, file, data + i * kSectorBytes, kSectorBytes,
                            i * kSectorBytes);
      io_->Submit(requests.back());
    }
    for (size_t completed = 0; completed < count;) completed += io_->Poll(kPatienceUs);
  };
  const int64_t before = io_->MonotonicMicros();
  for (int round = 0; round < 100; ++round) {
    for (int crowd = 0; crowd < 5; ++crowd) read(kCrowd);
    for (const size_t few : {1, 2, 7}) read(few);
    io_->Wake();
    EXPECT_EQ(io_->Poll(kPatienceUs), 0u);
  }
  EXPECT_LT(io_->MonotonicMicros() - before, kPatienceUs / 2);
  io_->Close(file);
}

// Each round hangs if its wake is lost.
TEST_P(HostBackend, NoWakeIsLost) {
  constexpr int kRounds = 2'000;
  std::atomic<int> asked{0};
  std::atomic<int> answered{0};
  std::thread asker([&] {
    for (int round = 1; round <= kRounds; ++round) {
      asked.store(round, std::memory_order_relaxed);
      io_->Wake();
      answered.wait(round - 1);
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    while (asked.load(std::memory_order_relaxed) < round) io_->Poll(-1);
    answered.store(round);
    answered.notify_one();
  }
  asker.join();
  EXPECT_EQ(answered, kRounds);
}

TEST_P(HostBackend, MayBeMadeOnOneThreadAndUsedOnAnother) {
  std::byte* const data = Buffer(kSectorBytes);
  const Handle file = OpenNew("file", true);
  int32_t result = 0;
  std::thread user([&] { result = Run(Request(IoOp::kWrite, file, data, kSectorBytes)); });
  user.join();
  EXPECT_EQ(result, static_cast<int32_t>(kSectorBytes));
  io_->Close(file);
}

TEST_P(HostBackendDeathTest, PollInsideACompletionStops) {
  std::byte data[8] = {};
  const Handle file = OpenNew("file");
  Request request(IoOp::kWrite, file, data, sizeof(data));
  request.owner = io_.get();
  request.complete = [](IoRequest& done) { static_cast<Io*>(done.owner)->Poll(0); };
  EXPECT_DEATH(
      {
        io_->Submit(request);
        io_->Poll(kPatienceUs);
      },
      "Poll was called from a completion");
  io_->Close(file);
}

TEST_P(HostBackendDeathTest, DestructionUnderARequestStops) {
  EXPECT_DEATH(
      {
        Request request(IoOp::kAccept, *io_->Listen("tcp:127.0.0.1:0"));
        io_->Submit(request);
        io_->Poll(0);
        io_.reset();
      },
      "requests under way");
}

TEST_P(HostBackendDeathTest, ClosingTwiceStops) {
  const Handle file = OpenNew("file");
  io_->Close(file);
  EXPECT_DEATH(io_->Close(file), "not open");
}

}  // namespace
}  // namespace tallystick::wal
