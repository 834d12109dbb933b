// tally log and tally snapshot diff as processes, on ledgers of their own that nobody serves.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "api/embedded.h"
#include "api/instants.h"
#include "api/program_file.h"
#include "tests/api/process.h"
#include "wal/log_reader.h"
#include "wal/posix_io.h"
#include "wal/segment_files.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kProgram = 7;
constexpr Instant kDay = kMicrosPerDay;
constexpr Instant kStart = 1'704'067'200'000'000;  // 2024-01-01

struct Ran {
  int status = 0;
  std::string output;
  std::string errors;
};

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
      : folder_(fs::temp_directory_path() / ("log_commands_test." + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~LogCommands() override {
    ledger_.reset();
    fs::remove_all(folder_);
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
    const std::string output = Path("stdout");
    std::ofstream(output).close();
    Process process(arguments, output);
    Ran ran;
    ran.status = process.End();
    std::stringstream text;
    text << std::ifstream(output).rdbuf();
    ran.output = text.str();
    ran.errors = process.Errors();
    fs::remove(output);
    return ran;
  }
  json RunJson(std::vector<std::string> arguments, int status = 0) const {
    arguments.push_back("--json");
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.status, status) << ran.errors;
    json parsed = json::parse(ran.output, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(parsed.is_discarded()) << ran.output << ran.errors;
    return parsed;
  }
  std::vector<json> Dump(std::vector<std::string> more) const {
    more.insert(more.begin(), {"log", "dump", Path("ledger"), "--json"});
    const Ran ran = Run(more);
    EXPECT_EQ(ran.status, 0) << ran.errors;
    std::vector<json> records;
    std::stringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);) records.push_back(json::parse(line));
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
    fs::copy(folder_ / from, folder_ / to, fs::copy_options::recursive);
  }

  const fs::path folder_;
  std::unique_ptr<Ledger> ledger_;
};

// ---- wrong input, for all ----

TEST_F(LogCommands, EachSaysWhatIsWrongWithADirectory) {
  Create("ledger", 1);
  const std::vector<std::vector<std::string>> commands = {
      {"log", "verify"}, {"log", "dump"}, {"log", "replay"},   {"log", "stat"},
      {"log", "cut"},    {"log", "diff"}, {"snapshot", "diff"}};
  for (const auto& words : commands) {
    const auto of = [&](const std::string& directory) {
      std::vector<std::string> command = words;
      command.push_back(directory);
      if (words[1] == "diff") command.push_back(directory);
      if (words[1] == "cut") command.insert(command.end(), {"--shard", "0", "--at", "5"});
      return Run(command);
    };
    EXPECT_THAT(of(Path("nowhere")).errors, HasSubstr("holds no ledger")) << words[1];
    EXPECT_EQ(of(Path("nowhere")).status, 1);
    EXPECT_THAT(of(Path("ledger")).errors, HasSubstr("is in use: stop its tallyd first"));
    EXPECT_EQ(of(Path("ledger")).status, 1);
  }
}

// ---- verify ----

TEST_F(LogCommands, VerifyListsEveryDamageOfEveryShard) {
  Create("ledger", 2);
  Accrue(1, 1'600);
  Close();
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["verified"], true);
  const Place first = BlockOf("ledger", 0, 1);
  const Place second = BlockOf("ledger", 0, 3);
  const Place other = BlockOf("ledger", 1, 2);
  Flip("ledger", 0, first);
  Flip("ledger", 0, second);
  Flip("ledger", 1, other);
  std::ofstream(Shard("ledger", 1) + "/notes.txt") << "what is this?";

  const json found = RunJson({"log", "verify", Path("ledger")}, 1);
  EXPECT_EQ(found["verified"], false);
  ASSERT_EQ(found["problems"].size(), 4u) << found["problems"];
  const auto expect = [&](const json& problem, int shard, const Place& place) {
    EXPECT_EQ(problem["shard"], shard);
    EXPECT_EQ(problem["segment"], place.segment);
    EXPECT_EQ(problem["offset"], place.offset);
    EXPECT_EQ(problem["first_position"], place.first);
    EXPECT_EQ(problem["last_position"], place.last);
    EXPECT_EQ(problem["cause"], "the body's checksum is wrong");
  };
  expect(found["problems"][0], 0, first);
  expect(found["problems"][1], 0, second);
  expect(found["problems"][2], 1, other);
  EXPECT_THAT(found["problems"][0]["to_do"].get<std::string>(),
              HasSubstr("--at " + std::to_string(first.first)));
  EXPECT_EQ(found["problems"][1]["to_do"], "Restore it from a copy.");
  EXPECT_THAT(found["problems"][3]["path"].get<std::string>(), HasSubstr("notes.txt"));
  EXPECT_EQ(found["shards"][0]["position"], first.first - 1);
  const Ran text = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.errors, AllOf(HasSubstr("shard 1: "), HasSubstr("problems found: 4")));
  EXPECT_THAT(text.output, Not(HasSubstr("verified")));
}

TEST_F(LogCommands, VerifyLooksAtSnapshotsToo) {
  Create("ledger", 1);
  Accrue(1, 50);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Accrue(51, 50);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["sound_snapshots"], 2);
  for (const auto& file : fs::directory_iterator(Shard("ledger", 0))) {
    if (file.path().extension() == ".snap") {
      fs::resize_file(file, 8'192);
      break;
    }
  }
  const json found = RunJson({"log", "verify", Path("ledger")}, 1);
  EXPECT_EQ(found["sound_snapshots"], 1);
  ASSERT_EQ(found["problems"].size(), 1u);
  EXPECT_THAT(found["problems"][0]["cause"].get<std::string>(),
              HasSubstr("the snapshot is damaged"));
}

TEST_F(LogCommands, VerifyTellsOfATornTailWithoutFailing) {
  Create("ledger", 1);
  Accrue(1, 20);
  Close();
  const Place last = Blocks("ledger", 0).back();
  std::fstream file(File("ledger", 0, last.segment),
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(last.offset + 4096));
  file << std::string(4096, 'x');
  file.close();
  const json found = RunJson({"log", "verify", Path("ledger")});
  EXPECT_EQ(found["problems"].size(), 0u);
  EXPECT_EQ(found["shards"][0]["torn_bytes"], 4096);
  EXPECT_THAT(Run({"log", "verify", Path("ledger")}).output, HasSubstr("a torn tail of 4096"));
}

TEST_F(LogCommands, VerifyNamesAMissingFolder) {
  Create("ledger", 2);
  Close();
  fs::remove_all(Shard("ledger", 1));
  const Ran ran = Run({"log", "verify", Path("ledger")});
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the shard's folder is missing. Restore it from a copy."));
}

// ---- dump ----

TEST_F(LogCommands, DumpShowsWhatPassesTheFilters) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 20; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 4, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Apply(Kind::Redeem, 21, 1, 15, kStart + 21 * kDay);
  Close();
  EXPECT_EQ(Dump({}).size(), 23u);  // the program on both shards
  EXPECT_EQ(Dump({"--kind", "accrue"}).size(), 20u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--kind", "redeem"}).size(), 21u);
  EXPECT_EQ(Dump({"--member", "1"}).size(), 6u);
  EXPECT_EQ(Dump({"--member", "1", "--kind", "redeem"})[0]["points"], -15);
  EXPECT_EQ(Dump({"--id", "7"}).size(), 1u);
  EXPECT_EQ(Dump({"--program", "8"}).size(), 0u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--since", "2024-01-05"}).size(), 17u);
  EXPECT_EQ(Dump({"--kind", "accrue", "--since", "2024-01-05", "--until", "2024-01-06"}).size(),
            1u);
  const auto of_shard = Dump({"--shard", "1"});
  EXPECT_EQ(of_shard.size() + Dump({"--shard", "0"}).size(), 23u);
  for (const json& record : of_shard) EXPECT_EQ(record["shard"], 1);
  const json position = of_shard.back()["position"];
  EXPECT_EQ(Dump({"--shard", "1", "--from", position.dump(), "--to", position.dump()}).size(), 1u);
  const auto puts = Dump({"--kind", "program_put"});
  ASSERT_EQ(puts.size(), 2u);
  EXPECT_EQ(puts[0]["rules"]["name"], "Tools");
  EXPECT_THAT(Run({"log", "dump", Path("ledger")}).output, HasSubstr("version 1 of \"Tools\""));
}

TEST_F(LogCommands, DumpRefusesFiltersThatMeanNothing) {
  Create("ledger", 1);
  Close();
  EXPECT_THAT(Run({"log", "dump", Path("ledger"), "--kind", "gift"}).errors,
              HasSubstr("\"gift\" is no kind of record; there are "));
  EXPECT_EQ(Run({"log", "dump", Path("ledger"), "--since", "yesterday"}).status, 1);
  EXPECT_THAT(Run({"log", "dump", Path("ledger"), "--shard", "3"}).errors,
              HasSubstr("there is no shard 3"));
  EXPECT_EQ(Run({"log", "dump", Path("ledger"), "--member", "0"}).status, 1);
}

// ---- replay ----

TEST_F(LogCommands, ReplayStopsAtAnInstantOfTheOrders) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 20; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 4, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Close();
  for (int day = 1; day <= 20; ++day) {
    const Instant at = kStart + day * kDay;
    const json exact = RunJson({"log", "replay", Path("ledger"), "--to", FormatInstant(at)});
    EXPECT_EQ(exact["programs"][0]["issued"], 10 * day);
    EXPECT_EQ(exact["time"], FormatInstant(at));
    const json before = RunJson({"log", "replay", Path("ledger"), "--to", FormatInstant(at - 1)});
    EXPECT_EQ(before["programs"].empty() ? json(0) : before["programs"][0]["issued"],
              10 * (day - 1));
  }
}

TEST_F(LogCommands, ReplayStopsAtAnInstantOfTheClock) {
  Create("ledger", 1);
  Accrue(1, 10);
  const Instant between = Now();
  while (Now() <= between) {
  }
  Accrue(11, 10);
  Close();
  EXPECT_EQ(RunJson({"log", "replay", Path("ledger"), "--to",
                     FormatInstant(between)})["programs"][0]["issued"],
            50);
  EXPECT_EQ(RunJson({"log", "replay", Path("ledger"), "--to", "2999-01-01"})["digest"],
            RunJson({"log", "replay", Path("ledger")})["digest"]);
}

TEST_F(LogCommands, ReplayTakesAPositionOfEachShard) {
  Create("ledger", 2);
  Accrue(1, 40);
  Close();
  const json whole = RunJson({"log", "replay", Path("ledger")});
  const auto position = [&](int shard) { return whole["shards"][shard]["position"].dump(); };
  const json both =
      RunJson({"log", "replay", Path("ledger"), "--to", "0:" + position(0) + ",1:" + position(1)});
  EXPECT_EQ(both["digest"], whole["digest"]);
  const json part = RunJson({"log", "replay", Path("ledger"), "--to", "0:" + position(0) + ",1:1"});
  EXPECT_EQ(part["shards"][1]["position"], 1);
  EXPECT_LT(part["programs"][0]["issued"], whole["programs"][0]["issued"]);
  const auto error = [&](const std::string& to) {
    const Ran ran = Run({"log", "replay", Path("ledger"), "--to", to});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.output, "");
    return ran.errors;
  };
  EXPECT_THAT(error("0:5"), HasSubstr("a position is missing for shard 1"));
  EXPECT_THAT(error("0:5,1:5,2:5"), HasSubstr("there is no shard 2"));
  EXPECT_THAT(error("0:5,1:999999"), HasSubstr("the log of shard 1 ends with position "));
  EXPECT_THAT(error("999999"), HasSubstr("no shard's log has a position 999999"));
  EXPECT_THAT(error("0:5,0:6"), HasSubstr("named twice"));
  EXPECT_THAT(error("soon"), HasSubstr("is no point of a log"));
}

// ---- diff ----

TEST_F(LogCommands, DiffSaysWhereLogsPart) {
  Create("ledger", 2);
  Accrue(1, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  Copy("ledger", "copy");
  EXPECT_EQ(Run({"log", "diff", Path("ledger"), Path("copy")}).output, "The logs are the same.\n");
  EXPECT_EQ(Run({"snapshot", "diff", Path("ledger"), Path("copy")}).status, 0);

  Open("copy");
  Apply(Kind::Accrue, 100, 3, 5, Now());
  Close();
  const json longer = RunJson({"log", "diff", Path("ledger"), Path("copy")}, 1);
  EXPECT_EQ(longer["equal"], false);
  EXPECT_EQ(longer["identity"].size(), 0u);
  ASSERT_EQ(longer["shards"].size(), 2u);  // the other one was opened too
  EXPECT_TRUE(longer["shards"][0]["first"].is_null());
  EXPECT_THAT(Run({"log", "diff", Path("ledger"), Path("copy")}).output,
              HasSubstr("the first ends at position "));

  Open("ledger");
  Apply(Kind::Accrue, 100, 3, 7, Now());
  Close();
  const json parted = RunJson({"log", "diff", Path("ledger"), Path("copy")}, 1);
  ASSERT_FALSE(parted["shards"].empty());
  for (const json& shard : parted["shards"]) EXPECT_FALSE(shard["fields"].empty()) << shard;
}

TEST_F(LogCommands, DiffNamesTheFieldsOfTheRecordsThatDiffer) {
  for (const char* name : {"ledger", "other"}) {
    Create(name, 1, ClockMode::kImport);
    for (uint64_t i = 1; i <= 9; ++i) {
      const bool differs = i == 6 && std::string(name) == "other";
      Apply(Kind::Accrue, i, 2, differs ? 8 : 7, kStart + static_cast<Instant>(i) * kDay);
    }
    ASSERT_TRUE(ledger_->Snapshot().ok());
    Close();
  }
  const json logs = RunJson({"log", "diff", Path("ledger"), Path("other")}, 1);
  ASSERT_EQ(logs["identity"].size(), 1u);
  EXPECT_EQ(logs["identity"][0]["field"], "ledger_id");
  const json states = RunJson({"snapshot", "diff", Path("ledger"), Path("other")}, 1);
  EXPECT_EQ(states["equal"], false);
  const json& shard = states["shards"][0];
  EXPECT_EQ(shard["differing_accounts"], 1);
  EXPECT_EQ(shard["differing_receipts"], 4) << "of that operation, and the balances behind it";
  bool issued = false;
  for (const json& field : shard["programs"][0]["fields"]) {
    issued =
        issued || (field["field"] == "issued" && field["first"] == 63 && field["second"] == 64);
  }
  EXPECT_TRUE(issued) << shard["programs"];
  const Ran text = Run({"snapshot", "diff", Path("ledger"), Path("other")});
  EXPECT_THAT(text.output,
              AllOf(HasSubstr("account of member 2 in program 7: available: 63 in the first, 64"),
                    HasSubstr("receipt of member 2 in program 7, id 6: amount: 7 in the first")));
}

TEST_F(LogCommands, DiffOfOtherCountsOfShardsIsOfTheIdentity) {
  for (const uint16_t shards : {1, 2}) {
    Create("of" + std::to_string(shards), shards);
    Close();
  }
  const json logs = RunJson({"log", "diff", Path("of1"), Path("of2")}, 1);
  EXPECT_EQ(logs["identity"].size(), 2u);
  EXPECT_EQ(logs["shards"].size(), 0u);
  EXPECT_THAT(Run({"snapshot", "diff", Path("of1"), Path("of2")}).errors,
              HasSubstr("the first ledger has 1 shards, the second 2"));
}

// ---- stat ----

TEST_F(LogCommands, StatCountsWhatTheLogHolds) {
  Create("ledger", 2, ClockMode::kImport);
  for (uint64_t i = 1; i <= 30; ++i) {
    Apply(Kind::Accrue, i, 1 + i % 6, 10, kStart + static_cast<Instant>(i) * kDay);
  }
  Apply(Kind::Redeem, 31, 1, 15, kStart + 31 * kDay);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const json stats = RunJson({"log", "stat", Path("ledger"), "--html", Path("page.html")});
  EXPECT_EQ(stats["records"], 33);
  EXPECT_EQ(stats["members"], 6);
  EXPECT_EQ(stats["kinds"]["accrue"]["points"], 300);
  EXPECT_EQ(stats["kinds"]["redeem"]["points"], -15);
  EXPECT_EQ(stats["outcomes"]["ok"], 33);
  EXPECT_EQ(stats["occurred"]["first"], FormatInstant(kStart + kDay));
  EXPECT_EQ(stats["occurred"]["last"], FormatInstant(kStart + 31 * kDay));
  EXPECT_EQ(stats["snapshots"].size(), 2u);
  EXPECT_EQ(stats["segments"].size(), 2u);
  uint64_t rated = 0;
  for (const json& rate : stats["rates"]["steps"]) rated += rate["records"].get<uint64_t>();
  EXPECT_EQ(rated, 33u);
  std::stringstream page;
  page << std::ifstream(Path("page.html")).rdbuf();
  EXPECT_THAT(page.str(), AllOf(HasSubstr("<polyline"), HasSubstr("Records a second"),
                                HasSubstr("Records in a block"), HasSubstr("</html>")));
  EXPECT_THAT(Run({"log", "stat", Path("ledger")}).output, HasSubstr("6 members seen"));
  EXPECT_EQ(Run({"log", "stat", Path("ledger"), "--html", Path("missing/page.html")}).status, 1);
  // A page that cannot be written whole is not there.
  fs::create_directories(Path("page2.html.part"));
  EXPECT_EQ(Run({"log", "stat", Path("ledger"), "--html", Path("page2.html")}).status, 1);
  EXPECT_FALSE(fs::exists(Path("page2.html")));
}

// ---- cut ----

TEST_F(LogCommands, CutMakesADamagedLedgerUsableAgain) {
  Create("ledger", 2);
  Accrue(1, 1'600);
  Close();
  const Place damaged = BlockOf("ledger", 0, 2);
  Flip("ledger", 0, damaged);
  const std::string at = std::to_string(damaged.first);
  const std::vector<std::string> cut = {"log", "cut", Path("ledger"), "--shard", "0", "--at", at};
  const Ran asked = Run(cut);
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.errors,
              AllOf(HasSubstr("nothing was changed"), HasSubstr("Lost: positions " + at + " to "),
                    HasSubstr("1 damaged positions"), HasSubstr("No other shard is cut"),
                    HasSubstr("--yes-lose-records")));
  const json plan = RunJson(cut, 1);
  EXPECT_EQ(plan["done"], false);
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 1);

  std::vector<std::string> sure = cut;
  sure.push_back("--yes-lose-records");
  const json done = RunJson(sure);
  EXPECT_EQ(done["done"], true);
  EXPECT_EQ(done["lost"], plan["lost"]);
  EXPECT_EQ(done["kept_position"], damaged.first - 1);
  EXPECT_GT(done["lost"]["acknowledged_records"], 100);
  EXPECT_TRUE(fs::exists(Shard("ledger", 0) + "/aside-1/CUT"));
  const json verified = RunJson({"log", "verify", Path("ledger")});
  EXPECT_EQ(verified["shards"][0]["position"], damaged.first - 1);
  Open("ledger");
  Accrue(5'000, 20);
  Close();
  EXPECT_EQ(Run({"log", "verify", Path("ledger")}).status, 0);
  EXPECT_THAT(Run(sure).errors, Not(HasSubstr("half done")));
}

TEST_F(LogCommands, CutTakesSegmentAndOffsetAndMovesNewerSnapshots) {
  Create("ledger", 1);
  Accrue(1, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Accrue(21, 20);
  ASSERT_TRUE(ledger_->Snapshot().ok());
  Close();
  const std::vector<Place> blocks = Blocks("ledger", 0);
  const Place place = blocks[30];
  const json done = RunJson({"log", "cut", Path("ledger"), "--shard", "0", "--at",
                             std::to_string(place.segment) + ":" + std::to_string(place.offset),
                             "--yes-lose-records"});
  EXPECT_EQ(done["kept_position"], place.first - 1);
  EXPECT_EQ(done["lost"]["snapshots"].size(), 1u);
  EXPECT_EQ(RunJson({"log", "verify", Path("ledger")})["sound_snapshots"], 1);
}

TEST_F(LogCommands, CutRefusesPlacesWhereItCannotCut) {
  Create("ledger", 1);
  Accrue(1, 600);
  Close();
  const auto error = [&](const std::string& at, const std::string& shard = "0") {
    const Ran ran =
        Run({"log", "cut", Path("ledger"), "--shard", shard, "--at", at, "--yes-lose-records"});
    EXPECT_EQ(ran.status, 1) << at;
    return ran.errors;
  };
  const std::vector<Place> blocks = Blocks("ledger", 0);
  const auto put = std::find_if(blocks.begin(), blocks.end(),
                                [](const Place& place) { return place.last > place.first; });
  ASSERT_NE(put, blocks.end());
  EXPECT_THAT(error(std::to_string(put->last)), HasSubstr("lies inside a block"));
  EXPECT_THAT(error("999999"), HasSubstr("no block begins there: the log ends with position"));
  EXPECT_THAT(error(std::to_string(blocks.back().last + 1)), HasSubstr("there is nothing to cut"));
  EXPECT_THAT(error("1"), HasSubstr("nothing would be left"));
  EXPECT_THAT(error("half"), HasSubstr("is no place in a log"));
  EXPECT_THAT(error("5", "1"), HasSubstr("there is no shard 1"));
  const Place damaged = BlockOf("ledger", 0, 2);
  Flip("ledger", 0, damaged);
  EXPECT_THAT(error(std::to_string(damaged.first + 5)),
              HasSubstr("the log is damaged before that place, at position " +
                        std::to_string(damaged.first)));
  EXPECT_FALSE(fs::exists(Shard("ledger", 0) + "/aside-1"));
}

// ---- media that cannot be written ----

TEST_F(LogCommands, AllButCutReadWhatCannotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  Create("ledger", 1);
  Accrue(1, 5);
  Close();
  fs::permissions(Path("ledger"), fs::perms::owner_read | fs::perms::owner_exec);
  fs::permissions(Path("ledger") + "/LOCK", fs::perms::owner_read);
  for (const char* verb : {"verify", "dump", "replay", "stat"}) {
    EXPECT_EQ(Run({"log", verb, Path("ledger")}).status, 0) << verb;
  }
  const Ran cut = Run({"log", "cut", Path("ledger"), "--shard", "0", "--at", "3"});
  EXPECT_EQ(cut.status, 1);
  EXPECT_THAT(cut.errors, HasSubstr("LOCK"));
  fs::permissions(Path("ledger"), fs::perms::owner_all);
}

}  // namespace
}  // namespace tallystick
