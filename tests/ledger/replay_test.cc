// What a replay of the log finds, and what it gives.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

class ReplayTest : public LedgerTest {
 protected:
  Result ApplyNow(Operation operation) {
    Result result;
    EXPECT_EQ(ledger_.Apply({&operation, 1}, &result), 1u);
    EXPECT_EQ(result.outcome(), Outcome::Ok);
    return result;
  }

  // A short log that has one of everything.
  // All kinds of records of the first engine.
  std::vector<LogBlock> LogOfEngine1() {
    ProgramSpec spec;
    spec.pending_days = 2;
    spec.debt_floor = 3;
    Start(spec);
    const Operation purchase = With(Make(Kind::Purchase, 20), Day(4));
    At(Day(0), purchase);
    At(Day(2), Make(Kind::Redeem, 14));
    Return(Day(3), 20, purchase.id());  // six points, a debt of three, eleven written off
    At(Day(3), With(Make(Kind::Adjust, 8), Day(5)));
    ledger_.BeginBlock({Day(6), false});
    EXPECT_FALSE(ledger_.SettleDue(1'000));
    Chain(Day(6), {Make(Kind::Accrue, 9), Make(Kind::Adjust, 2), Make(Kind::Redeem, 1)});
    ledger_.BeginBlock({Day(60), true});
    ApplyNow(Operation(Id(500, 0), Id(), Id(), 0, Day(7), 0, 0, 0, 0, Kind::Tick, 0, 0));
    Operation late = With(Make(Kind::Adjust, 4), Day(7) - 1);
    late.mutate_occurred_at(Day(6));
    ApplyNow(late);
    EXPECT_FALSE(ledger_.SettleDue(1'000));
    return ledger_.Log();
  }
  // And of this one.
  std::vector<LogBlock> LogOfEverything() {
    LogOfEngine1();
    const Id bought = Purchase(Day(70), 30);
    const Id other = Purchase(Day(70), 30);
    At(Day(71), Make(Kind::Cancel, 5, other));
    At(Day(71), Make(Kind::Activate, 0, other));
    At(Day(73), Make(Kind::Hold, 40));
    const Id held = last_.id();
    Return(Day(73), 30, bought);                 // fifteen points, and a debt of fifteen
    At(Day(73), Make(Kind::Capture, 35, held));  // five pay the debt, and seven are forgiven
    At(Day(73), Make(Kind::ReverseRedemption, 30, last_.id()));
    At(Day(73), Make(Kind::Hold, 4));
    At(Day(73), Make(Kind::Release, 0, last_.id()));
    At(Day(73), Make(Kind::Hold, 4));
    ledger_.BeginBlock({Day(74), false});
    EXPECT_FALSE(ledger_.SettleDue(1'000));
    At(Day(74), With(Make(Kind::Extend, 0), Day(90)));
    At(Day(74), Make(Kind::Freeze, 0));
    At(Day(74), Make(Kind::Unfreeze, 0));
    Operation close = Make(Kind::Close, 0);
    close.mutate_flags(kExpireRest);
    At(Day(74), close);
    return ledger_.Log();
  }

  static std::string WhatReplayFinds(const std::vector<LogBlock>& log, uint64_t* digest) {
    StateMachine machine;
    const absl::Status status = Replay(log, machine);
    *digest = machine.Digest();
    return std::string(status.message());
  }
};

// Ticks and puts leave no receipt, so that what the caller said in them is in the log alone, under
// its blocks' checksums.
bool IsInNoState(const Record& record, size_t offset) {
  const Kind kind = record.operation.kind();
  return (kind == Kind::Tick || kind == Kind::ProgramPut) && offset < sizeof(Operation);
}

TEST_F(ReplayTest, ChangedByteIsFoundByReplayOrDigest) {
  const std::vector<LogBlock> log = LogOfEverything();
  for (size_t b = 0; b < log.size(); ++b) {
    const std::vector<LogBlock> intact(log.begin(),
                                       log.begin() + static_cast<std::ptrdiff_t>(b) + 1);
    uint64_t expected;
    ASSERT_EQ(WhatReplayFinds(intact, &expected), "");
    size_t details = 0;  // slots that still belong to the last record
    for (size_t slot = 0; slot < log[b].slots.size(); ++slot) {
      const Record& record = log[b].slots[slot];
      const bool is_detail = details > 0;
      if (is_detail) {
        --details;
      } else {
        details = IsDerived(record.operation.kind()) ? 0 : record.result.details();
      }
      // Of a program's bytes a sample does.
      for (size_t offset = 0; offset < kSlotBytes; offset += is_detail ? 17 : 1) {
        std::vector<LogBlock> changed = intact;
        auto* bytes = reinterpret_cast<uint8_t*>(changed[b].slots.data() + slot);
        bytes[offset] ^= static_cast<uint8_t>(1u << ((offset + slot) % 8));
        uint64_t digest;
        const std::string found = WhatReplayFinds(changed, &digest);
        if (!is_detail && (offset >= sizeof(Operation) || IsDerived(record.operation.kind()))) {
          EXPECT_NE(found, "") << "block " << b << " slot " << slot << " offset " << offset;
        } else if (is_detail || !IsInNoState(record, offset)) {
          EXPECT_TRUE(!found.empty() || digest != expected)
              << "block " << b << " slot " << slot << " offset " << offset;
        }
      }
    }
  }
}

TEST_F(ReplayTest, MissingRecordIsFound) {
  const std::vector<LogBlock> log = LogOfEverything();
  for (size_t b = 0; b < log.size(); ++b) {
    for (size_t slot = 0; slot < log[b].slots.size(); ++slot) {
      std::vector<LogBlock> changed = log;
      auto& slots = changed[b].slots;
      slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(slot));
      uint64_t digest;
      EXPECT_NE(WhatReplayFinds(changed, &digest), "") << "block " << b << " slot " << slot;
    }
  }
}

TEST_F(ReplayTest, DigestIsTheSameInAnyBuildAndUnderAnyHashSeed) {
  const std::vector<LogBlock> log = LogOfEverything();
  for (const uint64_t hash_seed : {uint64_t{0}, uint64_t{0x9e3779b97f4a7c15}}) {
    StateMachine machine({}, hash_seed);
    EXPECT_TRUE(Replay(log, machine).ok());
    EXPECT_EQ(machine.Digest(), 8287733344830107884u) << "hash seed " << hash_seed;
  }
}

// What it made gives what it gave, whatever has been learned since.
TEST_F(ReplayTest, LogsOfTheFirstEngineKeepTheirDigest) {
  std::vector<LogBlock> log = LogOfEngine1();
  for (LogBlock& block : log) block.time.engine = 1;
  StateMachine machine;
  EXPECT_TRUE(Replay(log, machine).ok());
  EXPECT_EQ(machine.Digest(), 1527446373575926073u);
}

TEST_F(ReplayTest, MessageSaysWhere) {
  std::vector<LogBlock> log = LogOfEverything();
  log[2].slots[0].result.mutate_points(12'345);
  StateMachine machine;
  const absl::Status status = Replay(log, machine);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("position " + std::to_string(log[2].first_position)),
            std::string::npos)
      << status;
}

TEST_F(ReplayTest, StopsBehindThePositionThatIsAskedFor) {
  // The digest after each operation, by its position.
  Start({});
  std::vector<std::pair<Position, uint64_t>> digests;
  ledger_.BeginBlock({Day(1), false});
  for (int i = 0; i < 4; ++i) {
    const Result result = Chain(Day(1), {With(Make(Kind::Accrue, 10), Day(2))})[0];
    digests.emplace_back(result.position(), ledger_.machine().Digest());
  }
  for (const Result& result : Chain(Day(1), {Make(Kind::Redeem, 5), Make(Kind::Redeem, 6)})) {
    digests.emplace_back(result.position(), ledger_.machine().Digest());
  }
  ledger_.BeginBlock({Day(3), false});
  const Result last = Chain(Day(3), {Make(Kind::Adjust, 2)})[0];
  digests.emplace_back(last.position(), ledger_.machine().Digest());
  for (const auto& [position, digest] : digests) {
    StateMachine machine;
    for (const LogBlock& block : ledger_.Log()) {
      if (block.first_position > position) break;
      ASSERT_TRUE(machine.Replay(block.time, block.first_position, block.slots, position).ok());
    }
    const bool inside_a_chain = position == digests[4].first;
    EXPECT_EQ(machine.Digest() == digest, !inside_a_chain) << "position " << position;
    EXPECT_EQ(machine.LastPosition(kProgram, member_), position);
  }
}

TEST_F(ReplayTest, ProgramThatIsNoneIsFound) {
  std::vector<LogBlock> log = LogOfEverything();
  auto& put = log[0].slots[0].operation;
  ASSERT_EQ(put.kind(), Kind::ProgramPut);
  for (const int64_t amount : {int64_t{0}, int64_t{-1}, int64_t{1}, int64_t{1} << 40, INT64_MAX}) {
    put.mutate_amount(amount);
    uint64_t digest;
    EXPECT_NE(WhatReplayFinds(log, &digest), "") << amount;
  }
}

TEST_F(ReplayTest, ProgramOfAnotherIdIsFound) {
  std::vector<LogBlock> log = LogOfEverything();
  auto& put = log[0].slots[0].operation;
  put.mutate_program(put.program() + 1);
  uint64_t digest;
  EXPECT_EQ(WhatReplayFinds({log[0]}, &digest),
            "replay at position 1: the program is not one that this engine knows");
}

}  // namespace
}  // namespace tallystick::ledger
