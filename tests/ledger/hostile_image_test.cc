// Images whose checksums are right, and whose rows are not: refused, or harmless.

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "ledger/image.h"
#include "ledger/image_format.h"
#include "ledger/row_hash.h"
#include "tests/ledger/image_check.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

using Parts = std::vector<std::vector<std::byte>>;

size_t RowSize(const std::byte* p) {
  switch (static_cast<ImageRow>(p[0])) {
    case ImageRow::kState:
      return sizeof(StateRow);
    case ImageRow::kProgram:
      return sizeof(ProgramRow);
    case ImageRow::kEnd:
      return sizeof(EndRow);
    case ImageRow::kVersion:
      return sizeof(VersionRow) + (reinterpret_cast<const VersionRow*>(p)->bytes + 7) / 8 * 8;
    case ImageRow::kReceipt:
      return sizeof(ReceiptRow) +
             ((reinterpret_cast<const ReceiptRow*>(p)->flags & kHasReturns) != 0
                  ? sizeof(ReturnedRow)
                  : 0);
    case ImageRow::kAccount:
      return sizeof(AccountRow);
    case ImageRow::kLots:
      return 8 + reinterpret_cast<const LotsRow*>(p)->count * sizeof(LotRow);
    case ImageRow::kTakings:
      return 8 + reinterpret_cast<const TakingsRow*>(p)->count * sizeof(LotRow);
    case ImageRow::kStanding:
      return 8;
    case ImageRow::kHold:
      return 24 + reinterpret_cast<const HoldRow*>(p)->count * sizeof(LotRow);
  }
  return 0;
}
void Each(Parts& parts, const std::function<void(ImageRow, std::byte*)>& f) {
  for (auto& part : parts)
    for (size_t i = 0; i < part.size(); i += RowSize(&part[i]))
      f(static_cast<ImageRow>(part[i]), &part[i]);
}
uint64_t HashOf(const ReceiptRow& r, const Id& member) {
  Receipt x{r.id,
            r.key_time,
            r.position,
            r.amount,
            r.points,
            r.available,
            r.pending,
            r.account,
            0,
            r.body,
            static_cast<uint16_t>(r.version - 1),
            r.kind,
            r.flags};
  Returned ret{};
  if ((r.flags & kHasReturns) != 0) {
    const auto& q = *reinterpret_cast<const ReturnedRow*>(&r + 1);
    ret = {q.amount, q.claimed, q.lost, q.written_off, 0, 0};
  }
  return RowHash::OfReceipt(r.program, member, x, ret);
}

Operation Op(uint64_t id, uint64_t member, Kind kind, int64_t amount, Instant at,
             Id related = Id()) {
  return Operation(Id(id, 0), Id(member, 1), related, amount, at, 0, 0, kProgram, 0, kind, 0, 0);
}

class HostileImage : public LedgerTest {
 public:
  void TearDown() override {}
  Parts Image() {
    MemorySink sink;
    const Position p = ledger_.EndBlock();
    EXPECT_TRUE(ledger_.machine().BeginImage(p, sink));
    EXPECT_EQ(ledger_.machine().ContinueImage(SIZE_MAX / 2), ImageProgress::kDone);
    return sink.parts();
  }
  Result On(StateMachine& m, Instant t, Operation op) {
    std::vector<Record> slots(kMaxSlotsPerChain + 64);
    RecordSink sink{slots.data(), slots.size(), 0, 1000};
    m.BeginBlock({t, false});
    Result r;
    EXPECT_EQ(m.Apply({&op, 1}, &r, sink), 1u);
    return r;
  }
};

// Hostile: the receipt of A's hold says that it is B's.
TEST_F(HostileImage, HoldReceiptOfAnother) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  Start(spec);
  At(Day(1), Make(Kind::Accrue, 100));
  At(Day(1), Op(900, 2, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(901, 1, Kind::Hold, 50, Day(1)));
  Parts parts = Image();
  uint64_t delta = 0;
  Each(parts, [&](ImageRow type, std::byte* p) {
    auto& r = *reinterpret_cast<ReceiptRow*>(p);
    if (type == ImageRow::kReceipt && r.kind == Kind::Hold) {
      delta += HashOf(r, Id(2, 1)) - HashOf(r, Id(1, 1));
      r.account = 1;
    }
    if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(p)->digest += delta;
  });
  StateMachine m;
  const absl::Status read = ReadImage(parts, m);
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_NE(On(m, Day(1), Op(950, 2, Kind::Capture, 0, Day(1), Id(901, 0))).outcome(), Outcome::Ok);
  EXPECT_TRUE(m.CheckInvariants().ok()) << m.CheckInvariants();
}

// Hostile: what A holds is of B's purchase.
TEST_F(HostileImage, HeldLotOfAnother) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  Start(spec);
  At(Day(1), Op(800, 1, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(801, 2, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(802, 2, Kind::Redeem, 100, Day(1)));
  At(Day(1), Op(901, 1, Kind::Hold, 100, Day(1)));
  Parts parts = Image();
  uint64_t delta = 0;
  // A's purchase's receipt says it is B's
  Each(parts, [&](ImageRow type, std::byte* p) {
    auto& r = *reinterpret_cast<ReceiptRow*>(p);
    if (type == ImageRow::kReceipt && r.id == Id(800, 0)) {
      delta += HashOf(r, Id(2, 1)) - HashOf(r, Id(1, 1));
      r.account = 1;
    }
    if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(p)->digest += delta;
  });
  StateMachine m;
  const absl::Status read = ReadImage(parts, m);
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(On(m, Day(1), Op(950, 1, Kind::Release, 0, Day(1), Id(901, 0))).outcome(), Outcome::Ok);
  EXPECT_EQ(On(m, Day(1), Op(951, 2, Kind::Return, 100, Day(1), Id(800, 0))).outcome(),
            Outcome::Ok);
  EXPECT_TRUE(m.CheckInvariants().ok()) << m.CheckInvariants();
  EXPECT_EQ(On(m, Day(1), Op(952, 1, Kind::Redeem, 50, Day(1))).outcome(), Outcome::Ok);
}

// Hostile: a redemption took from a lot whose position is that of a redemption's receipt.
TEST_F(HostileImage, TakingOfARedemption) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  Start(spec);
  At(Day(1), Op(800, 1, Kind::Accrue, 100000, Day(1)));
  for (int i = 0; i < 200; ++i) At(Day(1), Op(1000 + i, 1, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(802, 1, Kind::Redeem, 100, Day(1)));
  At(Day(1), Op(803, 1, Kind::Redeem, 100, Day(1)));
  Parts parts = Image();
  uint64_t delta = 0;
  Receipt of{};
  Position first = 0;
  Each(parts, [&](ImageRow type, std::byte* p) {
    if (type == ImageRow::kReceipt) {
      auto& r = *reinterpret_cast<ReceiptRow*>(p);
      of.position = r.position;
      if (r.id == Id(802, 0)) first = r.position;
    }
    if (type == ImageRow::kTakings) {
      auto& lot = *reinterpret_cast<LotRow*>(p + 8);
      Taking t{lot.position, lot.activates_at, lot.expires_at, lot.original, 0, 0, 0};
      t.SetPoints(lot.remaining);
      if (of.position != first) {
        delta -= RowHash::OfTaking(of, 0, t);
        lot.position = t.lot_position = first;
        delta += RowHash::OfTaking(of, 0, t);
      }
    }
    if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(p)->digest += delta;
  });
  StateMachine m;
  const absl::Status read = ReadImage(parts, m);
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(On(m, Day(1), Op(950, 1, Kind::ReverseRedemption, 100, Day(1), Id(803, 0))).outcome(),
            Outcome::Ok);
  EXPECT_EQ(On(m, Day(1), Op(951, 1, Kind::ReverseRedemption, 100, Day(1), Id(802, 0))).outcome(),
            Outcome::Ok);
  EXPECT_TRUE(m.CheckInvariants().ok()) << m.CheckInvariants();
}

// Hostile: available + held beyond 2^63.
TEST_F(HostileImage, HeldOverflows) {
  ProgramSpec spec;
  spec.implicit_enrolment = true;
  Start(spec);
  At(Day(1), Op(800, 1, Kind::Adjust, 1000, Day(1)));
  At(Day(1), Op(801, 1, Kind::Adjust, 1000, Day(1)));
  At(Day(1), Op(901, 1, Kind::Hold, 1000, Day(1)));
  Parts parts = Image();
  uint64_t delta = 0;
  const Points big = INT64_MAX - 5;
  Account a{};
  a.member = Id(1, 1);
  a.program = kProgram;
  Each(parts, [&](ImageRow type, std::byte* p) {
    if (type == ImageRow::kProgram) {
      auto& t = reinterpret_cast<ProgramRow*>(p)->totals;
      delta -= RowHash::OfTotals(kProgram, t, std::numeric_limits<Instant>::min());
      t.available = big;
      t.held = big;
      t.adjusted = big;
      t.issued = big;
      delta += RowHash::OfTotals(kProgram, t, std::numeric_limits<Instant>::min());
    }
    if (type == ImageRow::kAccount) {
      auto& r = *reinterpret_cast<AccountRow*>(p);
      a.last_position = r.last_position;
      a.lifetime_earned = r.lifetime_earned;
      a.available = r.available;
      a.pending = 0;
      delta -= RowHash::OfAccount(a);
      a.available = r.available = big;
      delta += RowHash::OfAccount(a);
    }
    if (type == ImageRow::kLots) {
      auto& l = *reinterpret_cast<LotRow*>(p + 8);
      Lot x{};
      x.position = l.position;
      x.activates_at = l.activates_at;
      x.expires_at = l.expires_at;
      x.original = l.original;
      x.remaining = l.remaining;
      delta -= RowHash::OfLot(a, x);
      x.original = l.original = x.remaining = l.remaining = big;
      delta += RowHash::OfLot(a, x);
    }
    if (type == ImageRow::kHold) {
      auto& h = *reinterpret_cast<HoldRow*>(p);
      auto& l = *reinterpret_cast<LotRow*>(p + 24);
      Lot x{};
      x.position = l.position;
      x.activates_at = l.activates_at;
      x.expires_at = l.expires_at;
      x.original = l.original;
      x.remaining = l.remaining;
      delta -= RowHash::OfHeld(h.position, x) +
               RowHash::OfHold(a, h.position, h.times_out_at, l.remaining);
      x.original = l.original = x.remaining = l.remaining = big;
      delta += RowHash::OfHeld(h.position, x) + RowHash::OfHold(a, h.position, h.times_out_at, big);
    }
    if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(p)->digest += delta;
  });
  StateMachine m;
  const absl::Status read = ReadImage(parts, m);
  EXPECT_EQ(read.code(), absl::StatusCode::kDataLoss) << read;
}

// Hostile: the lot of what is available is pending.
TEST_F(HostileImage, AvailableIsPending) {
  ProgramSpec spec;
  Start(spec);
  At(Day(1), Op(800, 1, Kind::Adjust, 1000, Day(1)));
  Parts parts = Image();
  uint64_t delta = 0;
  Account a{};
  a.member = Id(1, 1);
  a.program = kProgram;
  Each(parts, [&](ImageRow type, std::byte* p) {
    if (type == ImageRow::kLots) {
      auto& l = *reinterpret_cast<LotRow*>(p + 8);
      Lot x{};
      x.position = l.position;
      x.activates_at = l.activates_at;
      x.expires_at = l.expires_at;
      x.original = l.original;
      x.remaining = l.remaining;
      delta -= RowHash::OfLot(a, x);
      x.activates_at = l.activates_at = Day(1000);
      x.pending = true;
      reinterpret_cast<LotsRow*>(p)->pending = 1;
      delta += RowHash::OfLot(a, x);
    }
    if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(p)->digest += delta;
  });
  StateMachine m;
  const absl::Status read = ReadImage(parts, m);
  EXPECT_EQ(read.code(), absl::StatusCode::kDataLoss) << read;
}

}  // namespace
}  // namespace tallystick::ledger
