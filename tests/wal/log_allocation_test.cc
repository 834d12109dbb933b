// The path of a block allocates nothing.

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"
#include "tests/wal/log_harness.h"

namespace {

size_t allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tallystick::wal {
namespace {

// Completes all that was submitted in the next turn, without an allocation of its own.
class InstantIo : public sim::SimIo {
 public:
  InstantIo() : SimIo({.seed = 1}) { submitted_.reserve(64); }

  void Submit(IoRequest& request) override { submitted_.push_back(&request); }
  size_t Poll(int64_t) override {
    const size_t due = submitted_.size();
    for (size_t i = 0; i < due; ++i) {
      IoRequest& request = *submitted_[i];
      request.result = static_cast<int32_t>(request.size);
      request.complete(request);
    }
    submitted_.erase(submitted_.begin(), submitted_.begin() + static_cast<ptrdiff_t>(due));
    return due;
  }

 private:
  std::vector<IoRequest*> submitted_;
};

TEST(LogWriter, BlocksAreWrittenWithoutAllocation) {
  for (const Durability durability :
       {Durability::kOpenDsync, Durability::kDsync, Durability::kFdatasync}) {
    InstantIo io;
    LogWriterOptions options = SmallOptions(durability);
    options.segment_bytes =
        64 * kSectorBytes;  // one granule of the index: its growth is not a block's
    LogSession session(io, options);
    ASSERT_TRUE(session.Open().ok());
    LogWriter& writer = *session.writer;
    for (int i = 0; i < 1000 && !writer.space_status().ok(); ++i) session.Turn();
    ASSERT_TRUE(writer.space_status().ok());

    const size_t before = allocations;
    for (int i = 0; i < 12; ++i) {
      while (!writer.CanOpenBlock(5)) io.Poll(0);
      const OpenedBlock block = writer.OpenBlock(5);
      block.slots[4] = block.slots[0] = Slot{};
      writer.SealBlock(5, {.timestamp_us = i});
      if (i % 3 == 0) io.Poll(0);
      writer.Tick(io.MonotonicMicros());
    }
    while (writer.blocks_in_flight() > 0) io.Poll(0);
    EXPECT_EQ(allocations - before, 0u);
  }
}

}  // namespace
}  // namespace tallystick::wal
