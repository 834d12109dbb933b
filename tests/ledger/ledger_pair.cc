#include "tests/ledger/ledger_pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <tuple>

#include "ledger/row_visitor.h"

namespace tallystick::ledger {
namespace {

// Small chunks of memory are enough for a run.
constexpr Limits kLimits = {};

Id ToId(const model::Id& id) { return Id(id.low, id.high); }
model::Id FromId(const Id& id) { return {id.high(), id.low()}; }

Operation ToOperation(const model::Operation& op) {
  return Operation(ToId(op.id), ToId(op.member), ToId(op.related), op.amount, op.occurred_at,
                   op.expires_at, op.user_data, op.program, op.category, static_cast<Kind>(op.kind),
                   op.flags, op.reserved);
}

ProgramSpec ToSpec(const model::Program& program, int32_t version) {
  ProgramSpec spec;
  spec.id = program.id;
  spec.earn = {program.earn.points, program.earn.per_spend,
               static_cast<Rounding>(program.earn.rounding), program.earn.minimum_spend};
  if (program.pending_days > 0) spec.pending_days = program.pending_days;
  if (program.expiry.after != model::ExpiryAfter::kNever) {
    spec.expiry = {program.expiry.after == model::ExpiryAfter::kEarning ? ExpiryBase::earning
                                                                        : ExpiryBase::activation,
                   program.expiry.days, program.expiry.months,
                   static_cast<Period>(program.expiry.round_up_to)};
  }
  spec.redeem_minimum = program.redeem_minimum;
  spec.redeem_step = program.redeem_step;
  spec.debt_floor = program.debt_floor;
  spec.retention_days = program.retention_days;
  spec.return_days = program.return_days;
  spec.implicit_enrolment = program.implicit_enrolment;
  spec.unknown_original = static_cast<UnknownOriginal>(program.unknown_original);
  spec.hold_timeout_minutes = static_cast<int32_t>(program.hold_timeout_minutes);
  spec.expired_reversal =
      program.forfeit_expired ? ExpiredReversal::forfeit : ExpiredReversal::restore;
  spec.grace_days = program.reversal_grace_days;
  spec.transfer = {static_cast<TransferDates>(program.transfer_dates), program.transfer_minimum,
                   program.transfer_maximum};
  spec.version = version;
  spec.effective_us = program.effective_at;
  spec.initial_offset_s = program.zone.initial_offset_s;
  for (const model::Transition& t : program.zone.transitions) {
    spec.transitions.emplace_back(t.at, t.offset_s, 0);
  }
  return spec;
}

StateMachine::OpenTransfer ToOpen(const model::OpenTransfer& transfer, Position position) {
  return {position, transfer.program, ToId(transfer.from), ToId(transfer.to)};
}

// Of either kind.
template <typename AnyTotals>
std::vector<int64_t> Numbers(const AnyTotals& t) {
  return {t.members,   t.issued,     t.redeemed, t.expired,     t.forfeited,   t.closed_out,
          t.adjusted,  t.reinstated, t.forgiven, t.clawed_back, t.written_off, t.pending,
          t.available, t.held,       t.debt,     t.sent,        t.received};
}

std::vector<int64_t> DetailsOf(Kind kind, const Record& slot) {
  switch (kind) {
    case Kind::Return: {
      const auto d = DetailIn<ReturnDetail>(slot);
      return {d.claim, d.from_pending, d.from_available, d.to_debt, d.written_off};
    }
    case Kind::Capture: {
      const auto d = DetailIn<CaptureDetail>(slot);
      return {d.captured, d.given_back, d.forgiven};
    }
    case Kind::ReverseRedemption: {
      const auto d = DetailIn<ReversalDetail>(slot);
      return {d.reinstated, d.repaid, d.forfeited};
    }
    case Kind::Close: {
      const auto d = DetailIn<CloseDetail>(slot);
      return {d.pending, d.available, d.forgiven};
    }
    default:
      return {};
  }
}

using LotKey = std::tuple<bool, Instant, Instant, int64_t, int64_t>;

}  // namespace

LedgerPair::LedgerPair() : fast_(kLimits), image_(machine()) {}

void LedgerPair::BeginBlock(const BlockTime& time, size_t capacity, bool take_image) {
  time_ = time;
  if (take_image && !image_.active()) image_.Begin(fast_.EndBlock());
  fast_.BeginBlock(time, capacity);
  naive_.BeginBlock(time.stamp, time.import_clock);
}

void LedgerPair::ContinueImage(size_t budget_bytes) {
  if (image_.active()) image_.Continue(budget_bytes);
}

Instant LedgerPair::Now() {
  const Instant log_time = machine().log_time();
  return time_.import_clock ? log_time : std::max(log_time, time_.stamp);
}

void LedgerPair::PutProgram(const model::Program& program, int32_t version) {
  const Instant now = Now();
  const Result result = fast_.PutProgram(ToSpec(program, version));
  ASSERT_EQ(result.outcome(), Outcome::Ok);
  ASSERT_EQ(result.flags(), 0);
  naive_.PutProgram(program, now);
  programs_.insert(program.id);
  zones_[program.id] = program.zone;
  ASSERT_EQ(machine().log_time(), naive_.log_time());
}

LedgerPair::Rehearsal LedgerPair::Rehearse(const std::vector<Operation>& operations) {
  size_t count = 1;
  while (count < operations.size() && (operations[count - 1].flags() & kLinked) != 0) ++count;
  const Operation& last = operations[count - 1];
  Rehearsal rehearsal{std::vector<Result>(count), {}, {}};
  const uint64_t digest = machine().Digest();
  const Instant log_time = machine().log_time();
  rehearsal.records =
      fast_.DryRun({operations.data(), count}, rehearsal.results.data(), [&](Instant t) {
        rehearsal.balance = machine().BalanceAt(last.program(), last.member(), t);
      });
  EXPECT_EQ(machine().Digest(), digest) << "a dry run has changed something";
  EXPECT_EQ(machine().log_time(), log_time);
  if (const absl::Status sound = machine().CheckInvariants(); !sound.ok()) ADD_FAILURE() << sound;
  ++dry_runs_;
  return rehearsal;
}

void LedgerPair::CompareRehearsal(const Rehearsal& rehearsal,
                                  const std::vector<Operation>& operations,
                                  const std::vector<Result>& results, size_t applied, size_t from) {
  const size_t count = rehearsal.results.size();
  // None was tried, or it did not fit into the block.
  if (count == 0 || applied < count) return;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(std::memcmp(&rehearsal.results[i], &results[i], sizeof(Result)), 0)
        << "operation " << i << " of kind " << EnumNameKind(operations[i].kind())
        << ": the dry run has another result";
  }
  const absl::Span<const Record> written = fast_.open_slots().subspan(from);
  ASSERT_GE(written.size(), rehearsal.records.size());
  for (size_t i = 0; i < rehearsal.records.size(); ++i) {
    EXPECT_EQ(std::memcmp(&rehearsal.records[i], &written[i], sizeof(Record)), 0)
        << "slot " << i << " of a dry run is another one";
  }
  if (applied > count) return;
  EXPECT_EQ(written.size(), rehearsal.records.size());
  const Operation& last = operations[count - 1];
  const auto balance = machine().BalanceAt(last.program(), last.member(), Now());
  ASSERT_EQ(balance.has_value(), rehearsal.balance.has_value());
  if (!balance.has_value() || results[count - 1].outcome() != Outcome::Ok) return;
  EXPECT_EQ(balance->available, rehearsal.balance->available);
  EXPECT_EQ(balance->pending, rehearsal.balance->pending);
  EXPECT_EQ(balance->held, rehearsal.balance->held);
  EXPECT_EQ(balance->debt, rehearsal.balance->debt);
}

size_t LedgerPair::Apply(const std::vector<model::Operation>& operations, bool check_digest,
                         bool dry_run) {
  std::vector<Operation> sent;
  sent.reserve(operations.size());
  for (const model::Operation& op : operations) sent.push_back(ToOperation(op));
  std::vector<Result> results(sent.size());
  const uint64_t digest = check_digest ? machine().Digest() : 0;
  const size_t from = fast_.open_slots().size();
  const Rehearsal rehearsal = dry_run ? Rehearse(sent) : Rehearsal();
  const size_t applied = fast_.Apply(sent, results.data());
  CompareRehearsal(rehearsal, sent, results, applied, from);

  expected_ = naive_.Apply({operations.begin(), operations.begin() + applied});
  std::vector<Accepted> accepted;
  for (size_t i = 0; i < applied; ++i) {
    SCOPED_TRACE(testing::Message() << "operation " << i << " of kind " << +operations[i].kind
                                    << ", amount " << operations[i].amount << ", occurred "
                                    << operations[i].occurred_at << ", now " << Now());
    CompareResult(expected_[i], results[i]);
    const bool is_new = expected_[i].outcome == model::Outcome::kOk && !expected_[i].replayed;
    if (is_new) accepted.push_back({sent[i], expected_[i].details});
  }
  CompareRecords(from, accepted);
  EXPECT_EQ(machine().log_time(), naive_.log_time());
  if (check_digest && accepted.empty()) {
    EXPECT_EQ(machine().Digest(), digest) << "a refusal has changed something";
  }
  return applied;
}

void LedgerPair::CompareResult(const model::Result& expected, const Result& actual) {
  EXPECT_EQ(static_cast<int>(actual.outcome()), static_cast<int>(expected.outcome));
  EXPECT_EQ(static_cast<int>(actual.field()), static_cast<int>(expected.field));
  EXPECT_EQ(actual.points(), expected.points);
  EXPECT_EQ(actual.available(), expected.available);
  EXPECT_EQ(actual.pending(), expected.pending);
  EXPECT_EQ(actual.flags(),
            (expected.replayed ? kReplayed : 0) | (expected.enrolled ? kEnrolled : 0) |
                (expected.written_off ? kWrittenOff : 0) | (expected.detailed ? kDetailed : 0) |
                (expected.in_transit ? kInTransit : 0));
  EXPECT_EQ(actual.reserved(), 0);
  if (expected.sequence == positions_.size() && !expected.replayed) {
    positions_.push_back(actual.position());
    ++accepted_;
    return;
  }
  ASSERT_LT(expected.sequence, positions_.size());
  EXPECT_EQ(actual.position(), positions_[expected.sequence]);
}

void LedgerPair::CompareRecords(size_t from, const std::vector<Accepted>& accepted) {
  const absl::Span<const Record> slots = fast_.open_slots();
  const std::vector<model::Derived> derived = naive_.TakeDerived();
  size_t derived_seen = 0;
  size_t accepted_seen = 0;
  for (size_t i = from; i < slots.size(); ++i) {
    const Record& record = slots[i];
    FollowHistory(record, fast_.open_position() + i);
    if (IsDerived(record.operation.kind())) {
      ASSERT_LT(derived_seen, derived.size()) << "a derived record too many";
      CompareDerived(record, derived[derived_seen++]);
      continue;
    }
    ASSERT_LT(accepted_seen, accepted.size()) << "a record too many";
    const Accepted& operation = accepted[accepted_seen++];
    ASSERT_TRUE(SameBytes(record.operation, operation.operation));
    const bool detailed = (record.result.flags() & (kWrittenOff | kDetailed)) != 0;
    ASSERT_EQ(record.result.details(), detailed ? 1 : 0);
    std::vector<int64_t> details;
    if (detailed) details = DetailsOf(record.operation.kind(), slots[++i]);
    EXPECT_EQ(details, operation.details);
  }
  EXPECT_EQ(accepted_seen, accepted.size());
  EXPECT_EQ(derived_seen, derived.size());
  derived_ += derived_seen;
}

void LedgerPair::CompareDerived(const Record& record, const model::Derived& expected) {
  const Operation& op = record.operation;
  EXPECT_EQ(static_cast<int>(op.kind()), static_cast<int>(expected.kind));
  EXPECT_EQ(op.program(), expected.program);
  EXPECT_EQ(FromId(op.member()), expected.member);
  EXPECT_EQ(op.amount(), expected.points);
  EXPECT_EQ(op.occurred_at(), expected.at);
  ASSERT_LT(expected.origin_sequence, positions_.size());
  EXPECT_EQ(op.related().low(), positions_[expected.origin_sequence]);
  EXPECT_EQ(record.result.available(), expected.available);
  EXPECT_EQ(record.result.pending(), expected.pending);
  EXPECT_EQ(record.result.points(), op.kind() == Kind::Expiry ? -op.amount() : 0);
}

void LedgerPair::FollowHistory(const Record& record, Position position) {
  const Operation& op = record.operation;
  if (op.kind() == Kind::Tick) {
    EXPECT_EQ(record.result.position(), 0u);
    return;
  }
  Position& head = histories_[{op.program(), FromId(op.member())}];
  EXPECT_EQ(record.result.position(), head);
  head = position;
}

std::vector<model::OpenTransfer> LedgerPair::OpenTransfers() {
  const std::vector<model::OpenTransfer> expected = naive_.OpenTransfers();
  const std::vector<StateMachine::OpenTransfer> actual = machine().OpenTransfers();
  EXPECT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    EXPECT_EQ(actual[i].position, positions_[expected[i].sequence]);
    EXPECT_EQ(actual[i].program, expected[i].program);
    EXPECT_EQ(FromId(actual[i].from), expected[i].from);
    EXPECT_EQ(FromId(actual[i].to), expected[i].to);
  }
  return expected;
}

LedgerPair::Sent LedgerPair::WriteParcel(const model::OpenTransfer& transfer, uint16_t shard,
                                         Sequence open_from) {
  Sent sent;
  sent.parcel = naive_.ParcelOf(transfer, shard, open_from);
  machine().WriteParcel(ToOpen(transfer, positions_[transfer.sequence]), shard,
                        positions_[open_from], sent.records);

  const model::Parcel& expected = sent.parcel;
  EXPECT_TRUE(SameBytes(sent.records[0].operation, ToOperation(expected.operation)));
  const auto detail = DetailIn<TransferDetail>(sent.records[1]);
  EXPECT_EQ(detail.position, positions_[transfer.sequence]);
  EXPECT_EQ(detail.open_from, positions_[open_from]);
  EXPECT_EQ(detail.shard, shard);
  std::vector<model::Parcel::Lot> lots;
  for (size_t i = 2; i < sent.records.size(); ++i) {
    const auto lot = DetailIn<TransferLot>(sent.records[i]);
    lots.push_back({lot.points, lot.activates_at, lot.expires_at});
  }
  EXPECT_EQ(lots, expected.lots);
  return sent;
}

model::Result LedgerPair::Receive(const Sent& sent) {
  const size_t from = fast_.open_slots().size();
  const uint64_t digest = machine().Digest();
  const Result actual = fast_.Receive(sent.records);
  const model::Result expected = naive_.Receive(sent.parcel);
  std::vector<model::Derived> derived = naive_.TakeDerived();
  EXPECT_EQ(static_cast<int>(actual.outcome()), static_cast<int>(expected.outcome));
  EXPECT_EQ(actual.flags(), expected.replayed ? kReplayed : 0);
  EXPECT_EQ(machine().log_time(), naive_.log_time());
  if (expected.sequence == 0) {
    EXPECT_EQ(fast_.open_slots().size(), from);
    EXPECT_EQ(machine().Digest(), digest);
    return expected;
  }
  EXPECT_EQ(actual.points(), expected.points);
  EXPECT_EQ(actual.available(), expected.available);
  EXPECT_EQ(actual.pending(), expected.pending);
  ++accepted_;
  size_t at = CompareDerivedUntil(from, derived);
  if (testing::Test::HasFailure()) return expected;
  CompareArrival(sent.records, at, expected);
  at = CompareDerivedUntil(at + sent.records.size(), derived);
  EXPECT_EQ(at, fast_.open_slots().size());
  EXPECT_TRUE(derived.empty());
  return expected;
}

void LedgerPair::CompareArrival(const std::vector<Record>& parcel, size_t at,
                                const model::Result& expected) {
  const absl::Span<const Record> slots = fast_.open_slots();
  ASSERT_LE(at + parcel.size(), slots.size());
  const Record& record = slots[at];
  ASSERT_TRUE(SameBytes(record.operation, parcel[0].operation));
  EXPECT_EQ(record.result.outcome(), Outcome::Ok);
  EXPECT_EQ(record.result.points(), expected.points);
  EXPECT_EQ(record.result.available(), expected.available);
  EXPECT_EQ(record.result.pending(), expected.pending);
  EXPECT_EQ(record.result.details(), parcel.size() - 1);
  EXPECT_EQ(std::memcmp(&slots[at + 1], &parcel[1], (parcel.size() - 1) * kSlotBytes), 0);
  ASSERT_EQ(expected.sequence, positions_.size());
  for (size_t i = 0; i < parcel.size(); ++i) positions_.push_back(fast_.open_position() + at + i);
  FollowHistory(record, fast_.open_position() + at);
}

void LedgerPair::Finish(const model::OpenTransfer& transfer, model::Outcome outcome) {
  const size_t from = fast_.open_slots().size();
  const Result actual =
      fast_.Finish(ToOpen(transfer, positions_[transfer.sequence]), static_cast<Outcome>(outcome));
  const model::Result expected = naive_.Finish(transfer, outcome);
  std::vector<model::Derived> derived = naive_.TakeDerived();
  EXPECT_EQ(machine().log_time(), naive_.log_time());
  if (expected.outcome != model::Outcome::kOk) {
    EXPECT_EQ(static_cast<int>(actual.outcome()), static_cast<int>(expected.outcome));
    EXPECT_EQ(fast_.open_slots().size(), from);
    return;
  }
  ++accepted_;
  size_t at = CompareDerivedUntil(from, derived);
  if (testing::Test::HasFailure()) return;
  CompareFinish(transfer, outcome, at, expected, actual);
  at = CompareDerivedUntil(at + 1, derived);
  EXPECT_EQ(at, fast_.open_slots().size());
  EXPECT_TRUE(derived.empty());
}

void LedgerPair::CompareFinish(const model::OpenTransfer& transfer, model::Outcome outcome,
                               size_t at, const model::Result& expected, const Result& actual) {
  const absl::Span<const Record> slots = fast_.open_slots();
  ASSERT_LT(at, slots.size());
  const Record& record = slots[at];
  const bool is_done = outcome == model::Outcome::kOk;
  EXPECT_EQ(record.operation.kind(), is_done ? Kind::TransferDone : Kind::TransferBack);
  EXPECT_EQ(FromId(record.operation.member()), transfer.from);
  EXPECT_EQ(FromId(record.operation.related()), transfer.to);
  EXPECT_EQ(record.operation.program(), transfer.program);
  EXPECT_EQ(record.operation.user_data(), positions_[transfer.sequence]);
  EXPECT_EQ(record.operation.category(), static_cast<uint16_t>(outcome));
  EXPECT_EQ(record.result.points(), expected.points);
  EXPECT_EQ(record.result.available(), expected.available);
  EXPECT_EQ(record.result.pending(), expected.pending);
  EXPECT_EQ(record.result.details(), 0);
  EXPECT_EQ(actual.outcome(), Outcome::Ok);
  ASSERT_EQ(expected.sequence, positions_.size());
  positions_.push_back(fast_.open_position() + at);
  FollowHistory(record, fast_.open_position() + at);
}

size_t LedgerPair::CompareDerivedUntil(size_t from, std::vector<model::Derived>& derived) {
  const absl::Span<const Record> slots = fast_.open_slots();
  size_t at = from;
  while (at < slots.size() && IsDerived(slots[at].operation.kind())) {
    EXPECT_LT(at - from, derived.size()) << "a derived record too many";
    if (at - from >= derived.size()) return at;
    FollowHistory(slots[at], fast_.open_position() + at);
    CompareDerived(slots[at], derived[at - from]);
    ++at;
  }
  derived.erase(derived.begin(), derived.begin() + static_cast<std::ptrdiff_t>(at - from));
  derived_ += at - from;
  return at;
}

size_t LedgerPair::Remember() {
  const size_t blocks = fast_.Log().size();
  memories_[++last_memory_] = {blocks, machine().Digest(), naive_, positions_, histories_};
  return last_memory_;
}

void LedgerPair::Crash(size_t remembered) {
  const Memory& memory = memories_.at(remembered);
  image_.Abandon();
  const absl::Status status = fast_.Restart(memory.blocks);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(machine().Digest(), memory.digest);
  const absl::Status sound = machine().CheckInvariants();
  EXPECT_TRUE(sound.ok()) << sound;
  naive_ = memory.naive;
  positions_ = memory.positions;
  histories_ = memory.histories;
  image_.Restart(fast_.Log());
  memories_.erase(memories_.upper_bound(remembered), memories_.end());
  last_memory_ = remembered;
}

void LedgerPair::Forget(size_t before) {
  memories_.erase(memories_.begin(), memories_.lower_bound(before));
}

bool LedgerPair::SettleDue(uint32_t budget) {
  const size_t from = fast_.open_slots().size();
  const bool more = fast_.SettleDue(budget);
  const absl::Span<const Record> slots = fast_.open_slots();
  for (size_t i = from; i < slots.size(); ++i) {
    if ((slots[i].result.flags() & kTicked) == 0) continue;
    naive_.SettleMember(slots[i].operation.program(), FromId(slots[i].operation.member()));
  }
  CompareRecords(from, {});
  EXPECT_EQ(machine().log_time(), naive_.log_time());
  return more;
}

void LedgerPair::CompareAccount(uint16_t program, const model::Id& member, Instant at) {
  const std::optional<model::Balance> expected = naive_.BalanceAt(program, member, at);
  const std::optional<StateMachine::Balance> actual =
      machine().BalanceAt(program, ToId(member), at);
  ASSERT_EQ(actual.has_value(), expected.has_value());
  if (!expected.has_value()) return;
  EXPECT_EQ(actual->pending, expected->pending) << "at " << at;
  EXPECT_EQ(actual->available, expected->available) << "at " << at;
  EXPECT_EQ(actual->held, expected->held) << "at " << at;
  EXPECT_EQ(actual->debt, expected->debt) << "at " << at;
  EXPECT_EQ(actual->lifetime_earned, expected->lifetime_earned);

  std::vector<LotKey> actual_lots, expected_lots;
  for (const Lot& lot : machine().LotsAt(program, ToId(member), at)) {
    actual_lots.emplace_back(lot.pending, lot.expires_at, lot.activates_at, lot.remaining,
                             lot.original);
  }
  for (const model::Lot& lot : naive_.LotsAt(program, member, at)) {
    expected_lots.emplace_back(lot.pending, lot.expires_at, lot.activates_at, lot.remaining,
                               lot.original);
  }
  size_t lots = expected_lots.size();
  const auto expected_holds = naive_.HoldsAt(program, member, at);
  const auto actual_holds = machine().HoldsAt(program, ToId(member), at);
  std::set<std::tuple<Position, Instant, int64_t, std::vector<LotKey>>> expected_set, actual_set;
  for (const auto& hold : expected_holds) {
    std::vector<LotKey> held;
    for (const model::Lot& lot : hold.lots) {
      held.emplace_back(lot.pending, lot.expires_at, lot.activates_at, lot.remaining, lot.original);
    }
    lots += held.size();
    expected_set.emplace(positions_[hold.sequence], hold.times_out_at, hold.points, held);
  }
  for (const StateMachine::OpenHold& hold : actual_holds) {
    std::vector<LotKey> held;
    for (const Lot& lot : hold.lots) {
      held.emplace_back(lot.pending, lot.expires_at, lot.activates_at, lot.remaining, lot.original);
    }
    actual_set.emplace(hold.position, hold.times_out_at, hold.points, held);
  }
  EXPECT_EQ(actual_set, expected_set) << "at " << at;
  lots += naive_.LotsOnTheirWay(program, member);
  EXPECT_EQ(actual->lot_count, lots);
  // Of pending lots the order has no meaning here: one lists them by activation, the other by
  // event.
  for (auto* lots : {&actual_lots, &expected_lots}) {
    const auto pending = std::find_if(lots->begin(), lots->end(),
                                      [](const LotKey& lot) { return std::get<0>(lot); });
    std::sort(pending, lots->end());
  }
  EXPECT_EQ(actual_lots, expected_lots) << "at " << at;
}

void LedgerPair::BeginOwed(uint16_t program, Instant as_of) {
  if (counting_.has_value()) return;
  ASSERT_TRUE(machine().BeginOwed(program, as_of));
  counting_ = Counting{program, as_of, zones_[program], 0};
}

void LedgerPair::ContinueOwed(size_t budget) {
  if (!counting_.has_value()) return;
  ++counting_->turns;
  if (!machine().ContinueOwed(budget)) return;
  const Owed actual = machine().EndOwed();
  const Owed expected = ExpectedOwed(*counting_);
  EXPECT_EQ(actual.months, expected.months);
  EXPECT_EQ(actual.later, expected.later);
  EXPECT_EQ(actual.never, expected.never);
  EXPECT_EQ(actual.debt, expected.debt);
  if (counting_->as_of == kAsTheyStand) {
    const Totals& totals = *machine().TotalsOf(counting_->program);
    EXPECT_EQ(actual.Sum(), (OwedPoints{totals.pending, totals.available, totals.held}));
    EXPECT_EQ(actual.debt, totals.debt);
  }
  if (counting_->turns > 1) ++owed_counts_;
  counting_.reset();
}

namespace {

// Sums up what rows have as they stand.
class RowSums : public RowVisitor {
 public:
  RowSums(uint16_t program, const std::function<void(const Lot& lot)>& add, Owed& owed)
      : program_(program), add_(add), owed_(owed) {}
  void OnAccount(const AccountRows& rows) override {
    if (rows.account.program != program_) return;
    owed_.debt += std::max<Points>(-rows.account.available, 0);
    for (const Lot& lot : rows.lots) add_(lot);
    for (const StateMachine::OpenHold& hold : rows.holds) {
      if (!IsZero(hold.to)) continue;  // on its way
      for (const Lot& lot : hold.lots) add_(lot);
    }
  }
  void OnReceipt(uint16_t, const Id&, const Receipt&, const Returned&,
                 absl::Span<const Taking>) override {}

 private:
  const uint16_t program_;
  const std::function<void(const Lot& lot)>& add_;
  Owed& owed_;
};

}  // namespace

Owed LedgerPair::ExpectedOwed(const Counting& counting) {
  Owed owed;
  const auto sum_of = [&](Instant expires_at) -> OwedPoints& {
    if (expires_at == kNever) return owed.never;
    const int64_t local = model::LocalFromUtc(counting.zone, expires_at - 1);
    const int64_t day = local / model::kDay - (local % model::kDay < 0 ? 1 : 0);
    const model::CivilDate date = model::CivilFromDays(day);
    if (date.year >= 3000) return owed.later;
    return owed.months[static_cast<int32_t>((date.year - 1970) * 12 + date.month - 1)];
  };
  if (counting.as_of == kAsTheyStand) {
    const std::function<void(const Lot& lot)> add = [&](const Lot& lot) {
      OwedPoints& sum = sum_of(lot.expires_at);
      (lot.held ? sum.held : lot.pending ? sum.pending : sum.available) += lot.remaining;
    };
    RowSums sums(counting.program, add, owed);
    machine().VisitRows(sums);
  } else {
    for (const auto& [member, balance] : naive_.Members(counting.program)) {
      for (const model::Lot& lot : naive_.LotsAt(counting.program, member, counting.as_of)) {
        OwedPoints& sum = sum_of(lot.expires_at);
        (lot.pending ? sum.pending : sum.available) += lot.remaining;
      }
      for (const auto& hold : naive_.HoldsAt(counting.program, member, counting.as_of)) {
        for (const model::Lot& lot : hold.lots) sum_of(lot.expires_at).held += lot.remaining;
      }
      owed.debt += naive_.BalanceAt(counting.program, member, counting.as_of)->debt;
    }
  }
  std::erase_if(owed.months, [](const auto& month) { return month.second.empty(); });
  return owed;
}

void LedgerPair::CompareAll() {
  naive_.SettleAll();
  EXPECT_TRUE(naive_.TakeDerived().empty()) << "something is due that SettleDue has not found";
  naive_.CheckConservation();
  const absl::Status status = machine().CheckInvariants();
  EXPECT_TRUE(status.ok()) << status;
  for (const uint16_t program : programs_) {
    EXPECT_EQ(Numbers(*machine().TotalsOf(program)), Numbers(naive_.TotalsOf(program)));
    for (const auto& [member, balance] : naive_.Members(program)) {
      CompareAccount(program, member, Now());
      EXPECT_EQ(machine().LastPosition(program, ToId(member)), (histories_[{program, member}]));
    }
  }
}

void LedgerPair::CompareReplay() {
  StateMachine replayed(kLimits);
  const absl::Status status = Replay(fast_.Log(), replayed);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(replayed.log_time(), machine().log_time());
  EXPECT_EQ(replayed.Digest(), machine().Digest());
  const absl::Status invariants = replayed.CheckInvariants();
  EXPECT_TRUE(invariants.ok()) << invariants;
  image_.CompareRest(fast_.Log());
}

}  // namespace tallystick::ledger
