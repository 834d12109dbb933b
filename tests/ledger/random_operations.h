#ifndef TALLYSTICK_TESTS_LEDGER_RANDOM_OPERATIONS_H_
#define TALLYSTICK_TESTS_LEDGER_RANDOM_OPERATIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ledger/state_machine.h"
#include "tests/ledger/random_programs.h"
#include "tests/model/naive_types.h"

namespace tallystick::ledger {

// What the operations of a run are like.
struct OperationTaste {
  int64_t first_member = 1;
  int64_t members = 10;
  int64_t last_receiver = 10;  // of transfers, from the first of all
  int64_t largest_points = 300;
  int64_t chain_percent = 4;
  int64_t resend_percent = 10;
  int64_t transfer_percent = 5;
};

// Draws operations that hit the ledger's edges often: instants at which lots, receipts and versions
// change, to the microsecond; ids, purchases and members that came before.
class RandomOperations {
 public:
  RandomOperations(Random& random, StateMachine& machine, const OperationTaste& taste)
      : random_(random), machine_(machine), taste_(taste) {}

  void AddProgram(const model::Program& version) { versions_.push_back(version); }
  const std::vector<model::Program>& versions() const { return versions_; }

  // One request: some operations, some of them chains. `now` is the log time under the import
  // clock.
  std::vector<model::Operation> Request(model::Instant now, bool import_clock);

  // Of the last request: what later operations name is taken from here as a rule.
  void Accepted(const model::Operation& operation);

  // An instant at which something changes, or one microsecond beside it.
  model::Instant Edge(model::Instant now);
  // How far clocks move: from nothing to years.
  model::Instant Leap();

  model::Id AnyMember() {
    const int64_t last = taste_.first_member + taste_.members - 1;
    return {0, static_cast<uint64_t>(random_.Between(taste_.first_member, last))};
  }
  // Rarely one that is nowhere.
  model::Id AnyReceiver() {
    return {random_.OneIn(15) ? 1u : 0u,
            static_cast<uint64_t>(random_.Between(1, taste_.last_receiver))};
  }

 private:
  model::Operation Draw(model::Instant now, bool import_clock);
  model::Operation Resent();
  void DrawKind(model::Operation& op, bool import_clock);
  void DrawAmount(model::Operation& op);
  void DrawReturn(model::Operation& op);
  // Of an operation that names another: most often one that it can.
  void DrawRelated(model::Operation& op);
  void DrawExpiry(model::Operation& op, model::Instant now);
  // Makes one field meaningless.
  void Spoil(model::Operation& op);
  model::Instant DrawOccurredAt(model::Instant now, bool import_clock);
  void AppendChain(std::vector<model::Operation>& request, model::Instant now, bool import_clock);

  Random& random_;
  StateMachine& machine_;
  OperationTaste taste_;
  std::vector<model::Program> versions_;  // of all programs
  std::vector<model::Operation> past_;
  std::vector<model::Operation> earning_;  // accruals and purchases of the past
  std::vector<model::Operation> holds_;
  std::vector<model::Operation> accepted_holds_;
  std::vector<model::Operation> takings_;  // redemptions and captures
  std::vector<model::Operation> accepted_takings_;
  uint64_t last_id_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_RANDOM_OPERATIONS_H_
