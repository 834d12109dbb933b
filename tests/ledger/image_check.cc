#include "tests/ledger/image_check.h"

#include <gtest/gtest.h>

#include "ledger/image_format.h"

namespace tallystick::ledger {

MemorySink::MemorySink()
    : buffer_(std::make_unique_for_overwrite<std::byte[]>(kMaxImageRowBytes)) {}

absl::Span<std::byte> MemorySink::TakePart() {
  if (room_ == 0) return {};
  --room_;
  return {buffer_.get(), kMaxImageRowBytes};
}

void MemorySink::PutPart(size_t size_bytes) {
  parts_.emplace_back(buffer_.get(), buffer_.get() + size_bytes);
}

absl::Status ReadImage(const std::vector<std::vector<std::byte>>& parts, StateMachine& machine) {
  ImageReader reader(machine);
  for (const auto& part : parts) {
    if (absl::Status status = reader.Read(part); !status.ok()) return status;
  }
  return reader.Finish();
}

ImageCheck::~ImageCheck() { Abandon(); }

void ImageCheck::Abandon() {
  if (active_) machine_.AbandonImage();
  active_ = false;
}

void ImageCheck::Restart(const std::vector<LogBlock>& log) {
  if (restored_ == nullptr) return;
  const Position end = log.empty() ? 0 : log.back().first_position + log.back().slots.size() - 1;
  if (restored_position_ <= end) CompareRest(log);
  restored_ = nullptr;
}

void ImageCheck::Begin(Position position) {
  sink_.Clear();
  position_ = position;
  digest_ = machine_.Digest();
  active_ = machine_.BeginImage(position, sink_);
  EXPECT_TRUE(active_);
}

void ImageCheck::Continue(size_t budget_bytes) {
  const ImageProgress progress = machine_.ContinueImage(budget_bytes);
  if (progress == ImageProgress::kMore) return;
  ASSERT_EQ(progress, ImageProgress::kDone);
  active_ = false;
  Compare();
}

void ImageCheck::Compare() {
  ++taken_;
  restored_position_ = position_;
  restored_ = std::make_unique<StateMachine>();
  const absl::Status read = ReadImage(sink_.parts(), *restored_);
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_EQ(restored_->Digest(), digest_);
  const absl::Status sound = restored_->CheckInvariants();
  EXPECT_TRUE(sound.ok()) << sound;
}

void ImageCheck::CompareRest(const std::vector<LogBlock>& log) {
  while (active_ && !testing::Test::HasFailure()) Continue(SIZE_MAX / 2);
  if (restored_ == nullptr) return;
  for (const LogBlock& block : log) {
    if (block.first_position <= restored_position_) continue;
    const absl::Status status = restored_->Replay(block.time, block.first_position, block.slots);
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(restored_->Digest(), machine_.Digest());
  const absl::Status sound = restored_->CheckInvariants();
  EXPECT_TRUE(sound.ok()) << sound;
}

}  // namespace tallystick::ledger
