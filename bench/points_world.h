// A ledger in memory, with members who save points up and spend them, for benchmarks of the state
// machine.

#ifndef TALLYSTICK_BENCH_POINTS_WORLD_H_
#define TALLYSTICK_BENCH_POINTS_WORLD_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "api/tally/random.h"
#include "api/tally/zipf.h"
#include "ledger/state_machine.h"

namespace tallystick::bench {

class PointsWorld {
 public:
  // Operations that are drawn, and applied, at a time.
  static constexpr size_t kChunk = 64'000;
  // Operations that pass while a receipt lives: a day of log time.
  static constexpr int64_t kReceiptsAlive = 1'000'000;

  struct Block {
    ledger::BlockTime time;
    Position first_position;
    std::vector<Record> slots;
  };

  // Each member has some points. `log`: gets every block, when it is not null.
  explicit PointsWorld(uint64_t members, std::vector<Block>* log = nullptr);

  uint64_t members() const { return members_; }
  const ledger::StateMachine& machine() const { return machine_; }

  // Members by Zipf's law; theta 0: all alike.
  void SkewMembers(double theta);

  // ---- what a member does; passed to Draw ----
  Operation Accrual(uint64_t member) { return Make(Kind::Accrue, member, Points()); }
  Operation Purchase(uint64_t member) { return Make(Kind::Purchase, member, Points()); }
  // Spends everything once it is worth it: every fifth operation.
  Operation SaveOrSpend(uint64_t member) {
    return balances_[member] >= kWorthSpending ? SpendAll(member) : Accrual(member);
  }
  // Of a member without points: earns some.
  Operation SpendAll(uint64_t member) {
    return balances_[member] > 0 ? Make(Kind::Redeem, member, balances_[member]) : Accrual(member);
  }
  Operation HoldAll(uint64_t member) {
    return balances_[member] > 0 ? Make(Kind::Hold, member, balances_[member]) : Accrual(member);
  }
  // Alternates, so that points stay few.
  Operation Adjustment(uint64_t member) {
    return balances_[member] >= kWorthSpending ? Make(Kind::Adjust, member, -balances_[member])
                                               : Make(Kind::Adjust, member, Points());
  }

  // kChunk operations of random members.
  void Draw(Operation (PointsWorld::*what)(uint64_t member));
  // Of the members drawn last, in the same order.
  void DrawAgain(Operation (PointsWorld::*what)(uint64_t member));
  // Of all purchases drawn last, whole.
  void DrawReturns();
  // In the place of each operation of kind `of` drawn last one of kind `kind` that names it; the
  // others once more.
  void DrawNaming(Kind of, Kind kind);

  // Applies what was drawn; seconds. Every operation must be accepted or replayed.
  double Apply();
  // Gives the block under way to the log.
  void EndBlock() { Begin(1); }
  // Reads the balances of the members drawn; seconds.
  double ReadBalances() const;

 private:
  static constexpr int64_t kWorthSpending = 180;  // four accruals, as a rule

  int64_t Points() { return static_cast<int64_t>(1 + random_.Below(100)); }
  Operation Make(Kind kind, uint64_t member, int64_t amount, const Id& related = Id());
  Id NewId();
  // A block in which log time has gone on by as much as `operations` are of kReceiptsAlive.
  void Begin(int64_t operations);
  // Neighbours in rank are no neighbours in memory.
  uint64_t Scatter(uint64_t rank) const { return rank * 0x9e3779b97f4a7c15 % members_; }

  const uint64_t members_;
  std::vector<Block>* const log_;
  tally::Random random_{1};
  std::optional<tally::Zipf> zipf_;
  ledger::StateMachine machine_;
  std::vector<Record> slots_;
  ledger::RecordSink sink_;
  Instant now_;
  std::vector<int32_t> balances_;  // by member, from 1
  std::vector<Operation> operations_;
  std::vector<Result> results_;
};

}  // namespace tallystick::bench

#endif  // TALLYSTICK_BENCH_POINTS_WORLD_H_
