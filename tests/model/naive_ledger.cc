#include "tests/model/naive_ledger.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <utility>

namespace tallystick::model {
namespace {

constexpr int64_t kSkew = 5 * kMinute;

bool ChainIsWellFormed(const std::vector<Operation>& chain) {
  if (chain.size() > kMaxChainSize) return false;
  if ((chain.back().flags & kLinked) != 0) return false;
  return std::all_of(chain.begin(), chain.end(), [&](const Operation& operation) {
    return operation.program == chain.front().program && operation.member == chain.front().member &&
           static_cast<Kind>(operation.kind) != Kind::kTick &&
           static_cast<Kind>(operation.kind) != Kind::kTransfer;
  });
}

__int128 NetOf(const Balance& balance) {
  return static_cast<__int128>(balance.pending) + balance.available + balance.held - balance.debt;
}

void Check(bool is_true, uint16_t program, const char* what) {
  if (is_true) return;
  std::fprintf(stderr, "naive ledger: program %u: %s\n", static_cast<unsigned>(program), what);
  std::abort();
}

void CheckHolds(uint16_t program, const Account& account) {
  Check(account.OpenHolds() + account.transits.size() <= kMaxOpenHolds, program,
        "an account has too many holds and transfers on their way");
  for (const AccountHold& hold : account.holds) {
    const bool is_open = hold.state == AccountHold::State::kOpen;
    Check(is_open == (hold.Points() > 0), program, "only an open hold has points");
    for (const HeldPart& part : hold.parts) {
      Check(part.points > 0, program, "a hold has nothing of its lot");
    }
  }
}

}  // namespace

void NaiveLedger::PutProgram(const Program& program, Instant log_time) {
  state_.log_time = std::max(state_.log_time, log_time);
  state_.programs[program.id].history.Put(program, state_.log_time);
}

void NaiveLedger::BeginBlock(Instant stamp, bool import_clock) {
  stamp_ = stamp;
  import_clock_ = import_clock;
}

Instant NaiveLedger::Now() const {
  return import_clock_ ? state_.log_time : std::max(state_.log_time, stamp_);
}

std::vector<Result> NaiveLedger::Apply(const std::vector<Operation>& operations) {
  std::vector<Result> results;
  std::vector<Operation> chain;
  for (size_t i = 0; i < operations.size(); ++i) {
    chain.push_back(operations[i]);
    const bool goes_on = (operations[i].flags & kLinked) != 0 && i + 1 < operations.size();
    if (goes_on) continue;
    const std::vector<Result> of_chain = ApplyChain(chain);
    results.insert(results.end(), of_chain.begin(), of_chain.end());
    chain.clear();
  }
  return results;
}

std::vector<Result> NaiveLedger::ApplyChain(const std::vector<Operation>& chain) {
  const bool is_single = chain.size() == 1 && (chain.front().flags & kLinked) == 0;
  if (is_single) return {ApplyOne(chain.front())};

  std::vector<Result> results;
  if (!ChainIsWellFormed(chain)) {
    for (const Operation& operation : chain) {
      results.push_back(Refusal(operation, Outcome::kBadRequest, Field::kChain));
    }
    return results;
  }
  const State before = state_;
  for (const Operation& operation : chain) {
    results.push_back(ApplyOne(operation));
    if (results.back().outcome == Outcome::kOk) continue;
    const size_t failed = results.size() - 1;
    const Result failure = results.back();
    state_ = before;
    results.clear();
    for (size_t i = 0; i < chain.size(); ++i) {
      results.push_back(i == failed ? failure : Refusal(chain[i], Outcome::kChainRefused));
    }
    return results;
  }
  return results;
}

Instant NaiveLedger::LogTimeOf(const Operation& operation) const {
  const Instant latest = import_clock_ ? std::min(operation.occurred_at, stamp_) : stamp_;
  return std::max(state_.log_time, latest);
}

Result NaiveLedger::ApplyOne(const Operation& operation) {
  const Instant t = LogTimeOf(operation);
  const Field bad_field = BadField(operation);
  if (bad_field != Field::kNone) return Refusal(operation, Outcome::kBadRequest, bad_field);
  if (static_cast<Kind>(operation.kind) == Kind::kTick) return ApplyTick(operation, t);

  const auto program = state_.programs.find(operation.program);
  if (program == state_.programs.end()) return Refusal(operation, Outcome::kUnknownProgram);
  const ProgramHistory& history = program->second.history;

  const Member* member = FindMember(operation.program, operation.member);
  const Receipt* receipt =
      member == nullptr ? nullptr : FindLiveReceipt(member->receipts, operation.id, history, t);
  if (receipt != nullptr) {
    if (operation != receipt->operation) return Refusal(operation, Outcome::kIdConflict);
    Result original = receipt->result;
    original.replayed = true;
    original.details.clear();
    original.in_transit = member->account.FindTransit(original.sequence) != nullptr;
    return original;
  }
  if (operation.occurred_at > t + kSkew) return Refusal(operation, Outcome::kTooEarly);
  if (operation.occurred_at < history.TooOldBound(t)) return Refusal(operation, Outcome::kTooOld);
  return Run(operation, t, program->second);
}

Result NaiveLedger::ApplyTick(const Operation& operation, Instant t) {
  if (operation.occurred_at > t + kSkew) return Refusal(operation, Outcome::kTooEarly);
  if (!import_clock_) return Refusal(operation, Outcome::kNotPermitted);
  state_.log_time = t;
  Result result;
  result.sequence = ++state_.last_sequence;
  return result;
}

Result NaiveLedger::Run(const Operation& operation, Instant t, ProgramState& program) {
  const Kind kind = static_cast<Kind>(operation.kind);
  const size_t version_index = program.history.IndexInForce(operation.occurred_at);
  const bool enrols =
      kind == Kind::kEnrol || ((kind == Kind::kAccrue || kind == Kind::kPurchase) &&
                               program.history.version(version_index).implicit_enrolment);
  const Member* existing = FindMember(operation.program, operation.member);
  if (existing == nullptr && !enrols) return Refusal(operation, Outcome::kUnknownMember);

  if (existing != nullptr && existing->account.closed) return Refusal(operation, Outcome::kClosed);
  if (existing != nullptr && existing->account.frozen &&
      (kind == Kind::kRedeem || kind == Kind::kHold || kind == Kind::kTransfer)) {
    return Refusal(operation, Outcome::kFrozen);
  }

  const Member nobody;
  const Member& former = existing == nullptr ? nobody : *existing;
  Attempt attempt{.operation = operation,
                  .history = program.history,
                  .receipts = former.receipts,
                  .t = t,
                  .sequence = state_.last_sequence + 1,
                  .version_index = version_index,
                  .transits_of_shard = OpenTransfers().size(),
                  .account = former.account,
                  .movements = program.movements};
  const std::vector<AccountEvent> settled = attempt.account.Settle(t);
  const Balance before = attempt.account.CurrentBalance();
  const Outcome outcome = RunKind(attempt);
  if (outcome != Outcome::kOk) return Refusal(operation, outcome);

  const Balance after = attempt.account.CurrentBalance();
  Result result;
  result.points = static_cast<int64_t>(NetOf(after) - NetOf(before));
  result.available = after.available - after.debt;
  result.pending = after.pending;
  result.enrolled = existing == nullptr;
  result.written_off = attempt.written_off;
  result.detailed = attempt.detailed;
  result.details = attempt.details;
  result.in_transit = kind == Kind::kTransfer;
  result.sequence = attempt.sequence;

  // Only the lot that the operation has made and what a hold has given back can be due: what of
  // them expires at once.
  const std::vector<AccountEvent> behind = attempt.account.Settle(t);
  attempt.movements.expired += ExpiredIn(settled) + ExpiredIn(behind);

  Member& member = program.members[operation.member];
  member.account = std::move(attempt.account);
  for (const auto& [id, receipt] : attempt.changed_receipts) member.receipts[id] = receipt;
  member.receipts[operation.id] = {.operation = operation,
                                   .result = result,
                                   .key_time = std::max(operation.occurred_at, t),
                                   .version_index = version_index,
                                   .granted = attempt.granted,
                                   .takings = attempt.takings};
  program.movements = attempt.movements;
  if (attempt.joining.has_value()) state_.joinings.push_back(*attempt.joining);
  state_.log_time = t;
  state_.last_sequence = attempt.sequence;
  Derive(operation.program, operation.member, settled);
  Derive(operation.program, operation.member, behind);
  return result;
}

Result NaiveLedger::Refusal(const Operation& operation, Outcome outcome, Field field) const {
  Result result;
  result.outcome = outcome;
  result.field = field;
  const std::optional<Balance> settled =
      BalanceAt(operation.program, operation.member, LogTimeOf(operation));
  if (settled.has_value()) {
    result.available = settled->available - settled->debt;
    result.pending = settled->pending;
  }
  return result;
}

void NaiveLedger::Derive(uint16_t program, const Id& member,
                         const std::vector<AccountEvent>& events) {
  for (const AccountEvent& event : events) {
    state_.derived.push_back({.kind = event.kind,
                              .member = member,
                              .program = program,
                              .points = event.points,
                              .at = event.at,
                              .origin_sequence = event.origin,
                              .available = event.available,
                              .pending = event.pending});
  }
}

std::vector<Derived> NaiveLedger::TakeDerived() { return std::exchange(state_.derived, {}); }

void NaiveLedger::SettleMember(uint16_t program_id, const Id& member_id) {
  ProgramState& program = state_.programs.at(program_id);
  const Instant now = Now();
  const std::vector<AccountEvent> events = program.members.at(member_id).account.Settle(now);
  if (events.empty()) return;
  state_.log_time = now;
  program.movements.expired += ExpiredIn(events);
  Derive(program_id, member_id, events);
}

void NaiveLedger::SettleAll() {
  for (const auto& [id, program] : state_.programs) {
    for (const auto& [member_id, member] : program.members) SettleMember(id, member_id);
  }
}

const Member* NaiveLedger::FindMember(uint16_t program, const Id& member) const {
  const auto found_program = state_.programs.find(program);
  if (found_program == state_.programs.end()) return nullptr;
  const auto found = found_program->second.members.find(member);
  return found == found_program->second.members.end() ? nullptr : &found->second;
}

std::optional<Balance> NaiveLedger::BalanceAt(uint16_t program, const Id& member,
                                              Instant instant) const {
  const Member* found = FindMember(program, member);
  if (found == nullptr) return std::nullopt;
  Account aside = found->account;
  aside.Settle(instant);
  return aside.CurrentBalance();
}

std::vector<Lot> NaiveLedger::LotsAt(uint16_t program, const Id& member, Instant instant) const {
  const Member* found = FindMember(program, member);
  if (found == nullptr) return {};
  Account aside = found->account;
  aside.Settle(instant);

  std::vector<AccountLot*> order = aside.AvailableInSpendingOrder();
  const size_t available = order.size();
  for (AccountLot& lot : aside.lots) {
    if (lot.pending && lot.remaining > 0) order.push_back(&lot);
  }
  std::sort(order.begin() + static_cast<std::ptrdiff_t>(available), order.end(),
            [](const AccountLot* a, const AccountLot* b) {
              return std::tuple(a->activates_at, a->origin) <
                     std::tuple(b->activates_at, b->origin);
            });
  std::vector<Lot> lots;
  lots.reserve(order.size());
  for (const AccountLot* lot : order) {
    lots.push_back(
        {lot->remaining, lot->original, lot->activates_at, lot->expires_at, lot->pending});
  }
  return lots;
}

std::vector<Hold> NaiveLedger::HoldsAt(uint16_t program, const Id& member, Instant instant) const {
  const Member* found = FindMember(program, member);
  if (found == nullptr) return {};
  Account aside = found->account;
  aside.Settle(instant);

  std::vector<Hold> holds;
  for (const AccountHold& of_account : aside.holds) {
    if (of_account.state != AccountHold::State::kOpen) continue;
    Hold hold;
    hold.sequence = of_account.position;
    hold.times_out_at = of_account.times_out_at;
    hold.points = of_account.Points();
    for (const HeldPart& part : aside.InSpendingOrder(of_account.parts)) {
      const AccountLot& lot = aside.LotOf(part.origin);
      hold.lots.push_back(
          {part.points, lot.original, lot.activates_at, lot.expires_at, lot.pending});
    }
    holds.push_back(hold);
  }
  return holds;
}

Totals NaiveLedger::TotalsOf(uint16_t program) const {
  Totals totals;
  const auto found = state_.programs.find(program);
  if (found == state_.programs.end()) return totals;
  const Movements& movements = found->second.movements;
  totals.members = static_cast<int64_t>(found->second.members.size());
  totals.issued = movements.issued;
  totals.redeemed = movements.redeemed;
  totals.expired = movements.expired;
  totals.forfeited = movements.forfeited;
  totals.closed_out = movements.closed_out;
  totals.clawed_back = movements.clawed_back;
  totals.written_off = movements.written_off;
  totals.adjusted = movements.adjusted;
  totals.reinstated = movements.reinstated;
  totals.forgiven = movements.forgiven;
  totals.sent = movements.sent;
  totals.received = movements.received;
  for (const auto& [member_id, member] : found->second.members) {
    const Balance balance = member.account.CurrentBalance();
    totals.pending += balance.pending;
    totals.available += balance.available;
    totals.held += balance.held;
    totals.debt += balance.debt;
  }
  return totals;
}

std::vector<std::pair<Id, Balance>> NaiveLedger::Members(uint16_t program) const {
  std::vector<std::pair<Id, Balance>> members;
  const auto found = state_.programs.find(program);
  if (found == state_.programs.end()) return members;
  for (const auto& [member_id, member] : found->second.members) {
    members.emplace_back(member_id, member.account.CurrentBalance());
  }
  return members;
}

void NaiveLedger::CheckConservation() const {
  for (const auto& [id, program] : state_.programs) {
    const Totals totals = TotalsOf(id);
    const __int128 moved = static_cast<__int128>(totals.issued) + totals.reinstated +
                           totals.adjusted + totals.forgiven - totals.redeemed - totals.expired -
                           totals.clawed_back;
    const __int128 outstanding =
        static_cast<__int128>(totals.pending) + totals.available + totals.held - totals.debt;
    const __int128 sent_away = static_cast<__int128>(totals.sent) - totals.received;
    Check(moved == outstanding + sent_away, id, "the movements are not the outstanding points");

    __int128 lifetime_earned = 0;
    __int128 lost = 0;
    __int128 on_their_way = 0;
    __int128 remembered_as_written_off = 0;
    for (const auto& [member_id, member] : program.members) {
      const Balance balance = member.account.CurrentBalance();
      lifetime_earned += balance.lifetime_earned;
      Check(balance.debt >= 0, id, "a debt is negative");
      Check(balance.debt == 0 || balance.available == 0, id, "a member in debt has points");
      Check(member.account.LotsWithPoints() <= kMaxLotsWithPoints, id,
            "an account has too many lots");
      CheckHolds(id, member.account);
      for (const AccountTransit& transit : member.account.transits) {
        on_their_way += transit.operation.amount;
      }
      Check(
          !member.account.closed || balance == Balance{.lifetime_earned = balance.lifetime_earned},
          id, "a closed account has points or a debt");
      for (const AccountLot& lot : member.account.lots) {
        const int64_t pinned = member.account.PinnedIn(lot.origin);
        lost += lot.lost;
        Check(lot.remaining >= 0 && lot.lost >= 0, id, "a lot has negative points");
        Check(pinned == 0 || !lot.pending, id, "a pending lot has points held or sent");
        Check(lot.lost <= lot.original - lot.remaining - pinned, id,
              "a lot has more than its points");
      }
      for (const auto& [receipt_id, receipt] : member.receipts) {
        remembered_as_written_off += receipt.written_off;
      }
    }
    Check(remembered_as_written_off <= totals.written_off, id,
          "more is remembered as written off than was");
    Check(on_their_way <= totals.sent, id, "more is on its way than was sent");
    Check(lifetime_earned == totals.issued, id, "what members earned is not what was issued");
    Check(lost == static_cast<__int128>(totals.expired) + program.movements.cancelled, id,
          "what lots have lost is not what has expired or was cancelled");
    Check(totals.forfeited + static_cast<__int128>(totals.closed_out) <= totals.expired, id,
          "more was forfeited and closed out than has expired");
    Check(program.movements.cancelled <= totals.clawed_back, id,
          "more was cancelled than clawed back");
  }
}

}  // namespace tallystick::model
