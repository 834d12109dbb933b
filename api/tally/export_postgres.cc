// An export as a script for psql: tables of the schema "tallystick", filled by COPY, in one
// transaction that checks its own sums. Nothing that is written needs an escape in COPY's text
// format: numbers, instants, ids and words.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/outcomes.h"
#include "api/tally/export_sink.h"
#include "api/tally/output_file.h"

namespace tallystick::tally {
namespace {

constexpr absl::string_view kTables = R"(CREATE SCHEMA tallystick;
SET LOCAL search_path TO tallystick;
CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE shards (shard integer PRIMARY KEY, position bigint NOT NULL, block_hash text NOT NULL);
CREATE TABLE postings (shard integer NOT NULL, position bigint NOT NULL, line integer NOT NULL,
  log_time timestamptz NOT NULL, occurred_at timestamptz NOT NULL, program integer NOT NULL,
  member text NOT NULL, transaction text, kind text NOT NULL, account text NOT NULL,
  amount bigint NOT NULL, memo boolean NOT NULL, funder integer NOT NULL);
CREATE TABLE members (program integer, member text, shard integer NOT NULL,
  pending bigint NOT NULL, available bigint NOT NULL, held bigint NOT NULL, debt bigint NOT NULL,
  last_position bigint NOT NULL, PRIMARY KEY (program, member));
CREATE TABLE totals (program integer PRIMARY KEY, members bigint NOT NULL, issued bigint NOT NULL,
  redeemed bigint NOT NULL, expired bigint NOT NULL, clawed_back bigint NOT NULL,
  written_off bigint NOT NULL, adjusted bigint NOT NULL, reinstated bigint NOT NULL,
  forgiven bigint NOT NULL, pending bigint NOT NULL, available bigint NOT NULL,
  held bigint NOT NULL, debt bigint NOT NULL, forfeited bigint NOT NULL,
  closed_out bigint NOT NULL, sent bigint NOT NULL, received bigint NOT NULL);
)";

constexpr absl::string_view kPutMembers = R"(INSERT INTO members SELECT * FROM changed_members
  ON CONFLICT (program, member) DO UPDATE SET pending = excluded.pending,
  available = excluded.available, held = excluded.held, debt = excluded.debt, last_position = excluded.last_position;
DELETE FROM totals;
)";

constexpr absl::string_view kIndexes =
    R"(ALTER TABLE postings ADD PRIMARY KEY (shard, position, line);
CREATE INDEX postings_by_member ON postings (program, member);
CREATE INDEX postings_by_account ON postings (program, account, log_time);
)";

constexpr absl::string_view kCheck = R"(DO $$ BEGIN
  IF EXISTS (
    SELECT FROM totals t
    CROSS JOIN LATERAL (VALUES ('pending', pending), ('available', available), ('held', held),
      ('debt', -debt),
      ('issued', -issued), ('redeemed', redeemed), ('expired', expired),
      ('clawed_back', clawed_back), ('adjusted', -adjusted), ('reinstated', -reinstated),
      ('forgiven', -forgiven), ('written_off', written_off), ('sent', sent),
      ('received', -received)) AS e(account, amount)
    LEFT JOIN (SELECT program, account, sum(amount) AS amount FROM postings
      GROUP BY program, account) p ON p.program = t.program AND p.account = e.account
    WHERE coalesce(p.amount, 0) <> e.amount)
  OR EXISTS (
    SELECT FROM totals t LEFT JOIN (SELECT program, count(*) AS members, sum(pending) AS pending,
      sum(available) AS available, sum(held) AS held, sum(debt) AS debt FROM members GROUP BY program) m USING (program)
    WHERE (coalesce(m.members, 0), coalesce(m.pending, 0), coalesce(m.available, 0),
      coalesce(m.held, 0), coalesce(m.debt, 0)) <> (t.members, t.pending, t.available, t.held, t.debt))
  THEN RAISE EXCEPTION 'the postings do not sum up to the totals: something else has changed the tables; drop the schema tallystick, and load a whole export';
  END IF;
END $$;
COMMIT;
)";

class PostgresSink : public ExportSink {
 public:
  PostgresSink(std::unique_ptr<OutputFile> file, const LedgerIdentity& ledger,
               std::vector<ExportedShard> from)
      : file_(std::move(file)),
        from_(std::move(from)),
        whole_(std::all_of(from_.begin(), from_.end(),
                           [](const ExportedShard& shard) { return shard.position == 0; })) {
    absl::StrAppend(&out(), "-- Postings of ledger ", HexText(ledger.ledger_id),
                    "; load it with psql -f\n\\set ON_ERROR_STOP on\nBEGIN;\n");
    if (whole_) {
      absl::StrAppend(&out(), kTables, "INSERT INTO meta VALUES ('format', '", kExportFormat,
                      "'), ('ledger_id', '", HexText(ledger.ledger_id), "'), ('shard_count', '",
                      ledger.shard_count, "');\n");
    } else {
      AppendGoingOn(ledger);
    }
    out() += "CREATE TEMPORARY TABLE changed_members (LIKE members) ON COMMIT DROP;\n";
  }

  const std::vector<ExportedShard>& from() const override { return from_; }

  absl::Status AddRecord(uint16_t shard, const PostedRecord& posted) override {
    if (posted.lines().empty()) return absl::OkStatus();
    Enter("postings");
    const Operation& op = posted.record->operation;
    const std::string before = absl::StrCat(shard, "\t", posted.position, "\t");
    std::string between = "\t";
    texts_.AppendInstant(posted.log_time, &between);
    between.push_back('\t');
    texts_.AppendInstant(op.occurred_at(), &between);
    const std::string transaction = IsZero(op.id()) ? "\\N" : RecordTexts::IdText(op.id());
    absl::StrAppend(&between, "\t", op.program(), "\t", RecordTexts::IdText(op.member()), "\t",
                    transaction, "\t", KindName(op.kind()), "\t");
    int number = 0;
    for (const PostingLine& line : posted.lines()) {
      absl::StrAppend(&out(), before, ++number, between, PostingAccountName(line.account), "\t",
                      line.amount, IsMemo(line.account) ? "\tt\t" : "\tf\t", op.program(), "\n");
    }
    return file_->FlushSome();
  }

  absl::Status AddMember(const MemberRow& row) override {
    Enter("changed_members");
    absl::StrAppend(&out(), row.program, "\t", RecordTexts::IdText(row.member), "\t", row.shard,
                    "\t", row.pending, "\t", row.available, "\t", row.held, "\t");
    absl::StrAppend(&out(), row.debt, "\t", row.last_position, "\n");
    return file_->FlushSome();
  }

  absl::Status Finish(const ExportEnd& end) override {
    Enter("");
    absl::StrAppend(&out(), kPutMembers);
    Enter("totals");
    for (const auto& [id, t] : end.totals) {
      absl::StrAppend(&out(),
                      absl::StrJoin({int64_t{id}, t.members, t.issued, t.redeemed, t.expired,
                                     t.clawed_back, t.written_off, t.adjusted, t.reinstated,
                                     t.forgiven, t.pending, t.available, t.held, t.debt,
                                     t.forfeited, t.closed_out, t.sent, t.received},
                                    "\t"),
                      "\n");
    }
    Enter("");
    out() += "DELETE FROM shards;\n";
    Enter("shards");
    for (const ExportedShard& shard : end.shards) {
      absl::StrAppend(&out(), shard.shard, "\t", shard.position, "\t", HexText(shard.hash), "\n");
    }
    Enter("");
    if (whole_) absl::StrAppend(&out(), kIndexes);
    absl::StrAppend(&out(), kCheck);
    return file_->Publish();
  }

 private:
  std::string& out() { return file_->buffer(); }

  // Tables that end elsewhere would have rows twice, or miss some.
  void AppendGoingOn(const LedgerIdentity& ledger) {
    const std::string rows =
        absl::StrJoin(from_, ", ", [](std::string* text, const ExportedShard& shard) {
          absl::StrAppend(text, "(", shard.shard, ", ", shard.position, ")");
        });
    absl::StrAppend(
        &out(), "SET LOCAL search_path TO tallystick;\nLOCK TABLE shards;\nDO $$ BEGIN\n",
        "  IF (SELECT value FROM meta WHERE key = 'ledger_id') IS DISTINCT FROM '",
        HexText(ledger.ledger_id),
        "' THEN\n    RAISE EXCEPTION 'the tables are of another ledger';\n  END IF;\n"
        "  IF (SELECT value FROM meta WHERE key = 'format') IS DISTINCT FROM '",
        kExportFormat, "' THEN\n    RAISE EXCEPTION 'the tables are of another format than ",
        kExportFormat,
        ": drop the schema tallystick, and load a whole export';\n  END IF;\n"
        "  IF EXISTS (SELECT FROM (VALUES ",
        rows,
        ") AS f(shard, position) LEFT JOIN shards s USING (shard)\n"
        "    WHERE s.position IS DISTINCT FROM f.position) THEN\n"
        "    RAISE EXCEPTION 'the tables do not end where this export goes on: export --from what "
        "the table shards says';\n  END IF;\nEND $$;\n");
  }

  // Ends the COPY that is open, and begins that of `table`, unless it is the one; "": none.
  void Enter(absl::string_view table) {
    if (table == table_) return;
    if (!table_.empty()) out() += "\\.\n";
    table_ = std::string(table);
    if (!table_.empty()) absl::StrAppend(&out(), "COPY ", table_, " FROM STDIN;\n");
  }

  const std::unique_ptr<OutputFile> file_;
  const std::vector<ExportedShard> from_;
  const bool whole_;
  RecordTexts texts_;
  std::string table_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ExportSink>> ExportToPostgres(const std::string& path,
                                                             const OfflineLedger& ledger,
                                                             std::vector<ExportedShard> from) {
  auto file = OutputFile::Create(path, &ledger);
  if (!file.ok()) return file.status();
  return std::unique_ptr<ExportSink>(
      new PostgresSink(*std::move(file), ledger.identity(), std::move(from)));
}

}  // namespace tallystick::tally
