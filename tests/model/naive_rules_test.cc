// The rules that the trade's examples leave out: order of events and checks, receipts, chains.

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/model/ledger_fixture.h"
#include "tests/model/naive_ledger.h"

namespace tallystick::model {
namespace {

constexpr int64_t kMaxPoints = std::numeric_limits<int64_t>::max();

class Rules : public LedgerFixture {
 protected:
  Operation Expiring(Operation operation, Instant expires_at) {
    operation.expires_at = expires_at;
    return operation;
  }

  std::vector<Result> Chain(Instant t, std::vector<Operation> operations) {
    for (size_t i = 0; i < operations.size(); ++i) {
      operations[i].occurred_at = t;
      if (i + 1 < operations.size()) operations[i].flags |= kLinked;
    }
    ledger_.BeginBlock(t, false);
    return ledger_.Apply(operations);
  }

  std::vector<Kind> KindsDerived() {
    std::vector<Kind> kinds;
    for (const Derived& derived : ledger_.TakeDerived()) kinds.push_back(derived.kind);
    return kinds;
  }
};

TEST_F(Rules, AtItsExpiryAPointIsGone) {
  Start({});
  At(Day(0), Expiring(Make(Kind::kAccrue, 10), Day(5)));
  EXPECT_EQ(At(Day(5) - 1, Make(Kind::kEnrol, 0)).available, 10);
  const Result refused = At(Day(5), Make(Kind::kRedeem, 1));
  EXPECT_EQ(refused.outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(refused.available, 0);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
}

TEST_F(Rules, AtOneInstantExpiriesComeBeforeActivations) {
  Start({.pending_days = 5, .debt_floor = 100});
  At(Day(0), Make(Kind::kAccrue, 7));
  At(Day(0), Expiring(Make(Kind::kAdjust, 10), Day(5)));
  const Result result = At(Day(5), Make(Kind::kRedeem, 7));
  EXPECT_EQ(result.outcome, Outcome::kOk);
  const std::vector<Derived> derived = ledger_.TakeDerived();
  ASSERT_EQ(derived.size(), 2u);
  EXPECT_EQ(derived[0], (Derived{.kind = Kind::kExpiry,
                                 .member = kMember,
                                 .program = kProgram,
                                 .points = 10,
                                 .at = Day(5),
                                 .origin_sequence = 3,
                                 .available = 0,
                                 .pending = 7}));
  EXPECT_EQ(derived[1], (Derived{.kind = Kind::kActivation,
                                 .member = kMember,
                                 .program = kProgram,
                                 .points = 7,
                                 .at = Day(5),
                                 .origin_sequence = 2,
                                 .available = 7,
                                 .pending = 0}));
}

TEST_F(Rules, AtOneInstantPendingLotsExpireFirstThenAvailableOnesInSpendingOrder) {
  Start({.pending_days = 10});
  At(Day(1), Expiring(Make(Kind::kAdjust, 1), Day(5)));
  Operation earlier = Expiring(Make(Kind::kAdjust, 2), Day(5));
  earlier.occurred_at = Day(0);
  At(Day(1), earlier);
  At(Day(1), Expiring(Make(Kind::kAccrue, 4), Day(5)));
  At(Day(5), Make(Kind::kEnrol, 0));
  std::vector<int64_t> points;
  for (const Derived& derived : ledger_.TakeDerived()) points.push_back(derived.points);
  EXPECT_EQ(points, (std::vector<int64_t>{4, 2, 1}));
}

TEST_F(Rules, LotThatExpiresAsItActivatesNeverActivates) {
  Start({.pending_days = 5});
  At(Day(0), Expiring(Make(Kind::kAccrue, 10), Day(5)));
  At(Day(5), Make(Kind::kEnrol, 0));
  EXPECT_EQ(KindsDerived(), std::vector{Kind::kExpiry});
  EXPECT_EQ(totals().expired, 10);
}

TEST_F(Rules, LateAccrualActivatesAndExpiresAtOnce) {
  Start({.expiry = {.after = ExpiryAfter::kEarning, .days = 3}});
  Operation late = Make(Kind::kAccrue, 10);
  late.occurred_at = Day(1);
  const Result result = At(Day(4), late);
  EXPECT_EQ(result.points, 10);
  EXPECT_EQ(result.available, 10);
  const std::vector<Derived> derived = ledger_.TakeDerived();
  ASSERT_EQ(derived.size(), 1u);
  EXPECT_EQ(derived[0].kind, Kind::kExpiry);
  EXPECT_EQ(derived[0].at, Day(4));
  EXPECT_EQ(derived[0].origin_sequence, result.sequence);
  EXPECT_EQ(BalanceOn(Day(4)).available, 0);
}

TEST_F(Rules, LateAccrualMayExpireAtOnceFromPending) {
  Start({.pending_days = 20, .expiry = {.after = ExpiryAfter::kEarning, .days = 3}});
  Operation late = Make(Kind::kAccrue, 10);
  late.occurred_at = Day(1);
  const Result result = At(Day(10), late);
  EXPECT_EQ(result.pending, 10);
  EXPECT_EQ(result.available, 0);
  EXPECT_EQ(KindsDerived(), std::vector{Kind::kExpiry});
  EXPECT_EQ(BalanceOn(Day(10)).pending, 0);
}

TEST_F(Rules, SpendingTakesTheSoonestExpiringLotFirst) {
  Start({});
  At(Day(0), Make(Kind::kAccrue, 1));
  At(Day(1), Expiring(Make(Kind::kAccrue, 2), Day(20)));
  At(Day(2), Expiring(Make(Kind::kAccrue, 4), Day(10)));
  EXPECT_EQ(At(Day(3), Make(Kind::kRedeem, 5)).available, 2);
  const std::vector<Lot> lots = ledger_.LotsAt(kProgram, kMember, Day(3));
  ASSERT_EQ(lots.size(), 2u);
  EXPECT_EQ(lots[0], (Lot{1, 2, Day(1), Day(20), false}));
  EXPECT_EQ(lots[1], (Lot{1, 1, Day(0), kNever, false}));
}

TEST_F(Rules, ReturnClaimsNothingThatHasExpired) {
  Start({.debt_floor = 100});
  At(Day(0), Expiring(Make(Kind::kPurchase, 10), Day(5)));
  const Id purchase = last_.id;
  At(Day(1), Make(Kind::kRedeem, 4));
  EXPECT_EQ(Return(Day(6), 10, purchase).points, -4);
  EXPECT_EQ(totals().expired, 6);
  EXPECT_EQ(totals().debt, 4);
}

TEST_F(Rules, ReturnOfAnUnknownPurchaseTakesTheNewestLots) {
  Start({.earn = {.per_spend = 10, .minimum_spend = 1'000},
         .pending_days = 5,
         .unknown_original = UnknownOriginal::kNewest});
  At(Day(0), Make(Kind::kAdjust, 8));
  At(Day(0), Make(Kind::kAccrue, 3));
  const Result result = Return(Day(1), 50, {0, 999});
  EXPECT_EQ(result.points, -5);
  EXPECT_EQ(result.pending, 0);
  EXPECT_EQ(result.available, 6);
}

TEST_F(Rules, ReturnOfAnUnknownPurchaseIsRefusedByDefault) {
  Start({});
  EXPECT_EQ(Return(Day(1), 50, {0, 999}).outcome, Outcome::kUnknownOriginal);
  EXPECT_EQ(Return(Day(1), 50, {}).outcome, Outcome::kUnknownOriginal);
  At(Day(1), Make(Kind::kAdjust, 8));
  EXPECT_EQ(Return(Day(1), 8, last_.id).outcome, Outcome::kNotPermitted);
}

TEST_F(Rules, ReceiptsOfPurchasesLiveForReturnDays) {
  Start({.retention_days = 2, .return_days = 10});
  const Id purchase = Purchase(Day(0), 10);
  EXPECT_EQ(Return(Day(10), 5, purchase).points, -5);
  EXPECT_EQ(Return(Day(10) + 1, 5, purchase).outcome, Outcome::kUnknownOriginal);
}

TEST_F(Rules, KnownIdIsReplayedOrAConflict) {
  Start({});
  const Result original = At(Day(0), Make(Kind::kAccrue, 10));
  const Operation sent = last_;
  At(Day(1), Make(Kind::kRedeem, 10));
  Result replay = At(Day(50), sent);
  EXPECT_TRUE(replay.replayed);
  EXPECT_EQ(replay.sequence, original.sequence);
  replay.replayed = false;
  EXPECT_EQ(replay, original);

  Operation other = sent;
  other.user_data = 1;
  EXPECT_EQ(At(Day(50), other).outcome, Outcome::kIdConflict);
  EXPECT_EQ(At(Day(90) + 1, sent).outcome, Outcome::kTooOld);
}

TEST_F(Rules, RefusedOperationLeavesItsIdFree) {
  Start({});
  EXPECT_EQ(At(Day(0), Make(Kind::kRedeem, 5)).outcome, Outcome::kInsufficientPoints);
  const Operation refused = last_;
  At(Day(0), Make(Kind::kAccrue, 5));
  const Result result = At(Day(0), refused);
  EXPECT_EQ(result.outcome, Outcome::kOk);
  EXPECT_FALSE(result.replayed);
}

TEST_F(Rules, OccurredAtHasBothBounds) {
  Start({});
  Operation operation = Make(Kind::kAccrue, 1);
  operation.occurred_at = Day(40) + 5 * kMinute + 1;
  EXPECT_EQ(At(Day(40), operation).outcome, Outcome::kTooEarly);
  operation.occurred_at = Day(40) + 5 * kMinute;
  EXPECT_EQ(At(Day(40), operation).outcome, Outcome::kOk);
  operation = Make(Kind::kAccrue, 1);
  operation.occurred_at = Day(10) - 1;
  EXPECT_EQ(At(Day(40), operation).outcome, Outcome::kTooOld);
  operation.occurred_at = Day(10);
  EXPECT_EQ(At(Day(40), operation).outcome, Outcome::kOk);
}

TEST_F(Rules, ChecksNameTheFirstBadField) {
  Start({});
  const auto field_of = [this](const Operation& operation) {
    const Result result = At(Day(0), operation);
    EXPECT_EQ(result.outcome, Outcome::kBadRequest);
    return result.field;
  };
  Operation bad = Make(Kind::kExpiry, 1);
  bad.flags = 2;
  EXPECT_EQ(field_of(bad), Field::kKind);
  bad.kind = static_cast<uint8_t>(Kind::kRedeem);
  bad.reserved = 1;
  EXPECT_EQ(field_of(bad), Field::kFlags);
  bad.flags = 0;
  bad.id = {};
  EXPECT_EQ(field_of(bad), Field::kReserved);
  bad.reserved = 0;
  bad.member = {};
  EXPECT_EQ(field_of(bad), Field::kId);
  bad.id = {5, 5};
  bad.amount = 0;
  EXPECT_EQ(field_of(bad), Field::kMember);
  bad.member = kMember;
  bad.related = {1, 2};
  EXPECT_EQ(field_of(bad), Field::kAmount);
  bad.amount = 1;
  bad.occurred_at = -1;
  EXPECT_EQ(field_of(bad), Field::kRelated);
  bad.related = {};
  bad.expires_at = 1;
  EXPECT_EQ(field_of(bad), Field::kOccurredAt);
  bad.occurred_at = Day(0);
  EXPECT_EQ(field_of(bad), Field::kExpiresAt);
}

TEST_F(Rules, ImplicitEnrolmentIsFlagged) {
  Start({});
  Operation stranger = Make(Kind::kAccrue, 1);
  stranger.member = {2, 2};
  EXPECT_EQ(At(Day(0), stranger).outcome, Outcome::kUnknownMember);
  ledger_.PutProgram({.id = kProgram, .implicit_enrolment = true, .effective_at = Day(1)}, Day(1));
  stranger.occurred_at = 0;
  EXPECT_TRUE(At(Day(1), stranger).enrolled);
  EXPECT_EQ(totals().members, 2);
}

TEST_F(Rules, CreditsStopAtTheLargestNumber) {
  Start({.earn = {.points = 10}});
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, kMaxPoints)).outcome, Outcome::kOverflow);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, kMaxPoints - 1)).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kRedeem, kMaxPoints - 1)).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAdjust, 2)).outcome, Outcome::kOverflow);
  EXPECT_EQ(At(Day(0), Make(Kind::kAdjust, 1)).outcome, Outcome::kOk);
}

TEST_F(Rules, ClaimIsCheckedBeforeItIsKnownWhoPays) {
  Start({.unknown_original = UnknownOriginal::kNewest});
  EXPECT_TRUE(Return(Day(0), kMaxPoints - 5, {}).written_off);
  At(Day(0), Make(Kind::kAdjust, 100));
  EXPECT_EQ(Return(Day(0), 6, {}).outcome, Outcome::kOverflow);
  EXPECT_EQ(Return(Day(0), 5, {}).points, -5);
}

TEST_F(Rules, BlockWithoutAnAcceptedOperationMovesNothing) {
  Start({});
  EXPECT_EQ(At(Day(9), Make(Kind::kRedeem, 1)).outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(ledger_.log_time(), Day(0));
  ledger_.BeginBlock(Day(20), true);
  Operation imported = Make(Kind::kAccrue, 1);
  imported.occurred_at = Day(2);
  ledger_.Apply({imported});
  EXPECT_EQ(ledger_.log_time(), Day(2));
}

TEST_F(Rules, AccountHoldsAtMost10240LotsWithPoints) {
  Start({.earn = {.per_spend = 100}});
  std::vector<Operation> operations;
  for (int i = 0; i < 10'240; ++i) {
    operations.push_back(Make(Kind::kAccrue, 1));
    operations.back().occurred_at = Day(0);
  }
  for (const Result& result : ledger_.Apply(operations)) ASSERT_EQ(result.outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, 1)).outcome, Outcome::kTooManyLots);
  EXPECT_EQ(At(Day(0), Make(Kind::kPurchase, 99)).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kRedeem, 1)).outcome, Outcome::kOk);
  EXPECT_EQ(At(Day(0), Make(Kind::kAccrue, 1)).outcome, Outcome::kOk);
}

TEST_F(Rules, ChainAppliesWhole) {
  Start({});
  const std::vector<Result> results =
      Chain(Day(0), {Make(Kind::kAccrue, 10), Make(Kind::kRedeem, 10)});
  EXPECT_EQ(results[0].available, 10);
  EXPECT_EQ(results[1].available, 0);
  EXPECT_EQ(results[1].outcome, Outcome::kOk);
}

TEST_F(Rules, FailedChainChangesNothing) {
  Start({});
  At(Day(0), Expiring(Make(Kind::kAccrue, 5), Day(2)));
  const Totals before = totals();
  const std::vector<Result> results =
      Chain(Day(3), {Make(Kind::kAccrue, 10), Make(Kind::kRedeem, 11), Make(Kind::kAccrue, 1)});
  EXPECT_EQ(results[0].outcome, Outcome::kChainRefused);
  EXPECT_EQ(results[0].available, 0);
  EXPECT_EQ(results[1].outcome, Outcome::kInsufficientPoints);
  EXPECT_EQ(results[1].available, 10);
  EXPECT_EQ(results[2].outcome, Outcome::kChainRefused);
  EXPECT_EQ(totals(), before);
  EXPECT_TRUE(ledger_.TakeDerived().empty());
}

TEST_F(Rules, MalformedChainIsRefusedWhole) {
  Start({});
  Operation stranger = Make(Kind::kAccrue, 1);
  stranger.member = {2, 2};
  Operation open = Make(Kind::kAccrue, 1);
  open.flags = kLinked;
  for (const auto& chain :
       {std::vector{Make(Kind::kAccrue, 1), stranger}, std::vector{Make(Kind::kAccrue, 1), open},
        std::vector<Operation>(65, Make(Kind::kEnrol, 0))}) {
    for (const Result& result : Chain(Day(0), chain)) {
      EXPECT_EQ(result.outcome, Outcome::kBadRequest);
      EXPECT_EQ(result.field, Field::kChain);
    }
  }
}

TEST_F(Rules, ImportedLogTimeFollowsAcceptedOperations) {
  Start({.expiry = {.after = ExpiryAfter::kEarning, .days = 3}});
  ledger_.BeginBlock(Day(100), true);
  Operation accrual = Make(Kind::kAccrue, 10);
  accrual.occurred_at = Day(1);
  Operation refused = Make(Kind::kRedeem, 11);
  refused.occurred_at = Day(2);
  Operation ahead = Make(Kind::kAccrue, 1);
  ahead.occurred_at = Day(100) + kMinute;
  EXPECT_EQ(ledger_.Apply({accrual, refused})[1].available, 10);
  EXPECT_EQ(ledger_.log_time(), Day(1));
  EXPECT_EQ(ledger_.Apply({ahead})[0].available, 1);
  EXPECT_EQ(ledger_.log_time(), Day(100));
  EXPECT_EQ(totals().expired, 10);
}

TEST_F(Rules, TickMovesImportedLogTimeOnly) {
  Start({.pending_days = 1});
  At(Day(0), Make(Kind::kAccrue, 1));
  Operation tick;
  tick.id = {0, 500};
  tick.occurred_at = Day(2);
  tick.kind = static_cast<uint8_t>(Kind::kTick);
  EXPECT_EQ(At(Day(2), tick).outcome, Outcome::kNotPermitted);
  ledger_.BeginBlock(Day(9), true);
  tick.occurred_at = Day(3);
  EXPECT_EQ(ledger_.Apply({tick})[0].outcome, Outcome::kOk);
  EXPECT_EQ(ledger_.log_time(), Day(3));
  ledger_.SettleAll();
  EXPECT_EQ(KindsDerived(), std::vector{Kind::kActivation});
  EXPECT_EQ(ledger_.Members(kProgram).front().second.available, 1);
}

}  // namespace
}  // namespace tallystick::model
