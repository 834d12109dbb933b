// What a server tells of a log whose oldest segments the archive's limits have removed, or of which
// one is damaged or lost.

#include <gmock/gmock.h>

#include <chrono>

#include "api/client.h"
#include "api/server.h"
#include "tests/api/log_commands.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Far below the ten seconds for which a client tries again.
constexpr auto kAtOnce = std::chrono::seconds(5);

class MissingHistory : public LogCommands {
 protected:
  // A log of some segments, the first of them archived, with a member's records in each.
  void SetUp() override {
    options_.directory = Path("ledger");
    options_.create = true;
    options_.manual = true;
    options_.clock = ClockMode::kImport;
    options_.segment_bytes = 512 << 10;
    options_.durability = wal::Durability::kNone;  // nothing here cuts the power
    options_.snapshot_interval_ms = 0;
    options_.snapshot_log_bytes = 0;
    options_.disk_reserve_bytes = 0;
    OpenLedger();
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "Old", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true,
            "retention_days": 1, "return_days": 1})",
        "program");
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(ledger_->PutProgram(Id(1, 1), file->bytes()).ok());
    options_.create = false;
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 200; ++j) Buy();
      ASSERT_TRUE(ledger_->Snapshot().ok());
    }
    Work();
    ASSERT_TRUE(fs::exists(ArchiveOf(3)));
  }
  ~MissingHistory() override { Stop(); }

  static Operation Purchase(uint64_t number) {
    return {Id(number, 9),
            Id(number % 10 + 1, 0),
            Id(),
            static_cast<int64_t>(number),
            kStart + static_cast<Instant>(number) * 3600 * kMicrosPerSecond,
            0,
            0,
            kProgram,
            0,
            Kind::Purchase,
            0,
            0};
  }
  void Buy() {
    const auto result = ledger_->Apply(Purchase(++last_));
    ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  }
  void OpenLedger() {
    auto opened = Ledger::Open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }
  void Work() {
    for (int quiet = 0; quiet < 20;) quiet = ledger_->Step(0) ? 0 : quiet + 1;
  }
  void RemoveByLimits() {
    Close();
    options_.archive_keep_bytes = 1;
    OpenLedger();
    Work();
    ASSERT_FALSE(fs::exists(ArchiveOf(1)));
  }
  // As a ledger that is opened with the log as it is now.
  void Serve() {
    Close();
    options_.manual = false;
    OpenLedger();
    auto server = Server::Start(*ledger_, "unix:" + Path("socket"), {});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto client = Client::Connect(server_->address());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void Stop() {
    client_.reset();
    if (server_ != nullptr) server_->Stop();
    server_.reset();
  }
  std::string ArchiveOf(uint64_t segment) const {
    return Shard("ledger", 0) + "/archive/" + wal::FileName(segment, wal::FileKind::kArchive);
  }
  // Of its records, not of its head.
  void Damage(uint64_t segment) const {
    std::fstream file(ArchiveOf(segment), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(9'000);
    file.put('x');
  }
  Ran Ask(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--connect", server_->address()});
    const auto start = std::chrono::steady_clock::now();
    Ran ran = Run(arguments);
    EXPECT_LT(std::chrono::steady_clock::now() - start, kAtOnce);
    return ran;
  }
  json AskJson(std::vector<std::string> arguments, int status) const {
    arguments.emplace_back("--json");
    const Ran ran = Ask(arguments);
    EXPECT_EQ(ran.status, status) << ran.errors;
    return json::parse(ran.output);
  }
  // The member of every tenth purchase.
  const std::vector<std::string> statement_ = {"statement", "1", "--program", "7", "--limit", "0"};
  void ExpectStatementEnds(int status, bool removed, const std::string& why) const {
    const Ran ran = Ask(statement_);
    EXPECT_EQ(ran.status, status) << ran.errors;
    EXPECT_THAT(ran.output, HasSubstr("purchase"));
    EXPECT_THAT(ran.errors, AllOf(HasSubstr("the history is not there from position"),
                                  HasSubstr(why), Not(HasSubstr("has not answered"))));
    const json told = AskJson(statement_, status);
    EXPECT_EQ(told["complete"], false);
    EXPECT_GT(told["movements"].size(), 0u);
    EXPECT_LT(told["movements"].size(), last_ / 10);
    EXPECT_LT(told["missing"]["position"], told["movements"].back()["position"]);
    EXPECT_EQ(told["missing"]["removed"], removed);
    EXPECT_THAT(told["missing"]["why"].dump(), HasSubstr(why));
  }
  absl::StatusOr<TransactionAnswer> Find(uint64_t number) {
    return client_->Transaction(kProgram, Purchase(number).member(), Purchase(number).id());
  }
  Outcome OutcomeOf(const Operation& operation) {
    const auto result = client_->Apply(operation);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->outcome() : Outcome::Overloaded;
  }
  // One that nobody ever booked, of long ago.
  static Operation Unknown() {
    Operation unknown = Purchase(6);
    unknown.mutable_id() = Id(6, 6);
    return unknown;
  }

  LedgerOptions options_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
  uint64_t last_ = 0;
};

TEST_F(MissingHistory, RemovedByLimitsEndsAStatement) {
  RemoveByLimits();
  Serve();
  ExpectStatementEnds(0, true, "as the archive's limits say");
  EXPECT_EQ(Ask({"statement", "1", "--program", "7", "--limit", "3"}).errors, "");
}

// While it serves, and when it is opened anew.
TEST_F(MissingHistory, RemovedByLimitsIsKnownNoMore) {
  RemoveByLimits();
  Serve();
  for (int restart = 0; restart < 2; ++restart) {
    const auto found = Find(1);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->outcome, Outcome::UnknownOriginal);
    EXPECT_EQ(OutcomeOf(Purchase(1)), Outcome::TooOld);
    EXPECT_THAT(Ask({"transaction", "5", "--member", "1", "--program", "7"}).errors,
                HasSubstr("or none that is kept"));
    Stop();
    Serve();
  }
}

TEST_F(MissingHistory, RemovedByLimitsIsNotFollowed) {
  RemoveByLimits();
  Serve();
  const Ran refused = Ask({"log", "follow", "--from", "1"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.errors, HasSubstr("the log begins at position "));
  const auto at = refused.errors.find("position ");
  const std::string oldest = std::to_string(std::stoull(refused.errors.substr(at + 9)));
  const Ran followed = Ask({"log", "follow", "--from", oldest, "--to-end"});
  EXPECT_EQ(followed.status, 0) << followed.errors;
  EXPECT_THAT(followed.output, HasSubstr("purchase"));
}

TEST_F(MissingHistory, DamageEndsAStatementWithAFailure) {
  Damage(2);
  Serve();
  ExpectStatementEnds(1, false, ArchiveOf(2));
}

TEST_F(MissingHistory, LostEndsAStatementWithAFailure) {
  fs::remove(ArchiveOf(2));
  Serve();
  ExpectStatementEnds(1, false, "segment 2 is lost");
}

TEST_F(MissingHistory, DamagedOrLostIsNotTakenForUnknown) {
  // A damaged block, a damaged head, and no file at all.
  for (const int what : {0, 1, 2}) {
    if (what == 0) Damage(2);
    if (what == 1) fs::resize_file(ArchiveOf(2), 100);
    if (what == 2) fs::remove(ArchiveOf(2));
    Serve();
    for (const uint64_t number : {uint64_t{1}, uint64_t{80}}) {
      if (what == 0 && number == 1) continue;  // it is found
      const auto found = Find(number);
      EXPECT_EQ(found.status().code(), absl::StatusCode::kDataLoss) << what << found.status();
      EXPECT_THAT(found.status().ToString(), HasSubstr(fs::path(ArchiveOf(2)).stem().string()));
      EXPECT_EQ(OutcomeOf(Purchase(number)), Outcome::NotLookedUp) << what << " " << number;
    }
    // What is there is found all the same.
    EXPECT_EQ(OutcomeOf(Purchase(last_ - 60)), Outcome::Ok);
    if (what > 0) {
      EXPECT_EQ(OutcomeOf(Unknown()), Outcome::NotLookedUp);
    }
    Stop();
  }
}

TEST_F(MissingHistory, ImportsGiveNoAdviceWhereNothingCouldBeLookedUp) {
  fs::remove(ArchiveOf(2));
  std::ofstream(Path("orders.csv")) << "order,member,time,amount\n77,1,2024-01-01 10:00,5\n";
  Serve();
  const std::vector<std::string> import = {"import",        Path("orders.csv"),
                                           "--program",     "7",
                                           "--order",       "order",
                                           "--member",      "member",
                                           "--time",        "time",
                                           "--spend",       "amount",
                                           "--rejects",     Path("rejects.csv"),
                                           "--time-format", "%Y-%m-%d %H:%M"};
  const Ran ran = Ask(import);
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output + ran.errors, Not(HasSubstr("adjustment")));
  EXPECT_THAT(ran.output, HasSubstr("1 refused, not_looked_up"));
  EXPECT_THAT(ran.errors, HasSubstr("1 orders could not be looked up"));
}

}  // namespace
}  // namespace tallystick
