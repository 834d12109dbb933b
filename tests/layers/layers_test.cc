// Who may include whom.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace tallystick {
namespace {

namespace fs = std::filesystem;

// "FILE includes HEADER" for each header of a forbidden folder that a file of `folder` includes.
std::vector<std::string> Breaches(const std::string& folder, const std::string& forbidden) {
  const std::regex include("^\\s*#\\s*include\\s+[\"<]((" + forbidden + ")[^\">]*)[\">]");
  std::vector<std::string> breaches;
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TALLYSTICK_SOURCE) / folder)) {
    const std::string extension = entry.path().extension();
    if (extension != ".h" && extension != ".cc" && extension != ".in") continue;
    ++files;
    std::ifstream file(entry.path());
    std::smatch match;
    for (std::string line; std::getline(file, line);) {
      if (std::regex_search(line, match, include)) {
        breaches.push_back(entry.path().string() + " includes " + match[1].str());
      }
    }
  }
  EXPECT_GT(files, 5u) << folder;
  return breaches;
}

using Strings = std::vector<std::string>;

TEST(Layers, LedgerKnowsNeitherLogNorApi) {
  EXPECT_EQ(Breaches("ledger", "wal/|api/|tests/|bench/"), Strings());
}

TEST(Layers, LedgerHasNoClockThreadRandomnessOrIo) {
  EXPECT_EQ(Breaches("ledger",
                     "chrono|thread|mutex|atomic|random|ctime|time\\.h|fstream|iostream|unistd\\.h|"
                     "fcntl\\.h|sys/socket|sys/time|unordered_map|unordered_set|absl/container|"
                     "absl/time/time\\.h|absl/time/clock|absl/random"),
            Strings());
}

TEST(Layers, LogKnowsNeitherLedgerNorApi) {
  EXPECT_EQ(Breaches("wal", "ledger/|api/|tests/|bench/"), Strings());
}

TEST(Layers, ApiDoesNotLookIntoTests) { EXPECT_EQ(Breaches("api", "tests/|bench/"), Strings()); }

TEST(Layers, OnlyTheRingIncludesLiburing) {
  const Strings ring = Breaches("wal", "liburing");
  ASSERT_EQ(ring.size(), 1u);
  EXPECT_NE(ring[0].find("uring_io.cc"), std::string::npos);
  EXPECT_EQ(Breaches("api", "liburing"), Strings());
}

TEST(Layers, ModelSharesNothingWithTheLedger) {
  EXPECT_EQ(Breaches("tests/model", "ledger/|wal/|api/"), Strings());
}

}  // namespace
}  // namespace tallystick
