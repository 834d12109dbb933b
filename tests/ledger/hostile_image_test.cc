// Images whose checksums are right, and whose rows are not: refused, or harmless.

#include <gtest/gtest.h>

#include <functional>
#include <limits>
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
      return sizeof(LotsRow) + reinterpret_cast<const LotsRow*>(p)->count * sizeof(LotRow);
    case ImageRow::kTakings:
      return sizeof(TakingsRow) + reinterpret_cast<const TakingsRow*>(p)->count * sizeof(LotRow);
    case ImageRow::kStanding:
      return sizeof(StandingRow);
    case ImageRow::kHold:
      return sizeof(HoldRow) + reinterpret_cast<const HoldRow*>(p)->count * sizeof(LotRow);
    case ImageRow::kTransit:
      return sizeof(TransitRow);
    case ImageRow::kArrivals:
      return sizeof(ArrivalsRow) +
             reinterpret_cast<const ArrivalsRow*>(p)->count * sizeof(Position);
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

Lot LotOf(const LotRow& row) {
  Lot lot{};
  lot.position = row.position;
  lot.activates_at = row.activates_at;
  lot.expires_at = row.expires_at;
  lot.original = row.original;
  lot.remaining = row.remaining;
  return lot;
}

// Two members, the first and the second account. Forges keep the image's digest true, so that it is
// the row itself that is refused, or does no harm.
class HostileImage : public LedgerTest {
 protected:
  void Begin() {
    ProgramSpec spec;
    spec.implicit_enrolment = true;
    Start(spec);
  }
  using Forge = std::function<void(ImageRow, std::byte*)>;
  absl::Status ReadForged(const Forge& forge) {
    MemorySink sink;
    const Position p = ledger_.EndBlock();
    EXPECT_TRUE(ledger_.machine().BeginImage(p, sink));
    EXPECT_EQ(ledger_.machine().ContinueImage(SIZE_MAX / 2), ImageProgress::kDone);
    Parts parts = sink.parts();
    delta_ = 0;
    Each(parts, [&](ImageRow type, std::byte* row) {
      forge(type, row);
      if (type == ImageRow::kEnd) reinterpret_cast<EndRow*>(row)->digest += delta_;
    });
    return ReadImage(parts, read_);
  }
  // `hash`: of the row that `change` changes.
  template <typename Hash, typename Change>
  void Replace(const Hash& hash, const Change& change) {
    delta_ -= hash();
    change();
    delta_ += hash();
  }
  // Says that the first member's receipt is the second's.
  Forge GiveAway(const Id& transaction) {
    return [this, transaction](ImageRow type, std::byte* row) {
      auto& receipt = *reinterpret_cast<ReceiptRow*>(row);
      if (type != ImageRow::kReceipt || !(receipt.id == transaction)) return;
      Replace([&] { return HashOf(receipt, Id(receipt.account + 1, 1)); },
              [&] { receipt.account = 1; });
    };
  }
  Result Then(const Operation& op) {
    std::vector<Record> slots(kMaxSlotsPerChain);
    RecordSink sink{slots.data(), slots.size(), 0, 1'000'000};
    read_.BeginBlock({Day(1), false});
    Result result;
    EXPECT_EQ(read_.Apply({&op, 1}, &result, sink), 1u);
    const absl::Status sound = read_.CheckInvariants();
    EXPECT_TRUE(sound.ok()) << sound;
    return result;
  }

  StateMachine read_;
  uint64_t delta_ = 0;
};

TEST_F(HostileImage, AHoldsReceiptThatIsAnothers) {
  Begin();
  At(Day(1), Op(900, 1, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(901, 2, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(902, 1, Kind::Hold, 50, Day(1)));
  const absl::Status read = ReadForged(GiveAway(Id(902, 0)));
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(Then(Op(950, 2, Kind::Capture, 0, Day(1), Id(902, 0))).outcome(),
            Outcome::AlreadyReleased);
}

TEST_F(HostileImage, AHeldLotsPurchaseThatIsAnothers) {
  Begin();
  At(Day(1), Op(900, 1, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(901, 2, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(902, 1, Kind::Hold, 100, Day(1)));
  const absl::Status read = ReadForged(GiveAway(Id(900, 0)));
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(Then(Op(950, 1, Kind::Release, 0, Day(1), Id(902, 0))).outcome(), Outcome::Ok);
  EXPECT_EQ(Then(Op(951, 2, Kind::Return, 100, Day(1), Id(900, 0))).outcome(), Outcome::Ok);
  EXPECT_EQ(Then(Op(952, 1, Kind::Redeem, 100, Day(1))).available(), 0);
}

// A redemption took from the position of another redemption.
TEST_F(HostileImage, ATakingFromNoLot) {
  Begin();
  for (uint64_t i = 0; i < 200; ++i) At(Day(1), Op(1000 + i, 1, Kind::Accrue, 100, Day(1)));
  At(Day(1), Op(802, 1, Kind::Redeem, 100, Day(1)));
  At(Day(1), Op(803, 1, Kind::Redeem, 100, Day(1)));
  Receipt of{};
  Position first = 0;
  const absl::Status read = ReadForged([&](ImageRow type, std::byte* row) {
    if (type == ImageRow::kReceipt) {
      const auto& receipt = *reinterpret_cast<ReceiptRow*>(row);
      of.position = receipt.position;
      if (receipt.id == Id(802, 0)) first = receipt.position;
    }
    if (type != ImageRow::kTakings || of.position == first) return;
    auto& lot = *reinterpret_cast<LotRow*>(row + sizeof(TakingsRow));
    const auto hash = [&] {
      Taking taking{lot.position, lot.activates_at, lot.expires_at, lot.original, 0, 0, 0};
      taking.SetPoints(lot.remaining);
      return RowHash::OfTaking(of, 0, taking);
    };
    Replace(hash, [&] { lot.position = first; });
  });
  ASSERT_TRUE(read.ok()) << read;
  for (const uint64_t redemption : {803, 802}) {
    EXPECT_EQ(Then(Op(900 + redemption, 1, Kind::ReverseRedemption, 100, Day(1), Id(redemption, 0)))
                  .outcome(),
              Outcome::Ok);
  }
}

// Released, it would make a balance that is no number.
TEST_F(HostileImage, MoreHeldThanABalanceHasRoomFor) {
  Begin();
  At(Day(1), Op(900, 1, Kind::Adjust, 1000, Day(1)));
  At(Day(1), Op(901, 1, Kind::Adjust, 1000, Day(1)));
  At(Day(1), Op(902, 1, Kind::Hold, 1000, Day(1)));
  constexpr Points kMost = std::numeric_limits<Points>::max();
  Account account{};
  account.member = Id(1, 1);
  account.program = kProgram;
  const absl::Status read = ReadForged([&](ImageRow type, std::byte* row) {
    if (type == ImageRow::kAccount) {
      auto& in = *reinterpret_cast<AccountRow*>(row);
      account.last_position = in.last_position;
      const auto hash = [&] {
        account.available = in.available;
        return RowHash::OfAccount(account);
      };
      Replace(hash, [&] { in.available = kMost; });
    }
    if (type == ImageRow::kLots) {
      auto& lot = *reinterpret_cast<LotRow*>(row + sizeof(LotsRow));
      Replace([&] { return RowHash::OfLot(account, LotOf(lot)); },
              [&] { lot.original = lot.remaining = kMost; });
    }
  });
  EXPECT_EQ(read.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read.message(), "the image is not sound: a hold of account 0");
}

TEST_F(HostileImage, AvailablePointsInAPendingLot) {
  Begin();
  At(Day(1), Op(900, 1, Kind::Adjust, 1000, Day(1)));
  Account account{};
  account.member = Id(1, 1);
  account.program = kProgram;
  const absl::Status read = ReadForged([&](ImageRow type, std::byte* row) {
    if (type != ImageRow::kLots) return;
    auto& head = *reinterpret_cast<LotsRow*>(row);
    auto& lot = *reinterpret_cast<LotRow*>(row + sizeof(LotsRow));
    const auto hash = [&] {
      Lot hashed = LotOf(lot);
      hashed.pending = head.pending != 0;
      return RowHash::OfLot(account, hashed);
    };
    Replace(hash, [&] {
      head.pending = 1;
      lot.activates_at = Day(1000);
    });
  });
  EXPECT_EQ(read.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(read.message(), "the image is not sound: a lot of account 0");
}

}  // namespace
}  // namespace tallystick::ledger
