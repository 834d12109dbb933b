#include "tests/ledger/logged_ledger.h"

#include <algorithm>

#include "ledger/check.h"

namespace tallystick::ledger {
namespace {

// Behind a block's slots, so that whoever writes past them is found out and does no harm.
constexpr size_t kGuardSlots = 64;

}  // namespace

void LoggedLedger::BeginBlock(const BlockTime& time, size_t capacity) {
  EndBlock();
  time_ = time;
  open_.resize(std::max(open_.size(), capacity + kGuardSlots));
  sink_ = {open_.data(), capacity, 0, sink_.next_position()};
  machine_->BeginBlock(time);
}

size_t LoggedLedger::Apply(absl::Span<const Operation> operations, Result* results) {
  return machine_->Apply(operations, results, sink_);
}

std::vector<Record> LoggedLedger::DryRun(absl::Span<const Operation> operations, Result* results,
                                         const std::function<void(Instant t)>& look) {
  scratch_.resize(kMaxSlotsPerChain + kGuardSlots);
  RecordSink scratch{scratch_.data(), kMaxSlotsPerChain, 0, sink_.next_position()};
  machine_->DryRun(time_, operations, results, scratch, look);
  TALLYSTICK_LEDGER_CHECK(scratch.used <= scratch.capacity);
  return {scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(scratch.used)};
}

Result LoggedLedger::PutProgram(const ProgramSpec& spec) {
  const std::vector<uint8_t> bytes = Encode(spec);
  return machine_->PutProgram(PutOf(spec, bytes), bytes, sink_);
}

Result LoggedLedger::Receive(absl::Span<const Record> parcel) {
  Result result;
  TALLYSTICK_LEDGER_CHECK(machine_->Receive(parcel, result, sink_));
  return result;
}

Result LoggedLedger::Finish(const StateMachine::OpenTransfer& transfer, Outcome outcome) {
  Result result;
  TALLYSTICK_LEDGER_CHECK(machine_->Finish(transfer, outcome, result, sink_));
  return result;
}

bool LoggedLedger::SettleDue(uint32_t budget) { return machine_->SettleDue(budget, sink_); }

const std::vector<LogBlock>& LoggedLedger::Log() {
  EndBlock();
  return log_;
}

Position LoggedLedger::EndBlock() {
  TALLYSTICK_LEDGER_CHECK(sink_.used <= sink_.capacity);
  if (sink_.used > 0) {
    log_.push_back({time_, sink_.first_position, {open_.data(), open_.data() + sink_.used}});
  }
  sink_ = {nullptr, 0, 0, sink_.next_position()};
  return sink_.first_position - 1;
}

absl::Status LoggedLedger::Restart(size_t blocks) {
  EndBlock();
  log_.resize(blocks);
  const Position next = log_.empty() ? 1 : log_.back().first_position + log_.back().slots.size();
  sink_ = {nullptr, 0, 0, next};
  machine_.emplace(limits_);
  return Replay(log_, *machine_);
}

absl::Status Replay(const std::vector<LogBlock>& log, StateMachine& machine) {
  for (const LogBlock& block : log) {
    absl::Status status = machine.Replay(block.time, block.first_position, block.slots);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::ledger
