#include "api/memory_ahead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <functional>
#include <set>
#include <thread>
#include <vector>

namespace tallystick {
namespace {

// Pages of the region that are in memory.
size_t Resident(std::byte* region) {
  std::vector<unsigned char> pages(ledger::kRegionBytes / 4096);
  EXPECT_EQ(mincore(region, ledger::kRegionBytes, pages.data()), 0);
  size_t resident = 0;
  for (const unsigned char page : pages) resident += page & 1;
  return resident;
}

void Release(std::byte* region) { munmap(region, ledger::kRegionBytes); }

TEST(MemoryAhead, ReservedRegionsAreTouchedAndZero) {
  MemoryAhead memory(2 * ledger::kRegionBytes);
  EXPECT_EQ(memory.ready(), 2u);
  std::byte* region = memory.TakeRegion(/*first=*/false);
  EXPECT_EQ(Resident(region), ledger::kRegionBytes / 4096);
  for (size_t i = 0; i < ledger::kRegionBytes; i += 4096) ASSERT_EQ(region[i], std::byte{0});
  Release(region);
}

TEST(MemoryAhead, NothingIsHeldForALedgerThatDoesNotGrow) {
  const MemoryAhead memory(0);
  EXPECT_EQ(memory.ready(), 0u);
}

TEST(MemoryAhead, GivesARegionAlsoWhenNoneIsReady) {
  MemoryAhead memory(0);
  std::byte* region = memory.TakeRegion(/*first=*/false);
  ASSERT_NE(region, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(region) % ledger::kHugePage, 0u);
  region[ledger::kRegionBytes - 1] = std::byte{1};
  Release(region);
}

TEST(MemoryAhead, MakesOneReadyOnceALedgerGrows) {
  MemoryAhead memory(0);
  Release(memory.TakeRegion(/*first=*/false));
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (memory.ready() == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  ASSERT_EQ(memory.ready(), 1u);
  std::byte* region = memory.TakeRegion(/*first=*/false);
  EXPECT_EQ(Resident(region), ledger::kRegionBytes / 4096);
  Release(region);
}

void WaitUntil(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(done());
}

TEST(MemoryAhead, AFirstRegionIsNoGrowth) {
  MemoryAhead memory(0);
  Release(memory.TakeRegion(/*first=*/true));
  EXPECT_EQ(memory.ready(), 0u);
}

TEST(MemoryAhead, AFirstRegionComesFromWhatIsReserved) {
  MemoryAhead memory(ledger::kRegionBytes);
  std::byte* region = memory.TakeRegion(/*first=*/true);
  EXPECT_EQ(Resident(region), ledger::kRegionBytes / 4096);
  Release(region);
}

TEST(MemoryAhead, TouchesAheadInsideOfATablesFirstRegion) {
  MemoryAhead memory(0);
  ledger::Pages pages(&memory);
  std::byte* first = pages.Take(64);
  // Nothing yet: half of a huge page is not in use.
  pages.Take(ledger::kHugePage / 4);
  EXPECT_EQ(Resident(first), 0u);
  std::byte* kept = pages.Take(ledger::kHugePage);
  kept[ledger::kHugePage - 1] = std::byte{7};
  // In use are 2.5 MiB: made ready are the second to the fourth huge page.
  WaitUntil([&] { return Resident(first) >= 3 * ledger::kHugePage / 4096; });
  EXPECT_EQ(kept[ledger::kHugePage - 1], std::byte{7});
}

TEST(MemoryAhead, ManyThreadsGetRegionsOfTheirOwn) {
  MemoryAhead memory(ledger::kRegionBytes);
  std::vector<std::vector<std::byte*>> taken(4);
  std::vector<std::thread> threads;
  threads.reserve(taken.size());
  for (auto& mine : taken) {
    threads.emplace_back([&memory, &mine] {
      for (int i = 0; i < 4; ++i) {
        mine.push_back(memory.TakeRegion(/*first=*/false));
        mine.back()[0] = std::byte{1};
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::byte*> all;
  for (const auto& mine : taken) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 16u);
  for (std::byte* region : all) Release(region);
}

}  // namespace
}  // namespace tallystick
