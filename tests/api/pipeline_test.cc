#include "api/tally/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/tally/random.h"

namespace tallystick::tally {
namespace {

constexpr size_t kShards = 2;
constexpr uint64_t kMembers = 5;

// A server's side of a connection: applies requests as they were sent, answers them in any order,
// and keeps the promise of Overloaded: after one, everything of its shard that was sent before the
// client had read it is overloaded too.
class FakeServer {
 public:
  FakeServer(uint64_t seed, uint64_t overloaded_of_1000)
      : random_(seed), overloaded_of_1000_(overloaded_of_1000) {}

  Pipeline::Connection Connection(size_t max_operations) {
    return {.max_operations = max_operations,
            .submit = [this](auto operations, auto done) { Submit(operations, std::move(done)); },
            .poll = [this] { return Poll(); }};
  }

  // User data of what was applied, by member.
  std::map<uint64_t, std::vector<uint64_t>> applied;
  size_t most_in_flight = 0;
  size_t largest_request = 0;
  int64_t answers_until_failure = -1;  // < 0: never

 private:
  struct Request {
    std::vector<Operation> operations;
    std::vector<size_t> read;  // overloads that the client had read, by shard
    Client::ResultsCallback done;
  };

  void Submit(absl::Span<const Operation> operations, Client::ResultsCallback done) {
    requests_.push_back(
        {{operations.begin(), operations.end()}, {read_, read_ + kShards}, std::move(done)});
    most_in_flight = std::max(most_in_flight, requests_.size() + answers_.size());
    largest_request = std::max(largest_request, operations.size());
  }

  Result Apply(const Operation& operation, const Request& request) {
    const size_t shard = operation.member().low() % kShards;
    Result result;
    if (request.read[shard] < refused_[shard] || random_.Below(1000) < overloaded_of_1000_) {
      ++refused_[shard];
      result.mutate_outcome(Outcome::Overloaded);
    } else {
      applied[operation.member().low()].push_back(operation.user_data());
    }
    return result;
  }

  absl::Status Poll() {
    while (!requests_.empty() && random_.Below(2) == 0) Serve();
    if (answers_.empty()) Serve();
    const size_t chosen = random_.Below(answers_.size());
    auto [request, results] = std::move(answers_[chosen]);
    answers_.erase(answers_.begin() + static_cast<std::ptrdiff_t>(chosen));
    if (answers_until_failure == 0) {
      absl::Status gone = absl::UnavailableError("gone");
      request.done(gone);
      return gone;
    }
    --answers_until_failure;
    for (size_t i = 0; i < results.size(); ++i) {
      if (results[i].outcome() != Outcome::Overloaded) continue;
      ++read_[request.operations[i].member().low() % kShards];
    }
    request.done(absl::MakeConstSpan(results));
    return absl::OkStatus();
  }

  void Serve() {
    Request request = std::move(requests_.front());
    requests_.pop_front();
    std::vector<Result> results;
    for (const Operation& operation : request.operations) {
      results.push_back(Apply(operation, request));
    }
    answers_.emplace_back(std::move(request), std::move(results));
  }

  Random random_;
  const uint64_t overloaded_of_1000_;
  std::deque<Request> requests_;
  std::vector<std::pair<Request, std::vector<Result>>> answers_;
  size_t refused_[kShards] = {};
  size_t read_[kShards] = {};
};

Operation Numbered(uint64_t number) {
  return Operation(Id(number + 1, 0), Id(1 + number % kMembers, 0), Id(0, 0), 1, 1, 0,
                   /*user_data=*/number, 1, 0, Kind::Accrue, 0, 0);
}

// With no pause before an overloaded operation is sent again, and little patience.
Pipeline::Limits Limits(size_t batch, size_t in_flight) {
  return {.batch = batch, .in_flight = in_flight, .patience_ms = 1'000, .overloaded_wait_ms = 0};
}

struct Outcomes {
  absl::Status status;
  std::vector<int> answers;  // how often each operation had a final one
  int64_t resent = 0;
};

Outcomes SendAll(FakeServer& server, const Pipeline::Limits& limits, uint64_t count,
                 size_t max_operations = 8192) {
  Outcomes outcomes;
  outcomes.answers.resize(count);
  Pipeline pipeline(server.Connection(max_operations), limits,
                    [&outcomes](const Pipeline::Answer& answer) {
                      for (size_t i = 0; i < answer.results.size(); ++i) {
                        EXPECT_EQ(answer.operations[i].user_data(), answer.sequences[i]);
                        if (answer.results[i].outcome() == Outcome::Ok)
                          ++outcomes.answers[answer.sequences[i]];
                      }
                    });
  for (uint64_t i = 0; i < count && outcomes.status.ok(); ++i) {
    outcomes.status = pipeline.Add(Numbered(i));
  }
  if (outcomes.status.ok()) outcomes.status = pipeline.Finish();
  outcomes.resent = pipeline.resent();
  return outcomes;
}

TEST(Pipeline, FillsItsLimitsAndNoMore) {
  FakeServer server(1, 0);
  const Outcomes outcomes = SendAll(server, Limits(10, 4), 1005);
  EXPECT_TRUE(outcomes.status.ok()) << outcomes.status;
  EXPECT_EQ(outcomes.answers, std::vector<int>(1005, 1));
  EXPECT_EQ(server.most_in_flight, 4u);
  EXPECT_EQ(server.largest_request, 10u);
  EXPECT_EQ(outcomes.resent, 0);
}

TEST(Pipeline, BatchesAreCutToWhatTheServerTakes) {
  FakeServer server(1, 0);
  const Outcomes outcomes = SendAll(server, Limits(1000, 2), 100, 16);
  EXPECT_EQ(outcomes.answers, std::vector<int>(100, 1));
  EXPECT_EQ(server.largest_request, 16u);
}

TEST(Pipeline, NothingToSendIsNothingToWaitFor) {
  FakeServer server(1, 0);
  EXPECT_TRUE(SendAll(server, Limits(10, 4), 0).status.ok());
  EXPECT_EQ(server.most_in_flight, 0u);
}

TEST(Pipeline, OverloadedOperationsAreSentAgainInTheOrderOfTheirMember) {
  int64_t resent = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    FakeServer server(seed, /*overloaded_of_1000=*/1 + seed % 8);
    const Outcomes outcomes = SendAll(server, Limits(1 + seed % 7, 1 + seed % 5), 500);
    ASSERT_TRUE(outcomes.status.ok()) << outcomes.status << ", seed " << seed;
    ASSERT_EQ(outcomes.answers, std::vector<int>(500, 1)) << "seed " << seed;
    for (const auto& [member, numbers] : server.applied) {
      ASSERT_EQ(numbers.size(), 500 / kMembers) << "seed " << seed;
      ASSERT_TRUE(std::is_sorted(numbers.begin(), numbers.end()))
          << "seed " << seed << ", member " << member;
    }
    resent += outcomes.resent;
  }
  EXPECT_GT(resent, 100) << "the test must come this way";
}

TEST(Pipeline, PatienceEnds) {
  FakeServer server(1, /*overloaded_of_1000=*/1000);
  Pipeline::Limits limits = Limits(10, 4);
  limits.patience_ms = 5;
  const Outcomes outcomes = SendAll(server, limits, 100);
  EXPECT_EQ(outcomes.status.code(), absl::StatusCode::kResourceExhausted) << outcomes.status;
  EXPECT_GT(outcomes.resent, 0);
}

TEST(Pipeline, AnErrorEndsIt) {
  for (int64_t answered = 0; answered < 12; ++answered) {
    FakeServer server(static_cast<uint64_t>(answered), 0);
    server.answers_until_failure = answered;
    const Outcomes outcomes = SendAll(server, Limits(10, 4), 120);
    EXPECT_EQ(outcomes.status, absl::UnavailableError("gone")) << answered;
    EXPECT_EQ(std::count(outcomes.answers.begin(), outcomes.answers.end(), 1), answered * 10);
  }
}

}  // namespace
}  // namespace tallystick::tally
