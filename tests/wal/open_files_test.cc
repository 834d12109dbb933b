#include "wal/open_files.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/sim/sim_io.h"

namespace tallystick::wal {
namespace {

using sim::SimIo;

std::string Path(const std::string& directory, uint64_t number) {
  return absl::StrCat(directory, "/", number);
}

struct OpenFilesTest : ::testing::Test {
  OpenFilesTest() : io({.seed = 1}), files(io, "/data", &Path, 2) {
    EXPECT_TRUE(io.MakeDirectory("/data").ok());
    for (uint64_t number = 1; number <= 4; ++number) Put(number, 'a');
  }

  void Put(uint64_t number, char letter) {
    io.AddFile(Path("/data", number), {static_cast<std::byte>(letter)});
  }
  // What the file has that is open, or that would be opened now.
  char Look(uint64_t number) {
    const absl::StatusOr<OpenFiles::File*> file = files.Take(number);
    if (!file.ok()) return '-';
    const char letter = Look(**file);
    files.Give(*file);
    return letter;
  }
  char Look(const OpenFiles::File& file) {
    std::byte byte{};
    EXPECT_TRUE(io.ReadAt(file.handle, 0, &byte, 1).ok());
    return static_cast<char>(byte);
  }
  void RemoveAll() {
    for (uint64_t number = 1; number <= 4; ++number) {
      EXPECT_TRUE(io.Remove(Path("/data", number)).ok());
    }
  }

  SimIo io;
  OpenFiles files;
};

TEST_F(OpenFilesTest, KeepsTheLastOnesOpen) {
  for (const uint64_t number : {1, 2, 3, 2}) EXPECT_EQ(Look(number), 'a');
  RemoveAll();
  EXPECT_EQ(Look(2), 'a');
  EXPECT_EQ(Look(3), 'a');
  EXPECT_EQ(Look(1), '-');
  EXPECT_EQ(Look(4), '-');
}

TEST_F(OpenFilesTest, ClosesNoneThatIsInUse) {
  std::vector<OpenFiles::File*> used;
  for (uint64_t number = 1; number <= 4; ++number) used.push_back(*files.Take(number));
  RemoveAll();
  for (OpenFiles::File* file : used) EXPECT_EQ(Look(*file), 'a');
  for (OpenFiles::File* file : used) files.Give(file);
  size_t open = 0;
  for (uint64_t number = 1; number <= 4; ++number) open += Look(number) == 'a' ? 1 : 0;
  EXPECT_EQ(open, 2u);
}

TEST_F(OpenFilesTest, AForgottenFileIsOpenedAnew) {
  OpenFiles::File* const old = *files.Take(1);
  EXPECT_TRUE(io.Remove(Path("/data", 1)).ok());
  Put(1, 'b');
  EXPECT_EQ(Look(1), 'a');
  files.Forget(1);
  EXPECT_EQ(Look(1), 'b');
  EXPECT_EQ(Look(*old), 'a') << "whoever has it keeps it";
  files.Give(old);
  EXPECT_EQ(Look(1), 'b');
}

}  // namespace
}  // namespace tallystick::wal
