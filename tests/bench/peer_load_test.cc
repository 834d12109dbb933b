#include "bench/peers/peer_load.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>

#include "api/tally/workload.h"

namespace tallystick::peers {
namespace {

constexpr size_t kBatch = 20;
constexpr uint64_t kMembers = 100;

// What the connections of a peer have in common.
struct Books {
  std::map<uint64_t, Points> balances;
  int64_t kept = 0;
  size_t most_under_way = 0;
  bool forgets_an_outcome = false;
};

// Applies a request when it is received, one at a time.
class BooksConnection : public PeerConnection {
 public:
  explicit BooksConnection(Books& books) : books_(books), always_ready_(eventfd(1, 0)) {}
  ~BooksConnection() override { close(always_ready_); }

  absl::Status Begin(std::vector<Operation>& operations) override {
    begun_.push_back(operations);
    books_.most_under_way = std::max(books_.most_under_way, begun_.size());
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Send() override { return false; }
  absl::Status Receive() override {
    received_ = !begun_.empty();
    return absl::OkStatus();
  }
  absl::StatusOr<bool> NextOutcomes(std::string* outcomes) override {
    if (!received_) return false;
    received_ = false;
    outcomes->clear();
    for (const Operation& operation : begun_.front()) {
      Points& balance = books_.balances[operation.member().low()];
      const bool accepted = balance + Movement(operation) >= 0;
      if (accepted) balance += Movement(operation);
      books_.kept += accepted ? 1 : 0;
      *outcomes += static_cast<char>(accepted ? PeerOutcome::kAccepted : PeerOutcome::kRefused);
    }
    if (books_.forgets_an_outcome) outcomes->pop_back();
    begun_.pop_front();
    return true;
  }
  int descriptor() const override { return always_ready_; }

 private:
  Books& books_;
  const int always_ready_;
  std::deque<std::vector<Operation>> begun_;
  bool received_ = false;
};

std::vector<std::unique_ptr<PeerConnection>> Connect(Books& books, size_t count) {
  std::vector<std::unique_ptr<PeerConnection>> connections;
  for (size_t i = 0; i < count; ++i) {
    connections.push_back(std::make_unique<BooksConnection>(books));
  }
  return connections;
}

PeerLoad::Fill Draw(tally::Workload& workload) {
  return [&workload](size_t, std::vector<Operation>* operations) {
    while (operations->size() < kBatch) operations->push_back(workload.Draw(/*now=*/1));
  };
}

TEST(PeerLoad, CountsWhatThePeerDid) {
  Books books;
  tally::Workload workload({.members = kMembers, .redeem_share = 0.5, .seed = 3});
  PeerLoad load({.in_flight = 3, .warm_up_seconds = 0, .operations = 10'000}, Draw(workload),
                Connect(books, 4));
  ASSERT_TRUE(load.Run().ok());
  Points points = 0;
  for (const auto& [member, balance] : books.balances) points += balance;
  EXPECT_EQ(load.tally().moved, points);
  EXPECT_EQ(load.tally().accepted, books.kept);
  // Members begin with nothing.
  EXPECT_GT(load.tally().refused, 0);
  EXPECT_EQ(load.tally().accepted + load.tally().refused, 10'000);
  EXPECT_EQ(load.measured_operations(), 10'000);
  EXPECT_EQ(load.latency_ns().count(), 10'000 / static_cast<int64_t>(kBatch));
  EXPECT_EQ(books.most_under_way, 3u);
}

TEST(PeerLoad, WarmUpIsTalliedButNotMeasured) {
  Books books;
  tally::Workload workload({.members = kMembers, .seed = 3});
  PeerLoad load({.in_flight = 1, .warm_up_seconds = 1e6, .operations = 1'000}, Draw(workload),
                Connect(books, 1));
  ASSERT_TRUE(load.Run().ok());
  EXPECT_EQ(load.tally().accepted + load.tally().refused, 1'000);
  EXPECT_EQ(load.measured_operations(), 0);
  EXPECT_EQ(load.latency_ns().count(), 0);
}

TEST(PeerLoad, EndsWhenNoConnectionHasMore) {
  Books books;
  tally::Workload workload({.members = kMembers, .seed = 3});
  std::vector<int> requests_left = {5, 0, 2};
  const auto fill = [&](size_t connection, std::vector<Operation>* operations) {
    if (requests_left[connection] == 0) return;
    --requests_left[connection];
    operations->push_back(workload.Load(/*member=*/1, /*now=*/1));
  };
  PeerLoad load({.in_flight = 2, .warm_up_seconds = 0}, fill, Connect(books, 3));
  ASSERT_TRUE(load.Run().ok());
  EXPECT_EQ(load.tally().accepted, 7);
}

TEST(PeerLoad, AnAnswerThatIsTooShortIsAnError) {
  Books books;
  books.forgets_an_outcome = true;
  tally::Workload workload({.members = kMembers, .seed = 3});
  PeerLoad load({.warm_up_seconds = 0, .operations = 100}, Draw(workload), Connect(books, 1));
  EXPECT_EQ(load.Run().message(), "a request of 20 operations was answered with 19 outcomes");
}

}  // namespace
}  // namespace tallystick::peers
