#ifndef TALLYSTICK_TESTS_LEDGER_LOGGED_LEDGER_H_
#define TALLYSTICK_TESTS_LEDGER_LOGGED_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "ledger/state_machine.h"
#include "tests/ledger/encoded_program.h"

namespace tallystick::ledger {

struct LogBlock {
  BlockTime time;
  Position first_position;
  std::vector<Record> slots;
};

// A state machine with its log in memory: every block that has records, as a shard would keep it.
class LoggedLedger {
 public:
  explicit LoggedLedger(const Limits& limits = {}) : limits_(limits) { machine_.emplace(limits); }

  // At one address for ever, whatever happens to it.
  StateMachine& machine() { return *machine_; }

  // Ends the open block and begins one with room for `capacity` slots.
  void BeginBlock(const BlockTime& time, size_t capacity = kMaxSlotsPerChain);
  // How many were applied: the others need the next block.
  size_t Apply(absl::Span<const Operation> operations, Result* results);
  // REQUIRES, as below: the block has room for it.
  // Of one operation or chain, as of the open block. Returns the records that would be written.
  std::vector<Record> DryRun(
      absl::Span<const Operation> operations, Result* results,
      const std::function<void(Instant t)>& look = [](Instant) {});
  // REQUIRES: the block has room for it.
  Result PutProgram(const ProgramSpec& spec);
  Result Receive(absl::Span<const Record> parcel);
  Result Finish(const StateMachine::OpenTransfer& transfer, Outcome outcome);
  // True: more may be due.
  bool SettleDue(uint32_t budget);

  size_t room() const { return sink_.room(); }
  // What the open block holds so far, and the position of its first slot.
  absl::Span<const Record> open_slots() const { return {open_.data(), sink_.used}; }
  Position open_position() const { return sink_.first_position; }

  // Ends the open block.
  const std::vector<LogBlock>& Log();
  // And returns the position of its last record.
  Position EndBlock();
  // All that is left is the first `blocks` of the log; the state machine is what they come to.
  absl::Status Restart(size_t blocks);

 private:
  Limits limits_;
  std::optional<StateMachine> machine_;
  BlockTime time_;
  std::vector<Record> open_;
  RecordSink sink_{nullptr, 0, 0, 1};
  std::vector<Record> scratch_;
  std::vector<LogBlock> log_;
};

absl::Status Replay(const std::vector<LogBlock>& log, StateMachine& machine);

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_LOGGED_LEDGER_H_
