// Which outcome an operation has, and what it says with it.

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

class Outcomes : public LedgerTest {
 protected:
  Field FieldRefused(const Operation& operation) {
    const uint64_t digest = ledger_.machine().Digest();
    const Result result = At(Day(1), operation);
    EXPECT_EQ(result.outcome(), Outcome::BadRequest);
    EXPECT_EQ(result.points(), 0);
    EXPECT_EQ(result.position(), 0u);
    EXPECT_EQ(ledger_.machine().Digest(), digest);
    return result.field();
  }
  Operation Good(Kind kind, int64_t amount) {
    Operation operation = Make(kind, amount);
    operation.mutate_occurred_at(Day(1));
    return operation;
  }
};

TEST_F(Outcomes, BadRequestNamesItsFieldAndTellsTheBalance) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 40));
  const Result result = At(Day(1), Make(Kind::Redeem, -1));
  EXPECT_EQ(result.outcome(), Outcome::BadRequest);
  EXPECT_EQ(result.field(), Field::Amount);
  EXPECT_EQ(result.available(), 40);
}

TEST_F(Outcomes, KindsThatAreNotSentAreRefused) {
  Start({});
  for (const int kind : {0, 1, 20, 21, 22, 23, 127, 128, 129, 130, 255}) {
    EXPECT_EQ(FieldRefused(Good(static_cast<Kind>(kind), 1)), Field::Kind) << kind;
  }
}

TEST_F(Outcomes, EachFieldOfABadRequestIsNamed) {
  Start({});
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_flags(2);
  EXPECT_EQ(FieldRefused(op), Field::Flags);
  op = Good(Kind::Accrue, 1);
  op.mutate_reserved(1);
  EXPECT_EQ(FieldRefused(op), Field::Reserved);
  op = Good(Kind::Accrue, 1);
  op.mutable_id() = Id();
  EXPECT_EQ(FieldRefused(op), Field::Id);
  op = Good(Kind::Accrue, 1);
  op.mutable_member() = Id();
  EXPECT_EQ(FieldRefused(op), Field::Member);
  op = Good(Kind::Tick, 0);
  EXPECT_EQ(FieldRefused(op), Field::Member);
  op.mutable_member() = Id();
  EXPECT_EQ(FieldRefused(op), Field::Program);
  op = Good(Kind::Redeem, 1);
  op.mutable_related() = Id(3, 0);
  EXPECT_EQ(FieldRefused(op), Field::Related);
}

TEST_F(Outcomes, AmountsOutOfRangeAreRefused) {
  Start({});
  for (const Kind kind : {Kind::Accrue, Kind::Purchase, Kind::Return, Kind::Redeem}) {
    for (const int64_t amount : {int64_t{0}, int64_t{-1}, kMin}) {
      EXPECT_EQ(FieldRefused(Good(kind, amount)), Field::Amount);
    }
  }
  EXPECT_EQ(FieldRefused(Good(Kind::Adjust, 0)), Field::Amount);
  EXPECT_EQ(FieldRefused(Good(Kind::Adjust, kMin)), Field::Amount);
  EXPECT_EQ(At(Day(1), Good(Kind::Adjust, kMin + 1)).outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(FieldRefused(Good(Kind::Enrol, 1)), Field::Amount);
}

TEST_F(Outcomes, InstantsOutOfRangeAreRefused) {
  Start({});
  for (const Instant at : {Instant{-1}, kMin, kEndOfTime, kMax}) {
    Operation op = Good(Kind::Accrue, 1);
    op.mutate_occurred_at(at);
    EXPECT_EQ(FieldRefused(op), Field::OccurredAt) << at;
  }
  for (const Instant at : {Instant{-1}, Day(1), Day(1) - 1, kEndOfTime, kMax}) {
    EXPECT_EQ(FieldRefused(With(Good(Kind::Accrue, 1), at)), Field::ExpiresAt) << at;
  }
  for (const Operation& op : {Good(Kind::Enrol, 0), Good(Kind::Redeem, 1), Good(Kind::Return, 1),
                              Good(Kind::Adjust, -1)}) {
    EXPECT_EQ(FieldRefused(With(op, Day(2))), Field::ExpiresAt);
  }
  EXPECT_EQ(At(Day(1), With(Good(Kind::Accrue, 1), Day(1) + 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(1), With(Good(Kind::Purchase, 1), kEndOfTime - 1)).outcome(), Outcome::Ok);
  EXPECT_EQ(At(Day(1), With(Good(Kind::Adjust, 1), Day(2))).outcome(), Outcome::Ok);
}

TEST_F(Outcomes, TheFirstBadFieldIsNamed) {
  Start({});
  Operation op(Id(), Id(), Id(1, 1), 0, -1, -1, 0, kProgram, 0, Kind::Expiry, 2, 1);
  const auto next = [&](Field expected) { EXPECT_EQ(FieldRefused(op), expected); };
  next(Field::Kind);
  op.mutate_kind(Kind::Redeem);
  next(Field::Flags);
  op.mutate_flags(0);
  next(Field::Reserved);
  op.mutate_reserved(0);
  next(Field::Id);
  op.mutable_id() = Id(999, 0);
  next(Field::Member);
  op.mutable_member() = Id(1, 1);
  next(Field::Amount);
  op.mutate_amount(1);
  next(Field::Related);
  op.mutable_related() = Id();
  next(Field::OccurredAt);
  op.mutate_occurred_at(Day(1));
  next(Field::ExpiresAt);
}

TEST_F(Outcomes, UnknownProgramAndMember) {
  Start({});
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_program(8);
  EXPECT_EQ(At(Day(1), op).outcome(), Outcome::UnknownProgram);
  op = Good(Kind::Accrue, 1);
  op.mutable_member() = Id(2, 2);
  EXPECT_EQ(At(Day(1), op).outcome(), Outcome::UnknownMember);
  ProgramSpec open;
  open.implicit_enrolment = true;
  PutVersion(open, 2, Day(2), Day(2));
  // The version in force when it occurred decides.
  EXPECT_EQ(At(Day(2), op).outcome(), Outcome::UnknownMember);
  op.mutate_occurred_at(Day(2));
  const Result result = At(Day(2), op);
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(result.flags(), kEnrolled);
  op = Good(Kind::Adjust, 1);
  op.mutate_occurred_at(Day(2));
  op.mutable_member() = Id(3, 3);
  EXPECT_EQ(At(Day(2), op).outcome(), Outcome::UnknownMember);
  EXPECT_EQ(totals().members, 2);
}

TEST_F(Outcomes, OccurredAtHasBothBounds) {
  Start({});
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_occurred_at(Day(40) + 5 * kMinute + 1);
  EXPECT_EQ(At(Day(40), op).outcome(), Outcome::TooEarly);
  op.mutate_occurred_at(Day(40) + 5 * kMinute);
  EXPECT_EQ(At(Day(40), op).outcome(), Outcome::Ok);
  op = Good(Kind::Accrue, 1);
  op.mutate_occurred_at(Day(10) - 1);
  EXPECT_EQ(At(Day(40), op).outcome(), Outcome::TooOld);
  op.mutate_occurred_at(Day(10));
  EXPECT_EQ(At(Day(40), op).outcome(), Outcome::Ok);
}

TEST_F(Outcomes, TooOldBoundNeverMovesBack) {
  ProgramSpec spec;
  spec.retention_days = 5;
  Start(spec);
  spec.retention_days = 100;
  PutVersion(spec, 2, Day(20), Day(20));
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_occurred_at(Day(15) - 1);
  EXPECT_EQ(At(Day(21), op).outcome(), Outcome::TooOld);
  op.mutate_occurred_at(Day(15));
  EXPECT_EQ(At(Day(21), op).outcome(), Outcome::Ok);
}

TEST_F(Outcomes, FirstVersionBoundsFromTheBeginningOfTime) {
  ProgramSpec spec;
  spec.retention_days = 5;
  spec.effective_us = Day(100);
  Start(spec);
  PutVersion(spec, 2, Day(200), Day(1));
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_occurred_at(Day(15) - 1);
  EXPECT_EQ(At(Day(20), op).outcome(), Outcome::TooOld);
  op.mutate_occurred_at(Day(15));
  EXPECT_EQ(At(Day(20), op).outcome(), Outcome::Ok);
}

TEST_F(Outcomes, VersionsFromTheBeginningOfTimeReplaceTheFirst) {
  ProgramSpec spec;
  spec.retention_days = 5;
  spec.effective_us = kMin;
  Start(spec);
  spec.retention_days = 9;
  PutVersion(spec, 2, kMin, Day(1));
  Operation op = Good(Kind::Accrue, 1);
  op.mutate_occurred_at(Day(11) - 1);
  EXPECT_EQ(At(Day(20), op).outcome(), Outcome::TooOld);
  op.mutate_occurred_at(Day(11));
  EXPECT_EQ(At(Day(20), op).outcome(), Outcome::Ok);
}

TEST_F(Outcomes, KnownIdIsReplayedOrAConflict) {
  Start({});
  const Result original = At(Day(0), Make(Kind::Accrue, 10));
  const Operation sent = last_;
  At(Day(1), Make(Kind::Redeem, 10));
  const Result replay = At(Day(50), sent);
  EXPECT_EQ(replay.outcome(), Outcome::Ok);
  EXPECT_EQ(replay.flags(), kReplayed);
  EXPECT_EQ(replay.position(), original.position());
  EXPECT_EQ(replay.points(), 10);
  EXPECT_EQ(replay.available(), 10);

  Operation other = sent;
  other.mutate_user_data(1);
  const Result conflict = At(Day(50), other);
  EXPECT_EQ(conflict.outcome(), Outcome::IdConflict);
  EXPECT_EQ(conflict.available(), 0);
  EXPECT_EQ(At(Day(90), sent).flags(), kReplayed);
  EXPECT_EQ(At(Day(90) + 1, sent).outcome(), Outcome::TooOld);
}

TEST_F(Outcomes, AnyOtherBodyIsAConflict) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 10));
  const Operation accrual = last_;
  using Change = void (*)(Operation&);
  const Change changes[] = {
      [](Operation& op) { op.mutate_amount(op.amount() + 1); },
      [](Operation& op) { op.mutate_occurred_at(op.occurred_at() - 1); },
      [](Operation& op) { op.mutate_expires_at(Day(80)); },
      [](Operation& op) { op.mutate_user_data(1); },
      [](Operation& op) { op.mutate_category(1); },
      [](Operation& op) { op.mutate_kind(Kind::Purchase); },
  };
  for (size_t i = 0; i < std::size(changes); ++i) {
    Operation other = accrual;
    changes[i](other);
    EXPECT_EQ(At(Day(1), other).outcome(), Outcome::IdConflict) << "change " << i;
  }
  Operation back = Make(Kind::Return, 1);
  back.mutable_related() = accrual.id();
  ASSERT_EQ(At(Day(1), back).outcome(), Outcome::Ok);
  Operation other = last_;
  other.mutable_related() = Id(accrual.id().low(), accrual.id().high() + 1);
  EXPECT_EQ(At(Day(1), other).outcome(), Outcome::IdConflict);
}

TEST_F(Outcomes, ReplayKeepsTheOriginalsFlags) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  Start(spec);
  Operation op = Make(Kind::Accrue, 1);
  op.mutable_member() = Id(9, 9);
  EXPECT_EQ(At(Day(0), op).flags(), kEnrolled);
  EXPECT_EQ(At(Day(1), last_).flags(), kEnrolled | kReplayed);
}

TEST_F(Outcomes, IdIsOfItsMemberAlone) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 10));
  Operation op = last_;
  op.mutable_member() = Id(5, 5);
  op.mutate_kind(Kind::Enrol);
  op.mutate_amount(0);
  EXPECT_EQ(At(Day(0), op).flags(), kEnrolled);
}

TEST_F(Outcomes, RefusedOperationLeavesItsIdFree) {
  Start({});
  EXPECT_EQ(At(Day(0), Make(Kind::Redeem, 5)).outcome(), Outcome::InsufficientPoints);
  const Operation refused = last_;
  At(Day(0), Make(Kind::Accrue, 5));
  const Result result = At(Day(0), refused);
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(result.flags(), 0);
}

TEST_F(Outcomes, ReturnsOfWhatIsNoPurchase) {
  Start({});
  EXPECT_EQ(Return(Day(1), 5, Id(999, 9)).outcome(), Outcome::UnknownOriginal);
  EXPECT_EQ(Return(Day(1), 5, Id()).outcome(), Outcome::UnknownOriginal);
  for (const auto& [kind, amount] : std::vector<std::pair<Kind, int64_t>>{
           {Kind::Adjust, 8}, {Kind::Redeem, 2}, {Kind::Enrol, 0}}) {
    ASSERT_EQ(At(Day(1), Make(kind, amount)).outcome(), Outcome::Ok);
    EXPECT_EQ(Return(Day(1), 1, last_.id()).outcome(), Outcome::NotPermitted);
  }
}

TEST_F(Outcomes, ReceiptsOfPurchasesLiveForTheReturnDays) {
  ProgramSpec spec;
  spec.retention_days = 2;
  spec.return_days = 10;
  Start(spec);
  const Id purchase = Purchase(Day(0), 10);
  EXPECT_EQ(Return(Day(10), 5, purchase).points(), -5);
  EXPECT_EQ(Return(Day(10) + 1, 5, purchase).outcome(), Outcome::UnknownOriginal);
}

TEST_F(Outcomes, ReturnsOfAnAccrualCountItsPoints) {
  Start({});
  At(Day(0), Make(Kind::Accrue, 10));
  const Id accrual = last_.id();
  EXPECT_EQ(Return(Day(1), 4, accrual).points(), -4);
  EXPECT_EQ(Return(Day(1), 7, accrual).outcome(), Outcome::AlreadyReturned);
  EXPECT_EQ(Return(Day(1), kMax, accrual).outcome(), Outcome::AlreadyReturned);
  EXPECT_EQ(Return(Day(1), 6, accrual).points(), -6);
}

TEST_F(Outcomes, ReturnClaimsNothingThatHasExpired) {
  Start({});
  const Operation purchase = With(Make(Kind::Purchase, 10), Day(5));
  At(Day(0), purchase);
  At(Day(1), Make(Kind::Redeem, 3));
  At(Day(2), Make(Kind::Adjust, 20));
  // Seven of the ten are gone on day 5.
  EXPECT_EQ(Return(Day(6), 10, purchase.id()).points(), -3);
  EXPECT_EQ(totals().expired, 7);
}

TEST_F(Outcomes, ReturnOfAnUnknownPurchaseTakesTheNewestLots) {
  ProgramSpec spec;
  spec.pending_days = 30;
  spec.unknown_original = UnknownOriginal::newest;
  Start(spec);
  At(Day(0), Make(Kind::Adjust, 10));
  At(Day(1), Make(Kind::Accrue, 4));
  const Result result = Return(Day(2), 6, Id());
  EXPECT_EQ(result.points(), -6);
  EXPECT_EQ(result.pending(), 0);
  EXPECT_EQ(result.available(), 8);
}

TEST_F(Outcomes, TickIsForTheImportClock) {
  Start({});
  Operation tick(Id(50, 0), Id(), Id(), 0, Day(2), 0, 0, 0, 0, Kind::Tick, 0, 0);
  EXPECT_EQ(At(Day(2), tick).outcome(), Outcome::NotPermitted);
  tick.mutate_occurred_at(Day(9) + 5 * kMinute + 1);
  ledger_.BeginBlock({Day(9), true});
  Result result;
  ledger_.Apply({&tick, 1}, &result);
  EXPECT_EQ(result.outcome(), Outcome::TooEarly);
  tick.mutate_occurred_at(Day(3));
  ledger_.Apply({&tick, 1}, &result);
  EXPECT_EQ(result.outcome(), Outcome::Ok);
  EXPECT_EQ(ledger_.machine().log_time(), Day(3));
  // It leaves no receipt, and is no reason to go back.
  ledger_.Apply({&tick, 1}, &result);
  EXPECT_EQ(result.flags(), 0);
  tick.mutate_occurred_at(Day(1));
  ledger_.Apply({&tick, 1}, &result);
  EXPECT_EQ(ledger_.machine().log_time(), Day(3));
}

TEST_F(Outcomes, ImportedLogTimeFollowsAcceptedOperationsUpToTheClock) {
  Start({});
  ledger_.BeginBlock({Day(100), true});
  Operation accrual = Make(Kind::Accrue, 10);
  accrual.mutate_occurred_at(Day(1));
  Operation refused = Make(Kind::Redeem, 11);
  refused.mutate_occurred_at(Day(2));
  Operation ahead = Make(Kind::Accrue, 1);
  ahead.mutate_occurred_at(Day(100) + kMinute);
  Result result;
  ledger_.Apply({&accrual, 1}, &result);
  ledger_.Apply({&refused, 1}, &result);
  EXPECT_EQ(result.outcome(), Outcome::InsufficientPoints);
  EXPECT_EQ(ledger_.machine().log_time(), Day(1));
  ledger_.Apply({&ahead, 1}, &result);
  EXPECT_EQ(ledger_.machine().log_time(), Day(100));
}

TEST_F(Outcomes, ProgramsAreVersionedInOrder) {
  Start({});
  ProgramSpec spec;
  spec.id = kProgram;
  ledger_.BeginBlock({Day(1), false});
  EXPECT_EQ(ledger_.PutProgram(spec).flags(), kReplayed);
  spec.version = 3;
  EXPECT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::IdConflict);
  spec.version = 0;
  EXPECT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::IdConflict);
  spec.version = 2;
  EXPECT_EQ(ledger_.PutProgram(spec).outcome(), Outcome::Ok);
  EXPECT_EQ(ledger_.machine().VersionsOf(kProgram).size(), 2u);
  EXPECT_TRUE(ledger_.machine().VersionsOf(8).empty());
  EXPECT_EQ(ledger_.machine().Programs(), std::vector<uint16_t>{kProgram});
}

}  // namespace
}  // namespace tallystick::ledger
