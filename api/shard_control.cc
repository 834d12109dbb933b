// Programs and reads of one shard.

#include <algorithm>
#include <utility>

#include "api/chain_records.h"
#include "api/owed.h"
#include "api/shard.h"
#include "api/time_zones.h"
#include "ledger/program.h"

namespace tallystick {
namespace {

// Accounts and lots that are counted in one turn, of what is owed: about a hundred microseconds.
constexpr size_t kOwedBudget = 2048;

const Program& Decoded(const std::vector<uint8_t>& bytes) {
  return *flatbuffers::GetRoot<Program>(bytes.data());
}

ProgramPutAnswer Refused(const ledger::ProgramError& error) {
  return {Outcome::BadRequest, error.field, error.message, 0};
}

// What ResolveProgram could not resolve: its message begins with the field.
ledger::ProgramError Unresolved(const absl::Status& status) {
  const std::string message(status.message());
  const size_t space = message.find(' ');
  return {message.substr(0, space), space == std::string::npos ? "" : message.substr(space + 1)};
}

LotAnswer ToAnswer(const ledger::Lot& lot) {
  return {lot.position, lot.original, lot.remaining, lot.activates_at, lot.expires_at};
}

// Points that become available, and then pay debt.
struct Arrival {
  Instant at;
  Points points;
  Instant expires_at;
};

// What will become of an account if nothing is done with it, soonest first.
std::vector<BalanceEvent> EventsOf(const std::vector<ledger::Lot>& lots,
                                   const std::vector<ledger::StateMachine::OpenHold>& holds,
                                   Points debt, size_t most) {
  std::vector<BalanceEvent> events;
  std::vector<Arrival> arrivals;
  for (const auto& hold : holds) {
    events.push_back({hold.times_out_at, hold.points, Kind::HoldTimeout});
    for (const ledger::Lot& lot : hold.lots) {
      arrivals.push_back({hold.times_out_at, lot.remaining, lot.expires_at});
    }
  }
  for (const ledger::Lot& lot : lots) {
    if (lot.pending && ledger::WillActivate(lot)) {
      events.push_back({lot.activates_at, lot.remaining, Kind::Activation});
      arrivals.push_back({lot.activates_at, lot.remaining, lot.expires_at});
    } else if (lot.expires_at != kNever) {
      events.push_back({lot.expires_at, lot.remaining, Kind::Expiry});
    }
  }
  // At one instant holds time out before lots activate.
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.at < b.at; });
  for (const Arrival& arrival : arrivals) {
    const Points paid = std::min(debt, arrival.points);
    debt -= paid;
    if (arrival.expires_at == kNever || arrival.points == paid) continue;
    events.push_back(
        {std::max(arrival.at, arrival.expires_at), arrival.points - paid, Kind::Expiry});
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const BalanceEvent& a, const BalanceEvent& b) { return a.at < b.at; });
  if (events.size() > most) events.resize(most);
  return events;
}

}  // namespace

bool Shard::ServePut(ControlRequest& request) {
  const Program& source = Decoded(request.bytes);
  const Id id = request.put.id();
  if (const auto error = ledger::CheckProgram(source)) {
    request.answer = Refused(*error);
    return true;
  }
  request.program = static_cast<uint16_t>(source.id());
  const auto& versions = machine_->VersionsOf(request.program);
  size_t version = 1;
  while (version <= versions.size() && versions[version - 1].id != id) ++version;
  const bool resent = version <= versions.size();
  const Instant now = resent ? versions[version - 1].rules.effective_us : Now();
  absl::StatusOr<std::vector<uint8_t>> resolved =
      ResolveProgram(source, static_cast<uint16_t>(version), now);
  if (!resolved.ok()) {
    request.answer = Refused(Unresolved(resolved.status()));
    return true;
  }
  if (resent && *resolved != versions[version - 1].bytes) {
    request.answer =
        ProgramPutAnswer{Outcome::IdConflict, "", "another program was put under this id", 0};
    return true;
  }
  if (const auto error = ledger::CheckProgram(Decoded(*resolved))) {
    request.answer = Refused(*error);
    return true;
  }
  if (!resent && !versions.empty()) {
    if (const auto error =
            ledger::CheckSuccessor(Decoded(versions.back().bytes), Decoded(*resolved))) {
      request.answer = Refused(*error);
      return true;
    }
  }
  if (resolved->size() > ledger::kMaxProgramBytes) {
    request.answer = Refused({"name", "makes the program too large"});
    return true;
  }
  std::vector<uint8_t> original = std::exchange(request.bytes, *std::move(resolved));
  request.put = Operation(id, Id(), Id(), static_cast<int64_t>(request.bytes.size()), Now(), 0, 0,
                          request.program, static_cast<uint16_t>(version), Kind::ProgramPut, 0, 0);
  if (Install(request)) return true;
  request.bytes = std::move(original);
  return false;
}

bool Shard::Install(ControlRequest& request) {
  ledger::RecordSink* sink = Sink(ledger::StateMachine::SlotsOfProgram(request.bytes.size()));
  if (sink != nullptr &&
      sink->room() < ledger::StateMachine::SlotsOfProgram(request.bytes.size())) {
    SealBlock();
    sink = Sink(ledger::StateMachine::SlotsOfProgram(request.bytes.size()));
  }
  ProgramPutAnswer answer;
  answer.version = request.put.category();
  if (sink == nullptr) {
    if (RoomWillCome()) return false;
    answer.outcome = Outcome::Overloaded;
  } else {
    answer.outcome = machine_->PutProgram(request.put, request.bytes, *sink).outcome();
    // A put may overtake the one before it on its way from shard 0: says what is here.
    if (answer.outcome == Outcome::IdConflict) {
      answer.version = static_cast<uint16_t>(machine_->VersionsOf(request.put.program()).size());
    }
  }
  request.answer = std::move(answer);
  return true;
}

Operation Shard::PutOf(uint16_t program, uint16_t version) const {
  const auto& put = machine_->VersionsOf(program)[version - 1];
  return Operation(put.id, Id(), Id(), static_cast<int64_t>(put.bytes.size()), 0, 0, 0, program,
                   version, Kind::ProgramPut, 0, 0);
}

void Shard::ServeProgram(ControlRequest& request) {
  const auto& versions = machine_->VersionsOf(request.program);
  if (request.version == 0) request.version = static_cast<uint16_t>(versions.size());
  if (request.version == 0 || request.version > versions.size()) return;
  request.put = PutOf(request.program, request.version);
  request.bytes = versions[request.version - 1].bytes;
}

Outcome Shard::Known(const ControlRequest& request) const {
  if (machine_->VersionsOf(request.program).empty()) return Outcome::UnknownProgram;
  return machine_->LastPosition(request.program, request.member) == 0 ? Outcome::UnknownMember
                                                                      : Outcome::Ok;
}

void Shard::ServeStatement(ControlRequest& request) {
  StatementAnswer answer;
  answer.outcome = Known(request);
  request.head = machine_->LastPosition(request.program, request.member);
  request.answer = std::move(answer);
}

// Head 0: nothing is to be looked for.
void Shard::ServeTransaction(ControlRequest& request) {
  TransactionAnswer answer;
  answer.outcome = Known(request);
  if (answer.outcome == Outcome::Ok && IsZero(request.transaction)) {
    answer.outcome = Outcome::UnknownOriginal;
  }
  if (answer.outcome == Outcome::Ok) {
    request.head = machine_->LastPosition(request.program, request.member);
  }
  request.answer = answer;
}

void Shard::ServeLots(ControlRequest& request) {
  LotsAnswer answer;
  answer.outcome = Known(request);
  answer.as_of = Now();
  for (const ledger::Lot& lot : machine_->LotsAt(request.program, request.member, answer.as_of)) {
    answer.lots.push_back(ToAnswer(lot));
  }
  for (const auto& hold : machine_->HoldsAt(request.program, request.member, answer.as_of)) {
    HoldAnswer& open = answer.holds.emplace_back();
    open.position = hold.position;
    open.times_out_at = hold.times_out_at;
    open.points = hold.points;
    for (const ledger::Lot& lot : hold.lots) open.lots.push_back(ToAnswer(lot));
  }
  request.answer = std::move(answer);
}

void Shard::ServeBalance(ControlRequest& request) {
  BalanceAnswer answer;
  answer.outcome = Known(request);
  answer.as_of = std::max(request.as_of, Now());
  if (answer.outcome == Outcome::Ok) {
    const auto balance = machine_->BalanceAt(request.program, request.member, answer.as_of);
    answer.position = machine_->LastPosition(request.program, request.member);
    answer.pending = balance->pending;
    answer.available = balance->available;
    answer.debt = balance->debt;
    answer.held = balance->held;
    answer.lifetime_earned = balance->lifetime_earned;
    answer.status = machine_->StatusOf(request.program, request.member);
    answer.events = EventsOf(machine_->LotsAt(request.program, request.member, answer.as_of),
                             machine_->HoldsAt(request.program, request.member, answer.as_of),
                             answer.debt, request.limit);
  }
  request.answer = std::move(answer);
}

namespace {

// The records that a dry run would write, told to its steps and as events.
void TellRecords(absl::Span<const Record> slots, DryRunAnswer& answer) {
  size_t step = 0;
  for (size_t i = 0; i < slots.size(); i += SlotsOf(slots[i])) {
    const Record& record = slots[i];
    if (IsDerived(record.operation.kind())) {
      ++answer.event_count;
      if (answer.events.size() == kMaxBalanceEvents) continue;
      answer.events.push_back(
          {record.operation.occurred_at(), record.operation.amount(), record.operation.kind()});
      continue;
    }
    // Replayed ones leave no record.
    while ((answer.steps[step].result.flags() & kReplayed) != 0) ++step;
    const absl::Span<const Record> behind = slots.subspan(i + 1);
    answer.steps[step++].detail =
        DetailOf(record, {reinterpret_cast<const wal::Slot*>(behind.data()), behind.size()});
  }
}

// What the steps would make and leave, by the positions that they would have.
void TellDates(const std::vector<ledger::Lot>& lots,
               const std::vector<ledger::StateMachine::OpenHold>& holds, DryRunAnswer& answer) {
  for (DryRunStep& step : answer.steps) {
    const bool is_new =
        step.result.outcome() == Outcome::Ok && (step.result.flags() & kReplayed) == 0;
    if (!is_new) continue;
    for (const ledger::Lot& lot : lots) {
      if (lot.position != step.result.position()) continue;
      step.activates_at = lot.activates_at;
      step.expires_at = lot.expires_at;
    }
    for (const auto& hold : holds) {
      if (hold.position == step.result.position()) step.times_out_at = hold.times_out_at;
    }
    step.result.mutate_position(0);
  }
}

}  // namespace

void Shard::ServeDryRun(ControlRequest& request) {
  scratch_.resize(ledger::kMaxSlotsPerChain);
  ledger::RecordSink scratch{scratch_.data(), scratch_.size(), 0, LastPosition() + 1};
  std::vector<Result> results(request.operations.size());
  const Operation& first = request.operations.front();
  DryRunAnswer answer;
  const auto look = [&](Instant t) {
    answer.time = t;
    for (Result& result : results) {
      // Nobody waits for a transfer that is not made: its receiver is not asked.
      result.mutate_flags(result.flags() & static_cast<uint8_t>(~kInTransit));
      answer.steps.emplace_back().result = result;
    }
    TellRecords({scratch.slots, scratch.used}, answer);
    TellDates(machine_->LotsAt(first.program(), first.member(), t),
              machine_->HoldsAt(first.program(), first.member(), t), answer);
    const auto balance = machine_->BalanceAt(first.program(), first.member(), t);
    if (!balance.has_value()) return;
    answer.pending = balance->pending;
    answer.available = balance->available;
    answer.held = balance->held;
    answer.debt = balance->debt;
    answer.status = machine_->StatusOf(first.program(), first.member());
  };
  machine_->DryRun({std::max(stamp_, clock_), options_.clock == ClockMode::kImport},
                   request.operations, results.data(), scratch, look);
  request.answer = std::move(answer);
}

// Where nothing is due: what is owed now is settled.
void Shard::CountOwed() {
  while (!waiting_owed_.empty()) {
    auto& request = static_cast<ControlRequest&>(*waiting_owed_.front());
    if (!counting_owed_) {
      counting_owed_ = machine_->BeginOwed(
          request.program, request.as_of > Now() ? request.as_of : ledger::kAsTheyStand);
      if (counting_owed_) return;  // it takes turns
      OwedAnswer unknown;
      unknown.outcome = Outcome::UnknownProgram;
      unknown.shards.push_back({LastPosition(), Now()});
      request.answer = std::move(unknown);
    } else {
      if (!machine_->ContinueOwed(kOwedBudget) || !TotalsAreSettled()) return;
      TellOwedTo(request);
      counting_owed_ = false;
    }
    Hold(waiting_owed_.Pop());
  }
}

void Shard::TellOwedTo(ControlRequest& request) {
  // The clock may have come to it while the others were counted.
  const Instant as_of = request.as_of > Now() ? request.as_of : ledger::kAsTheyStand;
  OwedAnswer answer = TellOwed(*machine_, request.program, as_of, machine_->EndOwed());
  if (as_of == ledger::kAsTheyStand) answer.as_of = Now();
  answer.shards.push_back({LastPosition(), Now()});
  request.answer = std::move(answer);
}

Position Shard::LastPosition() const {
  return (block_open_ ? sink_.next_position() : writer_->next_position()) - 1;
}

void Shard::ServeShard(ControlRequest& request) {
  const ledger::StateMachine::Sizes sizes = machine_->sizes();
  request.answer = ShardState{.position = LastPosition(),
                              .time = Now(),
                              .segment = writer_->index().last_segment(),
                              .accounts = sizes.accounts,
                              .receipts = sizes.receipts,
                              .memory_bytes = sizes.bytes};
}

void Shard::ServeTotals(ControlRequest& request) {
  TotalsAnswer answer;
  answer.shards.push_back({LastPosition(), Now()});
  if (const ledger::Totals* totals = machine_->TotalsOf(request.program)) {
    answer.members = totals->members;
    answer.issued = totals->issued;
    answer.redeemed = totals->redeemed;
    answer.expired = totals->expired;
    answer.clawed_back = totals->clawed_back;
    answer.written_off = totals->written_off;
    answer.adjusted = totals->adjusted;
    answer.reinstated = totals->reinstated;
    answer.forgiven = totals->forgiven;
    answer.pending = totals->pending;
    answer.available = totals->available;
    answer.held = totals->held;
    answer.debt = totals->debt;
    answer.forfeited = totals->forfeited;
    answer.closed_out = totals->closed_out;
    answer.sent = totals->sent;
    answer.received = totals->received;
  } else {
    answer.outcome = Outcome::UnknownProgram;
  }
  request.answer = std::move(answer);
}

}  // namespace tallystick
