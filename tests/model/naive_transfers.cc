#include "tests/model/naive_transfers.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "tests/model/naive_ledger.h"

namespace tallystick::model {
namespace {

using Lots = std::vector<Parcel::Lot>;

// The lots that the transfer took, in spending order (in which it took them, unless an Extend has
// made their dates the same), neighbours with both dates the same as one.
Lots KeptLots(Account account, const AccountTransit& transit) {
  Lots lots;
  for (const HeldPart& part : account.InSpendingOrder(transit.parts)) {
    const AccountLot& lot = account.LotOf(part.origin);
    const bool is_as_before = !lots.empty() && lots.back().activates_at == lot.activates_at &&
                              lots.back().expires_at == lot.expires_at;
    if (is_as_before) {
      lots.back().points += part.points;
    } else {
      lots.push_back({part.points, lot.activates_at, lot.expires_at});
    }
  }
  return lots;
}

// One lot of all points, with the dates of a positive Adjust.
Lots FreshLot(const Program& version, const AccountTransit& transit) {
  const Instant base = std::min(transit.operation.occurred_at, transit.sent_at);
  const LotDates dates = DatesOf(version, base, 0, 0);
  return {{transit.operation.amount, dates.activates_at, dates.expires_at}};
}

}  // namespace

Outcome RunTransfer(Attempt& attempt) {
  const Operation& operation = attempt.operation;
  const Program& version = attempt.version();
  Account& account = attempt.account;
  const int64_t points = operation.amount;
  if (version.transfer_dates == TransferDates::kForbidden) return Outcome::kNotPermitted;
  if (points < version.transfer_minimum) return Outcome::kBelowMinimum;
  if (version.transfer_maximum != 0 && points > version.transfer_maximum) {
    return Outcome::kOverLimit;
  }
  if (points > account.CurrentBalance().available) return Outcome::kInsufficientPoints;
  if (account.OpenHolds() + account.transits.size() >= kMaxOpenHolds) return Outcome::kOverLimit;
  const Outcome room = attempt.MakeRoomForLots(1);
  if (room != Outcome::kOk) return room;
  if (attempt.transits_of_shard >= kMaxTransits) return Outcome::kOverloaded;

  AccountTransit transit;
  transit.position = attempt.sequence;
  transit.operation = operation;
  transit.sent_at = attempt.t;
  transit.version_index = attempt.version_index;
  for (const Taking& taking : TakeFrom(account.AvailableInSpendingOrder(), points)) {
    transit.parts.push_back({taking.origin, taking.points});
  }
  account.transits.push_back(transit);
  attempt.movements.sent += points;
  return Outcome::kOk;
}

std::vector<OpenTransfer> NaiveLedger::OpenTransfers() const {
  std::vector<OpenTransfer> open;
  for (const auto& [program_id, program] : state_.programs) {
    for (const auto& [member_id, member] : program.members) {
      for (const AccountTransit& transit : member.account.transits) {
        open.push_back({transit.position, program_id, member_id, transit.operation.related});
      }
    }
  }
  std::sort(open.begin(), open.end(),
            [](const OpenTransfer& a, const OpenTransfer& b) { return a.sequence < b.sequence; });
  return open;
}

Parcel NaiveLedger::ParcelOf(const OpenTransfer& transfer, uint16_t shard,
                             uint64_t open_from) const {
  const ProgramState& program = state_.programs.at(transfer.program);
  const Account& account = program.members.at(transfer.from).account;
  const AccountTransit& transit = *account.FindTransit(transfer.sequence);
  const Program& version = program.history.version(transit.version_index);

  Parcel parcel;
  parcel.operation.id = transit.operation.id;
  parcel.operation.member = transfer.to;
  parcel.operation.related = transfer.from;
  parcel.operation.amount = transit.operation.amount;
  parcel.operation.occurred_at = transit.sent_at;
  parcel.operation.user_data = transit.operation.user_data;
  parcel.operation.program = transfer.program;
  parcel.operation.kind = static_cast<uint8_t>(Kind::kTransferIn);
  parcel.shard = shard;
  parcel.sequence = transfer.sequence;
  parcel.open_from = open_from;
  parcel.lots = version.transfer_dates == TransferDates::kFresh ? FreshLot(version, transit)
                                                                : KeptLots(account, transit);
  return parcel;
}

size_t NaiveLedger::LotsOnTheirWay(uint16_t program, const Id& member) const {
  size_t lots = 0;
  for (const AccountTransit& transit : FindMember(program, member)->account.transits) {
    lots += transit.parts.size();
  }
  return lots;
}

bool NaiveLedger::HasReceived(uint16_t shard, uint64_t sequence) const {
  const auto arrivals = state_.arrivals.find(shard);
  return arrivals != state_.arrivals.end() && arrivals->second.received.contains(sequence);
}

Outcome NaiveLedger::CheckParcel(const Parcel& parcel, Instant t) const {
  const Operation& operation = parcel.operation;
  const auto arrivals = state_.arrivals.find(parcel.shard);
  if (arrivals != state_.arrivals.end()) {
    const auto open = arrivals->second.received.lower_bound(parcel.open_from);
    const auto unsettled = std::distance(open, arrivals->second.received.end());
    if (static_cast<size_t>(unsettled) >= kMaxArrivals) return Outcome::kOverloaded;
  }
  const auto program = state_.programs.find(operation.program);
  if (program == state_.programs.end()) return Outcome::kUnknownProgram;
  const Member* member = FindMember(operation.program, operation.member);
  if (member == nullptr) return Outcome::kUnknownMember;
  if (member->account.closed) return Outcome::kClosed;
  if (Overflows(program->second.movements.EverCredited() + operation.amount)) {
    return Outcome::kOverflow;
  }
  Account aside = member->account;
  aside.Settle(t);
  JoinBeforeAdding(parcel.lots.size(), aside, member->receipts, program->second.history, t);
  if (aside.LotsWithPoints() + parcel.lots.size() > kMaxLotsWithPoints) {
    return Outcome::kTooManyLots;
  }
  return Outcome::kOk;
}

Result NaiveLedger::Receive(const Parcel& parcel) {
  const Operation& operation = parcel.operation;
  const auto from_there = state_.arrivals.find(parcel.shard);
  if (from_there != state_.arrivals.end()) {
    // That shard has said that it would not send it again.
    if (parcel.sequence < from_there->second.open_from) {
      return Refusal(operation, Outcome::kBadRequest);
    }
    if (from_there->second.received.contains(parcel.sequence)) {
      Result known;
      known.replayed = true;
      return known;
    }
  }
  const Instant t = LogTimeOf(operation);
  const Outcome outcome = CheckParcel(parcel, t);
  if (outcome != Outcome::kOk) return Refusal(operation, outcome);

  ProgramState& program = state_.programs.at(operation.program);
  Member& member = program.members.at(operation.member);
  Account& account = member.account;
  const std::vector<AccountEvent> settled = account.Settle(t);
  const std::optional<Joining> joining =
      JoinBeforeAdding(parcel.lots.size(), account, member.receipts, program.history, t);
  if (joining.has_value()) state_.joinings.push_back(*joining);
  Result result;
  result.sequence = ++state_.last_sequence;
  ++state_.last_sequence;  // the detail that says which transfer it is
  std::vector<HeldPart> arrived;
  for (const Parcel::Lot& of_parcel : parcel.lots) {
    AccountLot lot;
    lot.origin = ++state_.last_sequence;
    lot.original = of_parcel.points;
    lot.activates_at = of_parcel.activates_at;
    lot.expires_at = of_parcel.expires_at;
    account.AddLot(lot, t);
    const int64_t left = account.LotOf(lot.origin).remaining;
    if (left > 0) arrived.push_back({lot.origin, left});
  }
  const Balance after = account.CurrentBalance();
  result.points = operation.amount;
  result.available = after.available - after.debt;
  result.pending = after.pending;
  const std::vector<AccountEvent> behind = account.ExpireAmong(arrived, t);

  program.movements.received += operation.amount;
  program.movements.expired += ExpiredIn(settled) + ExpiredIn(behind);
  Arrivals& arrivals = state_.arrivals[parcel.shard];
  arrivals.received.insert(parcel.sequence);
  arrivals.open_from = std::max(arrivals.open_from, parcel.open_from);
  std::erase_if(arrivals.received,
                [&](uint64_t sequence) { return sequence < arrivals.open_from; });
  state_.log_time = t;
  Derive(operation.program, operation.member, settled);
  Derive(operation.program, operation.member, behind);
  return result;
}

Result NaiveLedger::Finish(const OpenTransfer& transfer, Outcome outcome) {
  Result result;
  const std::vector<OpenTransfer> open = OpenTransfers();
  if (std::find(open.begin(), open.end(), transfer) == open.end()) {
    result.outcome = Outcome::kUnknownOriginal;
    return result;
  }
  const Instant t = Now();
  ProgramState& program = state_.programs.at(transfer.program);
  Member& member = program.members.at(transfer.from);
  Account& account = member.account;
  const std::vector<AccountEvent> settled = account.Settle(t);
  const AccountTransit transit = *account.FindTransit(transfer.sequence);
  std::vector<HeldPart> came_back;
  if (outcome == Outcome::kOk) {
    account.EndTransit(transfer.sequence);
  } else {
    came_back = account.BringBack(transfer.sequence);
    result.points = transit.operation.amount;
    program.movements.sent -= transit.operation.amount;
    // Its id is free again, unless a later operation has it already.
    std::erase_if(member.receipts, [&](const auto& receipt) {
      return receipt.second.result.sequence == transfer.sequence;
    });
  }
  const Balance after = account.CurrentBalance();
  result.available = after.available - after.debt;
  result.pending = after.pending;
  result.sequence = ++state_.last_sequence;
  const std::vector<AccountEvent> behind = account.ExpireAmong(came_back, t);

  program.movements.expired += ExpiredIn(settled) + ExpiredIn(behind);
  state_.log_time = t;
  Derive(transfer.program, transfer.from, settled);
  Derive(transfer.program, transfer.from, behind);
  return result;
}

}  // namespace tallystick::model
