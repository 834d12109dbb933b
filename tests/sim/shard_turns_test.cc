// What a shard does in one turn of its worker's loop, on a simulated machine.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "api/program_file.h"
#include "api/shard.h"
#include "tests/sim/process_io.h"
#include "tests/sim/sim_io.h"

namespace tallystick::sim {
namespace {

constexpr char kProgram[] = R"({"id": 7, "name": "Turns", "currency": "USD", "time_zone": "UTC",
    "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})";

class ShardTurns : public testing::Test {
 protected:
  ShardTurns() {
    LedgerOptions options;
    options.directory = "/ledger";
    options.create = true;
    options.manual = true;
    options.threads = 1;
    options.make_io = [this](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
      return std::make_unique<ProcessIo>(machine_, process_);
    };
    ledger_ = Ledger::Open(options).value();
    ledger_->PutProgram(Id(1, 1), ProgramFile::Parse(kProgram, "program").value().bytes()).value();
  }

  Operation Accrual(uint64_t member, Instant expires_at = 0) {
    return Operation(Id(++last_id_, 2), Id(member, 3), Id(), 1, machine_.WallMicros(), expires_at,
                     0, 7, 0, Kind::Accrue, 0, 0);
  }
  void Submit(const std::vector<Operation>& operations) {
    ++submitted_;
    const absl::Status taken = ledger_->Submit(operations, [this](auto results) {
      ASSERT_TRUE(results.ok()) << results.status();
      for (const Result& result : *results) ASSERT_EQ(result.outcome(), Outcome::Ok);
      ++answered_;
    });
    ASSERT_TRUE(taken.ok()) << taken;
  }
  Position LastPosition() { return ledger_->Shards().value().shards[0].position; }
  // Turns that pass until everything is answered.
  int TurnsUntilAnswered() {
    int turns = 0;
    for (; answered_ < submitted_ && turns < 10'000; ++turns) ledger_->Step();
    return turns;
  }
  // Afterwards so many accounts are being settled, each with so many lots.
  void MakeDue(uint64_t accounts, uint64_t lots) {
    const Instant at = machine_.WallMicros() + kMicrosPerSecond;
    std::vector<Operation> operations;
    for (uint64_t i = 0; i < accounts * lots; ++i) {
      operations.push_back(Accrual(1 + i % accounts, at));
      if (operations.size() < kBlockTargetSlots) continue;
      Submit(operations);
      TurnsUntilAnswered();
      operations.clear();
    }
    machine_.AdvanceMicros(2 * kMicrosPerSecond);
    // First they come forward in the schedule, which writes nothing.
    const Position before = LastPosition();
    while (LastPosition() == before) ledger_->Step();
  }

  SimIo machine_{{.late_percent = 0}};
  Process process_;
  uint64_t last_id_ = 0;
  int submitted_ = 0;
  int answered_ = 0;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(ShardTurns, FullBlockEndsTheTurn) {
  constexpr int kRequests = 8;
  for (int request = 0; request < kRequests; ++request) {
    std::vector<Operation> operations;
    for (size_t i = 0; i < kBlockTargetSlots; ++i) operations.push_back(Accrual(i + 1));
    Submit(operations);
  }
  int most_in_a_turn = 0;
  while (answered_ < kRequests) {
    const int before = answered_;
    ledger_->Step();
    most_in_a_turn = std::max(most_in_a_turn, answered_ - before);
  }
  EXPECT_EQ(most_in_a_turn, 1);
}

TEST_F(ShardTurns, WhatIsDueLeavesRoomForRequests) {
  constexpr int kRequests = 500;
  MakeDue(65'536, 4);
  for (uint64_t request = 0; request < kRequests; ++request) Submit({Accrual(1'000'000 + request)});
  EXPECT_LT(TurnsUntilAnswered(), 8);
}

TEST_F(ShardTurns, DryRunIsNotToldBeforeWhatItSawIsDurable) {
  Submit({Accrual(1)});
  TurnsUntilAnswered();
  const Operation redeem(Id(99, 2), Id(1, 3), Id(), 2, machine_.WallMicros(), 0, 0, 7, 0,
                         Kind::Redeem, 0, 0);
  const auto before = ledger_->DryRun({&redeem, 1});
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->steps[0].result.outcome(), Outcome::InsufficientPoints);

  // Of one turn: the dry run sees an accrual that is never written.
  machine_.FailWrite(1, EIO, ".log");
  const Operation accrual = Accrual(1);
  absl::Status written;
  const absl::Status taken = ledger_->Submit(
      {&accrual, 1},
      [&](absl::StatusOr<absl::Span<const Result>> results) { written = results.status(); });
  ASSERT_TRUE(taken.ok()) << taken;
  EXPECT_FALSE(ledger_->DryRun({&redeem, 1}).ok());
  EXPECT_FALSE(written.ok());
}

}  // namespace
}  // namespace tallystick::sim
