// tally log export and tally audit as processes, on a ledger that has one of everything: plain SQL
// and plain arithmetic come to what the ledger itself answers.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/embedded.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/program_file.h"
#include "api/shard_of.h"
#include "api/tally/audit_rows.h"
#include "tests/api/process.h"
#include "tests/api/sql_file.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint16_t kProgram = 1;
constexpr uint64_t kMembers = 40;

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Exports : public ::testing::Test {
 protected:
  Exports() : folder_(fs::temp_directory_path() / ("export_test." + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~Exports() override {
    ledger_.reset();
    fs::remove_all(folder_);
  }

  std::string Path(const std::string& name) const { return folder_ / name; }

  void Open(bool create, const std::string& name = "ledger") {
    LedgerOptions options;
    options.directory = Path(name);
    options.create = create;
    options.shards = 2;
    options.clock = ClockMode::kImport;
    options.segment_bytes = 8 << 20;
    options.block_digests = true;
    auto ledger = Ledger::Open(options);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    ledger_ = *std::move(ledger);
    if (!create) return;
    std::ofstream(Path("program.json")) << R"({"id": 1, "name": "Test", "currency": "USD",
      "time_zone": "UTC", "earn": {"points": 1, "per_spend": 1}, "pending": {"days": 3},
      "expiry": {"after": "activation", "days": 9}, "debt_floor": 50, "implicit_enrolment": true,
      "unknown_original": "newest", "reversal": {"expired": "forfeit"}})";
    const auto program = ProgramFile::Read(Path("program.json"));
    ASSERT_TRUE(program.ok()) << program.status();
    ASSERT_EQ(ledger_->PutProgram(Id(1, 0), program->bytes())->outcome, Outcome::Ok);
  }

  static Id Member(uint64_t number) { return number % 2 == 0 ? Id(number, 0) : Id(number, 7); }

  // Any kind; a third of them do something with one that came before, if it was accepted.
  Operation Draw() {
    constexpr Kind kKinds[] = {Kind::Accrue,
                               Kind::Accrue,
                               Kind::Purchase,
                               Kind::Purchase,
                               Kind::Purchase,
                               Kind::Return,
                               Kind::Return,
                               Kind::Redeem,
                               Kind::Redeem,
                               Kind::Adjust,
                               Kind::Adjust,
                               Kind::Enrol,
                               Kind::Hold,
                               Kind::Hold,
                               Kind::Hold,
                               Kind::Capture,
                               Kind::Capture,
                               Kind::Release,
                               Kind::ReverseRedemption,
                               Kind::ReverseRedemption,
                               Kind::Activate,
                               Kind::Cancel,
                               Kind::Extend,
                               Kind::Transfer,
                               Kind::Transfer,
                               Kind::Transfer,
                               Kind::Unfreeze};
    Kind kind = kKinds[random_() % std::size(kKinds)];
    if (random_() % 100 == 0) kind = Kind::Freeze;
    if (random_() % 150 == 0) kind = Kind::Close;
    Id member = Member(1 + random_() % kMembers);
    Id related;
    auto amount = static_cast<int64_t>(1 + random_() % 100);
    Instant expires_at = 0;
    uint8_t flags = 0;
    switch (kind) {
      case Kind::Adjust:
        if (random_() % 2 == 0) amount = -amount;
        break;
      case Kind::Hold:
        expires_at = now_ + static_cast<Instant>(1 + random_() % 15) * kMicrosPerDay;
        break;
      case Kind::Capture:
        if (random_() % 3 == 0) amount = 0;
        [[fallthrough]];
      case Kind::Release:
        Recall({Kind::Hold}, &member, &related);
        break;
      case Kind::ReverseRedemption:
        amount = 1 + amount / 4;
        Recall({Kind::Redeem, Kind::Capture}, &member, &related);
        break;
      case Kind::Cancel:
        if (random_() % 2 == 0) amount = 0;
        [[fallthrough]];
      case Kind::Activate:
        Recall({Kind::Purchase, Kind::Accrue}, &member, &related);
        break;
      case Kind::Return:
        if (random_() % 2 == 0) Recall({Kind::Purchase}, &member, &related);
        break;
      case Kind::Transfer:
        // Some to nobody: they come back.
        amount = 1 + amount / 4;
        related = Member(1 + random_() % (kMembers + 4));
        if (related == member) related = Id(1, 99);
        break;
      case Kind::Extend:
        expires_at = now_ + 8 * kMicrosPerDay;
        break;
      case Kind::Close:
        flags = kExpireRest;
        break;
      default:
        break;
    }
    for (const Kind none : {Kind::Enrol, Kind::Release, Kind::Activate, Kind::Extend, Kind::Freeze,
                            Kind::Unfreeze, Kind::Close}) {
      if (kind == none) amount = 0;
    }
    const Operation drawn(Id(++last_id_, random_() % 2), member, related, amount, now_, expires_at,
                          0, kProgram, 0, kind, flags, 0);
    drawn_[kind].push_back(drawn);
    return drawn;
  }
  // One of the last of these kinds; none: its own id, which nobody knows.
  void Recall(const std::vector<Kind>& kinds, Id* member, Id* related) {
    *related = Id(1, 99);
    const std::vector<Operation>& past = drawn_[kinds[random_() % kinds.size()]];
    if (past.empty()) return;
    const Operation& one = past[past.size() - 1 - random_() % std::min<size_t>(past.size(), 25)];
    *member = one.member();
    *related = one.id();
  }

  // Some operations a day; in batches, so that blocks hold several days.
  void Fill(int days) {
    std::vector<Operation> batch;
    for (int i = 0; i < days * 20; ++i) {
      now_ += kMicrosPerDay / 20 + static_cast<Instant>(random_() % 1000);
      batch.push_back(Draw());
      if (batch.size() < 37 && i + 1 < days * 20) continue;
      std::promise<void> answered;
      ASSERT_TRUE(ledger_->Submit(batch, [&](auto) { answered.set_value(); }).ok());
      answered.get_future().wait();
      batch.clear();
    }
  }

  // What the ledger says of itself when nothing is due any more; then it is closed.
  void AskAndClose() {
    totals_ = *ledger_->Totals(kProgram);
    ASSERT_EQ(totals_.outcome, Outcome::Ok);
    balances_.clear();
    for (uint64_t number = 1; number <= kMembers; ++number) {
      const auto balance = ledger_->Balance(kProgram, Member(number));
      ASSERT_TRUE(balance.ok()) << balance.status();
      if (balance->outcome == Outcome::Ok) balances_[FormatId(Member(number))] = *balance;
    }
    ledger_.reset();
  }

  // Without positions, debts and expiries in it, none of this would say much.
  void MakeLedger(int days = 60) {
    Open(/*create=*/true);
    Fill(days);
    AskAndClose();
    ASSERT_GT(totals_.expired, 0);
    ASSERT_GT(totals_.clawed_back, 0);
    ASSERT_GT(totals_.written_off, 0);
    ASSERT_GT(totals_.debt, 0);
    ASSERT_GT(totals_.held, 0);
    ASSERT_GT(totals_.reinstated, 0);
    ASSERT_GT(totals_.forgiven, 0);
    ASSERT_GT(totals_.forfeited, 0);
    ASSERT_GT(totals_.closed_out, 0);
    ASSERT_GT(totals_.sent, 0);
    ASSERT_EQ(totals_.sent, totals_.received);
  }
  void Continue(int days) {
    Open(/*create=*/false);
    Fill(days);
    AskAndClose();
  }

  static Ran Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), TALLY);
    return RunToEnd(arguments);
  }
  Ran Export(std::vector<std::string> more) const {
    more.insert(more.begin(), {"log", "export", Path("ledger")});
    return Run(more);
  }
  // Fails with this in its sentence, and leaves nothing.
  void ExpectRefusal(const Ran& ran, const std::string& sentence) const {
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.errors, HasSubstr(sentence));
    for (const auto& entry : fs::directory_iterator(folder_)) {
      EXPECT_NE(entry.path().extension(), ".unfinished") << entry;
      EXPECT_NE(entry.path().filename(), "new");
    }
  }

  // By plain SQL, against the ledger's answers.
  void CompareSqlite(const std::string& file) const {
    const auto sum = [&](const std::string& account) {
      return SqlNumber(file,
                       "SELECT coalesce(sum(amount), 0) FROM postings WHERE program = 1 AND "
                       "account = '" +
                           account + "'");
    };
    EXPECT_EQ(SqlNumber(file, "SELECT coalesce(sum(amount), 0) FROM postings WHERE NOT memo"), 0);
    EXPECT_EQ(
        SqlNumber(file,
                  "SELECT count(*) FROM (SELECT sum(amount) AS s FROM postings WHERE NOT memo "
                  "GROUP BY shard, position) WHERE s <> 0"),
        0);
    EXPECT_EQ(-sum("issued"), totals_.issued);
    EXPECT_EQ(sum("redeemed"), totals_.redeemed);
    EXPECT_EQ(sum("expired"), totals_.expired);
    EXPECT_EQ(sum("clawed_back"), totals_.clawed_back);
    EXPECT_EQ(sum("written_off"), totals_.written_off);
    EXPECT_EQ(-sum("adjusted"), totals_.adjusted);
    EXPECT_EQ(sum("pending"), totals_.pending);
    EXPECT_EQ(sum("available"), totals_.available);
    EXPECT_EQ(sum("held"), totals_.held);
    EXPECT_EQ(-sum("debt"), totals_.debt);
    EXPECT_EQ(-sum("reinstated"), totals_.reinstated);
    EXPECT_EQ(-sum("forgiven"), totals_.forgiven);
    EXPECT_EQ(sum("sent"), totals_.sent);
    EXPECT_EQ(-sum("received"), totals_.received);
    EXPECT_EQ(
        Sql(file,
            "SELECT held, forfeited, closed_out, sent, received FROM totals WHERE program = 1"),
        (std::vector<std::vector<std::string>>{
            {std::to_string(totals_.held), std::to_string(totals_.forfeited),
             std::to_string(totals_.closed_out), std::to_string(totals_.sent),
             std::to_string(totals_.received)}}));
    EXPECT_EQ(SqlNumber(file, "SELECT count(*) FROM members"), totals_.members);
    const auto rows =
        Sql(file,
            "SELECT m.member, coalesce(sum(iif(account = 'pending', amount, 0)), 0), "
            "coalesce(sum(iif(account = 'available', amount, 0)), 0), "
            "coalesce(sum(iif(account = 'held', amount, 0)), 0), "
            "coalesce(-sum(iif(account = 'debt', amount, 0)), 0), m.pending, "
            "m.available, m.held, m.debt FROM members m LEFT JOIN postings USING (program, "
            "member) GROUP BY m.program, m.member");
    EXPECT_EQ(rows.size(), balances_.size());
    for (const auto& row : rows) {
      const auto found = balances_.find(row[0]);
      ASSERT_NE(found, balances_.end()) << row[0];
      const std::vector<std::string> expected = {
          std::to_string(found->second.pending), std::to_string(found->second.available),
          std::to_string(found->second.held), std::to_string(found->second.debt)};
      EXPECT_EQ(std::vector<std::string>(row.begin() + 1, row.begin() + 5), expected) << row[0];
      EXPECT_EQ(std::vector<std::string>(row.begin() + 5, row.end()), expected) << row[0];
    }
  }

  const fs::path folder_;
  std::unique_ptr<Ledger> ledger_;
  std::mt19937_64 random_{1};
  Instant now_ = *ParseInstant("2024-01-01");
  uint64_t last_id_ = 0;
  std::map<Kind, std::vector<Operation>> drawn_;
  TotalsAnswer totals_;
  std::map<std::string, BalanceAnswer> balances_;
};

// ---- SQLite ----

TEST_F(Exports, SqlComesToTheLedgersTotalsAndBalances) {
  MakeLedger();
  const Ran ran = Export({"--sqlite", Path("book.db")});
  ASSERT_EQ(ran.status, 0) << ran.errors;
  CompareSqlite(Path("book.db"));
  EXPECT_EQ(Sql(Path("book.db"), "PRAGMA integrity_check"),
            (std::vector<std::vector<std::string>>{{"ok"}}));
}

TEST_F(Exports, SqliteFilesAreGoneOnWith) {
  MakeLedger();
  ASSERT_EQ(Export({"--sqlite", Path("book.db")}).status, 0);
  for (int round = 0; round < 3; ++round) {
    Continue(5 + round);
    const Ran ran = Export({"--sqlite", Path("book.db")});
    ASSERT_EQ(ran.status, 0) << ran.errors;
    CompareSqlite(Path("book.db"));
  }
  ASSERT_EQ(Export({"--sqlite", Path("whole.db")}).status, 0);
  for (const char* table : {"postings", "members", "totals", "shards", "meta"}) {
    const std::string all = absl::StrCat("SELECT * FROM ", table);
    EXPECT_EQ(Sql(Path("book.db"), all), Sql(Path("whole.db"), all)) << table;
  }
}

// A file that may not grow, as on a full disk, at each of many sizes.
TEST_F(Exports, SqliteFilesStayAsTheyWereWhereThereIsNoRoom) {
  MakeLedger();
  ASSERT_EQ(Export({"--sqlite", Path("book.db")}).status, 0);
  const auto before = totals_;
  const auto balances = balances_;
  const auto had = static_cast<int>(fs::file_size(Path("book.db")) / 1024);
  Continue(40);
  const auto after = totals_;
  const auto balances_after = balances_;
  int refused = 0;
  for (int limit_kib = had / 4; limit_kib < 2 * had; limit_kib += had / 8) {
    const std::string export_it =
        absl::StrCat("trap '' XFSZ; ulimit -f ", limit_kib * 1024 / 512, "; exec ", TALLY,
                     " log export ", Path("ledger"), " --sqlite ");
    const Ran making = RunToEnd({"/bin/sh", "-c", export_it + Path("new")});
    if (making.status != 0) {
      ExpectRefusal(making, "Nothing of this export is in it");
    } else {
      fs::remove(Path("new"));
    }
    const Ran ran = RunToEnd({"/bin/sh", "-c", export_it + Path("book.db")});
    if (ran.status == 0) break;
    ++refused;
    ExpectRefusal(ran, "Nothing of this export is in it");
    totals_ = before;
    balances_ = balances;
    CompareSqlite(Path("book.db"));
  }
  EXPECT_GT(refused, 2);
  ASSERT_EQ(Export({"--sqlite", Path("book.db")}).status, 0);
  totals_ = after;
  balances_ = balances_after;
  CompareSqlite(Path("book.db"));
}

TEST_F(Exports, SqliteFilesThatAreSomethingElseAreRefused) {
  MakeLedger();
  const std::string book = Path("book.db");
  std::ofstream(book) << "a letter to the auditor, which is long enough to be no empty file\n";
  ExpectRefusal(Export({"--sqlite", book}), "is no SQLite file");
  fs::remove(book);
  std::ofstream(book).close();
  ExpectRefusal(Export({"--sqlite", book}), "is no export of tally");
  fs::remove(book);
  ASSERT_EQ(Export({"--sqlite", book}).status, 0);

  Sql(book, "UPDATE meta SET value = 'x' || value WHERE key = 'ledger_id'");
  ExpectRefusal(Export({"--sqlite", book}), "is an export of another ledger");
  Sql(book, "UPDATE meta SET value = substr(value, 2) WHERE key = 'ledger_id'");
  for (const char* format : {"1", "2", "4"}) {
    Sql(book, std::string("PRAGMA user_version = ") + format);
    ExpectRefusal(Export({"--sqlite", book}), absl::StrCat("is an export of format ", format,
                                                           ", this program writes 3: name a new "
                                                           "file"));
  }
  Sql(book, "PRAGMA user_version = 3");
  Sql(book, "UPDATE members SET held = held + 1 WHERE member = (SELECT max(member) FROM members)");
  ExpectRefusal(Export({"--sqlite", book}), "does not sum up to the totals of program 1");
  Sql(book, "UPDATE members SET held = held - 1 WHERE member = (SELECT max(member) FROM members)");
  Sql(book,
      "UPDATE postings SET amount = amount + 1 WHERE account = 'issued' AND position = "
      "(SELECT max(position) FROM postings WHERE account = 'issued')");
  ExpectRefusal(Export({"--sqlite", book}), "does not sum up to the totals of program 1");
  Sql(book, "UPDATE shards SET block_hash = replace(block_hash, substr(block_hash, 1, 1), 'x')");
  ExpectRefusal(Export({"--sqlite", book}), "another history");
  Sql(book, "UPDATE shards SET position = position + 1000000");
  ExpectRefusal(Export({"--sqlite", book}), "its log ends at");
}

// ---- CSV ----

TEST_F(Exports, CsvGoesOnWhereItEnded) {
  MakeLedger();
  const Ran first = Export({"--to-csv", Path("first.csv"), "--json"});
  ASSERT_EQ(first.status, 0) << first.errors;
  const std::string to = nlohmann::json::parse(first.output)["to"];
  Continue(10);
  const Ran second = Export({"--to-csv", Path("second.csv"), "--from", to, "--json"});
  ASSERT_EQ(second.status, 0) << second.errors;
  ASSERT_EQ(Export({"--to-csv", Path("whole.csv")}).status, 0);
  const auto lines = [this](const std::string& name) {
    std::vector<std::string> all = absl::StrSplit(ReadFile(Path(name)), '\n');
    EXPECT_EQ(all.front().substr(0, 30), "shard:uint16,position:uint64,l");
    all.erase(all.begin());
    all.pop_back();
    return all;
  };
  std::multiset<std::string> parts;
  for (const char* name : {"first.csv", "second.csv"}) {
    for (const std::string& line : lines(name)) parts.insert(line);
  }
  const auto whole = lines("whole.csv");
  EXPECT_EQ(parts, std::multiset<std::string>(whole.begin(), whole.end()));
  std::map<std::string, int64_t> sums;
  for (const std::string& line : whole) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    ASSERT_EQ(fields.size(), 13u) << line;
    sums[fields[9]] += std::stoll(fields[10]);
  }
  EXPECT_EQ(-sums["issued"], totals_.issued);
  EXPECT_EQ(sums["expired"], totals_.expired);
  EXPECT_EQ(sums["available"], totals_.available);
  EXPECT_EQ(sums["held"], totals_.held);
}

TEST_F(Exports, WrongInputGetsASentence) {
  Open(/*create=*/true);
  Fill(3);
  ExpectRefusal(Export({"--to-csv", Path("new")}), "is in use by a tallyd");
  ExpectRefusal(Run({"audit", Path("ledger")}), "is in use by a tallyd");
  ledger_.reset();
  std::ofstream(Path("there")) << "mine";
  for (const char* format : {"--to-csv", "--postgres"}) {
    ExpectRefusal(Export({format, Path("there")}), "is there already");
    ExpectRefusal(Export({format, "/dev/full"}), "No space left on device");
    ExpectRefusal(Export({format, Path("no/folder")}), "No such file or directory");
    ExpectRefusal(Export({format, Path("new"), "--from", "0:7"}), "does not name shard 1");
    ExpectRefusal(Export({format, Path("new"), "--from", "0:7,1:x"}), "is no SHARD:POSITION");
    ExpectRefusal(Export({format, Path("new"), "--from", "0:7,0:7"}), "is no SHARD:POSITION");
    ExpectRefusal(Export({format, Path("new"), "--from", "0:7,2:7"}), "is no SHARD:POSITION");
    ExpectRefusal(Export({format, Path("new"), "--from", "0:1,1:99999"}), "its log ends at");
  }
  ExpectRefusal(Export({"--sqlite", Path("no/folder")}), "No such file or directory");
  EXPECT_EQ(ReadFile(Path("there")), "mine");
  EXPECT_EQ(Export({}).status, 2);
  EXPECT_EQ(Export({"--to-csv", Path("new"), "--sqlite", Path("new2")}).status, 2);
  EXPECT_EQ(Export({"--sqlite", Path("new"), "--from", "0:1,1:1"}).status, 2);
  ExpectRefusal(Run({"log", "export", Path("nothing"), "--to-csv", Path("new")}),
                "holds no ledger");
  ExpectRefusal(Run({"audit", Path("ledger"), "--since", "yesterday"}), "is no day");
  ExpectRefusal(Run({"audit", Path("ledger"), "--since", "2024-01-02", "--until", "2024-01-01"}),
                "is after --until");
  EXPECT_EQ(Run({"audit", Path("ledger"), "--since", "1969-12-31", "--until", "1970-01-01"}).status,
            0);
  ExpectRefusal(Run({"audit", Path("ledger"), "--program", "9"}), "unknown_program");
  ExpectRefusal(Run({"audit", Path("ledger"), "--member", "999", "--proof", Path("new")}),
                "member 999 is not in any program");
  ExpectRefusal(
      Run({"audit", Path("ledger"), "--member", "2", "--program", "9", "--proof", Path("new")}),
      "member 2 is not in program 9");
  ExpectRefusal(Run({"audit", Path("ledger"), "--member", "2", "--proof", Path("there")}),
                "is there already");
  EXPECT_EQ(Run({"audit", Path("ledger"), "--member", "2"}).status, 2);
}

TEST_F(Exports, NoOutputLiesInTheLedger) {
  Open(/*create=*/true);
  Fill(3);
  ledger_.reset();
  fs::create_directory(Path("elsewhere"));
  fs::rename(Path("ledger/shard-0001"), Path("elsewhere/shard"));
  fs::create_directory_symlink("../elsewhere/shard", Path("ledger/shard-0001"));
  fs::create_directory_symlink("ledger", Path("link"));
  const std::string identity = ReadFile(Path("ledger/LEDGER"));
  std::ofstream(Path("there")) << "mine";
  const auto expect_refused = [&](const std::string& name, const std::string& says) {
    for (const char* format : {"--to-csv", "--postgres", "--sqlite"}) {
      if (name == "there" && std::string(format) == "--sqlite") continue;
      ExpectRefusal(Export({format, Path(name)}), says);
    }
    ExpectRefusal(Run({"audit", Path("ledger"), "--member", "2", "--proof", Path(name)}), says);
    ExpectRefusal(Run({"log", "stat", Path("ledger"), "--html", Path(name)}), says);
  };
  for (const char* name : {"ledger/LEDGER", "ledger/new", "ledger/shard-0000/new", "link/new",
                           "elsewhere/shard/new", "elsewhere/../link/shard-0000/new"}) {
    SCOPED_TRACE(name);
    expect_refused(name, "of the ledger that is read");
  }
  expect_refused("there", "is there already");
  EXPECT_EQ(ReadFile(Path("ledger/LEDGER")), identity);
  EXPECT_EQ(ReadFile(Path("there")), "mine");
  EXPECT_EQ(Export({"--to-csv", Path("elsewhere/new")}).status, 0);
}

TEST_F(Exports, NoneTouchesWhatAnotherIsWriting) {
  Open(/*create=*/true);
  Fill(3);
  std::ofstream(Path("new.unfinished")) << "theirs";
  EXPECT_THAT(Export({"--to-csv", Path("new")}).errors, HasSubstr("is in use by a tallyd"));
  EXPECT_EQ(ReadFile(Path("new.unfinished")), "theirs");
  ledger_.reset();
  const int other = open(Path("new.unfinished").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  for (const char* format : {"--to-csv", "--postgres", "--sqlite"}) {
    const Ran ran = Export({format, Path("new")});
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.errors, HasSubstr("is being written by another process"));
  }
  EXPECT_EQ(ReadFile(Path("new.unfinished")), "theirs");
  close(other);
  // Left by a crash.
  for (const char* format : {"--to-csv", "--postgres", "--sqlite"}) {
    std::ofstream(Path("new.unfinished")) << "theirs";
    EXPECT_EQ(Export({format, Path("new")}).status, 0) << format;
    EXPECT_FALSE(fs::exists(Path("new.unfinished")));
    fs::remove(Path("new"));
  }
}

// ---- audit ----

int64_t Owed(const nlohmann::json& t) {
  return t["pending"].get<int64_t>() + t["available"].get<int64_t>() + t["held"].get<int64_t>() -
         t["debt"].get<int64_t>();
}
int64_t Moved(const nlohmann::json& t) {
  return t["issued"].get<int64_t>() + t["adjusted"].get<int64_t>() +
         t["reinstated"].get<int64_t>() + t["forgiven"].get<int64_t>() +
         t["received"].get<int64_t>() - t["redeemed"].get<int64_t>() - t["expired"].get<int64_t>() -
         t["clawed_back"].get<int64_t>() - t["sent"].get<int64_t>();
}

TEST_F(Exports, AuditRollsForwardFromDayToDay) {
  MakeLedger();
  const Ran ran = Run({"audit", Path("ledger"), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.errors;
  const auto audit = nlohmann::json::parse(ran.output);
  EXPECT_TRUE(audit["equal"].get<bool>());
  const auto& program = audit["programs"].at(0);
  EXPECT_GT(program["days"].size(), 55u);
  nlohmann::json before = program["opening"];
  std::string day_before;
  for (const auto& day : program["days"]) {
    EXPECT_LT(day_before, day["day"].get<std::string>());
    EXPECT_EQ(day["opening"], before);
    EXPECT_EQ(Owed(day["opening"]) + Moved(day["movements"]), Owed(day["closing"])) << day;
    for (const auto& [name, amount] : day["closing"].items()) {
      EXPECT_EQ(day["opening"][name].get<int64_t>() + day["movements"][name].get<int64_t>(),
                amount);
    }
    before = day["closing"];
    day_before = day["day"];
  }
  EXPECT_EQ(before["issued"], totals_.issued);
  EXPECT_EQ(before["members"], totals_.members);
  EXPECT_EQ(before["written_off"], totals_.written_off);
  EXPECT_EQ(before["debt"], totals_.debt);
  EXPECT_EQ(before["held"], totals_.held);
  EXPECT_EQ(Owed(before), totals_.pending + totals_.available + totals_.held - totals_.debt);
  EXPECT_EQ(program["movements"], before) << "nothing was owed before";

  const Ran some =
      Run({"audit", Path("ledger"), "--since", "2024-01-20", "--until", "2024-01-29", "--json"});
  const auto part = nlohmann::json::parse(some.output)["programs"].at(0);
  ASSERT_EQ(part["days"].size(), 10u);
  EXPECT_EQ(part["opening"], part["days"].at(0)["opening"]);
  EXPECT_EQ(part["closing"], part["days"].at(9)["closing"]);
  EXPECT_THAT(Run({"audit", Path("ledger")}).output,
              AllOf(HasSubstr("2024-01-20"), HasSubstr("every line adds up")));
}

TEST(AuditRows, OneThatDoesNotAddUpIsNamed) {
  tally::AuditRow row;
  row.program = 3;
  row.day = UtcDay(*ParseInstant("2024-01-20"));
  row.movements.of(PostingAccount::kIssued) = -5;
  row.movements.of(PostingAccount::kPending) = 5;
  row.closing = row.movements;
  EXPECT_TRUE(tally::CheckRow(row).ok());
  for (size_t i = 0; i < kPostingAccountCount; ++i) {
    tally::AuditRow wrong = row;
    ++wrong.closing.amount[i];
    EXPECT_THAT(std::string(tally::CheckRow(wrong).message()),
                HasSubstr("program 3 on 2024-01-20: "));
    // Conserved, and yet not what moved.
    --wrong.closing.of(i == 0 ? PostingAccount::kAvailable : PostingAccount::kPending);
    EXPECT_FALSE(tally::CheckRow(wrong).ok()) << i;
  }
  row.closing.members = 1;
  EXPECT_THAT(std::string(tally::CheckRow(row).message()), HasSubstr("members"));
}

// ---- proofs ----

TEST_F(Exports, ProofsConvinceACheckerOfTheirOwn) {
  MakeLedger();
  Continue(10);
  int proved = 0;
  for (const auto& [member, balance] : balances_) {
    const std::string file = Path("proof." + std::to_string(proved));
    const Ran ran = Run({"audit", Path("ledger"), "--member", member, "--proof", file, "--json"});
    ASSERT_EQ(ran.status, 0) << ran.errors;
    const auto account = nlohmann::json::parse(ran.output)["accounts"].at(0);
    EXPECT_EQ(account["pending"], balance.pending);
    EXPECT_EQ(account["available"], balance.available);
    EXPECT_EQ(account["held"], balance.held);
    EXPECT_EQ(account["debt"], balance.debt);
    const Ran checked = RunToEnd({"/usr/bin/python3", CHECK_PROOF, file});
    EXPECT_EQ(checked.status, 0) << checked.output << checked.errors;
    EXPECT_THAT(checked.output,
                HasSubstr(absl::StrCat("proved: member ", member, " in program 1: available ",
                                       balance.available, ", pending ", balance.pending, ", held ",
                                       balance.held, ", debt ", balance.debt, ", on its way 0,")));
    if (++proved == 12) break;
  }
}

// The ledger as it was when points had left one member and had not come to the other.
TEST_F(Exports, BooksAndProofsAreRightWhilePointsAreOnTheirWay) {
  Open(/*create=*/true);
  uint64_t from = 1;
  while (ShardOf(Member(from), 2) != 0) ++from;
  uint64_t to = 1;
  while (ShardOf(Member(to), 2) != 1) ++to;
  const auto apply = [&](Kind kind, uint64_t member, const Id& related, int64_t amount) {
    const auto result = ledger_->Apply(Operation(Id(++last_id_, 5), Member(member), related, amount,
                                                 now_, 0, 0, kProgram, 0, kind, 0, 0));
    ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  };
  for (const uint64_t member : {from, to}) apply(Kind::Enrol, member, Id(), 0);
  apply(Kind::Adjust, from, Id(), 100);
  apply(Kind::Transfer, from, Member(to), 30);
  ledger_.reset();
  const auto position = [&](const std::string& kind) {
    const Ran ran = Run({"log", "dump", Path("ledger"), "--kind", kind, "--json"});
    return nlohmann::json::parse(ran.output)["position"].get<Position>();
  };
  const std::string point =
      absl::StrCat("0:", position("transfer"), ",1:", position("transfer_in") - 1);
  ASSERT_EQ(Run({"restore", Path("ledger"), "--to", point, "--into", Path("past")}).status, 0);
  EXPECT_EQ(Run({"log", "verify", Path("past")}).status, 0);
  const Ran exported = Run({"log", "export", Path("past"), "--sqlite", Path("book.db")});
  ASSERT_EQ(exported.status, 0) << exported.errors;
  EXPECT_EQ(Sql(Path("book.db"), "SELECT sent, received, available FROM totals"),
            (std::vector<std::vector<std::string>>{{"30", "0", "70"}}));
  const Ran audit = Run({"audit", Path("past")});
  EXPECT_EQ(audit.status, 0) << audit.errors;
  const std::string member = FormatId(Member(from));
  ASSERT_EQ(
      Run({"audit", Path("past"), "--member", member, "--proof", Path("proof"), "--json"}).status,
      0);
  const Ran checked = RunToEnd({"/usr/bin/python3", CHECK_PROOF, Path("proof")});
  EXPECT_EQ(checked.status, 0) << checked.output << checked.errors;
  EXPECT_THAT(checked.output,
              HasSubstr("available 70, pending 0, held 0, debt 0, on its way 30, by 3 records"));
  const Ran tampering = RunToEnd({"/usr/bin/python3", PROOF_TAMPERING, Path("proof")});
  EXPECT_EQ(tampering.status, 0) << tampering.output << tampering.errors;
  // It goes on, and what was on its way arrives; at the latest before it is closed.
  for (int i = 0; i < 2; ++i) {
    ledger_.reset();
    Open(/*create=*/false, "past");
  }
  EXPECT_EQ(ledger_->Balance(kProgram, Member(to))->available, 30);
  AskAndClose();
  EXPECT_EQ(totals_.received, 30);
}

TEST_F(Exports, ProofsThatWereChangedConvinceNobody) {
  Open(/*create=*/true);
  Fill(9);
  AskAndClose();
  Continue(4);
  const auto& [member, balance] = *balances_.begin();
  ASSERT_EQ(Run({"audit", Path("ledger"), "--member", member, "--proof", Path("proof")}).status, 0);
  const Ran tampering = RunToEnd({"/usr/bin/python3", PROOF_TAMPERING, Path("proof")});
  EXPECT_EQ(tampering.status, 0) << tampering.output << tampering.errors;
}

}  // namespace
}  // namespace tallystick
