// Damage in several places of one log: each is found, and what lies between is read.

#include "wal/log_survey.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/block.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;
using ::testing::HasSubstr;

// Several segments of three openings, one of them behind a torn tail.
class Survey : public ::testing::Test {
 protected:
  Survey() : io_({.seed = 3}) {
    LogSession session(io_, SmallOptions());
    std::mt19937_64 random(7);
    for (const int blocks : {12, 8, 10}) {
      EXPECT_TRUE(session.Open().ok());
      EXPECT_TRUE(session.Run(blocks, random));
      EXPECT_TRUE(session.Settle());
      if (blocks != 12) {
        EXPECT_TRUE(session.writer->Stop().ok());
        session.writer.reset();
        continue;
      }
      session.writer.reset();
      const LogCopy log = ReadLog(io_);
      Contents(log.tail.segment)[log.blocks.back().offset + 200] ^= std::byte{1};
    }
    blocks_ = ReadLog(io_).blocks;
    for (const BlockCopy& block : blocks_) pristine_[block.segment] = Contents(block.segment);
  }

  std::vector<std::byte>& Contents(uint64_t segment) {
    return io_.Contents(FilePath(kLogDirectory, segment, FileKind::kSegment));
  }
  void Restore() {
    for (const auto& [segment, content] : pristine_) Contents(segment) = content;
  }
  // Indexes of the blocks of records that are neither the first nor the last of their segments; not
  // of the last segment, where nothing may show that a block was durable.
  std::vector<size_t> InnerBlocks() const {
    std::vector<size_t> inner;
    for (size_t i = 1; i + 1 < blocks_.size(); ++i) {
      const uint64_t segment = blocks_[i + 1].segment;
      if (blocks_[i - 1].segment != segment || segment == blocks_.back().segment) continue;
      inner.push_back(i);
    }
    return inner;
  }
  void FlipBody(const BlockCopy& block) {
    Contents(block.segment)[block.offset + sizeof(BlockHeader) + 9] ^= std::byte{64};
  }
  LogSurvey Look() {
    seen_.clear();
    auto survey = SurveyLog(io_, kLogDirectory, kIdentity, [&](const BlockView& block, size_t n) {
      seen_.emplace_back(block.header->first_position, n);
    });
    EXPECT_TRUE(survey.ok()) << survey.status();
    return survey.ok() ? *survey : LogSurvey();
  }
  void ExpectDamage(const LogDamage& damage, const BlockCopy& block) const {
    EXPECT_EQ(damage.segment, block.segment);
    EXPECT_EQ(damage.offset, block.offset);
    EXPECT_EQ(damage.first_position, block.header.first_position);
    EXPECT_EQ(damage.last_position, block.end_position() - 1);
  }

  SimIo io_;
  std::vector<BlockCopy> blocks_;
  std::map<uint64_t, std::vector<std::byte>> pristine_;
  std::vector<std::pair<uint64_t, size_t>> seen_;  // first positions, damages before
};

TEST_F(Survey, SoundLogHasNoDamage) {
  ASSERT_GE(pristine_.size(), 6u);
  const LogSurvey survey = Look();
  EXPECT_TRUE(survey.damages.empty());
  EXPECT_TRUE(survey.complete);
  EXPECT_EQ(survey.end.next_position, blocks_.back().end_position());
  EXPECT_EQ(seen_.size(), blocks_.size());
  EXPECT_EQ(survey.torn_bytes, 0u);
}

TEST_F(Survey, EachDamageIsFoundWithWhatItCosts) {
  const size_t a = InnerBlocks().front();
  const size_t b = InnerBlocks().back();
  ASSERT_LT(blocks_[a].segment, blocks_[b].segment);
  FlipBody(blocks_[a]);
  FlipBody(blocks_[b]);
  const LogSurvey survey = Look();
  ASSERT_EQ(survey.damages.size(), 2u);
  ExpectDamage(survey.damages[0], blocks_[a]);
  ExpectDamage(survey.damages[1], blocks_[b]);
  EXPECT_EQ(survey.damages[0].cause, "the body's checksum is wrong");
  EXPECT_EQ(survey.damages[0].next_segment, blocks_[a + 1].segment);
  EXPECT_EQ(survey.damages[0].next_offset, blocks_[a + 1].offset);
  EXPECT_EQ(survey.end.next_position, blocks_.back().end_position());
  ASSERT_EQ(seen_.size(), blocks_.size() - 2);
  EXPECT_EQ(seen_[a - 1].second, 0u);
  EXPECT_EQ(seen_[a].second, 1u);
  EXPECT_EQ(seen_.back().second, 2u);
}

TEST_F(Survey, SegmentThatLostItsStartIsReadBehindIt) {
  const uint64_t segment = std::next(pristine_.begin())->first;
  const auto start = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&](const BlockCopy& b) { return b.segment == segment; });
  Contents(segment)[3] ^= std::byte{1};
  const LogSurvey survey = Look();
  ASSERT_EQ(survey.damages.size(), 1u);
  EXPECT_EQ(survey.damages[0].first_position, start->header.first_position);
  EXPECT_EQ(survey.damages[0].last_position, start->header.first_position);
  EXPECT_THAT(survey.damages[0].cause, HasSubstr("does not begin with a sound start block"));
  EXPECT_EQ(seen_.size(), blocks_.size() - 1);
}

TEST_F(Survey, MissingSegmentIsNamed) {
  const uint64_t segment = std::next(pristine_.begin())->first;
  const std::string path = FilePath(kLogDirectory, segment, FileKind::kSegment);
  ASSERT_TRUE(io_.Remove(path).ok());
  const LogSurvey survey = Look();
  ASSERT_EQ(survey.damages.size(), 1u);
  EXPECT_THAT(survey.damages[0].cause,
              HasSubstr(FileName(segment, FileKind::kSegment) + " is missing"));
  EXPECT_EQ(survey.damages[0].next_segment, segment + 1);
  EXPECT_EQ(survey.end.next_position, blocks_.back().end_position());
}

TEST_F(Survey, TornTailIsNoDamage) {
  // Neither the last block nor the one before has a witness then.
  while (blocks_.back().header.durable_before > blocks_[blocks_.size() - 2].header.first_position) {
    auto& content = Contents(blocks_.back().segment);
    std::fill(content.begin() + static_cast<ptrdiff_t>(blocks_.back().offset), content.end(),
              std::byte{0});
    blocks_.pop_back();
  }
  FlipBody(blocks_.back());
  const LogSurvey survey = Look();
  EXPECT_TRUE(survey.damages.empty());
  EXPECT_GT(survey.torn_bytes, 0u);
  EXPECT_EQ(survey.torn_cause, "the body's checksum is wrong");
}

// The torn block's neighbours landed, but a later epoch went on before them.
TEST_F(Survey, WhatAnEpochPassedOverIsNotTakenForALaterBlock) {
  const auto cut = std::adjacent_find(blocks_.begin(), blocks_.end(), [](const auto& a, auto& b) {
    return a.offset > 0 && a.header.epoch < b.header.epoch;
  });
  ASSERT_NE(cut, blocks_.end());
  BlockCopy leftover = *cut;
  FlipBody(*cut);
  // Put a sound block of later positions behind the end that the next epoch named.
  std::vector<std::byte>& content = Contents(cut->segment);
  const uint64_t end = cut->offset + cut->header.bytes;
  leftover.header.first_position += 1'000;
  std::vector<std::byte> block(leftover.header.bytes);
  std::memcpy(block.data(), &leftover.header, sizeof(BlockHeader));
  FinishBlock(block.data());
  if (content.size() < end + block.size()) content.resize(end + block.size());
  std::copy(block.begin(), block.end(), content.begin() + static_cast<ptrdiff_t>(end));
  const LogSurvey survey = Look();
  ASSERT_EQ(survey.damages.size(), 1u);
  ExpectDamage(survey.damages[0], *cut);
}

TEST_F(Survey, UnreadableFileIsADamage) {
  const uint64_t segment = std::next(pristine_.begin(), 2)->first;
  // Its first sector is read by the survey and the reader before its content is.
  io_.FailRead(3, EIO, FileName(segment, FileKind::kSegment));
  const LogSurvey survey = Look();
  ASSERT_FALSE(survey.damages.empty());
  EXPECT_THAT(survey.damages[0].cause, HasSubstr(FileName(segment, FileKind::kSegment)));
}

TEST_F(Survey, OfALogThatIsNotThereFails) {
  const auto survey = SurveyLog(io_, "/nowhere", kIdentity, [](const BlockView&, size_t) {});
  EXPECT_EQ(survey.status().code(), absl::StatusCode::kNotFound);
}

// Some flipped bits, lost sectors and lost files: the survey and the reader agree on whether the
// log is damaged, where first, and where a sound one ends.
TEST_F(Survey, AgreesWithTheReader) {
  const char* given = std::getenv("TALLYSTICK_SEED");
  const uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  std::map<bool, int> damaged;
  for (uint64_t seed = first_seed; seed < first_seed + 600; ++seed) {
    SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    const size_t count = 1 + random() % 4;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t segment =
          std::next(pristine_.begin(), static_cast<ptrdiff_t>(random() % pristine_.size()))->first;
      std::vector<std::byte>& content = Contents(segment);
      if (content.empty()) continue;
      const size_t at = random() % content.size();
      switch (random() % 4) {
        case 0:
          std::fill_n(content.begin() + static_cast<ptrdiff_t>(at / kSectorBytes * kSectorBytes),
                      std::min(kSectorBytes, content.size() - at / kSectorBytes * kSectorBytes),
                      std::byte{0});
          break;
        case 1:
          content.resize(at);
          break;
        default:
          content[at] ^= std::byte{1} << (random() % 8);
      }
    }
    const LogCopy read = ReadLog(io_);
    const LogSurvey survey = Look();
    ++damaged[!survey.damages.empty()];
    ASSERT_EQ(survey.damages.empty(), read.status.ok()) << read.status;
    if (read.status.ok()) {
      ASSERT_EQ(survey.end.next_position, read.tail.next_position);
      ASSERT_EQ(survey.torn_bytes, read.tail.cut_bytes);
      ASSERT_EQ(survey.torn_cause, read.tail.cut_reason);
    } else {
      ASSERT_EQ(read.status.code(), absl::StatusCode::kDataLoss) << read.status;
      ASSERT_EQ(survey.damages[0].first_position,
                read.blocks.empty() ? 1 : read.blocks.back().end_position());
      ASSERT_GE(seen_.size(), read.blocks.size());
    }
    Restore();
  }
  EXPECT_GT(damaged[true], 50);
  EXPECT_GT(damaged[false], 10);
}

}  // namespace
}  // namespace tallystick::wal
