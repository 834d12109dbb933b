#include "api/ledger_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "wal/checksum.h"
#include "wal/posix_io.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LedgerFiles : public ::testing::Test {
 protected:
  LedgerFiles()
      : folder_(fs::temp_directory_path() / ("ledger_files_test." + std::to_string(getpid()))),
        io_(*wal::PosixIo::Create()) {
    fs::create_directories(folder_);
  }
  ~LedgerFiles() override { fs::remove_all(folder_); }

  const fs::path folder_;
  std::unique_ptr<wal::PosixIo> io_;
};

TEST_F(LedgerFiles, RememberHowTheLedgerIsServed) {
  LedgerIdentity identity{{1, 2}, 3, ClockMode::kImport, 8 << 20};
  ASSERT_TRUE(WriteIdentity(*io_, folder_, identity).ok());
  EXPECT_TRUE(*ReadIdentity(*io_, folder_) == identity);
  identity.clock = ClockMode::kWall;
  std::ofstream(folder_ / "LEDGER.new") << "of a process that crashed";
  ASSERT_TRUE(WriteIdentity(*io_, folder_, identity).ok());
  EXPECT_TRUE(*ReadIdentity(*io_, folder_) == identity);
}

// As the first version wrote it: zeros where the clock and the size of segments are now.
TEST_F(LedgerFiles, NeedNotSayHowItIsServed) {
  std::string bytes(4096, '\0');
  std::memcpy(bytes.data(), "TALLYLGR\1\0\3\0", 12);
  bytes[16] = 1;
  bytes[24] = 2;
  const uint32_t crc = wal::Crc32c(bytes.data(), 4092);
  std::memcpy(bytes.data() + 4092, &crc, sizeof(crc));
  std::ofstream(folder_ / "LEDGER") << bytes;
  const auto identity = ReadIdentity(*io_, folder_);
  ASSERT_TRUE(identity.ok()) << identity.status();
  EXPECT_TRUE(*identity == (LedgerIdentity{{1, 2}, 3, std::nullopt, 0}));
}

TEST_F(LedgerFiles, MissingBesideLogsIsNoReasonToDeleteThem) {
  fs::create_directory(folder_ / "shard-0000");
  for (const absl::Status& status :
       {ReadIdentity(*io_, folder_).status(), CheckEmpty(*io_, folder_)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("holds logs (shard-0000) but the file LEDGER is missing"),
                      HasSubstr("restore that file from a backup"), Not(HasSubstr("--create"))));
  }
}

}  // namespace
}  // namespace tallystick
