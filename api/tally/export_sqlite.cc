// An export as an SQLite file. A new one is made under another name and appears whole; one that is
// there is gone on with in one transaction, so that a crash leaves it as it was.

#include <sys/stat.h>

#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/outcomes.h"
#include "api/tally/export_sink.h"
#include "api/tally/output_file.h"
#include "api/tally/sqlite.h"

namespace tallystick::tally {
namespace {

// "TLYX", by which a file is known as an export: https://www.sqlite.org/fileformat.html, offset 68.
constexpr int64_t kApplicationId = 0x544c5958;

constexpr char kTables[] = R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE shards (shard INTEGER PRIMARY KEY, position INTEGER NOT NULL,
  block_hash TEXT NOT NULL) STRICT;
CREATE TABLE postings (shard INTEGER, position INTEGER, line INTEGER, log_time_us INTEGER NOT NULL,
  occurred_at_us INTEGER NOT NULL, program INTEGER NOT NULL, member TEXT NOT NULL,
  "transaction" TEXT, kind TEXT NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL,
  memo INTEGER NOT NULL, funder INTEGER NOT NULL,
  PRIMARY KEY (shard, position, line)) STRICT, WITHOUT ROWID;
CREATE TABLE members (program INTEGER, member TEXT, shard INTEGER NOT NULL,
  pending INTEGER NOT NULL, available INTEGER NOT NULL, held INTEGER NOT NULL,
  debt INTEGER NOT NULL, last_position INTEGER NOT NULL, PRIMARY KEY (program, member)) STRICT, WITHOUT ROWID;
CREATE TABLE totals (program INTEGER PRIMARY KEY, members INTEGER NOT NULL,
  issued INTEGER NOT NULL, redeemed INTEGER NOT NULL, expired INTEGER NOT NULL,
  clawed_back INTEGER NOT NULL, written_off INTEGER NOT NULL, adjusted INTEGER NOT NULL,
  reinstated INTEGER NOT NULL, forgiven INTEGER NOT NULL, pending INTEGER NOT NULL,
  available INTEGER NOT NULL, held INTEGER NOT NULL, debt INTEGER NOT NULL,
  forfeited INTEGER NOT NULL, closed_out INTEGER NOT NULL, sent INTEGER NOT NULL,
  received INTEGER NOT NULL) STRICT;
)";

constexpr char kIndexes[] = R"(
CREATE INDEX postings_by_member ON postings (program, member);
CREATE INDEX postings_by_account ON postings (program, account, log_time_us, amount);
)";

class SqliteSink : public ExportSink {
 public:
  explicit SqliteSink(std::string path) : path_(std::move(path)) {}
  ~SqliteSink() override {
    insert_posting_.reset();
    insert_member_.reset();
    database_.reset();
  }

  absl::Status Open(const OfflineLedger& ledger) {
    absl::Status status = RequireOutside(path_, &ledger);
    if (!status.ok()) return status;
    struct stat info;
    const bool is_there = stat(path_.c_str(), &info) == 0;
    status = is_there ? GoOn(ledger.identity()) : MakeNew(ledger);
    if (!status.ok()) return status;
    auto posting = database_->Prepare(
        "INSERT INTO postings VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?6)");
    if (!posting.ok()) return posting.status();
    insert_posting_ = *std::move(posting);
    auto member =
        database_->Prepare("INSERT OR REPLACE INTO members VALUES (?1,?2,?3,?4,?5,?6,?7,?8)");
    if (!member.ok()) return member.status();
    insert_member_ = *std::move(member);
    return absl::OkStatus();
  }

  const std::vector<ExportedShard>& from() const override { return from_; }

  absl::Status AddRecord(uint16_t shard, const PostedRecord& posted) override {
    if (posted.lines().empty()) return absl::OkStatus();
    const Operation& op = posted.record->operation;
    const std::string member = RecordTexts::IdText(op.member());
    const std::string transaction = RecordTexts::IdText(op.id());
    SqliteStatement& insert = *insert_posting_;
    insert.Bind(1, int64_t{shard});
    insert.Bind(2, static_cast<int64_t>(posted.position));
    insert.Bind(4, posted.log_time);
    insert.Bind(5, op.occurred_at());
    insert.Bind(6, int64_t{op.program()});
    insert.Bind(7, member);
    if (transaction.empty()) {
      insert.BindNull(8);
    } else {
      insert.Bind(8, transaction);
    }
    insert.Bind(9, KindName(op.kind()));
    int64_t number = 0;
    for (const PostingLine& line : posted.lines()) {
      insert.Bind(3, ++number);
      insert.Bind(10, PostingAccountName(line.account));
      insert.Bind(11, line.amount);
      insert.Bind(12, int64_t{IsMemo(line.account)});
      if (absl::Status s = database_->Run(insert); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::Status AddMember(const MemberRow& row) override {
    const std::string member = RecordTexts::IdText(row.member);
    SqliteStatement& insert = *insert_member_;
    insert.Bind(1, int64_t{row.program});
    insert.Bind(2, member);
    insert.Bind(3, int64_t{row.shard});
    insert.Bind(4, row.pending);
    insert.Bind(5, row.available);
    insert.Bind(6, row.held);
    insert.Bind(7, row.debt);
    insert.Bind(8, static_cast<int64_t>(row.last_position));
    return database_->Run(insert);
  }

  absl::Status Finish(const ExportEnd& end) override {
    absl::Status status = PutEnd(end);
    if (status.ok() && new_ != nullptr) status = database_->Execute(kIndexes);
    if (status.ok()) status = CheckSums(end);
    if (status.ok()) status = database_->Execute("COMMIT");
    if (!status.ok()) return status;
    insert_posting_.reset();
    insert_member_.reset();
    if (status = database_->Close(); !status.ok()) return status;
    return new_ == nullptr ? absl::OkStatus() : new_->Publish();
  }

 private:
  absl::Status MakeNew(const OfflineLedger& reading) {
    auto file = UnfinishedFile::Create(path_, &reading);
    if (!file.ok()) return file.status();
    new_ = *std::move(file);
    auto database = Sqlite::OpenOwn(new_->name());
    if (!database.ok()) return database.status();
    database_ = *std::move(database);
    const LedgerIdentity& ledger = reading.identity();
    for (uint16_t shard = 0; shard < ledger.shard_count; ++shard) from_.push_back({shard, 0, {}});
    // Nobody sees it before it is whole and synced.
    return database_->Execute(absl::StrCat(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;"
        "PRAGMA application_id = ",
        kApplicationId, "; PRAGMA user_version = ", kExportFormat, "; BEGIN;", kTables,
        "INSERT INTO meta VALUES ('ledger_id', '", HexText(ledger.ledger_id),
        "'), ('shard_count', '", ledger.shard_count, "');"));
  }

  absl::Status GoOn(const LedgerIdentity& ledger) {
    auto database = Sqlite::Open(path_);
    if (!database.ok()) return database.status();
    database_ = *std::move(database);
    int64_t application = 0;
    int64_t format = 0;
    absl::Status status = database_->Query(
        "PRAGMA application_id", [&](const SqliteStatement& row) { application = row.Integer(0); });
    if (status.ok()) {
      status = database_->Query("PRAGMA user_version",
                                [&](const SqliteStatement& row) { format = row.Integer(0); });
    }
    if (!status.ok()) return status;
    if (application != kApplicationId) {
      return absl::FailedPreconditionError(absl::StrCat(
          path_, " is there, and is no export of tally: name a new file, or remove it first"));
    }
    if (format != kExportFormat) {
      return absl::FailedPreconditionError(absl::StrCat(path_, " is an export of format ", format,
                                                        ", this program writes ", kExportFormat,
                                                        ": name a new file"));
    }
    status = database_->Execute(
        "PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
        "BEGIN IMMEDIATE");
    return status.ok() ? ReadFrom(ledger) : status;
  }

  absl::Status ReadFrom(const LedgerIdentity& ledger) {
    std::string ledger_id;
    absl::Status status =
        database_->Query("SELECT value FROM meta WHERE key = 'ledger_id'",
                         [&](const SqliteStatement& row) { ledger_id = row.Text(0); });
    if (!status.ok()) return status;
    if (ledger_id != HexText(ledger.ledger_id)) {
      return absl::FailedPreconditionError(
          absl::StrCat(path_, " is an export of another ledger, ", ledger_id, ", this is ",
                       HexText(ledger.ledger_id), ": name a new file"));
    }
    status = database_->Query(
        "SELECT shard, position, block_hash FROM shards ORDER BY shard",
        [&](const SqliteStatement& row) {
          from_.push_back({static_cast<uint16_t>(row.Integer(0)),
                           static_cast<Position>(row.Integer(1)), ParseHex(row.Text(2))});
        });
    if (status.ok() && from_.size() != ledger.shard_count) {
      status = absl::DataLossError(
          absl::StrCat(path_,
                       " does not say how far each shard was exported: it was changed by "
                       "something else. Remove it, and export anew"));
    }
    return status;
  }

  // Zero for what is no hash: no block has it.
  static wal::Id128 ParseHex(const std::string& text) {
    wal::Id128 id;
    if (text.size() != 32) return id;
    id.high = std::strtoull(text.substr(0, 16).c_str(), nullptr, 16);
    id.low = std::strtoull(text.substr(16).c_str(), nullptr, 16);
    return id;
  }

  absl::Status Insert(absl::string_view sql, std::initializer_list<int64_t> values) {
    auto insert = database_->Prepare(sql);
    if (!insert.ok()) return insert.status();
    int parameter = 0;
    for (const int64_t value : values) (*insert)->Bind(++parameter, value);
    return database_->Run(**insert);
  }

  absl::Status PutEnd(const ExportEnd& end) {
    absl::Status status = database_->Execute("DELETE FROM totals; DELETE FROM shards");
    for (const auto& [id, t] : end.totals) {
      if (!status.ok()) return status;
      status = Insert("INSERT INTO totals VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                      {id, t.members, t.issued, t.redeemed, t.expired, t.clawed_back, t.written_off,
                       t.adjusted, t.reinstated, t.forgiven, t.pending, t.available, t.held, t.debt,
                       t.forfeited, t.closed_out, t.sent, t.received});
    }
    for (const ExportedShard& shard : end.shards) {
      if (!status.ok()) return status;
      status = database_->Execute(absl::StrCat("INSERT INTO shards VALUES (", shard.shard, ", ",
                                               shard.position, ", '", HexText(shard.hash), "')"));
    }
    return status;
  }

  // What is in the file now, rows of earlier exports too, against the ledger.
  absl::Status CheckSums(const ExportEnd& end) {
    std::map<uint16_t, PostingSums> posted;
    std::map<uint16_t, PostingSums> members;
    absl::Status status = database_->Query(
        "SELECT program, account, sum(amount) FROM postings GROUP BY program, account",
        [&](const SqliteStatement& row) {
          PostingSums& sums = posted[static_cast<uint16_t>(row.Integer(0))];
          const std::string name = row.Text(1);
          for (size_t i = 0; i < kPostingAccountCount; ++i) {
            const auto account = static_cast<PostingAccount>(i);
            if (PostingAccountName(account) == name) sums.of(account) = row.Integer(2);
          }
        });
    if (!status.ok()) return status;
    status = database_->Query(
        "SELECT program, count(*), sum(pending), sum(available), sum(held), sum(debt) "
        "FROM members "
        "GROUP BY program",
        [&](const SqliteStatement& row) {
          PostingSums& sums = members[static_cast<uint16_t>(row.Integer(0))];
          sums.members = row.Integer(1);
          sums.of(PostingAccount::kPending) = row.Integer(2);
          sums.of(PostingAccount::kAvailable) = row.Integer(3);
          sums.of(PostingAccount::kHeld) = row.Integer(4);
          sums.of(PostingAccount::kDebt) = -PostingSums::Sum{row.Integer(5)};
        });
    if (!status.ok()) return status;
    for (const auto& [id, totals] : end.totals) {
      const PostingSums expected = SumsOf(totals);
      bool equal = posted[id].amount == expected.amount && members[id].members == expected.members;
      for (const PostingAccount account : kMemberAccounts) {
        equal = equal && members[id].of(account) == expected.of(account);
      }
      if (equal) continue;
      return absl::DataLossError(
          absl::StrCat(path_, " does not sum up to the totals of program ", id,
                       ": it was changed by something else. Remove it, and export anew"));
    }
    return absl::OkStatus();
  }

  const std::string path_;
  std::unique_ptr<UnfinishedFile> new_;  // null: the file was there
  std::unique_ptr<Sqlite> database_;
  std::unique_ptr<SqliteStatement> insert_posting_;
  std::unique_ptr<SqliteStatement> insert_member_;
  std::vector<ExportedShard> from_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExportSink>> ExportToSqlite(const std::string& path,
                                                           const OfflineLedger& ledger) {
  auto sink = std::make_unique<SqliteSink>(path);
  if (absl::Status s = sink->Open(ledger); !s.ok()) return s;
  return sink;
}

}  // namespace tallystick::tally
