#include "ledger/slab.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace tallystick::ledger {
namespace {

struct Row {
  uint64_t value;
  uint64_t kept;
  uint32_t others[6];
};

TEST(Slab, RowsAreDenseFromZero) {
  Slab<Row> slab(10);
  for (uint32_t i = 0; i < 10; ++i) EXPECT_EQ(slab.Allocate(), i);
  EXPECT_TRUE(slab.full());
}

TEST(Slab, FreedRowIsTheNextToBeAllocated) {
  Slab<Row> slab(10);
  for (int i = 0; i < 3; ++i) slab.Allocate();
  slab.Free(1);
  slab.Free(0);
  EXPECT_EQ(slab.used(), 1u);
  EXPECT_EQ(slab.Allocate(), 0u);
  EXPECT_EQ(slab.Allocate(), 1u);
  EXPECT_EQ(slab.Allocate(), 3u);
}

TEST(Slab, RowsKeepTheirAddressWhileItGrows) {
  Slab<Row> slab(1u << 30);
  const Row* first = &slab[slab.Allocate()];
  for (uint32_t i = 1; i < 3 * Slab<Row>::kRowsPerChunk; ++i) slab[slab.Allocate()].value = i;
  EXPECT_EQ(&slab[0], first);
  for (uint32_t i = 1; i < 3 * Slab<Row>::kRowsPerChunk; ++i) ASSERT_EQ(slab[i].value, i);
  EXPECT_EQ(slab.bytes(), 3 * Slab<Row>::kChunkBytes);
}

TEST(Slab, FreeRowsKeepTheirFirstBytes) {
  Slab<Row> slab(1'000);
  for (uint32_t i = 0; i < 1'000; ++i) slab[slab.Allocate()] = {i, i + 1, {}};
  for (uint32_t i = 0; i < 1'000; ++i) slab.Free(i);
  for (uint32_t i = 0; i < 1'000; ++i) {
    EXPECT_EQ(slab[i].value, i);
    EXPECT_EQ(slab[i].kept, i + 1);
  }
}

TEST(Slab, NoRowIsGivenTwice) {
  std::mt19937_64 random(1);
  Slab<Row> slab(500);
  std::set<uint32_t> used;
  std::vector<uint32_t> order;
  for (int step = 0; step < 20'000; ++step) {
    if (!slab.full() && (order.empty() || random() % 2 == 0)) {
      const uint32_t row = slab.Allocate();
      ASSERT_LT(row, 500u);
      ASSERT_TRUE(used.insert(row).second);
      order.push_back(row);
    } else {
      std::swap(order[random() % order.size()], order.back());
      slab.Free(order.back());
      used.erase(order.back());
      order.pop_back();
    }
    ASSERT_EQ(slab.used(), used.size());
  }
}

}  // namespace
}  // namespace tallystick::ledger
