#include "ledger/receipts.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace tallystick::ledger {
namespace {

constexpr uint32_t kChunk = Receipts::kRowsPerChunk;

Receipt Numbered(uint64_t number) {
  Receipt receipt{};
  receipt.id = Id(number, 0);
  receipt.position = number;
  receipt.account = static_cast<uint32_t>(number % 5);
  receipt.link = kNoRow;
  receipt.kind = Kind::Purchase;
  return receipt;
}

uint32_t AddTo(Receipts& receipts, ReceiptQueue& queue, const Receipt& receipt) {
  const uint32_t row =
      receipts.Append(queue, receipts.Hash(receipt.account, receipt.id), receipt.position);
  receipts[row] = receipt;
  return row;
}

// A queue of numbered receipts and what should be in it.
class ReceiptQueues : public ::testing::Test {
 protected:
  void Append(int queue) {
    const uint32_t row = Add(queues_[queue], Numbered(++last_));
    ASSERT_EQ(receipts_[row].position, last_);
    expected_[queue].push_back(last_);
  }
  void PopFront(int queue) {
    ASSERT_EQ(receipts_.Front(queues_[queue]).position, expected_[queue].front());
    receipts_.PopFront(queues_[queue]);
    expected_[queue].pop_front();
  }
  void PopBack(int queue) {
    receipts_.PopBack(queues_[queue]);
    expected_[queue].pop_back();
  }
  bool Has(uint64_t number) const {
    const Receipt receipt = Numbered(number);
    return receipts_.Find(receipts_.Hash(receipt.account, receipt.id), receipt.account,
                          receipt.id) != kNoRow;
  }
  void Compare() const {
    size_t size = 0;
    for (int queue = 0; queue < 2; ++queue) {
      ASSERT_EQ(Receipts::empty(queues_[queue]), expected_[queue].empty());
      std::vector<uint64_t> positions;
      receipts_.ForEach(queues_[queue],
                        [&](uint32_t row) { positions.push_back(receipts_[row].position); });
      ASSERT_EQ(positions, std::vector<uint64_t>(expected_[queue].begin(), expected_[queue].end()));
      size += positions.size();
    }
    ASSERT_EQ(receipts_.size(), size);
  }

  uint32_t Add(ReceiptQueue& queue, const Receipt& receipt) {
    return AddTo(receipts_, queue, receipt);
  }

  Receipts receipts_{1u << 30, 1u << 30, 0};
  ReceiptQueue queues_[2];
  std::deque<uint64_t> expected_[2];
  uint64_t last_ = 0;
};

TEST_F(ReceiptQueues, AreFirstInFirstOutAcrossChunks) {
  for (uint32_t i = 0; i < 2 * kChunk + 10; ++i) Append(0);
  Compare();
  for (uint32_t i = 0; i < 2 * kChunk + 5; ++i) PopFront(0);
  Compare();
  EXPECT_FALSE(Has(1));
  EXPECT_TRUE(Has(2 * kChunk + 6));
}

TEST_F(ReceiptQueues, AnEmptiedQueueTakesNewOnes) {
  for (uint32_t i = 0; i < kChunk; ++i) Append(0);
  for (uint32_t i = 0; i < kChunk; ++i) PopFront(0);
  Compare();
  Append(0);
  Compare();
  PopBack(0);
  Compare();
  Append(0);
  Compare();
}

TEST_F(ReceiptQueues, PopBackGoesBackOverAChunksBegin) {
  for (uint32_t i = 0; i < kChunk + 2; ++i) Append(0);
  for (uint32_t i = 0; i < 4; ++i) PopBack(0);
  Compare();
  for (uint32_t i = 0; i < 5; ++i) Append(0);
  Compare();
  for (uint32_t i = 0; i < kChunk; ++i) PopFront(0);
  Compare();
}

TEST_F(ReceiptQueues, PopBackAtTheFullChunkThenPopFrontToTheEnd) {
  for (uint32_t i = 0; i < kChunk + 1; ++i) Append(0);
  PopBack(0);
  for (uint32_t i = 0; i < kChunk; ++i) PopFront(0);
  Compare();
  for (uint32_t i = 0; i < kChunk + 1; ++i) Append(0);
  Compare();
}

TEST_F(ReceiptQueues, ChunksAreUsedAgain) {
  for (uint32_t i = 0; i < 2 * kChunk; ++i) Append(0);
  const size_t bytes = receipts_.bytes();
  for (uint32_t i = 0; i < 6 * kChunk; ++i) {
    Append(static_cast<int>(i / kChunk % 2));
    PopFront(Receipts::empty(queues_[0]) ? 1 : 0);
  }
  Compare();
  EXPECT_LE(receipts_.bytes(), bytes + 3 * kChunk * sizeof(Receipt) + (8u << 20));
}

TEST_F(ReceiptQueues, RandomUseKeepsOrder) {
  std::mt19937_64 random(1);
  for (int phase = 0; phase < 40; ++phase) {
    const auto growth = static_cast<int>(random() % 100);
    for (int step = 0; step < 3'000; ++step) {
      const int queue = static_cast<int>(random() % 2);
      if (expected_[queue].empty() || static_cast<int>(random() % 100) < growth) {
        Append(queue);
      } else if (random() % 3 == 0) {
        PopBack(queue);
      } else {
        PopFront(queue);
      }
    }
    Compare();
  }
}

TEST_F(ReceiptQueues, ReturnsOfAReceiptKeepItsLink) {
  Receipt made = Numbered(1);
  made.link = 42;
  const uint32_t row = Add(queues_[0], made);
  Receipt& receipt = receipts_[row];
  EXPECT_EQ(receipts_.ReturnedOf(receipt).amount, 0);
  EXPECT_EQ(receipts_.LinkOf(receipt), 42u);
  receipts_.SetReturned(receipt, {10, 3, 0, 0, 7, 0});
  receipts_.SetReturned(receipt, {15, 4, 2, 1, 7, 0});
  EXPECT_EQ(receipts_.ReturnedOf(receipt).amount, 15);
  EXPECT_EQ(receipts_.ReturnedOf(receipt).claimed, 4);
  EXPECT_EQ(receipts_.ReturnedOf(receipt).lost, 2);
  EXPECT_EQ(receipts_.ReturnedOf(receipt).written_off, 1);
  EXPECT_EQ(receipts_.LinkOf(receipt), 42u);
  receipts_.ClearReturned(receipt);
  EXPECT_EQ(receipts_.ReturnedOf(receipt).claimed, 0);
  EXPECT_EQ(receipts_.LinkOf(receipt), 42u);
}

TEST_F(ReceiptQueues, AReceiptIsFoundByItsPosition) {
  const auto position_at = [&](Position position) {
    const uint32_t row = receipts_.FindAt(queues_[0], position);
    return row == kNoRow ? 0 : receipts_[row].position;
  };
  EXPECT_EQ(position_at(1), 0u);
  // Every other one, through three chunks.
  for (uint32_t i = 0; i < 5 * kChunk / 2; ++i) {
    Append(0);
    Append(1);
  }
  for (uint32_t i = 0; i < kChunk / 2; ++i) PopFront(0);
  const Position first = expected_[0].front();
  const Position last = expected_[0].back();
  for (const Position position : {first, first + 2, first + 2 * (kChunk - 1), last - 2, last}) {
    EXPECT_EQ(position_at(position), position);
    EXPECT_EQ(position_at(position + 1), 0u);
  }
  EXPECT_EQ(position_at(first - 2), 0u) << "it has left";
  EXPECT_EQ(position_at(last + 2), 0u);
}

TEST(Receipts, WhatRedemptionsTookLeavesWithThem) {
  constexpr uint32_t kRows = 5 * Takings::kRowsPerChunk;
  Receipts receipts(1u << 20, kRows, 0);
  ReceiptQueue queue;
  uint64_t position = 0;
  // Of as many lots as its position says, by its last digit.
  const auto add = [&] {
    Receipt redemption = Numbered(++position);
    redemption.kind = Kind::Redeem;
    for (uint64_t i = 0; i <= position % 4; ++i) {
      const auto points = static_cast<Points>(10 * position + i);
      const uint32_t number = queue.takings.end;
      receipts.takings().Append(queue.takings, i > 0).SetPoints(points);
      if (i == 0) redemption.link = number;
    }
    return AddTo(receipts, queue, redemption);
  };
  const auto check = [&](uint32_t row) {
    const Receipt& receipt = receipts[row];
    const auto [first, count] = receipts.FindTakings(queue, receipt);
    ASSERT_EQ(count, receipt.position % 4 + 1);
    for (uint32_t i = 0; i < count; ++i) {
      const Taking& taking = receipts.takings().At(queue.takings, Takings::Behind(first, i));
      ASSERT_EQ(taking.points(), static_cast<Points>(10 * receipt.position + i));
    }
  };
  std::deque<uint32_t> rows;
  for (int round = 0; round < 30'000; ++round) {
    rows.push_back(add());
    receipts.SetReturned(receipts[rows.back()], {3, 0, 0, 0, kNoRow, 0});
    if (round % 3 == 1) {
      receipts.PopBack(queue);
      rows.pop_back();
    }
    check(rows.front());
    check(rows.back());
    if (rows.size() > 2 * Takings::kRowsPerChunk - 2) {
      receipts.PopFront(queue);
      rows.pop_front();
    }
  }
  EXPECT_LE(receipts.takings().bytes(), 7 * Takings::kRowsPerChunk * sizeof(Taking));
  while (!rows.empty()) {
    receipts.PopFront(queue);
    rows.pop_front();
  }
  EXPECT_EQ(receipts.takings().room(), kRows);
}

TEST(Receipts, OneIdOfTwoAccountsIsTwoReceipts) {
  Receipts receipts(10, 10, 0);
  ReceiptQueue queue;
  Receipt receipt = Numbered(5);
  receipt.account = 1;
  const uint32_t first = AddTo(receipts, queue, receipt);
  receipt.account = 2;
  const uint32_t second = AddTo(receipts, queue, receipt);
  EXPECT_EQ(receipts.Find(receipts.Hash(1, receipt.id), 1, receipt.id), first);
  EXPECT_EQ(receipts.Find(receipts.Hash(2, receipt.id), 2, receipt.id), second);
  EXPECT_EQ(receipts.Find(receipts.Hash(3, receipt.id), 3, receipt.id), kNoRow);
}

}  // namespace
}  // namespace tallystick::ledger
