#include "tests/ledger/random_operations.h"

#include <algorithm>

namespace tallystick::ledger {
namespace {

using model::kDay;
using model::kHour;
using model::kMinute;

uint8_t Number(model::Kind kind) { return static_cast<uint8_t>(kind); }
model::Kind KindOf(const model::Operation& op) { return static_cast<model::Kind>(op.kind); }

bool Earns(const model::Operation& op) {
  return KindOf(op) == model::Kind::kAccrue || KindOf(op) == model::Kind::kPurchase;
}
bool Takes(const model::Operation& op) {
  return KindOf(op) == model::Kind::kRedeem || KindOf(op) == model::Kind::kCapture;
}

}  // namespace

model::Instant RandomOperations::Leap() {
  switch (random_.Between(0, 11)) {
    case 0:
    case 1:
    case 2:
      return random_.Between(0, 2);
    case 3:
    case 4:
      return random_.Between(0, 10 * kMinute);
    case 5:
    case 6:
      return random_.Between(0, 20 * kHour);
    case 7:
    case 8:
      return random_.Between(0, 6) * kDay;
    case 9:
      return random_.Between(0, 20 * kDay);
    case 10:
      return random_.Between(20 * kDay, 70 * kDay);
    default:
      return random_.OneIn(8) ? random_.Between(0, 800 * kDay) : random_.Between(0, 3 * kDay);
  }
}

model::Instant RandomOperations::Edge(model::Instant now) {
  if (versions_.empty()) return now;
  const model::Instant beside = random_.OneIn(2) ? 0 : random_.Between(-1, 1);
  const model::Program& version = random_.Pick(versions_);
  const int64_t what = random_.Between(0, 9);
  if (what < 5) {
    const model::Id member = AnyMember();
    const std::vector<Lot> lots = machine_.LotsAt(version.id, Id(member.low, member.high), now);
    if (!lots.empty()) {
      const Lot& lot = random_.Pick(lots);
      const Instant at = lot.pending && random_.OneIn(2) ? lot.activates_at : lot.expires_at;
      if (at != kNever) return at + beside;
    }
  }
  if (what < 8 && !past_.empty()) {
    const model::Operation& op = random_.Pick(past_);
    const int64_t days = random_.OneIn(2) ? std::max(version.return_days, version.pending_days)
                                          : version.retention_days;
    if (op.occurred_at > 0 && op.occurred_at < kEndOfTime) {
      return op.occurred_at + days * kDay + beside;
    }
  }
  return version.effective_at + beside;
}

model::Instant RandomOperations::DrawOccurredAt(model::Instant now, bool import_clock) {
  const int64_t what = random_.Between(0, 99);
  if (import_clock && what < 45) return now + (what < 20 ? random_.Between(0, 3) : Leap());
  if (what < 45) return now;
  if (what < 68) return now - random_.Between(0, kDay);
  if (what < 74) return now - random_.Between(0, 45 * kDay);
  if (what < 80) return now + random_.Between(0, 6 * kMinute);
  if (what < 85) return now + 5 * kMinute + random_.Between(-1, 1);
  if (what < 92) {
    return now - random_.Pick(versions_).retention_days * kDay + random_.Between(-1, 1);
  }
  if (what < 99) return Edge(now);
  return random_.Pick<int64_t>({0, -5, 1, kEndOfTime, kEndOfTime - 1, INT64_MIN, INT64_MAX, now});
}

void RandomOperations::DrawExpiry(model::Operation& op, model::Instant now) {
  const bool allowed = Earns(op) || KindOf(op) == model::Kind::kHold ||
                       (KindOf(op) == model::Kind::kAdjust && op.amount > 0);
  // Most clocks leap past a timeout of minutes before anything else happens.
  if (KindOf(op) == model::Kind::kHold && random_.Percent(60)) {
    const bool longest = random_.OneIn(10);
    op.expires_at = now + (longest ? 30 * kDay : random_.Between(1, 30 * kDay));
    return;
  }
  const bool needed = KindOf(op) == model::Kind::kExtend;
  if (!(needed || (allowed ? random_.Percent(30) : random_.OneIn(100)))) return;
  if (op.occurred_at <= 0 || op.occurred_at >= kEndOfTime) return;
  switch (random_.Between(0, 8)) {
    case 0:
      op.expires_at = op.occurred_at + random_.Between(0, 2);
      break;
    case 1:
      op.expires_at = now + random_.Between(-2, 2);
      break;
    case 2:
      op.expires_at = Edge(now);
      break;
    case 3: {
      // The very instant at which another lot of the account activates or expires.
      const std::vector<Lot> lots =
          machine_.LotsAt(op.program, Id(op.member.low, op.member.high), now);
      if (lots.empty()) break;
      const Lot& lot = random_.Pick(lots);
      op.expires_at = lot.pending ? lot.activates_at : lot.expires_at;
      break;
    }
    case 4:
      op.expires_at = random_.Pick<int64_t>({kEndOfTime, kEndOfTime - 1, 1});
      break;
    default:
      op.expires_at = now + random_.Between(-10 * kDay, 60 * kDay);
  }
}

void RandomOperations::DrawKind(model::Operation& op, bool import_clock) {
  const int64_t what = random_.Between(0, 999);
  op.kind = Number(what < 200   ? model::Kind::kPurchase
                   : what < 310 ? model::Kind::kAccrue
                   : what < 460 ? model::Kind::kReturn
                   : what < 560 ? model::Kind::kRedeem
                   : what < 620 ? model::Kind::kAdjust
                   : what < 720 ? model::Kind::kHold
                   : what < 790 ? model::Kind::kCapture
                   : what < 815 ? model::Kind::kRelease
                   : what < 885 ? model::Kind::kReverseRedemption
                   : what < 905 ? model::Kind::kActivate
                   : what < 930 ? model::Kind::kCancel
                   : what < 940 ? model::Kind::kExtend
                   : what < 948 ? model::Kind::kFreeze
                   : what < 960 ? model::Kind::kUnfreeze
                   : what < 961 ? model::Kind::kClose
                   : what < 985 ? model::Kind::kEnrol
                                : model::Kind::kTick);
  if (random_.Percent(taste_.transfer_percent)) op.kind = Number(model::Kind::kTransfer);
  // Strangers are refused most of what they ask for.
  const bool is_stranger =
      machine_.LastPosition(op.program, Id(op.member.low, op.member.high)) == 0;
  if (is_stranger && random_.OneIn(2)) op.kind = Number(model::Kind::kEnrol);
  if (KindOf(op) != model::Kind::kTick) return;
  if (import_clock || random_.OneIn(4)) {
    op.member = {};
    op.program = 0;
  } else {
    op.kind = Number(model::Kind::kRedeem);
  }
}

void RandomOperations::DrawAmount(model::Operation& op) {
  const int64_t most = taste_.largest_points;
  switch (KindOf(op)) {
    case model::Kind::kPurchase: {
      const model::Program& version = random_.Pick(versions_);
      op.amount = random_.OneIn(6)
                      ? std::max<int64_t>(1, version.earn.minimum_spend + random_.Between(-1, 1))
                      : random_.Magnitude(most > INT64_MAX / 100 ? most : most * 100);
      break;
    }
    case model::Kind::kAccrue:
      op.amount = random_.Magnitude(most);
      break;
    case model::Kind::kHold:
    case model::Kind::kTransfer:
    case model::Kind::kRedeem:
    case model::Kind::kAdjust: {
      const auto balance =
          machine_.BalanceAt(op.program, Id(op.member.low, op.member.high), op.occurred_at);
      const int64_t available = balance.has_value() ? balance->available : 0;
      op.amount = available > 0 && random_.OneIn(2)
                      ? (random_.OneIn(2) ? available : random_.Between(1, available))
                      : random_.Magnitude(most);
      if (random_.OneIn(10) && available > 0 && available < INT64_MAX) op.amount = available + 1;
      if (KindOf(op) == model::Kind::kAdjust && random_.OneIn(2)) op.amount = -op.amount;
      if (KindOf(op) == model::Kind::kTransfer) op.related = AnyReceiver();
      break;
    }
    case model::Kind::kReturn:
      DrawReturn(op);
      break;
    case model::Kind::kCapture:
    case model::Kind::kRelease:
    case model::Kind::kReverseRedemption:
    case model::Kind::kActivate:
    case model::Kind::kCancel:
      DrawRelated(op);
      break;
    case model::Kind::kClose:
      op.amount = 0;
      op.flags = random_.OneIn(2) ? model::kExpireRest : 0;
      break;
    default:
      op.amount = 0;
  }
}

void RandomOperations::DrawRelated(model::Operation& op) {
  const model::Kind kind = KindOf(op);
  const bool of_hold = kind == model::Kind::kCapture || kind == model::Kind::kRelease;
  // Some that were refused, or stand before it in the same request.
  const bool any = random_.OneIn(6);
  const std::vector<model::Operation>& takings = any ? takings_ : accepted_takings_;
  const std::vector<model::Operation>& holds = any ? holds_ : accepted_holds_;
  const std::vector<model::Operation>& originals =
      of_hold ? holds : (kind == model::Kind::kReverseRedemption ? takings : earning_);
  const int64_t what = random_.Between(0, 99);
  int64_t size = random_.Magnitude(taste_.largest_points);
  op.related = {7, static_cast<uint64_t>(random_.Between(1, 1'000'000))};
  if (what < 6 && !past_.empty()) {
    op.related = random_.Pick(past_).id;
  } else if (what >= 9 && !originals.empty()) {
    const auto last = static_cast<int64_t>(originals.size()) - 1;
    const int64_t first = random_.OneIn(4) ? 0 : std::max<int64_t>(0, last - 4);
    const model::Operation& original = originals[static_cast<size_t>(random_.Between(first, last))];
    op.related = original.id;
    op.program = original.program;
    op.member = original.member;
    if (original.amount > 0) size = original.amount;
  }
  const bool all = random_.OneIn(3);
  op.amount = all ? size : random_.Between(1, size);
  if (random_.OneIn(12) && size < INT64_MAX) op.amount = size + 1;
  if (kind == model::Kind::kRelease || kind == model::Kind::kActivate) op.amount = 0;
  const bool may_be_all = kind == model::Kind::kCapture || kind == model::Kind::kCancel;
  if (may_be_all && random_.OneIn(3)) op.amount = 0;
}

void RandomOperations::DrawReturn(model::Operation& op) {
  op.amount = random_.Magnitude(taste_.largest_points);
  const int64_t what = random_.Between(0, 99);
  if (what < 8) return;  // of no purchase that it names
  if (what < 14) {
    op.related = {7, static_cast<uint64_t>(random_.Between(1, 1'000'000))};
    return;
  }
  if (what < 20 && !past_.empty()) {
    op.related = random_.Pick(past_).id;
    return;
  }
  if (earning_.empty()) return;
  // Of late ones rather than of those whose receipts have gone.
  const auto last = static_cast<int64_t>(earning_.size()) - 1;
  const int64_t first = random_.OneIn(3) ? 0 : std::max<int64_t>(0, last - 25);
  const model::Operation& original = earning_[static_cast<size_t>(random_.Between(first, last))];
  op.related = original.id;
  op.program = original.program;
  op.member = original.member;
  const int64_t spend = original.amount;
  if (spend <= 0) return;
  switch (random_.Between(0, 5)) {
    case 0:
      op.amount = 1;
      break;
    case 1:
      op.amount = spend;
      break;
    case 2:
      op.amount = spend == INT64_MAX ? spend : spend + 1;
      break;
    default:
      op.amount = random_.Between(1, spend);
  }
}

void RandomOperations::Spoil(model::Operation& op) {
  switch (random_.Between(0, 9)) {
    case 0:
      op.kind = static_cast<uint8_t>(
          random_.Pick<int64_t>({0, 1, 20, 21, 22, 23, 100, 128, 129, 130, 255}));
      break;
    case 1:
      op.flags = static_cast<uint8_t>(2 << random_.Between(0, 6));
      break;
    case 2:
      op.reserved = 1;
      break;
    case 3:
      op.id = {};
      break;
    case 4:
      op.member = op.member.IsZero() ? model::Id{0, 1} : model::Id{};
      break;
    case 5:
      op.amount = random_.Pick<int64_t>({0, -1, 1, INT64_MIN, INT64_MAX});
      break;
    case 6:
      op.related = random_.OneIn(2) ? op.member : model::Id{0, 3};
      break;
    case 7:
      op.expires_at = random_.Pick<int64_t>({1, INT64_MIN, INT64_MAX, kEndOfTime});
      break;
    case 8:
      op.program = 999;
      break;
    default:
      op.occurred_at = random_.Pick<int64_t>({0, -1, INT64_MIN, INT64_MAX, kEndOfTime});
  }
}

model::Operation RandomOperations::Resent() {
  model::Operation op = random_.Pick(past_);
  if (random_.OneIn(2) && past_.size() > 20) {
    op = past_[past_.size() - static_cast<size_t>(random_.Between(1, 20))];
  }
  op.flags = random_.OneIn(4) ? op.flags : 0;
  if (random_.Percent(60)) return op;
  switch (random_.Between(0, 5)) {
    case 0:
      op.user_data ^= 1;
      break;
    case 1:
      op.amount += op.amount < INT64_MAX ? 1 : 0;
      break;
    case 2:
      op.category ^= 1;
      break;
    case 3:
      op.occurred_at += op.occurred_at < INT64_MAX ? 1 : 0;
      break;
    case 4:
      op.member = AnyMember();
      break;
    default:
      op.kind = Number(model::Kind::kRedeem);
  }
  return op;
}

model::Operation RandomOperations::Draw(model::Instant now, bool import_clock) {
  if (!past_.empty() && random_.Percent(taste_.resend_percent)) return Resent();
  model::Operation op;
  op.id = {static_cast<uint64_t>(random_.Between(0, 1)), ++last_id_};
  op.member = AnyMember();
  op.program = random_.Pick(versions_).id;
  op.user_data = static_cast<uint64_t>(random_.Between(0, 3));
  op.category = static_cast<uint16_t>(random_.Between(0, 3));
  op.occurred_at = DrawOccurredAt(now, import_clock);
  DrawKind(op, import_clock);
  DrawAmount(op);
  DrawExpiry(op, now);
  if (random_.OneIn(60)) Spoil(op);
  return op;
}

void RandomOperations::AppendChain(std::vector<model::Operation>& request, model::Instant now,
                                   bool import_clock) {
  const int64_t length = random_.OneIn(60) ? random_.Between(60, 66) : random_.Between(2, 5);
  const bool is_sloppy = random_.OneIn(15);
  const size_t first = request.size();
  for (int64_t i = 0; i < length; ++i) {
    model::Operation op = Draw(now, import_clock);
    const bool is_none = KindOf(op) == model::Kind::kTick || KindOf(op) == model::Kind::kTransfer;
    if (!is_sloppy && is_none) {
      op.kind = Number(model::Kind::kEnrol);
      op.amount = 0;
      op.related = {};
    }
    // A chain whose members all fail as a rule tests little: most links are harmless.
    if (random_.Percent(70)) {
      op.kind = Number(random_.OneIn(2) ? model::Kind::kAccrue : model::Kind::kEnrol);
      op.amount = KindOf(op) == model::Kind::kEnrol ? 0 : random_.Magnitude(taste_.largest_points);
      op.occurred_at = import_clock ? now + (random_.OneIn(3) ? Leap() : i) : now;
      op.related = {};
      op.expires_at = 0;
    }
    // What names another was drawn with its account: the chain follows it.
    if (request.size() > first && !is_sloppy) {
      op.member = request[first].member;
      op.program = request[first].program;
    }
    op.flags |= model::kLinked;
    request.push_back(op);
  }
  if (!random_.OneIn(30)) request.back().flags &= static_cast<uint8_t>(~model::kLinked);
}

void RandomOperations::Accepted(const model::Operation& operation) {
  if (KindOf(operation) == model::Kind::kHold) accepted_holds_.push_back(operation);
  if (Takes(operation)) accepted_takings_.push_back(operation);
}

std::vector<model::Operation> RandomOperations::Request(model::Instant now, bool import_clock) {
  std::vector<model::Operation> request;
  const int64_t parts = random_.OneIn(3) ? random_.Between(1, 24) : random_.Between(1, 3);
  size_t seen = 0;
  for (int64_t i = 0; i < parts; ++i) {
    if (random_.Percent(taste_.chain_percent)) {
      AppendChain(request, now, import_clock);
    } else {
      request.push_back(Draw(now, import_clock));
    }
    const model::Operation& last = request.back();
    // Where the log time follows what occurs.
    if (import_clock && last.occurred_at < now + 800 * kDay) now = std::max(now, last.occurred_at);
    for (auto it = request.begin() + static_cast<std::ptrdiff_t>(seen); it != request.end(); ++it) {
      const model::Kind kind = KindOf(*it);
      if (Earns(*it) && it->amount > 0) earning_.push_back(*it);
      if (kind == model::Kind::kHold) holds_.push_back(*it);
      if (Takes(*it)) takings_.push_back(*it);
    }
    seen = request.size();
  }
  past_.insert(past_.end(), request.begin(), request.end());
  return request;
}

}  // namespace tallystick::ledger
