#include "ledger/image.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "ledger/image_format.h"
#include "tests/ledger/image_check.h"
#include "tests/ledger/ledger_fixture.h"

namespace tallystick::ledger {
namespace {

constexpr size_t kAll = SIZE_MAX / 2;

class Image : public LedgerTest {
 protected:
  // Members with lots of all states, a purchase of which something was returned, a debt.
  void SetUp() override {
    ProgramSpec spec;
    spec.pending_days = 2;
    spec.expiry = ExpirySpec{.days = 40};
    spec.debt_floor = 500;
    spec.retention_days = 30;
    spec.return_days = 60;
    spec.implicit_enrolment = true;
    Start(spec);
    for (uint64_t member = 1; member <= 5; ++member) {
      const auto day = static_cast<int64_t>(3 * member);
      member_ = Id(member, 1);
      purchase_ = Purchase(Day(day), 100);
      At(Day(day), Make(Kind::Accrue, 70));
      At(Day(day + 2), Make(Kind::Redeem, 60));
      At(Day(day + 2), Make(Kind::Accrue, 20));
      if (member % 2 == 0) Return(Day(day + 2), 30, purchase_);
      if (member == 5) At(Day(day + 2), Make(Kind::Return, 400, Id(999, 999)));
    }
  }

  bool Begin() {
    position_ = ledger_.EndBlock();
    digest_ = ledger_.machine().Digest();
    return ledger_.machine().BeginImage(position_, sink_);
  }
  ImageProgress Continue(size_t budget_bytes = kAll) {
    return ledger_.machine().ContinueImage(budget_bytes);
  }
  void ExpectImage() {
    StateMachine restored;
    const absl::Status read = ReadImage(sink_.parts(), restored);
    ASSERT_TRUE(read.ok()) << read;
    EXPECT_EQ(restored.Digest(), digest_);
    EXPECT_TRUE(restored.CheckInvariants().ok());
  }

  MemorySink sink_;
  Id purchase_;
  Position position_ = 0;
  uint64_t digest_ = 0;
};

TEST_F(Image, GivesTheStateBack) {
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  ExpectImage();
}

TEST_F(Image, HasWhatWasThereBeforeAnyChangeBehindItsPosition) {
  ASSERT_TRUE(Begin());
  for (uint64_t member = 1; member <= 7; ++member) {
    member_ = Id(member, 1);
    At(Day(20), Make(Kind::Accrue, 10));
    At(Day(20), Make(Kind::Redeem, 1));
  }
  Return(Day(21), 10, purchase_);
  while (Continue(1) == ImageProgress::kMore) At(Day(21), Make(Kind::Accrue, 1));
  ExpectImage();
}

TEST_F(Image, DoesNotBeginWithoutRoom) {
  sink_.set_room(0);
  EXPECT_FALSE(Begin());
  At(Day(20), Make(Kind::Redeem, 1));
  sink_.set_room(SIZE_MAX);
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  ExpectImage();
}

TEST_F(Image, WaitsWhileTheSinkIsCrowded) {
  ASSERT_TRUE(Begin());
  sink_.set_crowded(true);
  EXPECT_EQ(Continue(), ImageProgress::kWaiting);
  At(Day(20), Make(Kind::Redeem, 1));
  sink_.set_crowded(false);
  EXPECT_EQ(Continue(), ImageProgress::kDone);
  ExpectImage();
}

// An account with so many lots that a part has room for one of its kind only.
TEST_F(Image, WaitsForRoomAndIsAbandonedWhenAnOperationFindsNone) {
  for (const uint64_t member : {8, 9}) {
    member_ = Id(member, 1);
    for (int i = 0; i < 6'000; ++i) At(Day(18), Make(Kind::Accrue, 1));
  }
  sink_.set_room(1);
  ASSERT_TRUE(Begin());
  EXPECT_EQ(Continue(), ImageProgress::kWaiting);
  EXPECT_EQ(Continue(), ImageProgress::kWaiting);
  At(Day(18), Make(Kind::Accrue, 1));  // of the last account, which was not written yet
  EXPECT_EQ(Continue(), ImageProgress::kAbandoned);

  // The ledger goes on, and so does the next image.
  At(Day(20), Make(Kind::Redeem, 1));
  sink_.set_room(SIZE_MAX);
  sink_.Clear();
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  ExpectImage();
}

TEST_F(Image, FindsTheLotsOfAccountsThatHaveMany) {
  std::vector<Id> purchases;
  purchases.reserve(300);
  for (int i = 0; i < 300; ++i) purchases.push_back(Purchase(Day(18), 10 + i));
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  ExpectImage();
  // Each return takes from its own purchase's lot.
  StateMachine restored;
  ASSERT_TRUE(ReadImage(sink_.parts(), restored).ok());
  for (const Id& purchase : purchases) Return(Day(19), 10, purchase);
  for (const LogBlock& block : ledger_.Log()) {
    if (block.first_position <= position_) continue;
    const absl::Status replayed = restored.Replay(block.time, block.first_position, block.slots);
    ASSERT_TRUE(replayed.ok()) << replayed;
  }
  EXPECT_EQ(restored.Digest(), ledger_.machine().Digest());
}

// A bit of each byte: the image is refused, or it is still what it was: some bits mean nothing.
TEST_F(Image, NoFlippedBitPassesForAnotherState) {
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  ASSERT_EQ(sink_.parts().size(), 1u);
  std::vector<std::vector<std::byte>> parts = sink_.parts();
  size_t refused = 0;
  for (size_t i = 0; i < parts[0].size(); ++i) {
    parts[0][i] ^= std::byte{1} << (i % 8);
    StateMachine restored;
    if (!ReadImage(parts, restored).ok()) {
      ++refused;
    } else {
      ASSERT_EQ(restored.Digest(), digest_) << "byte " << i;
    }
    parts[0][i] ^= std::byte{1} << (i % 8);
  }
  EXPECT_GT(refused, parts[0].size() * 3 / 4);
}

TEST_F(Image, IsRefusedWhenItIsCutShort) {
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  std::vector<std::vector<std::byte>> parts = sink_.parts();
  while (!parts[0].empty()) {
    parts[0].resize(parts[0].size() - 8);
    StateMachine restored;
    ASSERT_EQ(ReadImage(parts, restored).code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(Image, OfANewerVersionIsRefusedWithASentence) {
  ASSERT_TRUE(Begin());
  ASSERT_EQ(Continue(), ImageProgress::kDone);
  std::vector<std::vector<std::byte>> parts = sink_.parts();
  StateRow state;
  std::memcpy(&state, parts[0].data(), sizeof(state));
  state.image_version = kImageVersion + 1;
  std::memcpy(parts[0].data(), &state, sizeof(state));
  StateMachine restored;
  const absl::Status read = ReadImage(parts, restored);
  EXPECT_EQ(read.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(read.message(),
            "the image is of version 4, this program knows 3: use the newer program");
}

}  // namespace
}  // namespace tallystick::ledger
