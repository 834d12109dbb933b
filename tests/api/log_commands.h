// Ledgers that nobody serves, and what `tally` makes of them.

#ifndef TALLYSTICK_TESTS_API_LOG_COMMANDS_H_
#define TALLYSTICK_TESTS_API_LOG_COMMANDS_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "api/embedded.h"
#include "api/program_file.h"
#include "tests/api/process.h"
#include "wal/log_reader.h"
#include "wal/posix_io.h"
#include "wal/segment_files.h"

namespace tallystick {

inline constexpr uint16_t kProgram = 7;
inline constexpr Instant kDay = kMicrosPerDay;
inline constexpr Instant kStart = 1'704'067'200'000'000;  // 2024-01-01

struct Place {
  uint64_t segment = 0;
  uint64_t offset = 0;
  Position first = 0;
  Position last = 0;
  bool records = false;
};

class LogCommands : public ::testing::Test {
 protected:
  LogCommands()
      : folder_(std::filesystem::temp_directory_path() /
                ("log_commands_test." + std::to_string(getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~LogCommands() override {
    ledger_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string Shard(const std::string& name, int shard) const {
    return folder_ / name / ("shard-000" + std::to_string(shard));
  }

  // A new ledger with a program, open.
  void Create(const std::string& name, uint16_t shards, ClockMode clock = ClockMode::kWall) {
    LedgerOptions options;
    options.directory = Path(name);
    options.create = true;
    options.shards = shards;
    options.threads = 1;
    options.clock = clock;
    options.segment_bytes = 1 << 20;
    options.durability = wal::Durability::kNone;  // nothing here cuts the power
    auto made = Ledger::Open(options);
    ASSERT_TRUE(made.ok()) << made.status();
    ledger_ = *std::move(made);
    PutProgram();
  }
  void PutProgram() {
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "Tools", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true})",
        "program");
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(ledger_->PutProgram(Id(1, 1), file->bytes()).ok());
  }
  void Open(const std::string& name) {
    LedgerOptions options;
    options.directory = Path(name);
    options.threads = 1;
    options.durability = wal::Durability::kNone;
    auto opened = Ledger::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }
  void Close() {
    ASSERT_TRUE(ledger_->Close().ok());
    ledger_.reset();
  }
  static Instant Now() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  void Apply(Kind kind, uint64_t id, uint64_t member, int64_t amount, Instant at) {
    const auto result = ledger_->Apply(
        Operation(Id(id, 0), Id(member, 0), Id(), amount, at, 0, 0, kProgram, 0, kind, 0, 0));
    ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  }
  // One block each.
  void Accrue(uint64_t first_id, int count) {
    for (uint64_t id = first_id; id < first_id + static_cast<uint64_t>(count); ++id) {
      Apply(Kind::Accrue, id, 1 + id % 10, 5, Now());
    }
  }

  Ran Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), TALLY);
    return RunToEnd(arguments);
  }
  nlohmann::json RunJson(std::vector<std::string> arguments, int status = 0) const {
    arguments.push_back("--json");
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, status) << ran.errors;
    nlohmann::json parsed = nlohmann::json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(parsed.is_discarded()) << ran.output << ran.errors;
    return parsed;
  }
  std::vector<nlohmann::json> Dump(std::vector<std::string> more) const {
    more.insert(more.begin(), {"log", "dump", Path("ledger"), "--json"});
    const Ran ran = Run(more);
    EXPECT_EQ(ran.status, 0) << ran.errors;
    std::vector<nlohmann::json> records;
    std::stringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);)
      records.push_back(nlohmann::json::parse(line));
    return records;
  }

  std::vector<Place> Blocks(const std::string& name, int shard) const {
    std::vector<Place> places;
    auto io = wal::PosixIo::Create();
    auto reader = wal::LogReader::Open(**io, Shard(name, shard), std::nullopt);
    EXPECT_TRUE(reader.ok()) << reader.status();
    wal::BlockView block;
    while (*(*reader)->Next(&block)) {
      places.push_back({block.segment, block.offset, block.header->first_position,
                        block.header->first_position + block.header->count - 1,
                        block.header->type == wal::BlockType::kRecords});
    }
    return places;
  }
  // Of that segment, the first block of records behind its first quarter.
  Place BlockOf(const std::string& name, int shard, uint64_t segment) const {
    for (const Place& place : Blocks(name, shard)) {
      if (place.segment == segment && place.offset > (256 << 10) && place.records) return place;
    }
    ADD_FAILURE() << "segment " << segment << " is too short";
    return {};
  }
  std::string File(const std::string& name, int shard, uint64_t segment) const {
    return Shard(name, shard) + "/" + wal::FileName(segment, wal::FileKind::kSegment);
  }
  void Flip(const std::string& name, int shard, const Place& place) const {
    std::fstream file(File(name, shard, place.segment),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(place.offset + 200));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(place.offset + 200));
    file.put(static_cast<char>(byte ^ 1));
  }
  void Copy(const std::string& from, const std::string& to) const {
    std::filesystem::copy(folder_ / from, folder_ / to, std::filesystem::copy_options::recursive);
  }

  const std::filesystem::path folder_;
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_LOG_COMMANDS_H_
