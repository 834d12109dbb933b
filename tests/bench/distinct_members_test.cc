#include "bench/peers/distinct_members.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "api/tally/workload.h"

namespace tallystick::peers {
namespace {

using Key = std::pair<uint64_t, uint64_t>;

Key KeyOf(const Id& id) { return {id.high(), id.low()}; }

// Batches in which members repeat rarely, often, and all the time.
class DistinctMembers : public testing::TestWithParam<uint64_t> {};

TEST_P(DistinctMembers, ComeFirstInOrderAndEachMembersOperationsStayInOrder) {
  tally::Workload workload({.members = GetParam(), .seed = 7});
  std::vector<Operation> operations;
  std::map<Key, std::vector<Key>> drawn;  // transactions of each member
  for (int i = 0; i < 2000; ++i) {
    operations.push_back(workload.Draw(/*now=*/1));
    drawn[KeyOf(operations.back().member())].push_back(KeyOf(operations.back().id()));
  }
  const size_t firsts = PutDistinctMembersFirst(operations);
  ASSERT_EQ(operations.size(), 2000u);
  EXPECT_EQ(firsts, drawn.size());
  std::map<Key, std::vector<Key>> put;
  for (size_t i = 0; i < operations.size(); ++i) {
    put[KeyOf(operations[i].member())].push_back(KeyOf(operations[i].id()));
    if (i > 0 && i < firsts) {
      EXPECT_LT(KeyOf(operations[i - 1].member()), KeyOf(operations[i].member()));
    }
  }
  EXPECT_EQ(put, drawn);
}

INSTANTIATE_TEST_SUITE_P(Members, DistinctMembers, testing::Values(1, 50, 1'000'000));

TEST(DistinctMembersFirst, NothingStaysNothing) {
  std::vector<Operation> none;
  EXPECT_EQ(PutDistinctMembersFirst(none), 0u);
}

}  // namespace
}  // namespace tallystick::peers
