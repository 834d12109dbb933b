// One small log, cut at every byte and with every bit flipped: it reads as an exact prefix or is
// refused, and no block that has a witness is ever cut.

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"
#include "wal/block.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;

struct Place {
  uint64_t segment = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t first_position = 0;
  uint64_t durable_before = 0;
};

// About 64 KiB: a segment change, a cut, a reopening and a witness.
class LogDamage : public ::testing::Test {
 protected:
  LogDamage() : io_({.seed = 11}) {
    LogWriterOptions options = SmallOptions();
    options.segment_bytes = kMinSegmentBytes;
    LogSession session(io_, options);
    EXPECT_TRUE(session.Open().ok());
    Write(session, {3, 40, 1});
    Write(session, {70, 2});
    session.writer.reset();
    // Its last block is torn.
    const LogTail tail = ReadLog(io_).tail;
    io_.Contents(FilePath(kLogDirectory, tail.segment, FileKind::kSegment))[tail.offset - 4096] ^=
        std::byte{8};
    EXPECT_TRUE(session.Open().ok());
    EXPECT_TRUE(session.last_tail.torn);
    Write(session, {5, 5});
    EXPECT_TRUE(session.writer->Stop().ok());
    session.writer.reset();
    EXPECT_TRUE(session.Open().ok());
    Write(session, {1, 33});
    session.writer.reset();

    const LogCopy log = ReadLog(io_);
    EXPECT_TRUE(log.status.ok()) << log.status;
    for (const BlockCopy& block : log.blocks) {
      blocks_.push_back({.segment = block.segment,
                         .offset = block.offset,
                         .bytes = block.header.bytes,
                         .first_position = block.header.first_position,
                         .durable_before = block.header.durable_before});
      const std::string path = FilePath(kLogDirectory, block.segment, FileKind::kSegment);
      pristine_[block.segment] = io_.Contents(path);
    }
  }

  // Blocks of these sizes in flight together, then all durable.
  static void Write(LogSession& session, std::initializer_list<size_t> sizes) {
    for (const size_t slots : sizes) {
      while (!session.Append(slots)) session.Turn();
    }
    EXPECT_TRUE(session.Settle());
  }

  std::vector<std::byte>& Contents(uint64_t segment) {
    return io_.Contents(FilePath(kLogDirectory, segment, FileKind::kSegment));
  }

  bool EndsInside(const Place& place) {
    const size_t size = Contents(place.segment).size();
    return place.offset != 0 && size >= place.offset + sizeof(BlockHeader) &&
           size < place.offset + place.bytes;
  }

  // Index of the block at that byte; the number of blocks: none.
  size_t BlockAt(uint64_t segment, uint64_t byte) const {
    const auto hit = std::find_if(blocks_.begin(), blocks_.end(), [&](const Place& place) {
      return place.segment == segment && byte >= place.offset && byte < place.offset + place.bytes;
    });
    return static_cast<size_t>(hit - blocks_.begin());
  }

  // Reads the log and expects blocks 0 to `hit`, then the end if no witness knows of block `hit`
  // and the file does not end inside it behind its header; and a refusal otherwise.
  ::testing::AssertionResult Ends(size_t hit, uint64_t witness) {
    auto reader = LogReader::Open(io_, kLogDirectory, kIdentity);
    if (!reader.ok()) return ::testing::AssertionFailure() << reader.status();
    BlockView block;
    for (size_t i = 0;; ++i) {
      absl::StatusOr<bool> more = (*reader)->Next(&block);
      const bool refused = more.status().code() == absl::StatusCode::kDataLoss;
      if (!more.ok() && !refused) return ::testing::AssertionFailure() << more.status();
      if (refused || !*more) {
        if (i != hit) return ::testing::AssertionFailure() << "ends at " << i << ", not " << hit;
        const bool known = hit < blocks_.size() &&
                           (witness > blocks_[hit].first_position || EndsInside(blocks_[hit]));
        if (refused == known) return ::testing::AssertionSuccess();
        return ::testing::AssertionFailure() << "block " << hit << ": " << more.status();
      }
      if (i >= hit) return ::testing::AssertionFailure() << "reads on behind block " << hit;
      const Place& place = blocks_[i];
      if (block.segment != place.segment || block.offset != place.offset ||
          std::memcmp(block.header, pristine_[place.segment].data() + place.offset, place.bytes) !=
              0) {
        return ::testing::AssertionFailure() << "block " << i << " is another";
      }
    }
  }

  SimIo io_;
  std::vector<Place> blocks_;
  std::map<uint64_t, std::vector<std::byte>> pristine_;
};

TEST_F(LogDamage, LogIsWorthDamaging) {
  EXPECT_EQ(pristine_.size(), 4u);
  EXPECT_EQ(blocks_.size(), 13u);
  size_t bytes = 0;
  for (const auto& [segment, content] : pristine_) bytes += content.size();
  EXPECT_GT(bytes, 56u << 10);
  EXPECT_LT(bytes, 96u << 10);
  EXPECT_TRUE(Ends(blocks_.size(), 0));
}

// The reader is asked about each bit of each header and one bit of every other byte: what it makes
// of a body follows from the body's checksum alone, and that is asked about every bit.
TEST_F(LogDamage, EveryFlippedBitIsRefusedOrCutByTheRule) {
  for (const auto& [segment, pristine] : pristine_) {
    for (size_t byte = 0; byte < pristine.size(); ++byte) {
      const size_t hit = BlockAt(segment, byte);
      uint64_t witness = 0;
      for (size_t i = 0; i < blocks_.size(); ++i) {
        if (i != hit) witness = std::max(witness, blocks_[i].durable_before);
      }
      std::vector<std::byte>& content = Contents(segment);
      const std::byte* block = hit < blocks_.size() ? &content[blocks_[hit].offset] : nullptr;
      const bool in_header = block != nullptr && byte < blocks_[hit].offset + sizeof(BlockHeader);
      for (size_t bit = 0; bit < 8; ++bit) {
        content[byte] ^= std::byte{1} << bit;
        if (in_header || bit == byte % 8) {
          ASSERT_TRUE(Ends(hit, witness)) << segment << ": " << byte << ", bit " << bit;
        } else if (block != nullptr) {
          ASSERT_FALSE(BodyMatches(*reinterpret_cast<const BlockHeader*>(block), block))
              << segment << ": " << byte << ", bit " << bit;
        }
        content[byte] ^= std::byte{1} << bit;
      }
    }
  }
}

TEST_F(LogDamage, EveryCutThatKeepsLaterSegmentsIsRefusedOrCutByTheRule) {
  for (const auto& [segment, pristine] : pristine_) {
    for (size_t size = pristine.size(); size-- > 0;) {
      Contents(segment).resize(size);
      // Inside a sector it matters only how much of a header is left.
      if (size % kSectorBytes > sizeof(BlockHeader) && size % 61 != 0) continue;
      size_t hit = blocks_.size();
      uint64_t witness = 0;
      for (size_t i = blocks_.size(); i-- > 0;) {
        const Place& place = blocks_[i];
        if (place.segment == segment && place.offset + place.bytes > size) hit = i;
        if (place.segment != segment || place.offset + sizeof(BlockHeader) <= size) {
          witness = std::max(witness, place.durable_before);
        }
      }
      ASSERT_TRUE(Ends(hit, witness)) << segment << " cut to " << size;
    }
    Contents(segment) = pristine;
  }
}

TEST_F(LogDamage, EveryCutOfTheWholeIsAPrefix) {
  while (!pristine_.empty()) {
    const uint64_t segment = pristine_.rbegin()->first;
    for (size_t size = pristine_[segment].size(); size-- > 0;) {
      Contents(segment).resize(size);
      const auto hit = std::find_if(blocks_.begin(), blocks_.end(), [&](const Place& place) {
        return place.segment == segment && place.offset + place.bytes > size;
      });
      // What was cut off was the end: a block that knew of more is gone with it.
      uint64_t witness = 0;
      for (const Place& place : blocks_) {
        if (place.segment < segment ||
            (place.segment == segment && place.offset + sizeof(BlockHeader) <= size)) {
          witness = std::max(witness, place.durable_before);
        }
      }
      ASSERT_TRUE(Ends(static_cast<size_t>(hit - blocks_.begin()), witness))
          << segment << " cut to " << size;
    }
    ASSERT_TRUE(io_.Remove(FilePath(kLogDirectory, segment, FileKind::kSegment)).ok());
    pristine_.erase(segment);
    while (!blocks_.empty() && blocks_.back().segment == segment) blocks_.pop_back();
  }
}

}  // namespace
}  // namespace tallystick::wal
