#include "api/tally/rejects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace tallystick::tally {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Rejects : public ::testing::Test {
 protected:
  Rejects() : folder_(fs::temp_directory_path() / ("rejects_test." + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    std::ofstream(Path("orders.csv")) << "orders\n";
  }
  ~Rejects() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string Contents(const std::string& name) const {
    std::ostringstream all;
    all << std::ifstream(Path(name)).rdbuf();
    return all.str();
  }
  const fs::path folder_;
};

TEST_F(Rejects, AreThereWhenTheyAreAllTold) {
  RejectsFile file;
  ASSERT_TRUE(file.Open(Path("rejects.csv")).ok());
  file.Add("orders.csv", 7, "A,1", "no member");
  EXPECT_FALSE(fs::exists(Path("rejects.csv")));
  EXPECT_TRUE(file.Close().ok());
  EXPECT_EQ(Contents("rejects.csv"), "file,line,order,reason\norders.csv,7,\"A,1\",no member\n");
  EXPECT_FALSE(fs::exists(Path("rejects.csv.unfinished")));
}

TEST_F(Rejects, LeaveNothingUnlessClosed) {
  {
    RejectsFile file;
    ASSERT_TRUE(file.Open(Path("rejects.csv")).ok());
    file.Add("orders.csv", 7, "A1", "no member");
  }
  EXPECT_FALSE(fs::exists(Path("rejects.csv")));
  EXPECT_FALSE(fs::exists(Path("rejects.csv.unfinished")));
}

TEST_F(Rejects, NeverOverwriteWhatIsThere) {
  fs::create_symlink("orders.csv", Path("soft.csv"));
  fs::create_symlink("nothing.csv", Path("dangling.csv"));
  for (const char* name : {"orders.csv", "soft.csv", "dangling.csv"}) {
    RejectsFile file;
    EXPECT_THAT(std::string(file.Open(Path(name)).message()), HasSubstr("is there already"))
        << name;
  }
  EXPECT_EQ(Contents("orders.csv"), "orders\n");
}

TEST_F(Rejects, MayBeADevice) {
  RejectsFile device;
  ASSERT_TRUE(device.Open("/dev/null").ok());
  EXPECT_TRUE(device.Close().ok());
  RejectsFile full;
  ASSERT_TRUE(full.Open("/dev/full").ok());
  EXPECT_THAT(std::string(full.Close().message()), HasSubstr("No space left on device"));
}

TEST_F(Rejects, SayWhereTheyCannotBe) {
  RejectsFile file;
  EXPECT_THAT(std::string(file.Open(Path("nowhere/rejects.csv")).message()),
              HasSubstr("nowhere/rejects.csv: No such file"));
  EXPECT_FALSE(file.Open(folder_).ok());
}

}  // namespace
}  // namespace tallystick::tally
