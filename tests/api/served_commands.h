// A tallyd of its own, and what `tally` makes of it.

#ifndef TALLYSTICK_TESTS_API_SERVED_COMMANDS_H_
#define TALLYSTICK_TESTS_API_SERVED_COMMANDS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/api/process.h"

namespace tallystick {

inline constexpr char kSeed[] = TALLYSTICK_SOURCE_DIR "/docs/programs/seed.json";

class Commands : public ::testing::Test {
 protected:
  Commands()
      : folder_(std::filesystem::temp_directory_path() /
                ("commands_test." + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Commands() override {
    Stop();
    std::filesystem::remove_all(folder_);
  }

  void Start(std::vector<std::string> more) {
    std::vector<std::string> command = {
        TALLYD, "--data", Path("ledger"), "--listen", Address(), "--segment-mib", "1"};
    command.insert(command.end(), more.begin(), more.end());
    server_ = std::make_unique<Process>(command);
    ASSERT_THAT(server_->ReadLine(), ::testing::HasSubstr("ready "));
  }
  void Stop() {
    if (server_ != nullptr) {
      EXPECT_EQ(server_->End(SIGTERM), 0);
    }
    server_.reset();
  }
  // A new ledger with the program of seed.json, changed.
  void StartWithProgram(std::vector<std::string> more = {},
                        const nlohmann::json& patch = nlohmann::json::object()) {
    more.push_back("--create");
    Start(more);
    auto program = nlohmann::json::parse(std::ifstream(kSeed));
    program.update(patch);
    Write("program.json", program.dump());
    ASSERT_EQ(Run({"program", "put", Path("program.json")}).status, 0);
  }

  Ran Run(std::vector<std::string> arguments, const std::string& output = "") const {
    arguments.insert(arguments.begin(), {TALLY, "--connect", Address()});
    return RunToEnd(arguments, output);
  }

  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string Address() const { return "unix:" + Path("socket"); }
  void Write(const std::string& name, const std::string& contents) const {
    std::ofstream(Path(name)) << contents;
  }

  const std::filesystem::path folder_;
  std::unique_ptr<Process> server_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_SERVED_COMMANDS_H_
