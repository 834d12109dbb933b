// Batches, the ladder of checks, receipts and programs.

#include "ledger/state_machine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/look_ahead.h"
#include "ledger/owed_counter.h"
#include "ledger/program_state.h"
#include "ledger/shape.h"

namespace tallystick::ledger {
namespace {

// Of what a receipt does not have: all but id, member and amount.
uint32_t BodyHash(const Operation& operation) {
  const auto word = [&](size_t i) {
    uint64_t value;
    std::memcpy(&value, reinterpret_cast<const std::byte*>(&operation) + i * sizeof(value),
                sizeof(value));
    return value;
  };
  static_assert(sizeof(Operation) == 11 * sizeof(uint64_t));
  constexpr size_t kRelated = 4;
  constexpr size_t kOccurredAt = 7;  // then expires_at, user_data, and the small ones
  const uint64_t related =
      FoldedProduct(word(kRelated) ^ 0xa0761d6478bd642f, word(kRelated + 1) ^ 0xe7037ed1a0b428db);
  const uint64_t dates = FoldedProduct(word(kOccurredAt) ^ 0x8ebc6af09c88c6e3,
                                       word(kOccurredAt + 1) ^ 0x589965cc75374cc3);
  return static_cast<uint32_t>(
      FoldedProduct(word(kOccurredAt + 2) ^ related, word(kOccurredAt + 3) ^ dates));
}

}  // namespace

StateMachine::StateMachine(const Limits& limits, uint64_t hash_seed, RegionSource* regions)
    : accounts_(limits.accounts, hash_seed, regions),
      lots_(limits.lots, regions),
      receipts_(limits.receipts, limits.takings, hash_seed, regions),
      holds_(limits.accounts, limits.holds, hash_seed, regions),
      transits_(regions),
      program_slots_(std::numeric_limits<uint16_t>::max() + 1),
      chain_(std::make_unique<ChainUndo>(*this)),
      image_(std::make_unique<ImageWriter>(*this)),
      owed_(std::make_unique<OwedCounter>(*this)) {
  some_lots_.reserve(kMaxLotsPerAccount);
  expired_lots_.reserve(kMaxLotsPerAccount);
}

StateMachine::~StateMachine() = default;

void StateMachine::BeginBlock(const BlockTime& time) {
  TALLYSTICK_LEDGER_CHECK(time.stamp >= block_.stamp);
  // Log time falls back from the last stamp to the last operation's: what was looked through up to
  // the stamp is to be looked through again.
  if (time.import_clock && !block_.import_clock) RebuildSchedule(0);
  block_ = time;
}

Instant StateMachine::LogTimeOf(const Operation& operation) const {
  return block_.import_clock ? std::max(log_time_, std::min(operation.occurred_at(), block_.stamp))
                             : std::max(log_time_, block_.stamp);
}

StateMachine::ProgramState* StateMachine::FindProgram(uint16_t id) const {
  const uint16_t slot = program_slots_[id];
  return slot == 0 ? nullptr : programs_[slot - 1].get();
}

size_t StateMachine::Apply(absl::Span<const Operation> operations, Result* results,
                           RecordSink& sink) {
  LookAhead look_ahead(*this, operations);
  size_t i = 0;
  while (i < operations.size()) {
    const Approach& approach = look_ahead.At(i);
    Prefetch(results + i + kWriteAhead);
    const bool linked = (operations[i].flags() & kLinked) != 0;
    const size_t count = linked ? ChainLength(operations.subspan(i)) : 1;
    const bool fitted = linked ? ApplyChain(operations.subspan(i, count), results + i, sink)
                               : ApplyOne(operations[i], approach, results[i], sink);
    if (!fitted) return i;
    i += count;
  }
  return i;
}

StateMachine::Approach StateMachine::Locate(const Operation& operation) const {
  Approach approach{accounts_.Hash(operation.program(), operation.member())};
  approach.row = accounts_.Find(approach.hash, operation.program(), operation.member());
  if (approach.row != kNoRow) approach.receipt_hash = receipts_.Hash(approach.row, operation.id());
  return approach;
}

uint32_t StateMachine::AccountOf(const Operation& operation) const {
  return accounts_.Find(operation.program(), operation.member());
}

// `account_row`: kNoRow where there is no account.
void StateMachine::Refuse(const Operation& operation, uint32_t account_row, Outcome outcome,
                          Field field, Result& result) const {
  result = Result();
  result.mutate_outcome(outcome);
  result.mutate_field(field);
  if (account_row == kNoRow) return;
  Balance settled;
  SettleAside(accounts_[account_row], account_row, LogTimeOf(operation), &settled);
  result.mutate_available(settled.available - settled.debt);
  result.mutate_pending(settled.pending);
}

void StateMachine::Refuse(Request& request, Outcome outcome) const {
  Refuse(request.operation, request.row, outcome, Field::None, request.result);
}

// True when the id is known: the result is filled in.
bool StateMachine::FindReceipt(Request& request) {
  const Operation& op = request.operation;
  if (request.row == kNoRow) return false;
  const uint32_t row = receipts_.Find(request.receipt_hash, request.row, op.id());
  if (row == kNoRow) return false;
  if (!IsLive(*request.program, receipts_[row], request.t)) {
    request.dead_receipt = row;
    return false;
  }
  const Receipt& receipt = receipts_[row];
  // Of a transfer that came back: it is as if it had been refused.
  if (receipt.kind == Kind::Transfer && receipts_.ReturnedOf(receipt).amount > 0) {
    request.dead_receipt = row;
    return false;
  }
  if (receipt.kind != op.kind() || receipt.amount != op.amount() || receipt.body != BodyHash(op)) {
    Refuse(request, Outcome::IdConflict);
    return true;
  }
  request.result = Result(receipt.points, receipt.available, receipt.pending, receipt.position,
                          Outcome::Ok, (receipt.flags & ~kHasReturns) | kReplayed, Field::None,
                          (receipt.flags & (kWrittenOff | kDetailed)) != 0 ? 1 : 0, 0);
  if (receipt.kind == Kind::Transfer && HoldOf(receipt) != kNoRow) {
    request.result.mutate_flags(request.result.flags() | kInTransit);
  }
  return true;
}

bool StateMachine::ApplyOne(const Operation& operation, const Approach& approach, Result& result,
                            Out& out) {
  result = Result();
  if (const Field field = BadField(operation); field != Field::None) {
    Refuse(operation, AccountOf(operation), Outcome::BadRequest, field, result);
    return true;
  }
  if (operation.kind() == Kind::Tick) return ApplyTick(operation, result, out);
  Request request{operation, result, out, LogTimeOf(operation)};
  request.program = FindProgram(operation.program());
  if (request.program == nullptr) {
    result.mutate_outcome(Outcome::UnknownProgram);
    return true;
  }
  request.hash = approach.hash;
  request.row = approach.row;
  request.receipt_hash = approach.receipt_hash;
  if (request.row == kNoRow ||
      !accounts_.Is(request.row, operation.program(), operation.member())) {
    const Approach located = Locate(operation);
    request.row = located.row;
    request.receipt_hash = located.receipt_hash;
  }
  if (FindReceipt(request)) return true;
  request.version = request.program->InForce(operation.occurred_at());
  request.rules = &request.program->versions[request.version].rules;
  if (request.row != kNoRow) {
    request.account = &accounts_[request.row];
    SettleAside(*request.account, request.row, request.t, &request.settled);
  }
  if (const Outcome outcome = Check(request); outcome != Outcome::Ok) {
    Refuse(request, outcome);
    return true;
  }
  // A chain has seen to its slots as a whole.
  if (!chain_->active() && out.room() < SlotsNeeded(request)) return false;
  const bool any_full = accounts_.full() || lots_.full() || receipts_.full();
  if ((any_full || MayNeedManyRows(request)) && !HasRows(request)) {
    Refuse(request, Outcome::Overloaded);
    return true;
  }
  Perform(request);
  if (!chain_->active()) {
    DropReceipts(*request.program, request.program->QueueOf(operation.kind(), request.version));
  }
  return true;
}

size_t StateMachine::SlotsNeeded(const Request& request) const {
  constexpr size_t kOwn = 3;  // the operation, a detail slot, and what expires at once
  if (request.account == nullptr) return kOwn;
  const size_t lots = request.account->lot_count;
  // What it was due for may have left.
  if (request.account->next_due <= request.t && NextDueOf(request.row) <= request.t) {
    return kOwn + 2 * lots;
  }
  // Of a hold that gives back, each lot may expire at once.
  return kOwn + (request.hold != kNoRow ? lots : 0);
}

// What has room for one row may not have it for all that the operation adds.
bool StateMachine::MayNeedManyRows(const Request& request) const {
  const Kind kind = request.operation.kind();
  if (Receipts::Takes(kind)) return receipts_.takings().room() < kMaxLotsPerAccount;
  const bool pins = kind == Kind::Hold || kind == Kind::Transfer;
  return (pins && (holds_.full() || transits_.full())) || lots_.room() < request.lots;
}

// Whether what a redemption takes can be remembered. Asked of new operations only: what the log has
// was accepted, and its replay may have let other receipts leave so far.
bool StateMachine::HasTakings(const Request& request) {
  if (replaying_ || receipts_.takings().room() >= request.account->lot_count) return true;
  if (chain_->active()) return false;
  // As of log time, at which they are dead whether this is refused or not.
  for (const auto& program : programs_) {
    for (ReceiptQueue& queue : program->queues) {
      while (DropDead(*program, queue, log_time_) > 0) {
      }
    }
  }
  if (request.dead_receipt != kNoRow) return false;  // perhaps it has left: the next try knows
  return receipts_.takings().room() >= request.account->lot_count;
}

// Rows for what the operation adds. At the limit, receipts that serve nobody leave first: otherwise
// only an accepted operation lets them go.
bool StateMachine::HasRows(Request& request) {
  if (request.row == kNoRow && accounts_.full()) return false;
  if (lots_.room() < request.lots) return false;
  const Kind kind = request.operation.kind();
  if ((kind == Kind::Hold || kind == Kind::Transfer) && holds_.full()) return false;
  if (kind == Kind::Transfer && transits_.full()) return false;
  if (Receipts::Takes(kind) && !HasTakings(request)) return false;
  if (receipts_.full() && !chain_->active()) {
    // All that is dead, whosever: then it depends on time alone whether they are full, and replay,
    // which may have let others leave so far, comes to the same.
    for (const auto& program : programs_) {
      for (ReceiptQueue& queue : program->queues) DropDead(*program, queue, request.t);
    }
    if (request.dead_receipt != kNoRow) {
      request.dead_receipt =
          receipts_.Find(request.receipt_hash, request.row, request.operation.id());
    }
  }
  return !receipts_.full();
}

bool StateMachine::ApplyTick(const Operation& operation, Result& result, Out& out) {
  const Instant t = LogTimeOf(operation);
  if (operation.occurred_at() - kSkew > t) {
    result.mutate_outcome(Outcome::TooEarly);
    return true;
  }
  if (!block_.import_clock) {
    result.mutate_outcome(Outcome::NotPermitted);
    return true;
  }
  if (out.room() == 0) return false;
  log_time_ = t;
  out.slots[out.used] = Record{operation, result};
  result.mutate_position(out.next_position());
  ++out.used;
  return true;
}

// The retention of each version bounds while it is in force, the first from the beginning of time;
// a bound once reached stays.
Instant StateMachine::TooOldBound(const ProgramState& program, Instant t) const {
  if (program.bound_at == t) return program.bound;
  const auto& versions = program.versions;
  Instant bound = versions.back().bound_before;
  for (size_t i = 0; i < versions.size(); ++i) {
    if (i > 0 && versions[i].rules.effective_us > t) break;
    const Instant from =
        i == 0 ? std::numeric_limits<Instant>::min() : versions[i].rules.effective_us;
    Instant until = t;
    if (i + 1 < versions.size()) {
      const Instant next = versions[i + 1].rules.effective_us;
      // A version that is effective from the same instant as the next was never in force.
      if (next == from) continue;
      until = std::min(t, next - 1);
    }
    bound = std::max(bound, until - versions[i].rules.retention_us);
  }
  program.bound_at = t;
  program.bound = bound;
  return bound;
}

// A receipt of the version lives at `t` if its key time is not before it.
Instant StateMachine::DeadBefore(const ProgramState& program, Kind kind, uint16_t version,
                                 Instant t) const {
  const Instant bound = TooOldBound(program, t);
  if (kind == Kind::Hold) return std::min(bound, t - kHoldReceiptLife);
  if (!ProgramState::IsLasting(kind)) return bound;
  return std::min(bound, t - program.versions[version].rules.return_life_us);
}

bool StateMachine::IsLive(const ProgramState& program, const Receipt& receipt, Instant t) const {
  return receipt.key_time >= DeadBefore(program, receipt.kind, receipt.version, t);
}

// Receipts leave a queue so many at a time, after as many have arrived: what their leaving touches
// is fetched one batch before. Twice as many may leave as arrive, so that no operation pays for a
// crowd.
constexpr uint32_t kDropBatch = 16;

// Also from the queues in which nothing arrives any more: of one after the other, all that is dead.
// Of a thousand, so many are asked at a time.
constexpr size_t kQueuesAsked = 64;

void StateMachine::DropReceipts(ProgramState& program, ReceiptQueue& queue) {
  if (queue.arrived < kDropBatch) return;
  queue.arrived = 0;
  DropDead(program, queue, log_time_);
  const size_t asked = std::min(kQueuesAsked, program.queues.size());
  for (size_t i = 0; i < asked; ++i) {
    if (DropDead(program, program.queues[program.next_drop], log_time_) > 0) return;
    if (++program.next_drop == program.queues.size()) program.next_drop = 0;
  }
}

// Returns how many have left.
uint32_t StateMachine::DropDead(ProgramState& program, ReceiptQueue& queue, Instant t) {
  if (Receipts::empty(queue)) return 0;
  const Receipt& front = receipts_.Front(queue);
  const Instant dead_before = DeadBefore(program, front.kind, front.version, t);
  uint32_t dropped = 0;
  while (dropped < 2 * kDropBatch && !Receipts::empty(queue) &&
         receipts_.Front(queue).key_time < dead_before &&
         receipts_.Front(queue).position < queue.held_from) {
    receipts_.PopFront(queue);
    ++dropped;
  }
  for (uint32_t i = 0; i < dropped; ++i) {
    const Receipt* later = receipts_.Behind(queue, Receipts::FirstPlace(queue), i);
    if (later == nullptr) break;
    receipts_.PrefetchIndex(*later);
    // The row of the next batch but one.
    ledger::Prefetch(later + 2 * kDropBatch);
  }
  return dropped;
}

void StateMachine::Accept(Request& request, Points points, uint16_t details) {
  const Position position = request.out.next_position();
  WriteRecord(request, points, details);
  const Account& account = *request.account;
  const Operation& op = request.operation;
  if (request.dead_receipt != kNoRow) {
    receipts_.Supersede(request.dead_receipt);
    chain_->Superseded(request.dead_receipt);
  }
  ReceiptQueue& queue = request.program->QueueOf(op.kind(), request.version);
  ++queue.arrived;
  request.receipt = receipts_.Append(queue, request.receipt_hash, position);
  Receipt& receipt = receipts_[request.receipt];
  receipt.id = op.id();
  receipt.key_time = std::max(op.occurred_at(), request.t);
  receipt.position = position;
  receipt.amount = op.amount();
  receipt.points = points;
  receipt.available = account.available;
  receipt.pending = account.pending;
  receipt.account = request.row;
  receipt.link = kNoRow;
  receipt.body = BodyHash(op);
  receipt.version = request.version;
  receipt.kind = op.kind();
  receipt.flags = request.flags;
  chain_->Appended(queue);
}

Result StateMachine::PutProgram(const Operation& operation, absl::Span<const uint8_t> program,
                                RecordSink& sink) {
  Result result;
  const size_t number = operation.category();
  ProgramState* state = FindProgram(operation.program());
  const size_t known = state == nullptr ? 0 : state->versions.size();
  if (number >= 1 && number <= known && state->versions[number - 1].id == operation.id()) {
    result.mutate_flags(kReplayed);
    return result;
  }
  if (number != known + 1) {
    result.mutate_outcome(Outcome::IdConflict);
    return result;
  }
  if (known == kMaxProgramVersions || (known == 0 && programs_.size() == kMaxPrograms)) {
    result.mutate_outcome(Outcome::OverLimit);
    return result;
  }
  const Instant t = std::max(log_time_, block_.import_clock ? log_time_ : block_.stamp);
  const Instant bound =
      state == nullptr ? std::numeric_limits<Instant>::min() : TooOldBound(*state, t);
  if (state == nullptr) {
    programs_.push_back(std::make_unique<ProgramState>());
    state = programs_.back().get();
    state->id = operation.program();
    program_slots_[operation.program()] = static_cast<uint16_t>(programs_.size());
  }
  log_time_ = t;
  state->bound_at.reset();
  state->queues.emplace_back();
  state->versions.push_back({operation.id(),
                             {program.begin(), program.end()},
                             CompiledProgram(*flatbuffers::GetRoot<Program>(program.data())),
                             bound});
  state->newest = static_cast<uint16_t>(known);
  const size_t details = SlotsOfProgram(program.size()) - 1;
  result.mutate_details(static_cast<uint16_t>(details));
  sink.slots[sink.used] = Record{operation, result};
  auto* bytes = reinterpret_cast<uint8_t*>(sink.slots + sink.used + 1);
  std::memset(bytes, 0, details * kSlotBytes);
  std::memcpy(bytes, program.data(), program.size());
  result.mutate_position(sink.next_position());
  sink.used += 1 + details;
  return result;
}

}  // namespace tallystick::ledger
