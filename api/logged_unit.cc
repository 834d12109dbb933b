#include "api/logged_unit.h"

#include <algorithm>

#include "api/replay_block.h"
#include "ledger/state_machine.h"

namespace tallystick {
namespace {

class Cutter {
 public:
  Cutter(const wal::BlockView& block, Instant& log_time, size_t most_links)
      : slots_(reinterpret_cast<const Record*>(block.slots.data()), block.slots.size()),
        first_position_(block.header->first_position),
        stamp_(block.header->timestamp_us),
        import_clock_((block.header->flags & kBlockImportClock) != 0),
        most_links_(most_links),
        log_time_(log_time) {}

  std::vector<LoggedUnit> Cut();

 private:
  // The index behind the unit that begins at `begin`.
  size_t CutOne(size_t begin, LoggedUnit& unit);
  size_t CutOperations(size_t operation, LoggedUnit& unit);
  bool ContinuesChain(size_t from, size_t to, size_t links) const;
  // The first record from `i` on that is not derived, or the last of a settling by itself.
  size_t BehindDerived(size_t i) const;
  // Behind an operation, its details, and what happened at once to its lot: events that were due
  // before it stand before it.
  size_t BehindOperation(size_t i) const;
  // What the operation alone gives for log time.
  Instant OwnTime(const Operation& operation) const {
    return import_clock_ ? std::min<Instant>(operation.occurred_at(), stamp_) : stamp_;
  }
  bool IsTicked(size_t i) const {
    return IsDerived(slots_[i].operation.kind()) && (slots_[i].result.flags() & kTicked) != 0;
  }

  const absl::Span<const Record> slots_;
  const Position first_position_;
  const Instant stamp_;
  const bool import_clock_;
  const size_t most_links_;
  Instant& log_time_;
};

size_t Cutter::BehindDerived(size_t i) const {
  while (i < slots_.size() && IsDerived(slots_[i].operation.kind()) && !IsTicked(i)) ++i;
  return i;
}

size_t Cutter::BehindOperation(size_t i) const {
  const Operation& operation = slots_[i].operation;
  size_t end = i + SlotsOf(slots_[i]);
  while (end < slots_.size() && IsDerived(slots_[end].operation.kind()) && !IsTicked(end) &&
         slots_[end].operation.member() == operation.member() &&
         slots_[end].operation.program() == operation.program() &&
         slots_[end].operation.occurred_at() <= log_time_) {
    ++end;
  }
  return end;
}

std::vector<LoggedUnit> Cutter::Cut() {
  std::vector<LoggedUnit> units;
  for (size_t i = 0; i < slots_.size();) {
    LoggedUnit unit;
    unit.import_clock = import_clock_;
    unit.position = first_position_ + i;
    const size_t end = std::min(CutOne(i, unit), slots_.size());
    unit.end_time = log_time_;
    unit.slots = slots_.subspan(i, end - i);
    units.push_back(unit);
    i = end;
  }
  return units;
}

size_t Cutter::CutOne(size_t begin, LoggedUnit& unit) {
  const size_t at = BehindDerived(begin);
  const bool is_put = at < slots_.size() && slots_[at].operation.kind() == Kind::ProgramPut;
  if (at == slots_.size() || IsTicked(at) || is_put) {
    unit.type = is_put ? LoggedUnit::Type::kProgram : LoggedUnit::Type::kSettling;
    log_time_ = import_clock_ ? log_time_ : std::max(log_time_, stamp_);
    unit.time = log_time_;
    unit.closed_by = first_position_ + at;
    return is_put ? at + SlotsOf(slots_[at]) : at + 1;
  }
  return CutOperations(at, unit);
}

size_t Cutter::CutOperations(size_t operation, LoggedUnit& unit) {
  const Operation& first = slots_[operation].operation;
  if (first.kind() == Kind::Tick) unit.type = LoggedUnit::Type::kTick;
  unit.late = OwnTime(first) < log_time_;
  unit.time = std::max(log_time_, OwnTime(first));
  log_time_ = unit.time;
  size_t end = BehindOperation(operation);
  for (size_t links = 1;; ++links) {
    const size_t next = BehindDerived(end);
    if (next >= slots_.size() || !ContinuesChain(operation, next, links)) break;
    operation = next;
    log_time_ = std::max(log_time_, OwnTime(slots_[next].operation));
    end = BehindOperation(next);
  }
  unit.closed_by = first_position_ + operation;
  return end;
}

// Links that were known already left no record: what follows the last one may be another request.
bool Cutter::ContinuesChain(size_t from, size_t to, size_t links) const {
  const Operation& link = slots_[from].operation;
  const Operation& next = slots_[to].operation;
  return (link.flags() & kLinked) != 0 && links < most_links_ && !IsTicked(to) &&
         next.kind() != Kind::ProgramPut && next.kind() != Kind::Transfer &&
         !IsBetweenShards(next.kind()) && next.member() == link.member() &&
         next.program() == link.program();
}

}  // namespace

std::vector<LoggedUnit> UnitsOf(const wal::BlockView& block, Instant& log_time,
                                bool divide_chains) {
  if (block.header->type != wal::BlockType::kRecords) return {};
  const size_t most_links = divide_chains ? 1 : ledger::kMaxChainOperations;
  return Cutter(block, log_time, most_links).Cut();
}

}  // namespace tallystick
