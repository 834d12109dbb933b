// What of a record is indexed, and the index of a real ledger's sealed segments.

#include "api/history_keys.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "wal/key_index_set.h"
#include "wal/log_writer.h"
#include "wal/record_fetcher.h"

namespace tallystick {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

constexpr char kDirectory[] = "/data/shard-0";
constexpr wal::LogIdentity kIdentity = {.ledger_id = {.low = 1, .high = 2}};

Record MakeRecord(uint64_t id, uint64_t member, Kind kind, uint16_t details) {
  Record record{};
  record.operation = Operation(Id(id, 0), Id(member, 0), Id(), 5, 0, 0, 0, 1, 0, kind, 0, 0);
  record.result.mutate_details(details);
  return record;
}

struct HistoryKeysTest : ::testing::Test {
  HistoryKeysTest() : io({.seed = 2}) {
    wal::LogWriterOptions options;
    options.directory = kDirectory;
    options.identity = kIdentity;
    options.segment_bytes = 16 * wal::kSectorBytes;
    options.blocks_in_flight = 2;
    writer = *wal::LogWriter::Open(io, options, wal::LogTail());
  }
  ~HistoryKeysTest() override { EXPECT_TRUE(writer->Stop().ok()); }

  // Appends a block of these slots, and returns its first position.
  Position Append(const std::vector<Record>& slots) {
    while (!writer->CanOpenBlock(slots.size())) Turn();
    const wal::OpenedBlock block = writer->OpenBlock(slots.size());
    std::memcpy(static_cast<void*>(block.slots.data()), slots.data(),
                slots.size() * sizeof(Record));
    writer->SealBlock(slots.size(), {.timestamp_us = ++stamp});
    return block.first_position;
  }
  void Turn() {
    writer->Tick(io.MonotonicMicros());
    io.Poll(-1);
  }
  // Indexes all segments but the last.
  void Index(wal::KeyIndexSet& set) {
    while (writer->durable_position() < writer->next_position()) Turn();
    const uint64_t last = writer->place().segment;
    ASSERT_GT(last, 3u);
    for (uint64_t segment = 2; segment <= last; ++segment) {
      const auto end = wal::ReadSegmentEnd(io, kDirectory, segment, kIdentity);
      ASSERT_TRUE(end.ok()) << end.status();
      const auto built = BuildHistoryIndex(io, kDirectory, kIdentity, *end);
      ASSERT_TRUE(built.ok()) << built.status();
      auto index = wal::KeyIndex::Open(io, kDirectory, end->segment,
                                       {.identity = kIdentity, .last_hash = end->last_hash});
      ASSERT_TRUE(index.ok()) << index.status();
      EXPECT_EQ(*built, uint64_t{(*index)->layout().pages} * sizeof(wal::IndexPage));
      sealed_end = end->next_position;
      set.Add(*std::move(index));
    }
  }
  std::vector<Position> Find(wal::KeyIndexSet& set, size_t family, uint64_t key) {
    std::vector<Position> positions;
    set.Find({.family = family, .key = HistoryKey(Id(key, 0)), .limit = 1'000'000},
             [&positions](absl::StatusOr<wal::KeyMatches> found) {
               ASSERT_TRUE(found.ok()) << found.status();
               positions = std::move(found->positions);
             });
    while (set.busy()) io.Poll(-1);
    return positions;
  }

  SimIo io;
  std::unique_ptr<wal::LogWriter> writer;
  int64_t stamp = 0;
  Position sealed_end = 0;
};

TEST_F(HistoryKeysTest, TransactionsAndMembersAreFoundAndDetailsAreNot) {
  std::map<uint64_t, std::vector<Position>> members;
  std::map<uint64_t, std::vector<Position>> transactions;
  for (uint64_t i = 1; i <= 400; ++i) {
    const uint64_t member = 1 + i % 17;
    // A derived record, an operation with a detail slot that looks like a record, and a program.
    const Position first = Append({MakeRecord(0, member, Kind::Activation, 0),
                                   MakeRecord(1000 + i, member, Kind::Accrue, 1),
                                   MakeRecord(5'000'000, 5'000'000, Kind::Accrue, 0),
                                   MakeRecord(100'000 + i, 0, Kind::ProgramPut, 0)});
    for (const Position at : {first + 1, first}) members[member].push_back(at);
    transactions[1000 + i].push_back(first + 1);
    transactions[100'000 + i].push_back(first + 3);
  }
  wal::KeyIndexSet set(io, kDirectory, size_t{1} << 20);
  Index(set);
  const auto expect = [&](size_t family, uint64_t key, std::vector<Position> expected) {
    std::sort(expected.rbegin(), expected.rend());
    expected.erase(std::remove_if(expected.begin(), expected.end(),
                                  [this](Position at) { return at >= sealed_end; }),
                   expected.end());
    ASSERT_EQ(Find(set, family, key), expected) << family << " " << key;
  };
  for (const auto& [member, positions] : members) expect(kMemberKeys, member, positions);
  for (const auto& [id, positions] : transactions) expect(kTransactionKeys, id, positions);
  for (const uint64_t key : {uint64_t{0}, uint64_t{5'000'000}}) {
    expect(kMemberKeys, key, {});
    expect(kTransactionKeys, key, {});
  }

  // The records are what the keys say.
  wal::RecordFetcher fetcher(io, kDirectory, set);
  const std::vector<Position> positions = Find(set, kMemberKeys, 3);
  size_t visited = 0;
  fetcher.Fetch(
      positions,
      [&visited](Position at, const wal::BlockView& block) {
        const auto& record =
            reinterpret_cast<const Record&>(block.slots[at - block.header->first_position]);
        EXPECT_TRUE(record.operation.member() == Id(3, 0));
        ++visited;
      },
      [](const absl::Status& status) { EXPECT_EQ(status, absl::OkStatus()); });
  while (fetcher.busy()) io.Poll(-1);
  EXPECT_EQ(visited, positions.size());
  EXPECT_GT(visited, 20u);
}

TEST_F(HistoryKeysTest, DetailsBeyondTheBlockAreDamage) {
  for (int i = 0; i < 60; ++i) Append({MakeRecord(1, 1, Kind::Accrue, 1)});
  while (writer->durable_position() < writer->next_position()) Turn();
  const auto end = wal::ReadSegmentEnd(io, kDirectory, 2, kIdentity);
  ASSERT_TRUE(end.ok());
  const absl::Status status = BuildHistoryIndex(io, kDirectory, kIdentity, *end).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has more details than the block"));
  EXPECT_FALSE(io.Exists(std::string(kDirectory) + "/0000000000000001.idx"));
}

}  // namespace
}  // namespace tallystick
