// What can be asked of the whole state: reads, the digest, and whether every invariant holds.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "ledger/aside.h"
#include "ledger/program_state.h"
#include "ledger/row_hash.h"

namespace tallystick::ledger {
namespace {

// Points that never expire have not expired at the end either.
constexpr Instant kLastInstant = kNever - 1;

}  // namespace

std::optional<StateMachine::Balance> StateMachine::BalanceAt(uint16_t program, const Id& member,
                                                             Instant time) const {
  const uint32_t row = accounts_.Find(program, member);
  if (row == kNoRow) return std::nullopt;
  Balance balance;
  SettleAside(accounts_[row], row, std::min(time, kLastInstant), &balance);
  return balance;
}

std::vector<Lot> StateMachine::LotsAt(uint16_t program, const Id& member, Instant time) const {
  const uint32_t row = accounts_.Find(program, member);
  if (row == kNoRow) return {};
  const Aside aside = SettledAside(row, std::min(time, kLastInstant));
  std::vector<Lot> lots(aside.spendable.begin(), aside.spendable.end());
  lots.insert(lots.end(), aside.waiting.begin(), aside.waiting.end());
  return lots;
}

std::vector<StateMachine::OpenHold> StateMachine::HoldsAt(uint16_t program, const Id& member,
                                                          Instant time) const {
  const uint32_t row = accounts_.Find(program, member);
  if (row == kNoRow || accounts_[row].has_extra == 0) return {};
  const Aside aside = SettledAside(row, std::min(time, kLastInstant));
  std::vector<OpenHold> holds;
  for (const OpenHold& hold : aside.holds) {
    if (IsZero(hold.to)) holds.push_back(hold);
  }
  return holds;
}

AccountStatus StateMachine::StatusOf(uint16_t program, const Id& member) const {
  const uint32_t row = accounts_.Find(program, member);
  if (row == kNoRow || accounts_[row].has_extra == 0) return AccountStatus::kActive;
  return holds_.ExtraOf(accounts_[row], row)->status;
}

Position StateMachine::LastPosition(uint16_t program, const Id& member) const {
  const uint32_t row = accounts_.Find(program, member);
  return row == kNoRow ? 0 : accounts_[row].last_position;
}

const Totals* StateMachine::TotalsOf(uint16_t program) const {
  const ProgramState* state = FindProgram(program);
  return state == nullptr ? nullptr : &state->totals;
}

const std::vector<StateMachine::ProgramVersion>& StateMachine::VersionsOf(uint16_t program) const {
  static const auto* const kNone = new std::vector<ProgramVersion>();
  const ProgramState* state = FindProgram(program);
  return state == nullptr ? *kNone : state->versions;
}

std::vector<uint16_t> StateMachine::Programs() const {
  std::vector<uint16_t> ids;
  for (const auto& program : programs_) ids.push_back(program->id);
  return ids;
}

StateMachine::Sizes StateMachine::sizes() const {
  return {
      accounts_.count(), receipts_.size(),
      accounts_.bytes() + lots_.bytes() + receipts_.bytes() + holds_.bytes() + transits_.bytes()};
}

uint64_t StateMachine::Digest() const {
  uint64_t sum = RowHash::OfTime(log_time_);
  for (const auto& program : programs_) {
    sum += RowHash::OfTotals(program->id, program->totals, program->versions.back().bound_before);
    for (const ProgramVersion& version : program->versions) {
      sum += RowHash::OfVersion(version.id, version.bytes);
    }
    const auto add = [&](const ReceiptQueue& queue, uint32_t row) {
      const Receipt& receipt = receipts_[row];
      if (!IsLive(*program, receipt, log_time_)) return;
      sum += RowHash::OfReceipt(program->id, accounts_[receipt.account].member, receipt,
                                receipts_.ReturnedOf(receipt));
      const auto [first, count] = receipts_.FindTakings(queue, receipt);
      for (uint32_t i = 0; i < count; ++i) {
        const Taking& taking = receipts_.takings().At(queue.takings, Takings::Behind(first, i));
        sum += RowHash::OfTaking(receipt, i, taking);
      }
    };
    for (const ReceiptQueue& queue : program->queues) {
      receipts_.ForEach(queue, [&](uint32_t row) { add(queue, row); });
    }
  }
  for (size_t shard = 0; shard < arrivals_.size(); ++shard) {
    sum += RowHash::OfArrivals(static_cast<uint16_t>(shard), arrivals_[shard]);
  }
  for (uint32_t row = 0; row < accounts_.count(); ++row) {
    const Account& account = accounts_[row];
    sum += RowHash::OfAccount(account);
    for (const LotList& list : {account.available_lots, account.pending_lots}) {
      for (uint32_t lot = lots_.First(list); lot != kNoRow; lot = lots_.Next(list, lot)) {
        sum += RowHash::OfLot(account, lots_[lot]);
      }
    }
    const AccountExtra* extra = holds_.ExtraOf(account, row);
    if (extra == nullptr) continue;
    sum += RowHash::OfStatus(account, extra->status);
    for (uint32_t hold = extra->first_hold; hold != kNoRow; hold = holds_[hold].next) {
      sum += RowHash::OfHold(account, holds_[hold].position, holds_[hold].times_out_at,
                             holds_[hold].points);
      if (const uint32_t transit = holds_[hold].transit; transit != kNoRow) {
        sum += RowHash::OfTransit(holds_[hold].position, transits_[transit]);
      }
      const LotList& list = holds_[hold].lots;
      for (uint32_t lot = lots_.First(list); lot != kNoRow; lot = lots_.Next(list, lot)) {
        sum += RowHash::OfHeld(holds_[hold].position, lots_[lot]);
      }
    }
  }
  return sum;
}

namespace {

struct Sums {
  int64_t members = 0;
  Points pending = 0, available = 0, held = 0, debt = 0;
};

}  // namespace

// Null: all is well. `*count`: grows by the lots.
const char* StateMachine::CheckHolds(const AccountExtra& extra, uint32_t* count) const {
  Points held = 0;
  uint32_t holds = 0;
  for (uint32_t h = extra.first_hold; h != kNoRow; h = holds_[h].next, ++holds) {
    const Hold& hold = holds_[h];
    if (hold.next != kNoRow && holds_[hold.next].times_out_at < hold.times_out_at) {
      return "holds are out of order";
    }
    if (const uint32_t receipt = ReceiptOf(hold);
        receipt != kNoRow && HoldOf(receipts_[receipt]) != h) {
      return "a hold's receipt is another's";
    }
    Points points = 0;
    uint32_t previous = kNoRow;
    for (uint32_t r = lots_.First(hold.lots); r != kNoRow; r = lots_.Next(hold.lots, r)) {
      const Lot& lot = lots_[r];
      if (!lot.held || lot.pending || lot.remaining <= 0) return "a held lot is none";
      if (previous != kNoRow && (lot.previous != previous || !SpentBefore(lots_[previous], lot))) {
        return "held lots are out of order";
      }
      previous = r;
      points += lot.remaining;
      ++*count;
    }
    if (points != hold.points || points == 0) return "a hold's points are not its lots";
    if (hold.transit == kNoRow) {
      held += points;
    } else if (transits_[hold.transit].hold != h ||
               transits_[hold.transit].account != extra.account) {
      return "a transfer on its way is another's";
    }
  }
  if (held != extra.held) return "held points are not those of its holds";
  return holds == extra.hold_count && holds <= kMaxHoldsPerAccount ? nullptr
                                                                   : "holds are miscounted";
}

absl::Status StateMachine::CheckInvariants() const {
  std::vector<Sums> sums(programs_.size());
  for (uint32_t row = 0; row < accounts_.count(); ++row) {
    const Account& a = accounts_[row];
    const auto wrong = [&](absl::string_view what) {
      return absl::InternalError(absl::StrCat("account ", a.member.high(), ":", a.member.low(),
                                              " of program ", a.program, ": ", what));
    };
    if (accounts_.Find(a.program, a.member) != row) {
      return wrong("is not found by its key");
    }
    Points listed[2] = {0, 0};
    uint32_t count = 0;
    for (const bool pending : {false, true}) {
      const LotList& list = pending ? a.pending_lots : a.available_lots;
      const uint32_t first = lots_.First(list);
      uint32_t previous = kNoRow;
      for (uint32_t r = first; r != kNoRow; previous = r, r = lots_.Next(list, r), ++count) {
        const Lot& lot = lots_[r];
        if ((r != first && lot.previous != previous) || lot.pending != pending || lot.held) {
          return wrong("a lot is in the wrong list");
        }
        if (lot.remaining <= 0) return wrong("an empty lot is listed");
        if (r != first &&
            !(pending ? HappensBefore(lots_[previous], lot) : SpentBefore(lots_[previous], lot))) {
          return wrong("lots are out of order");
        }
        if (const uint32_t receipt = ReceiptOf(lot);
            receipt != kNoRow && LotOf(receipts_[receipt]) != r) {
          return wrong("a lot's receipt is another's");
        }
        listed[pending ? 1 : 0] += lot.remaining;
      }
    }
    if (const AccountExtra* extra = holds_.ExtraOf(a, row)) {
      if (const char* what = CheckHolds(*extra, &count)) return wrong(what);
      sums[program_slots_[a.program] - 1].held += extra->held;
    }
    if (count != a.lot_count || count > kMaxLotsPerAccount) return wrong("lots are miscounted");
    if (listed[0] != std::max<Points>(a.available, 0)) return wrong("available is not its lots");
    if (listed[1] != a.pending) return wrong("pending is not its lots");
    if (a.next_due > NextDueOf(row)) return wrong("its next event comes before it is due");
    Sums& sum = sums[program_slots_[a.program] - 1];
    ++sum.members;
    sum.pending += a.pending;
    sum.available += std::max<Points>(a.available, 0);
    sum.debt += std::max<Points>(-a.available, 0);
  }
  for (size_t i = 0; i < programs_.size(); ++i) {
    const Totals& t = programs_[i]->totals;
    if (t.members != sums[i].members || t.pending != sums[i].pending ||
        t.available != sums[i].available || t.held != sums[i].held || t.debt != sums[i].debt) {
      return absl::InternalError(
          absl::StrCat("program ", programs_[i]->id, ": totals are not the sums over members"));
    }
    if (!t.Balanced()) {
      return absl::InternalError(
          absl::StrCat("program ", programs_[i]->id, ": points are not conserved"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tallystick::ledger
