#include "api/outcomes.h"

#include <iterator>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

struct OutcomeText {
  absl::string_view name;
  absl::string_view sentence;
};

// In the order of the enum.
constexpr OutcomeText kOutcomes[] = {
    {"ok", "Accepted."},
    {"bad_request", "The operation is malformed: correct it and send it under the same id."},
    {"id_conflict",
     "This transaction id was used before with a different content: to repeat an operation send "
     "exactly "
     "the same one, for a new operation choose a new id."},
    {"too_old",
     "occurred_at lies before what the ledger still remembers: it may have been applied long ago, "
     "so don't "
     "send it again; look it up by its id, and book an adjustment only where it is not there."},
    {"too_early",
     "occurred_at lies in the future: check the clock of the caller, or send it when its time has "
     "come."},
    {"unknown_program", "No such program: put it first, or check the program's id."},
    {"unknown_member",
     "No such member in this program: enrol the member first, or check the member's id."},
    {"unknown_original",
     "The purchase, accrual, redemption or capture that is named is not known, or no longer: check "
     "its id, or book an adjustment."},
    {"unknown_voucher", "No such voucher: check its id."},
    {"unknown_hold", "No such hold: check its id; it may have timed out long ago."},
    {"frozen",
     "The member is frozen: unfreeze the account before it redeems, holds or sends points."},
    {"closed", "The member's account is closed: it takes no more operations."},
    {"program_ended", "The program has ended: it takes no more operations of this kind."},
    {"insufficient_points",
     "There are not that many points: ask for less. The result says what the member has available; "
     "of a capture counts what the hold has, of a cancellation what is pending of the purchase."},
    {"below_minimum",
     "Less than the program's minimum: ask for at least redeem.minimum points (transfer.minimum of "
     "a transfer), or capture all that is held."},
    {"below_step",
     "Not a multiple of the program's step: round to redeem.step points, or capture all that is "
     "held."},
    {"over_limit",
     "More than is allowed: a hold ends at most 30 days ahead, an account has at most 128 holds "
     "and "
     "transfers that are open, and a transfer takes at most transfer.maximum points; choose an "
     "earlier timeout, send less, or capture or release others first."},
    {"over_cap", "The member's cap is used up: try again in the next period."},
    {"already_returned",
     "More is given back than there was: what is left to give back of the purchase or redemption "
     "is less than this amount."},
    {"already_captured", "The hold was captured before: it cannot be used again."},
    {"already_released", "The hold was released or timed out: take a new one."},
    {"already_spent", "The voucher was spent before: it cannot be used again."},
    {"expired",
     "It is past already: a hold must time out in the future, and what has expired cannot be used "
     "any more."},
    {"voucher_not_yours", "The voucher belongs to another member."},
    {"overflow", "The amount is too large to be counted: send less."},
    {"too_many_lots",
     "The member holds as many lots of points as an account may: spend some, or let some expire, "
     "first."},
    {"not_permitted",
     "The program, the ledger's clock, or the state or kind of the account or of what is named "
     "does "
     "not permit this operation: check what the id names, and whether points or holds are left."},
    {"overloaded",
     "The ledger is busy, or out of disk space as its own log says, and has not applied it: send "
     "the same operation again soon."},
    {"chain_refused",
     "Another operation of the same chain was refused, so none was applied: see that one's "
     "outcome."},
    {"not_looked_up",
     "It is too old to be applied, and the part of the log that would say whether it was applied "
     "long ago cannot be read: book nothing in its place; the server's own log names the file. "
     "Send the same operation again when that is mended."},
};
static_assert(std::size(kOutcomes) == kOutcomeCount);

// Of a transfer that its receiver has refused: the points are the sender's again.
absl::string_view ReceiverSentence(Outcome outcome) {
  switch (outcome) {
    case Outcome::UnknownMember:
      return "the member who is to receive the points is not in this program: enrol that member "
             "first, or check the id.";
    case Outcome::Closed:
      return "the account of the member who is to receive the points is closed: it takes no more "
             "operations.";
    case Outcome::Overflow:
      return "the points are more than can be counted where they are to be received: send less.";
    case Outcome::TooManyLots:
      return "the member who is to receive the points holds as many lots of points as an account "
             "may: that member must spend some, or let some expire, first.";
    case Outcome::UnknownProgram:
      return "the shard of the member who is to receive the points does not have the program yet: "
             "send the same operation again soon.";
    case Outcome::Overloaded:
      return "the shard of the member who is to receive the points is busy, or out of disk space "
             "as the ledger's own log says: send the same operation again soon.";
    default:
      return "";
  }
}

}  // namespace

absl::string_view OutcomeName(Outcome outcome) {
  const auto index = static_cast<size_t>(outcome);
  return index < kOutcomeCount ? kOutcomes[index].name : "unknown_outcome";
}

absl::string_view OutcomeSentence(Outcome outcome) {
  const auto index = static_cast<size_t>(outcome);
  return index < kOutcomeCount ? kOutcomes[index].sentence
                               : "An outcome that this program does not know: use a newer one.";
}

absl::string_view FieldName(Field field) {
  switch (field) {
    case Field::None:
      return "";
    case Field::Id:
      return "id";
    case Field::Member:
      return "member";
    case Field::Related:
      return "related";
    case Field::Amount:
      return "amount";
    case Field::OccurredAt:
      return "occurred_at";
    case Field::ExpiresAt:
      return "expires_at";
    case Field::Kind:
      return "kind";
    case Field::Flags:
      return "flags";
    case Field::Program:
      return "program";
    case Field::Category:
      return "category";
    case Field::Reserved:
      return "reserved";
    case Field::Chain:
      return "chain";
  }
  return "unknown field";
}

std::string ExplainOutcome(Outcome outcome, Field field) {
  if (IsReceivers(outcome, field)) {
    const absl::string_view sentence = ReceiverSentence(outcome);
    return absl::StrCat("What was sent came back: ",
                        sentence.empty()
                            ? absl::StrCat("the member who is to receive the points was refused: ",
                                           OutcomeSentence(outcome))
                            : std::string(sentence));
  }
  if (outcome != Outcome::BadRequest || field == Field::None) {
    return std::string(OutcomeSentence(outcome));
  }
  const char* allowed = "";
  switch (field) {
    case Field::Amount:
      allowed =
          "must be positive (of an adjustment: not 0; of a capture or cancellation: not negative; "
          "of an operation that has none: 0)";
      break;
    case Field::Id:
    case Field::Member:
      allowed = "must not be 0";
      break;
    case Field::Related:
      allowed =
          "must name the hold, redemption or purchase that a capture, release, reversal, "
          "activation or cancellation is of, or the other member who receives a transfer; a return "
          "may name its purchase, and no other operation names any";
      break;
    case Field::OccurredAt:
      allowed = "must lie between 1970 and the year 10000";
      break;
    case Field::ExpiresAt:
      allowed =
          "must lie behind occurred_at, and may be given only for what adds points as they are, "
          "for a hold and for an extension, which needs it";
      break;
    case Field::Chain:
      allowed = "must name one member and one program, be complete, and have at most 64 operations";
      break;
    default:
      allowed = "has a value that is not allowed";
      break;
  }
  return absl::StrCat(FieldName(field), " ", allowed, ". ", OutcomeSentence(outcome));
}

absl::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::None:
      return "none";
    case Kind::ProgramPut:
      return "program_put";
    case Kind::Enrol:
      return "enrol";
    case Kind::Accrue:
      return "accrue";
    case Kind::Purchase:
      return "purchase";
    case Kind::Return:
      return "return";
    case Kind::Redeem:
      return "redeem";
    case Kind::Adjust:
      return "adjust";
    case Kind::Tick:
      return "tick";
    case Kind::Hold:
      return "hold";
    case Kind::Capture:
      return "capture";
    case Kind::Release:
      return "release";
    case Kind::ReverseRedemption:
      return "reverse_redemption";
    case Kind::Activate:
      return "activate";
    case Kind::Cancel:
      return "cancel";
    case Kind::Freeze:
      return "freeze";
    case Kind::Unfreeze:
      return "unfreeze";
    case Kind::Close:
      return "close";
    case Kind::Extend:
      return "extend";
    case Kind::Transfer:
      return "transfer";
    case Kind::TransferIn:
      return "transfer_in";
    case Kind::TransferDone:
      return "transfer_done";
    case Kind::TransferBack:
      return "transfer_back";
    case Kind::Activation:
      return "activation";
    case Kind::Expiry:
      return "expiry";
    case Kind::HoldTimeout:
      return "hold_timeout";
  }
  return "unknown_kind";
}

absl::string_view StatusName(ledger::AccountStatus status) {
  switch (status) {
    case ledger::AccountStatus::kActive:
      return "active";
    case ledger::AccountStatus::kFrozen:
      return "frozen";
    case ledger::AccountStatus::kClosed:
      return "closed";
  }
  return "unknown_status";
}

}  // namespace tallystick
