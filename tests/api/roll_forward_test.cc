// Between any two points of a log: opening and movements are the closing, and each is the sum over
// the members as they were there.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/instants.h"
#include "api/replay_block.h"
#include "api/tally/audit_rows.h"
#include "api/tally/books.h"
#include "ledger/row_visitor.h"
#include "tests/api/random_movements.h"

namespace tallystick::tally {
namespace {

constexpr uint16_t kProgram = RandomMovements::kProgram;
constexpr uint16_t kShards = 2;

// What members have, row by row.
class MemberSums : public ledger::RowVisitor {
 public:
  void OnAccount(const ledger::AccountRows& rows) override {
    ++sums.members;
    sums.of(PostingAccount::kPending) += rows.account.pending;
    sums.of(PostingAccount::kAvailable) += std::max<Points>(rows.account.available, 0);
    sums.of(PostingAccount::kDebt) += std::min<Points>(rows.account.available, 0);
    sums.of(PostingAccount::kHeld) += rows.held;
  }
  void OnReceipt(uint16_t, const Id&, const ledger::Receipt&, const ledger::Returned&,
                 absl::Span<const ledger::Taking>) override {}

  PostingSums sums;
};

bool SameMembers(const PostingSums& a, const PostingSums& b) {
  return a.members == b.members &&
         std::all_of(std::begin(kMemberAccounts), std::end(kMemberAccounts),
                     [&](PostingAccount account) { return a.of(account) == b.of(account); });
}

class RollForward : public testing::Test {
 protected:
  RollForward()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_roll." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
    const auto served = RandomMovements::MakeLedger(directory_ / "ledger", kShards);
    begin_ = movements_.now();
    // Requests of several, so that points lie inside of blocks.
    while (operations_ < 2'500) {
      std::vector<Operation> request;
      for (int64_t units = movements_.random().Between(1, 12); units > 0; --units) {
        for (const Operation& op : movements_.Next()) request.push_back(op);
      }
      operations_ += request.size();
      movements_.Submit(*served, request);
      if (movements_.random().OneIn(9)) movements_.Tick(*served, movements_.now());
    }
    const auto shards = served->Shards();
    for (const ShardState& shard : shards->shards) ends_.push_back(shard.position);
    EXPECT_EQ(served->Close(), absl::OkStatus());
  }
  ~RollForward() override {
    ledger_.reset();
    std::filesystem::remove_all(directory_);
  }

  OfflineLedger& Offline() {
    if (ledger_ == nullptr) ledger_ = OfflineLedger::OpenToRead(directory_ / "ledger").value();
    return *ledger_;
  }
  LogPoint Point(const std::string& text) { return LogPoint::Parse(text).value(); }
  // The end, where it is empty.
  PostingSums MembersAt(const std::string& point) {
    std::map<uint16_t, std::unique_ptr<ledger::StateMachine>> machines;
    LedgerReplay replay;
    replay.on_begin = [&](uint16_t shard, ReplayStart& start) {
      machines[shard] = std::move(start.machine);
      return absl::OkStatus();
    };
    replay.on_block = [&](uint16_t shard, const wal::BlockView& block, Position last) {
      if (last < block.header->first_position) return absl::OkStatus();
      return ReplayBlock(block, "", *machines[shard], last);
    };
    const auto logs = ReplayLedgerTo(Offline(), Point(point), replay);
    EXPECT_TRUE(logs.ok()) << logs.status();
    MemberSums members;
    for (const auto& [shard, machine] : machines) machine->VisitRows(members);
    return members.sums;
  }
  // As tally audit does it.
  absl::StatusOr<AuditRow> Between(const std::string& from, const std::string& to) {
    AuditRows rows;
    BooksReader reader;
    reader.from = Point(from);
    reader.to = Point(to);
    reader.on_from = [&](const ShardBooks& books) {
      rows.Begin(books.machine);
      return absl::OkStatus();
    };
    reader.on_record = [&](uint16_t, const PostedRecord& posted) {
      rows.AddRecord(posted);
      return absl::OkStatus();
    };
    reader.on_day = [&](uint16_t, int64_t day, const ledger::StateMachine& machine) {
      return rows.EndDay(day, machine);
    };
    reader.on_shard = [&](const ShardBooks&) {
      rows.EndShard();
      return absl::OkStatus();
    };
    if (absl::Status s = ReadBooks(Offline(), reader); !s.ok()) return s;
    const auto all = rows.Rows();
    if (!all.ok()) return all.status();
    const auto opening = rows.openings().find(kProgram);
    return tally::Between(*all, kProgram, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max(),
                          opening == rows.openings().end() ? PostingSums() : opening->second);
  }
  void ExpectRollsForward(const std::string& from, const std::string& to) {
    SCOPED_TRACE(absl::StrCat(from, " to ", to));
    const auto row = Between(from, to);
    ASSERT_TRUE(row.ok()) << row.status();
    PostingSums sum = row->opening;
    sum.Add(row->movements);
    EXPECT_EQ(sum, row->closing);
    EXPECT_EQ(row->opening.Balance(), 0);
    EXPECT_EQ(row->closing.Balance(), 0);
    EXPECT_TRUE(SameMembers(row->opening, MembersAt(from)));
    EXPECT_TRUE(SameMembers(row->closing, MembersAt(to)));
    moved_ += row->movements != PostingSums() ? 1 : 0;
  }

  const std::filesystem::path directory_;
  RandomMovements movements_{11};
  Instant begin_ = 0;
  size_t operations_ = 0;
  std::vector<Position> ends_;
  std::unique_ptr<OfflineLedger> ledger_;
  int moved_ = 0;
};

TEST_F(RollForward, HoldsBetweenAnyTwoPositions) {
  ledger::Random& random = movements_.random();
  for (int i = 0; i < 100 && !HasFailure(); ++i) {
    std::vector<std::string> from, to;
    for (uint16_t shard = 0; shard < kShards; ++shard) {
      const auto end = static_cast<int64_t>(ends_[shard]);
      // Now and then a few records, or none.
      const int64_t a = random.Between(1, end);
      const int64_t b =
          random.OneIn(4) ? std::min(end, a + random.Between(0, 5)) : random.Between(a, end);
      from.push_back(absl::StrCat(shard, ":", a));
      to.push_back(absl::StrCat(shard, ":", b));
    }
    ExpectRollsForward(absl::StrCat(from[0], ",", from[1]), absl::StrCat(to[0], ",", to[1]));
  }
  EXPECT_GT(moved_, 80);
}

TEST_F(RollForward, HoldsBetweenAnyTwoInstants) {
  ledger::Random& random = movements_.random();
  for (int i = 0; i < 60 && !HasFailure(); ++i) {
    const Instant a = random.Between(begin_, movements_.now());
    const Instant b = random.Between(a, movements_.now());
    ExpectRollsForward(FormatInstant(a), FormatInstant(b));
  }
  EXPECT_GT(moved_, 40);
}

TEST_F(RollForward, PointsThatAreNoneAreRefused) {
  EXPECT_EQ(Between("20", "10").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Between("0:20,1:10", "0:19,1:300").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Between("2021-01-02", "2021-01-01").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Between("0:20", "0:30,1:40").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Between("99999999", "999999999").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tallystick::tally
