// Snapshots on the simulated disk: written beside other work, crashed, torn, and read back.

#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "wal/checksum.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"
#include "wal/snapshot_writer.h"

namespace tallystick::wal {
namespace {

using sim::CrashPoint;
using sim::SimIo;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kDirectory[] = "/data/shard-0";
constexpr LogIdentity kIdentity = {
    .ledger_id = {.low = 0x1122334455667788, .high = 0x99aabbccddeeff00},
    .shard = 3,
    .shard_count = 8};

using Bytes = std::vector<std::byte>;

LogPlace PlaceBehind(uint64_t position) {
  return {.segment = 7,
          .offset = 3 * kSectorBytes,
          .last_offset = kSectorBytes,
          .next_position = position + 1,
          .timestamp_us = 1'700'000'000'000'000,
          .last_hash = {.low = 5, .high = 6},
          .epoch = 2};
}

SnapshotOptions Options() {
  return {.directory = kDirectory, .identity = kIdentity, .buffer_bytes = kMinSnapshotBufferBytes};
}

std::vector<Bytes> RandomParts(uint64_t seed, size_t count, size_t most_bytes) {
  std::mt19937_64 random(seed);
  std::vector<Bytes> parts(count);
  for (Bytes& part : parts) {
    part.resize(1 + random() % most_bytes);
    for (std::byte& byte : part) byte = static_cast<std::byte>(random());
  }
  return parts;
}

// Writes a snapshot of these parts, and publishes it.
absl::Status Write(Io& io, uint64_t position, const std::vector<Bytes>& parts) {
  auto writer = SnapshotWriter::Begin(io, Options(), PlaceBehind(position));
  if (!writer.ok()) return writer.status();
  int64_t now_us = io.MonotonicMicros();
  const auto turn = [&] {
    (*writer)->Tick(now_us += 100, /*in_a_hurry=*/position % 2 == 0);
    io.Poll(0);
  };
  for (const Bytes& part : parts) {
    absl::Span<std::byte> room = (*writer)->TakePart();
    for (; room.empty() && (*writer)->failure().ok(); room = (*writer)->TakePart()) turn();
    if (room.empty()) break;
    std::copy(part.begin(), part.end(), room.begin());
    (*writer)->PutPart(part.size());
  }
  if ((*writer)->failure().ok()) (*writer)->Finish();
  while ((*writer)->failure().ok() && !(*writer)->durable()) turn();
  if (!(*writer)->failure().ok()) return (*writer)->failure();
  return (*writer)->Publish();
}

absl::StatusOr<std::vector<Bytes>> Read(Io& io, uint64_t position,
                                        std::optional<LogIdentity> identity = kIdentity) {
  auto reader = SnapshotReader::Open(io, kDirectory, position, identity);
  if (!reader.ok()) return reader.status();
  std::vector<Bytes> parts;
  absl::Span<const std::byte> part;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&part);
    if (!more.ok()) return more.status();
    if (!*more) return parts;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(part.data()) % 8, 0u);
    parts.emplace_back(part.begin(), part.end());
  }
}

struct SnapshotTest : ::testing::Test {
  SnapshotTest() : io({.seed = 5, .short_write_percent = 30, .short_read_percent = 30}) {
    EXPECT_TRUE(io.MakeDirectory(kDirectory).ok());
  }
  Bytes& File(uint64_t position) { return io.Contents(SnapshotPath(kDirectory, position)); }
  void ExpectDamaged(uint64_t position, const char* cause) {
    const auto read = Read(io, position);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(cause));
  }

  SimIo io;
};

TEST_F(SnapshotTest, GivesItsPartsBack) {
  const std::vector<Bytes> parts = RandomParts(1, 40, kMaxPartBytes);
  ASSERT_EQ(Write(io, 100, parts), absl::OkStatus());
  const auto read = Read(io, 100);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, parts);

  const auto reader = SnapshotReader::Open(io, kDirectory, 100, std::nullopt);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->position(), 100u);
  EXPECT_EQ((*reader)->identity().shard, 3);
  const LogPlace place = PlaceBehind(100);
  EXPECT_EQ((*reader)->place().segment, place.segment);
  EXPECT_EQ((*reader)->place().offset, place.offset);
  EXPECT_EQ((*reader)->place().last_offset, place.last_offset);
  EXPECT_EQ((*reader)->place().next_position, 101u);
  EXPECT_EQ((*reader)->place().last_hash, place.last_hash);
  EXPECT_EQ((*reader)->place().epoch, 2u);
}

TEST_F(SnapshotTest, IsNotThereBeforeItIsPublished) {
  auto writer = SnapshotWriter::Begin(io, Options(), PlaceBehind(9));
  ASSERT_TRUE(writer.ok());
  (*writer)->Finish();
  for (int i = 0; i < 1'000 && !(*writer)->durable(); ++i) {
    (*writer)->Tick(i, true);
    io.Poll(0);
  }
  ASSERT_TRUE((*writer)->durable());
  EXPECT_THAT(*ListSnapshots(io, kDirectory), ElementsAre());
  ASSERT_TRUE((*writer)->Publish().ok());
  EXPECT_THAT(*ListSnapshots(io, kDirectory), ElementsAre(9));
}

TEST_F(SnapshotTest, LeavesNothingBehindWhenItIsAbandoned) {
  {
    auto writer = SnapshotWriter::Begin(io, Options(), PlaceBehind(9));
    ASSERT_TRUE(writer.ok());
    ASSERT_FALSE((*writer)->TakePart().empty());
    (*writer)->PutPart(100);
    (*writer)->Tick(1, true);  // under way when it is abandoned
  }
  EXPECT_THAT(*io.List(kDirectory), ElementsAre());
}

TEST_F(SnapshotTest, TakesNoMoreMemoryThanItMay) {
  auto writer = SnapshotWriter::Begin(io, Options(), PlaceBehind(9));
  ASSERT_TRUE(writer.ok());
  size_t parts = 0;
  for (; !(*writer)->TakePart().empty(); ++parts) (*writer)->PutPart(kMaxPartBytes);
  EXPECT_EQ(parts, 3u);  // and the head
  EXPECT_TRUE((*writer)->crowded());
  EXPECT_EQ((*writer)->memory_bytes(), kMinSnapshotBufferBytes);
}

// While the log has the disk, a write is followed by a pause as long as the write.
TEST_F(SnapshotTest, SharesTheDisk) {
  SimIo prompt({.seed = 5, .late_percent = 0});
  ASSERT_TRUE(prompt.MakeDirectory(kDirectory).ok());
  auto writer = SnapshotWriter::Begin(prompt, Options(), PlaceBehind(9));
  ASSERT_TRUE(writer.ok());
  (*writer)->Finish();
  EXPECT_EQ((*writer)->Tick(prompt.MonotonicMicros(), false), -1);
  EXPECT_EQ(prompt.pending(), 1u);  // of two
  prompt.AdvanceMicros(700);
  prompt.Poll(0);
  EXPECT_EQ((*writer)->Tick(prompt.MonotonicMicros(), false), 700);
  EXPECT_EQ(prompt.pending(), 0u);
  prompt.AdvanceMicros(700);
  (*writer)->Tick(prompt.MonotonicMicros(), false);
  EXPECT_EQ(prompt.pending(), 1u);
}

TEST_F(SnapshotTest, EachFlippedBitIsFound) {
  ASSERT_EQ(Write(io, 100, RandomParts(2, 2, 700)), absl::OkStatus());
  SimIo quick({.seed = 1, .late_percent = 0});
  quick.AddFile(SnapshotPath(kDirectory, 100), File(100));
  Bytes& file = quick.Contents(SnapshotPath(kDirectory, 100));
  ASSERT_EQ(file.size(), 4 * kSectorBytes);
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto read = Read(quick, 100);
    ASSERT_FALSE(read.ok()) << "bit " << bit;
    ASSERT_EQ(read.status().code(), absl::StatusCode::kDataLoss) << read.status();
    file[bit / 8] ^= std::byte{1} << (bit % 8);
  }
  EXPECT_TRUE(Read(quick, 100).ok());
}

TEST_F(SnapshotTest, ABitInEachChunkOfALargeOneIsFound) {
  ASSERT_EQ(Write(io, 100, RandomParts(3, 30, kMaxPartBytes)), absl::OkStatus());
  std::mt19937_64 random(3);
  size_t chunks = 0;
  for (size_t offset = 0; offset < File(100).size(); ++chunks) {
    ChunkHeader header;
    std::memcpy(&header, &File(100)[offset], sizeof(header));
    std::byte& byte = File(100)[offset + random() % header.bytes];
    byte ^= std::byte{16};
    EXPECT_EQ(Read(io, 100).status().code(), absl::StatusCode::kDataLoss) << "chunk " << chunks;
    byte ^= std::byte{16};
    offset += header.bytes;
  }
  EXPECT_EQ(chunks, 32u);
}

TEST_F(SnapshotTest, IsRefusedWhereverItIsCutShort) {
  ASSERT_EQ(Write(io, 100, RandomParts(2, 2, 9'000)), absl::OkStatus());
  const Bytes whole = File(100);
  for (size_t size = 0; size < whole.size(); size += 512) {
    File(100).resize(size);
    ASSERT_EQ(Read(io, 100).status().code(), absl::StatusCode::kDataLoss) << size;
    File(100) = whole;
  }
}

TEST_F(SnapshotTest, IsRefusedWithMoreOrLessThanItsChunks) {
  ASSERT_EQ(Write(io, 100, RandomParts(2, 3, 3'000)), absl::OkStatus());
  ASSERT_EQ(Write(io, 101, RandomParts(4, 3, 3'000)), absl::OkStatus());
  const Bytes whole = File(100);
  File(100).resize(whole.size() + kSectorBytes);
  ExpectDamaged(100, "something follows its end");
  File(100) = whole;
  File(100).erase(File(100).begin() + kSectorBytes, File(100).begin() + 2 * kSectorBytes);
  ExpectDamaged(100, "a chunk is missing");
  File(100) = whole;
  std::copy_n(File(101).begin() + 2 * kSectorBytes, kSectorBytes,
              File(100).begin() + 2 * kSectorBytes);
  ExpectDamaged(100, "offset 8192");
}

TEST_F(SnapshotTest, OfAnotherLedgerOrShardIsRefused) {
  ASSERT_EQ(Write(io, 100, {}), absl::OkStatus());
  LogIdentity other = kIdentity;
  other.ledger_id.low ^= 1;
  EXPECT_EQ(Read(io, 100, other).status().code(), absl::StatusCode::kInvalidArgument);
  other = kIdentity;
  other.shard = 4;
  EXPECT_EQ(Read(io, 100, other).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(SnapshotTest, OfANewerFormatIsRefusedWithASentence) {
  ASSERT_EQ(Write(io, 100, {}), absl::OkStatus());
  ChunkHeader header;
  std::memcpy(&header, File(100).data(), sizeof(header));
  header.format_version = kSnapshotVersion + 1;
  header.header_crc = Crc32c(&header, offsetof(ChunkHeader, header_crc));
  std::memcpy(File(100).data(), &header, sizeof(header));
  const auto read = Read(io, 100);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(read.status().message()),
              HasSubstr("snapshot format version 2; this program reads 1"));
}

TEST_F(SnapshotTest, AFullDiskEndsItAndLeavesNothing) {
  io.SetDiskBytes(300'000);
  const absl::Status written = Write(io, 100, RandomParts(2, 6, kMaxPartBytes));
  EXPECT_TRUE(absl::IsResourceExhausted(written)) << written;
  EXPECT_THAT(std::string(written.message()), HasSubstr("0000000000000064.snap.new"));
  EXPECT_THAT(*io.List(kDirectory), ElementsAre());
}

TEST_F(SnapshotTest, AFailedWriteOrSyncEndsIt) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    attempt == 0 ? io.FailSync(1, EIO) : io.FailWrite(static_cast<uint64_t>(attempt), EIO);
    EXPECT_FALSE(Write(io, 100, RandomParts(2, 6, 1'000)).ok());
    EXPECT_THAT(*ListSnapshots(io, kDirectory), ElementsAre());
    EXPECT_TRUE(RemoveUnfinishedSnapshots(io, kDirectory).ok());
  }
  ASSERT_EQ(Write(io, 100, RandomParts(2, 6, 1'000)), absl::OkStatus());
  EXPECT_TRUE(Read(io, 100).ok());
}

// Whenever the power goes: the snapshot is whole, or there is none by its name.
TEST(Snapshot, ACrashLeavesAWholeOneOrNone) {
  const std::vector<Bytes> parts = RandomParts(7, 4, 20'000);
  bool survived = false;
  size_t crashes = 0;
  size_t found = 0;
  for (uint64_t boundary = 1; !survived; ++boundary) {
    for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
      SimIo io({.seed = 1, .short_write_percent = 20});
      ASSERT_TRUE(io.MakeDirectory(kDirectory).ok());
      ASSERT_EQ(Write(io, 50, parts), absl::OkStatus());
      io.CrashAt(io.boundaries() + boundary, point);
      survived = Write(io, 100, parts).ok() && io.powered();
      if (survived) break;
      ++crashes;
      io.Crash();
      const auto positions = ListSnapshots(io, kDirectory);
      ASSERT_TRUE(positions.ok());
      for (const uint64_t position : *positions) {
        const auto read = Read(io, position);
        ASSERT_TRUE(read.ok()) << "boundary " << boundary << ": " << read.status();
        EXPECT_EQ(*read, parts);
        found += position == 100 ? 1 : 0;
      }
      EXPECT_EQ(positions->front(), 50u);
      ASSERT_TRUE(RemoveUnfinishedSnapshots(io, kDirectory).ok());
      EXPECT_EQ(io.List(kDirectory)->size(), positions->size());
    }
  }
  EXPECT_GT(crashes, 20u);
  EXPECT_GT(found, 0u);
}

TEST_F(SnapshotTest, SoManyAreKept) {
  for (const uint64_t position : {10, 300, 20, 4'000}) {
    ASSERT_EQ(Write(io, position, {}), absl::OkStatus());
  }
  io.AddFile(std::string(kDirectory) + "/readme", {});
  ASSERT_TRUE(RemoveOldSnapshots(io, kDirectory, 2).ok());
  EXPECT_THAT(*ListSnapshots(io, kDirectory), ElementsAre(300, 4'000));
  ASSERT_TRUE(SetSnapshotAside(io, kDirectory, 300).ok());
  EXPECT_THAT(*ListSnapshots(io, kDirectory), ElementsAre(4'000));
  EXPECT_THAT(*io.List(kDirectory),
              ElementsAre("000000000000012c.snap.bad", "0000000000000fa0.snap", "readme"));
}

}  // namespace
}  // namespace tallystick::wal
