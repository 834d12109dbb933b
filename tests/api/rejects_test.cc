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
  absl::Status Open(RejectsFile& file, const std::string& name) const {
    return file.Open(Path(name), {Path("orders.csv")});
  }

  const fs::path folder_;
};

TEST_F(Rejects, ReplaceTheFileWhenTheyAreAllTold) {
  std::ofstream(Path("rejects.csv")) << "old\n";
  RejectsFile file;
  ASSERT_TRUE(Open(file, "rejects.csv").ok());
  file.Add("orders.csv", 7, "A,1", "no member");
  EXPECT_EQ(Contents("rejects.csv"), "old\n");
  EXPECT_TRUE(file.Close().ok());
  EXPECT_EQ(Contents("rejects.csv"), "file,line,order,reason\norders.csv,7,\"A,1\",no member\n");
  EXPECT_FALSE(fs::exists(Path("rejects.csv.tmp")));
}

TEST_F(Rejects, LeaveTheFileAloneUnlessClosed) {
  std::ofstream(Path("rejects.csv")) << "old\n";
  {
    RejectsFile file;
    ASSERT_TRUE(Open(file, "rejects.csv").ok());
    file.Add("orders.csv", 7, "A1", "no member");
  }
  EXPECT_EQ(Contents("rejects.csv"), "old\n");
  EXPECT_FALSE(fs::exists(Path("rejects.csv.tmp")));
}

TEST_F(Rejects, NeverOverwriteWhatIsImported) {
  fs::create_symlink("orders.csv", Path("soft.csv"));
  fs::create_hard_link(Path("orders.csv"), Path("hard.csv"));
  fs::create_hard_link(Path("orders.csv"), Path("other.csv.tmp"));
  for (const char* name : {"orders.csv", "soft.csv", "hard.csv", "other.csv"}) {
    RejectsFile file;
    EXPECT_THAT(std::string(Open(file, name).message()), HasSubstr("would overwrite")) << name;
  }
  EXPECT_EQ(Contents("orders.csv"), "orders\n");
}

TEST_F(Rejects, FollowLinksAndDevices) {
  std::ofstream(Path("real.csv")) << "old\n";
  fs::create_symlink("real.csv", Path("link.csv"));
  RejectsFile file;
  ASSERT_TRUE(Open(file, "link.csv").ok());
  EXPECT_TRUE(file.Close().ok());
  EXPECT_TRUE(fs::is_symlink(Path("link.csv")));
  EXPECT_EQ(Contents("real.csv"), "file,line,order,reason\n");
  RejectsFile device;
  ASSERT_TRUE(device.Open("/dev/null", {}).ok());
  EXPECT_TRUE(device.Close().ok());
  RejectsFile full;
  ASSERT_TRUE(full.Open("/dev/full", {}).ok());
  EXPECT_THAT(std::string(full.Close().message()), HasSubstr("is there space left?"));
}

TEST_F(Rejects, SayWhereTheyCannotBe) {
  RejectsFile file;
  EXPECT_THAT(std::string(Open(file, "nowhere/rejects.csv").message()),
              HasSubstr("nowhere/rejects.csv.tmp: No such file"));
  EXPECT_FALSE(file.Open(folder_, {}).ok());
}

}  // namespace
}  // namespace tallystick::tally
