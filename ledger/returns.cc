// Giving back: what a return claims, and from where it is taken.

#include <algorithm>

#include "ledger/chain.h"
#include "ledger/image_writer.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {
namespace {

// What the purchase would have earned with this spend, under its own rules. Never above what it did
// earn, so it never overflows.
Points EarnedWith(const CompiledProgram& rules, Kind kind, int64_t spend) {
  return kind == Kind::Accrue ? spend : *rules.Earned(spend);
}

// Granted − min(g(S − R), granted): what is due in all when R of a purchase was given back.
Points DueInAll(const CompiledProgram& rules, const Receipt& original, int64_t returned) {
  const Points kept = EarnedWith(rules, original.kind, original.amount - returned);
  return original.points - std::min(kept, original.points);
}

}  // namespace

Outcome StateMachine::CheckReturn(Request& request) {
  const Operation& op = request.operation;
  if (!IsZero(op.related()) && FindRelated(request)) {
    return CheckKnownReturn(request, receipts_[request.receipt]);
  }
  if (request.rules->unknown_original == UnknownOriginal::refuse) return Outcome::UnknownOriginal;
  const std::optional<Points> claim = request.rules->BaseRate(op.amount());
  if (!claim) return Outcome::Overflow;
  request.points = *claim;
  return AddOverflows(request.program->totals.clawed_back, *claim) ||
                 AddOverflows(request.program->totals.written_off, *claim)
             ? Outcome::Overflow
             : Outcome::Ok;
}

Outcome StateMachine::CheckKnownReturn(Request& request, const Receipt& original) {
  if (!ProgramState::Earns(original.kind)) return Outcome::NotPermitted;
  const Returned before = receipts_.ReturnedOf(original);
  if (request.operation.amount() > original.amount - before.amount) {
    return Outcome::AlreadyReturned;
  }
  const CompiledProgram& rules = request.program->versions[original.version].rules;
  const Points claim =
      DueInAll(rules, original, before.amount + request.operation.amount()) - before.claimed;
  return AddOverflows(request.program->totals.clawed_back, claim) ||
                 AddOverflows(request.program->totals.written_off, claim)
             ? Outcome::Overflow
             : Outcome::Ok;
}

void StateMachine::BeforeReturned(uint32_t receipt) {
  chain_->Returning(receipt);
  image_->BeforeReturned(receipt);
}

// Takes from the purchase's own lot, then from others in spending order. Returns what is left of
// the claim.
Points StateMachine::ClaimKnown(Request& request, ReturnDetail& detail) {
  const Account& account = *request.account;
  Receipt& original = receipts_[request.receipt];
  Returned returned = receipts_.ReturnedOf(original);
  const CompiledProgram& rules = request.program->versions[original.version].rules;
  returned.amount += request.operation.amount();
  const Points due =
      std::min(DueInAll(rules, original, returned.amount), original.points - returned.lost);
  detail.claim = std::max<Points>(0, due - returned.claimed);
  returned.claimed += detail.claim;
  BeforeReturned(request.receipt);
  receipts_.SetReturned(original, returned);

  Points left = detail.claim;
  if (const uint32_t own = LotOf(original); own != kNoRow && left > 0) {
    Points& from = lots_[own].pending ? detail.from_pending : detail.from_available;
    from = TakeFromLot(request, own, left);
    left -= from;
  }
  while (left > 0 && !Lots::empty(account.available_lots)) {
    const Points taken = TakeFromLot(request, lots_.First(account.available_lots), left);
    detail.from_available += taken;
    left -= taken;
  }
  return left;
}

// Takes from the account's newest lots, pending ones too. Returns what is left of the claim.
Points StateMachine::ClaimNewest(Request& request, ReturnDetail& detail) {
  const Account& account = *request.account;
  detail.claim = request.points;
  some_lots_.clear();
  for (const LotList& list : {account.available_lots, account.pending_lots}) {
    for (uint32_t row = lots_.First(list); row != kNoRow; row = lots_.Next(list, row)) {
      some_lots_.push_back(row);
    }
  }
  std::sort(some_lots_.begin(), some_lots_.end(),
            [&](uint32_t a, uint32_t b) { return lots_[a].position > lots_[b].position; });
  Points left = detail.claim;
  for (const uint32_t row : some_lots_) {
    if (left == 0) break;
    Points& from = lots_[row].pending ? detail.from_pending : detail.from_available;
    const Points taken = TakeFromLot(request, row, left);
    from += taken;
    left -= taken;
  }
  return left;
}

void StateMachine::PerformReturn(Request& request) {
  Account& account = *request.account;
  Totals& totals = request.program->totals;
  ReturnDetail detail{};
  Points left =
      request.receipt != kNoRow ? ClaimKnown(request, detail) : ClaimNewest(request, detail);
  const Points debt = std::max<Points>(-account.available, 0);
  // Points that are held are no shield against a claim.
  const AccountExtra* extra = holds_.ExtraOf(account, request.row);
  const Totals::Sum room =
      Totals::Sum{request.rules->debt_floor} - debt + (extra != nullptr ? extra->held : 0);
  detail.to_debt = static_cast<Points>(std::min<Totals::Sum>(left, std::max<Totals::Sum>(room, 0)));
  if (detail.to_debt > 0) SetAvailable(totals, account, account.available - detail.to_debt);
  detail.written_off = left - detail.to_debt;
  const Points taken = detail.claim - detail.written_off;
  totals.clawed_back += taken;
  totals.written_off += detail.written_off;

  if (detail.written_off == 0) return Accept(request, -taken, 0);
  if (request.receipt != kNoRow && block_.engine >= 2) {
    Receipt& original = receipts_[request.receipt];
    Returned returned = receipts_.ReturnedOf(original);
    returned.written_off += detail.written_off;
    receipts_.SetReturned(original, returned);
  }
  request.flags |= kWrittenOff;
  Accept(request, -taken, 1);
  WriteDetail(request, detail);
}

}  // namespace tallystick::ledger
