// The durable records of a ledger, to readers beside those who write them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/change_stream.h"
#include "tests/api/served_ledger.h"

namespace tallystick {
namespace {

using ::testing::HasSubstr;

// What a reader has of one shard, by position.
using Read = std::map<Position, Record>;

// Adds an answer to what was read before it; fails where it does not go on from there.
void Add(const RecordsAnswer& answer, Position from, Read& read) {
  size_t at = 0;
  Position next = from;
  for (const RecordRun& run : answer.runs) {
    EXPECT_GE(run.first, next);
    ASSERT_LE(at + run.count, answer.slots.size());
    for (size_t i = 0; i < run.count;) {
      const Record& record = answer.slots[at + i];
      EXPECT_TRUE(read.emplace(run.first + i, record).second);
      i += SlotsOf(record);
      EXPECT_LE(i, run.count) << "a record without its details";
    }
    at += run.count;
    next = run.first + run.count;
  }
  EXPECT_EQ(at, answer.slots.size());
  EXPECT_GE(answer.next, next);
  EXPECT_LE(answer.next, answer.end);
}

// All that is there now.
template <typename Source>
Read ReadAll(Source& source, uint16_t shard, Position from = 1) {
  Read read;
  while (true) {
    const absl::StatusOr<RecordsAnswer> answer = source.Records(shard, from);
    EXPECT_TRUE(answer.ok()) << answer.status();
    if (!answer.ok() || answer->slots.empty()) return read;
    Add(*answer, from, read);
    from = answer->next;
  }
}

class Changes : public testing::Test {
 protected:
  // `count` accruals of 1 point, in requests of `batch`.
  void Accrue(uint64_t count, uint64_t batch = 1) {
    std::vector<Operation> operations;
    for (uint64_t i = 0; i < count; ++i) {
      ++last_id_;
      operations.push_back(served_.Accrue(last_id_, 1 + last_id_ % 50, 1));
      if (operations.size() < batch && i + 1 < count) continue;
      client_->Submit(operations, [](absl::StatusOr<absl::Span<const Result>> results) {
        ASSERT_TRUE(results.ok()) << results.status();
        for (const Result& result : *results) ASSERT_EQ(result.outcome(), Outcome::Ok);
      });
      ASSERT_EQ(client_->Drain(), absl::OkStatus());
      operations.clear();
    }
  }
  static size_t Accruals(const Read& read) {
    return static_cast<size_t>(std::count_if(read.begin(), read.end(), [](const auto& entry) {
      return entry.second.operation.kind() == Kind::Accrue;
    }));
  }

  ServedLedger served_{{.shards = 2}};
  std::unique_ptr<Client> client_ = served_.NewClient();
  uint64_t last_id_ = 0;
};

TEST_F(Changes, AreAllRecordsInTheOrderOfTheirPositions) {
  Accrue(40);
  Accrue(9'000, 3'000);  // more than one answer holds
  size_t accruals = 0;
  for (const uint16_t shard : {0, 1}) {
    const Read read = ReadAll(*client_, shard);
    accruals += Accruals(read);
    EXPECT_EQ(read.begin()->second.operation.kind(), Kind::ProgramPut);
    // The same from the embedding program, and from any position on.
    EXPECT_EQ(ReadAll(served_.ledger(), shard).size(), read.size());
    const auto middle = std::next(read.begin(), static_cast<std::ptrdiff_t>(read.size() / 2));
    const Read rest = ReadAll(*client_, shard, middle->first);
    EXPECT_EQ(rest.begin()->first, middle->first);
    EXPECT_EQ(rest.rbegin()->first, read.rbegin()->first);
    for (const auto& [position, record] : rest) {
      EXPECT_TRUE(SameBytes(record.operation, read.at(position).operation)) << position;
    }
    // A member's records are linked.
    for (const auto& [position, record] : read) {
      if (record.result.position() == 0) continue;
      EXPECT_EQ(read.at(record.result.position()).operation.member(), record.operation.member());
    }
  }
  EXPECT_EQ(accruals, 9'040u);
}

TEST_F(Changes, OfADetailSlotBeginWithTheRecordBehindIt) {
  const Read all = ReadAll(*client_, 0);
  const auto& [position, put] = *all.begin();
  ASSERT_GT(SlotsOf(put), 1u);
  Accrue(20);
  const Read read = ReadAll(*client_, 0, position + 1);
  EXPECT_GE(read.begin()->first, position + SlotsOf(put));
}

TEST_F(Changes, AreWaitedForAndThenAnsweredWithNothing) {
  const auto end = client_->Records(0, 1)->end;
  const auto begun = std::chrono::steady_clock::now();
  const auto answer = client_->Records(0, end, 200);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->runs.empty());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(200));
}

TEST_F(Changes, ComeToAReaderThatWaits) {
  const auto reader = served_.NewClient();
  const Position end = client_->Records(0, 1)->end;
  int answers = 0;
  Read read;
  Position from = end;
  std::function<void(absl::StatusOr<RecordsAnswer>)> on_answer;
  const auto ask = [&] { reader->Records(0, from, kMaxRecordsWaitMs, on_answer); };
  on_answer = [&](absl::StatusOr<RecordsAnswer> answer) {
    ASSERT_TRUE(answer.ok()) << answer.status();
    Add(*answer, from, read);
    from = answer->next;
    ++answers;
    if (read.empty()) ask();
  };
  ask();
  ASSERT_EQ(reader->Poll(0), absl::OkStatus());
  Accrue(20);
  ASSERT_EQ(reader->Drain(), absl::OkStatus());
  EXPECT_FALSE(read.empty());
  EXPECT_GE(read.begin()->first, end);
}

TEST_F(Changes, BeyondTheEndOrOfNoShardAreRefusedWithASentence) {
  const Position end = client_->Records(0, 1)->end;
  const auto beyond = client_->Records(0, end + 100);
  EXPECT_THAT(std::string(beyond.status().message()), HasSubstr("is not written yet"));
  const auto nowhere = client_->Records(2, 1);
  EXPECT_THAT(std::string(nowhere.status().message()), HasSubstr("there is no shard 2"));
  EXPECT_TRUE(client_->Records(0, 1).ok()) << "the connection goes on";
}

// Readers that ask and never read their answers hold up nobody.
TEST_F(Changes, SlowReadersBlockNeitherWritersNorOthers) {
  Accrue(4'000, 1'000);
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(served_.NewClient());
    for (int j = 0; j < 20; ++j) slow.back()->Records(0, 1, 0, [](const auto&) {});
    ASSERT_EQ(slow.back()->Poll(0), absl::OkStatus());
  }
  Accrue(1'000, 100);
  EXPECT_GT(ReadAll(*client_, 0).size(), 2'000u);
}

TEST_F(Changes, MoreReadersThanMayWaitAreToldToComeAgain) {
  const Position end = client_->Records(0, 1)->end;
  const size_t asked = kMaxWaitingReaders + 5;
  size_t waited = 0;
  size_t refused = 0;
  std::vector<std::unique_ptr<Client>> readers;
  for (size_t i = 0; i < asked; ++i) readers.push_back(served_.NewClient());
  for (const auto& reader : readers) {
    reader->Records(0, end, kMaxRecordsWaitMs, [&](absl::StatusOr<RecordsAnswer> answer) {
      if (answer.ok()) {
        ++waited;
      } else {
        EXPECT_THAT(std::string(answer.status().message()), HasSubstr("try again"));
        ++refused;
      }
    });
    ASSERT_EQ(reader->Poll(0), absl::OkStatus());
  }
  for (const auto& reader : readers) ASSERT_EQ(reader->Drain(), absl::OkStatus());
  EXPECT_EQ(waited + refused, asked);
  EXPECT_GE(refused, 1u);
  EXPECT_GE(waited, 1u);
}

// Several readers follow while operations go on, each through a break of its own connection and a
// new server.
TEST_F(Changes, AreReadOnceEachByReadersThatResume) {
  std::atomic<bool> written = false;
  std::vector<std::thread> readers;
  std::vector<Read> reads(3);
  for (Read& read : reads) {
    readers.emplace_back([&, this] {
      auto reader = served_.NewClient();
      Position from = 1;
      for (int asked = 0;; ++asked) {
        if (asked % 7 == 6) reader = served_.NewClient();
        const bool last = written;
        const auto answer = reader->Records(0, from, 20);
        ASSERT_TRUE(answer.ok()) << answer.status();
        Add(*answer, from, read);
        from = answer->next;
        if (last && answer->runs.empty()) return;
      }
    });
  }
  Accrue(300, 7);
  written = true;
  for (std::thread& reader : readers) reader.join();
  const Read all = ReadAll(*client_, 0);
  for (const Read& read : reads) EXPECT_EQ(read.size(), all.size());
}

}  // namespace
}  // namespace tallystick
