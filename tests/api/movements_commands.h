// Movements of accounts through tally and tallyd.

#ifndef TALLYSTICK_TESTS_API_MOVEMENTS_COMMANDS_H_
#define TALLYSTICK_TESTS_API_MOVEMENTS_COMMANDS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "api/client.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "tests/api/served_commands.h"

namespace tallystick {

using nlohmann::json;
using Words = std::vector<std::string>;

inline constexpr char kFirst[] = "2024-01-01";

// On the import clock, so that days are those of the examples; a point for each unit of money.
class Movements : public Commands {
 protected:
  static json Rules(const json& patch) {
    json rules = {{"time_zone", "UTC"},
                  {"earn", {{"points", 1}, {"per_spend", 1}}},
                  {"pending", {{"days", 0}}},
                  {"expiry", {{"days", 36500}}},
                  {"unknown_original", "refuse"}};
    rules.update(patch);
    return rules;
  }
  void Begin(const json& patch = json::object(), const std::string& shards = "1") {
    StartWithProgram({"--clock", "import", "--shards", shards}, Rules(patch));
  }

  Ran At(const std::string& day, Words command) const {
    command.insert(command.end(), {"--program", "1", "--at", day});
    return Run(std::move(command));
  }
  // Is accepted.
  std::string Do(const std::string& day, const Words& command) const {
    const Ran ran = At(day, command);
    EXPECT_EQ(ran.status, 0) << command[0] << ": " << ran.errors;
    return ran.output;
  }
  json DoJson(const std::string& day, Words command) const {
    command.push_back("--json");
    return json::parse(Do(day, command), nullptr, /*allow_exceptions=*/false);
  }
  json Ask(const std::string& what, const std::string& member) const {
    const Ran ran = Run({what, member, "--program", "1", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.errors;
    return json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
  }
  json Totals() const {
    const Ran ran = Run({"totals", "--program", "1", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.errors;
    return json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
  }
  void ExpectRefused(Outcome outcome, const std::string& day, const Words& command) const {
    SCOPED_TRACE(command[0] + ": " + std::string(OutcomeName(outcome)));
    const Ran ran = At(day, command);
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.output, "");
    EXPECT_THAT(ran.errors,
                ::testing::HasSubstr("tally: refused, " + std::string(OutcomeName(outcome)) + ": " +
                                     std::string(OutcomeSentence(outcome)) + "\n"));
  }
  // As it is, and what expires when: "10 until 2024-01-11".
  std::vector<std::string> Lots(const std::string& member) const {
    std::vector<std::string> lots;
    const json answer = Ask("lots", member);
    for (const json& lot : answer["lots"]) {
      lots.push_back(std::to_string(lot["remaining"].get<int64_t>()) + " until " +
                     lot["expires_at"].get<std::string>().substr(0, 10));
    }
    return lots;
  }
  // Many of one kind, which as many processes would take long for.
  void SubmitMany(Kind kind, size_t count, uint64_t member, int64_t amount) const {
    auto client = Client::Connect(Address(), {});
    ASSERT_TRUE(client.ok()) << client.status();
    std::vector<Operation> operations;
    for (size_t i = 0; i < count; ++i) {
      operations.emplace_back(Id(1'000'000 + i, member), Id(member, 0), Id(), amount,
                              *ParseInstant(kFirst), 0, 0, 1, 0, kind, 0, 0);
    }
    size_t accepted = 0;
    for (size_t begin = 0; begin < count; begin += 4096) {
      const auto part = absl::MakeConstSpan(operations).subspan(begin, 4096);
      (*client)->Submit(part, [&](const absl::StatusOr<absl::Span<const Result>>& results) {
        ASSERT_TRUE(results.ok()) << results.status();
        for (const Result& result : *results) accepted += result.outcome() == Outcome::Ok ? 1 : 0;
      });
    }
    ASSERT_TRUE((*client)->Drain().ok());
    ASSERT_EQ(accepted, count);
  }
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_MOVEMENTS_COMMANDS_H_
