// The double entry of a log against the state machine that replays it: over random lives of random
// programs, and literally for one of everything.

#include "api/postings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/ledger/ledger_fixture.h"
#include "tests/ledger/ledger_pair.h"
#include "tests/ledger/random_operations.h"

namespace tallystick {
namespace {

using ledger::LogBlock;
using ledger::StateMachine;
using ledger::With;
using model::kDay;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Instant kAsRecorded = std::numeric_limits<Instant>::min();
constexpr uint64_t kRuns = 1'000;
constexpr size_t kOperationsPerRun = 300;

// What all runs together have met.
struct Met {
  std::map<std::pair<Kind, PostingAccount>, int64_t> lines;
};

// ---- random lives ----

// Blocks of both clocks, small and large, with requests, new versions and ticks.
std::vector<LogBlock> RandomLog(uint64_t seed) {
  ledger::Random random(seed);
  ledger::ProgramTaste taste;
  taste.start = model::UtcInstant(2023, 1, 1) + random.Between(0, 700 * kDay);
  taste.huge_numbers = random.OneIn(6);
  ledger::OperationTaste operation_taste;
  operation_taste.members = random.Between(2, 12);
  if (taste.huge_numbers) operation_taste.largest_points = INT64_MAX;
  ledger::LedgerPair pair;
  ledger::RandomOperations operations(random, pair.machine(), operation_taste);
  Instant stamp = taste.start;
  bool import_clock = random.OneIn(2);
  const auto next_block = [&](size_t capacity) {
    if (random.OneIn(20)) import_clock = !import_clock;
    stamp += operations.Leap();
    pair.BeginBlock({stamp, import_clock}, capacity);
  };
  const int64_t programs = random.Between(1, 3);
  for (int64_t id = 1; id <= programs; ++id) {
    next_block(StateMachine::SlotsOfProgram(4'096));
    const auto program = ledger::RandomProgram(random, taste, static_cast<uint16_t>(id));
    pair.PutProgram(program, 1);
    operations.AddProgram(program);
  }
  size_t sent = 0;
  while (sent < kOperationsPerRun && !testing::Test::HasFailure()) {
    next_block(2'000);
    const auto request = operations.Request(std::max(pair.Now(), taste.start), import_clock);
    sent += pair.Apply(request, false);
    if (random.OneIn(3)) pair.SettleDue(static_cast<uint32_t>(random.Between(1, 50)));
  }
  return pair.Log();
}

void CheckDetails(const PostedRecord& posted) {
  if (posted.slots == 1 || posted.record->operation.kind() != Kind::Return) return;
  const auto detail = DetailIn<ReturnDetail>(posted.record[1]);
  std::map<PostingAccount, Points> amounts;
  for (const PostingLine& line : posted.lines()) amounts[line.account] = line.amount;
  EXPECT_EQ(amounts[PostingAccount::kPending], -detail.from_pending);
  EXPECT_EQ(amounts[PostingAccount::kAvailable], -detail.from_available);
  EXPECT_EQ(amounts[PostingAccount::kDebt], -detail.to_debt);
  EXPECT_EQ(amounts[PostingAccount::kClawedBack], detail.claim - detail.written_off);
  EXPECT_EQ(amounts[PostingAccount::kWrittenOff], detail.written_off);
}

// Behind each block: log time, every sum and every balance.
void CheckLog(const std::vector<LogBlock>& log, Met* met) {
  StateMachine machine;
  Poster poster;
  std::vector<PostedRecord> posted;
  std::map<Poster::AccountKey, PostingSums,
           bool (*)(const Poster::AccountKey&, const Poster::AccountKey&)>
      members([](const Poster::AccountKey& a, const Poster::AccountKey& b) {
        return std::make_pair(a.member.low(), a.program) <
               std::make_pair(b.member.low(), b.program);
      });
  for (const LogBlock& block : log) {
    ASSERT_TRUE(machine.Replay(block.time, block.first_position, block.slots).ok());
    const absl::Status status = poster.Post(block.time, block.first_position, block.slots, &posted);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(poster.log_time(), machine.log_time());
    size_t slots = 0;
    for (const PostedRecord& record : posted) {
      ASSERT_EQ(record.position, block.first_position + slots);
      slots += record.slots;
      PostingSums one;
      one.Add(record);
      ASSERT_TRUE(one.Balance() == 0) << "position " << record.position;
      const Operation& op = record.record->operation;
      members[{op.member(), op.program()}].Add(one);
      for (const PostingLine& line : record.lines()) {
        ASSERT_NE(line.amount, 0);
        ++met->lines[{op.kind(), line.account}];
      }
      CheckDetails(record);
    }
    ASSERT_EQ(slots, block.slots.size());
    for (const uint16_t id : machine.Programs()) {
      const auto found = poster.sums().find(id);
      ASSERT_TRUE((found == poster.sums().end() ? PostingSums() : found->second) ==
                  SumsOf(*machine.TotalsOf(id)))
          << "program " << id;
    }
  }
  for (const auto& [key, sums] : members) {
    if (IsZero(key.member)) continue;
    const auto balance = machine.BalanceAt(key.program, key.member, kAsRecorded);
    ASSERT_TRUE(balance.has_value());
    EXPECT_TRUE(sums.of(PostingAccount::kPending) == balance->pending);
    EXPECT_TRUE(sums.of(PostingAccount::kAvailable) == balance->available);
    EXPECT_TRUE(sums.of(PostingAccount::kDebt) == -balance->debt);
  }
}

TEST(Postings, OfRandomLivesSumUpToTotalsAndBalances) {
  const char* only = std::getenv("TALLYSTICK_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  const uint64_t last = only == nullptr ? kRuns : first;
  Met met;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE(testing::Message() << "TALLYSTICK_SEED=" << seed);
    CheckLog(RandomLog(seed), &met);
    if (HasFailure()) return;
  }
  if (only != nullptr) return;
  // What an accrual pays of a debt, pending points that are cancelled, and so on.
  using A = PostingAccount;
  for (const auto& [kind, account] :
       std::vector<std::pair<Kind, PostingAccount>>{{Kind::Accrue, A::kPending},
                                                    {Kind::Accrue, A::kAvailable},
                                                    {Kind::Accrue, A::kDebt},
                                                    {Kind::Purchase, A::kIssued},
                                                    {Kind::Return, A::kPending},
                                                    {Kind::Return, A::kAvailable},
                                                    {Kind::Return, A::kDebt},
                                                    {Kind::Return, A::kClawedBack},
                                                    {Kind::Return, A::kWrittenOff},
                                                    {Kind::Adjust, A::kAdjusted},
                                                    {Kind::Adjust, A::kDebt},
                                                    {Kind::Redeem, A::kRedeemed},
                                                    {Kind::Activation, A::kPending},
                                                    {Kind::Activation, A::kAvailable},
                                                    {Kind::Activation, A::kDebt},
                                                    {Kind::Expiry, A::kPending},
                                                    {Kind::Expiry, A::kAvailable},
                                                    {Kind::Expiry, A::kExpired}}) {
    EXPECT_GT((met.lines[{kind, account}]), 0)
        << "kind " << static_cast<int>(kind) << " account " << PostingAccountName(account);
  }
}

// ---- one of everything ----

class PostingsOf : public ledger::LedgerTest {
 protected:
  // "day 3, kind 5: pending -4 …" of each record that moves something; kinds are those of
  // operation.fbs.
  std::vector<std::string> Lines() {
    Poster poster;
    std::vector<std::string> all;
    std::vector<PostedRecord> posted;
    for (const LogBlock& block : ledger_.Log()) {
      EXPECT_TRUE(poster.Post(block.time, block.first_position, block.slots, &posted).ok());
      for (const PostedRecord& record : posted) {
        if (record.lines().empty()) continue;
        std::string text =
            absl::StrCat("day ", (record.log_time - Day(0)) / kMicrosPerDay, ", kind ",
                         static_cast<int>(record.record->operation.kind()), ":");
        for (const PostingLine& line : record.lines()) {
          absl::StrAppend(&text, " ", PostingAccountName(line.account), " ", line.amount);
        }
        all.push_back(text);
      }
    }
    return all;
  }
};

TEST_F(PostingsOf, EachKindAreWhatItMoves) {
  ledger::ProgramSpec spec;
  spec.pending_days = 2;
  spec.debt_floor = 3;
  Start(spec);
  const Operation purchase = With(Make(Kind::Purchase, 20), Day(4));
  At(Day(0), purchase);
  At(Day(2), Make(Kind::Redeem, 14));
  Return(Day(3), 20, purchase.id());
  At(Day(3), With(Make(Kind::Adjust, 8), Day(5)));
  ledger_.BeginBlock({Day(6), false});
  EXPECT_FALSE(ledger_.SettleDue(1'000));
  EXPECT_THAT(Lines(),
              ElementsAre("day 0, kind 4: pending 20 issued -20",
                          "day 2, kind 128: pending -20 available 20",
                          "day 2, kind 6: available -14 redeemed 14",
                          "day 3, kind 5: available -6 debt -3 clawed_back 9 written_off 11",
                          "day 3, kind 7: available 5 debt 3 adjusted -8",
                          "day 6, kind 129: available -5 expired 5"));
}

TEST_F(PostingsOf, ARecordThatDoesNotFollowNameItsPosition) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 20));
  At(Day(1), Make(Kind::Redeem, 5));
  const auto refusal = [this](void (*spoil)(Record & record)) {
    std::vector<LogBlock> log = ledger_.Log();
    spoil(log.back().slots[0]);
    Poster poster;
    std::vector<PostedRecord> posted;
    absl::Status status;
    for (const LogBlock& block : log) {
      if (status.ok()) {
        status = poster.Post(block.time, block.first_position, block.slots, &posted);
      }
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("position ", log.back().first_position)));
    return std::string(status.message());
  };
  EXPECT_THAT(refusal([](Record& r) { r.result.mutate_points(-6); }), HasSubstr("balances moved"));
  EXPECT_THAT(refusal([](Record& r) { r.result.mutate_available(16); }),
              HasSubstr("balances moved"));
  EXPECT_THAT(
      refusal([](Record& r) { r.result.mutate_pending(std::numeric_limits<Points>::min()); }),
      HasSubstr("balances moved"));
  EXPECT_THAT(refusal([](Record& r) { r.result.mutate_position(1); }), HasSubstr("record before"));
  EXPECT_THAT(refusal([](Record& r) { r.result.mutate_details(9); }),
              HasSubstr("beyond its block"));
  EXPECT_THAT(refusal([](Record& r) { r.operation.mutate_kind(Kind::Expiry); }),
              HasSubstr("why it was settled"));
}

}  // namespace
}  // namespace tallystick
