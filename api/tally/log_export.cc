// tally log export: a ledger's postings for whoever reads CSV or SQL. docs/postings.md.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/tally/books.h"
#include "api/tally/command.h"
#include "api/tally/export_sink.h"
#include "api/tally/log_commands.h"
#include "wal/checksum.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  std::string csv;
  std::string sqlite;
  std::string postgres;
  std::string from;
  bool json = false;
};

// "0:123,1:456": each shard once.
absl::StatusOr<std::vector<ExportedShard>> ParseFrom(const std::string& text, uint16_t shards) {
  std::vector<ExportedShard> from(shards);
  for (uint16_t shard = 0; shard < shards; ++shard) from[shard].shard = shard;
  if (text.empty()) return from;
  std::vector<bool> named(shards);
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> numbers = absl::StrSplit(part, ':');
    uint32_t shard = 0;
    Position position = 0;
    if (numbers.size() != 2 || !absl::SimpleAtoi(numbers[0], &shard) ||
        !absl::SimpleAtoi(numbers[1], &position) || shard >= shards || named[shard]) {
      return absl::InvalidArgumentError(
          absl::StrCat("--from ", text, ": \"", part, "\" is no SHARD:POSITION of one of this ",
                       "ledger's ", shards, " shards, each named once, as in 0:123,1:456"));
    }
    named[shard] = true;
    from[shard].position = position;
  }
  const auto missing = std::find(named.begin(), named.end(), false);
  if (missing == named.end()) return from;
  return absl::InvalidArgumentError(
      absl::StrCat("--from ", text, " does not name shard ", missing - named.begin(),
                   ": copy what the export before printed, or leave --from out for all of it"));
}

std::string FromText(const std::vector<ExportedShard>& shards) {
  return absl::StrJoin(shards, ",", [](std::string* out, const ExportedShard& shard) {
    absl::StrAppend(out, shard.shard, ":", shard.position);
  });
}

class Export {
 public:
  Export(OfflineLedger& ledger, const Options& options, std::unique_ptr<ExportSink> sink)
      : ledger_(ledger),
        options_(options),
        sink_(std::move(sink)),
        from_(sink_->from()),
        met_(from_.size()) {}

  absl::Status Run() {
    BooksReader reader;
    reader.on_opening = [this](const ShardBooks& books) { return OnOpening(books); };
    reader.on_block = [this](uint16_t shard, const wal::BlockView& block) {
      return OnBlock(shard, *block.header);
    };
    reader.on_record = [this](uint16_t shard, const PostedRecord& posted) {
      if (posted.position <= from_[shard].position) return absl::OkStatus();
      ++records_;
      postings_ += posted.line_count;
      return sink_->AddRecord(shard, posted);
    };
    reader.on_shard = [this](const ShardBooks& books) { return OnShard(books); };
    if (absl::Status s = ReadBooks(ledger_, reader); !s.ok()) return s;
    for (const auto& [id, sums] : sums_) {
      auto totals = TotalsOf(sums);
      if (!totals.ok()) return totals.status();
      const Apart& apart = apart_[id];
      const auto forfeited = Narrow(apart.forfeited, "forfeited");
      if (!forfeited.ok()) return forfeited.status();
      const auto closed_out = Narrow(apart.closed_out, "closed_out");
      if (!closed_out.ok()) return closed_out.status();
      totals->forfeited = *forfeited;
      totals->closed_out = *closed_out;
      end_.totals[id] = *totals;
    }
    return sink_->Finish(end_);
  }

  void Print(const std::string& file) const {
    if (options_.json) {
      PrintJson({{"file", file},
                 {"from", FromText(from_)},
                 {"to", FromText(end_.shards)},
                 {"records", records_},
                 {"postings", postings_}});
      return;
    }
    std::printf("%ld postings of %ld records are in %s; they sum up to what the ledger owes.\n",
                postings_, records_, file.c_str());
    std::printf("What comes later: --from %s%s\n", FromText(end_.shards).c_str(),
                options_.sqlite.empty() ? "" : ", which the file knows");
  }

 private:
  // What is gone must have been exported.
  absl::Status OnOpening(const ShardBooks& books) {
    const ExportedShard& from = from_[books.shard];
    if (from.position < books.position) {
      return absl::FailedPreconditionError(absl::StrCat(
          "shard ", books.shard,
          ": the log's first segments are gone, and the oldest snapshot is that of position ",
          books.position,
          ": go on from an export that reaches so far, or put the segments back into the archive. "
          "With --from and these positions of each shard, CSV and PostgreSQL get what is behind "
          "them"));
    }
    if (from.position > books.position) return absl::OkStatus();
    return Meet(from, books.last_hash);
  }

  // The export before ended with a block that must still be the one that it was.
  absl::Status OnBlock(uint16_t shard, const wal::BlockHeader& header) {
    const ExportedShard& from = from_[shard];
    if (header.first_position + header.count - 1 != from.position) return absl::OkStatus();
    return Meet(from, wal::Hash128(&header, sizeof(header)));
  }

  absl::Status Meet(const ExportedShard& from, const wal::Id128& hash) {
    met_[from.shard] = true;
    if (from.hash == wal::Id128{} || hash == from.hash) return absl::OkStatus();
    return NotBehind(from, "the ledger has another history before it than the export");
  }

  absl::Status OnShard(const ShardBooks& books) {
    const ExportedShard& from = from_[books.shard];
    if (from.position != 0 && !met_[books.shard]) {
      return NotBehind(from, books.position < from.position
                                 ? absl::StrCat("its log ends at ", books.position)
                                 : "no block of its log ends there");
    }
    for (const auto& [id, sums] : books.poster.sums()) sums_[id].Add(sums);
    // Programs without members have totals too.
    for (const uint16_t id : books.machine.Programs()) {
      sums_[id];
      const ledger::Totals& totals = *books.machine.TotalsOf(id);
      apart_[id].forfeited += totals.forfeited;
      apart_[id].closed_out += totals.closed_out;
    }
    for (const auto& [key, account] : books.poster.accounts()) {
      if (account.last_position <= from.position) continue;
      const MemberRow row{books.shard,
                          key.program,
                          key.member,
                          account.pending,
                          std::max<Points>(account.available, 0),
                          account.held,
                          std::max<Points>(-account.available, 0),
                          account.last_position};
      if (absl::Status s = sink_->AddMember(row); !s.ok()) return s;
    }
    end_.shards.push_back({books.shard, books.position, books.last_hash});
    return absl::OkStatus();
  }

  static absl::Status NotBehind(const ExportedShard& from, absl::string_view why) {
    return absl::FailedPreconditionError(absl::StrCat("cannot go on behind position ",
                                                      from.position, " of shard ", from.shard, ": ",
                                                      why, ". Export all of it to a new file"));
  }

  OfflineLedger& ledger_;
  const Options& options_;
  const std::unique_ptr<ExportSink> sink_;
  const std::vector<ExportedShard> from_;
  std::vector<bool> met_;  // whether a block ended there
  // What of `expired` the postings do not tell apart.
  struct Apart {
    PostingSums::Sum forfeited = 0;
    PostingSums::Sum closed_out = 0;
  };
  std::map<uint16_t, PostingSums> sums_;
  std::map<uint16_t, Apart> apart_;
  ExportEnd end_;
  int64_t records_ = 0;
  int64_t postings_ = 0;
};

absl::StatusOr<std::unique_ptr<ExportSink>> MakeSink(const Options& options,
                                                     const OfflineLedger& ledger) {
  if (!options.sqlite.empty()) return ExportToSqlite(options.sqlite, ledger);
  auto from = ParseFrom(options.from, ledger.shard_count());
  if (!from.ok()) return from.status();
  return options.csv.empty() ? ExportToPostgres(options.postgres, ledger, *std::move(from))
                             : ExportToCsv(options.csv, ledger, *std::move(from));
}

int Run(const Options& options) {
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  auto sink = MakeSink(options, **ledger);
  if (!sink.ok()) return Fail(sink.status());
  Export ledger_export(**ledger, options, *std::move(sink));
  if (absl::Status s = ledger_export.Run(); !s.ok()) return Fail(s);
  ledger_export.Print(options.csv + options.sqlite + options.postgres);
  return 0;
}

}  // namespace

void AddLogExportCommand(CLI::App& log) {
  CLI::App* command =
      log.add_subcommand("export", "Write every posting as CSV, SQLite or PostgreSQL");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  CLI::Option_group* format = command->add_option_group("format");
  format->add_option("--to-csv", options->csv, "A new CSV file")->check(NotEmpty());
  CLI::Option* sqlite =
      format->add_option("--sqlite", options->sqlite, "A new SQLite file, or one to go on with")
          ->check(NotEmpty());
  format->add_option("--postgres", options->postgres, "A new script for psql")->check(NotEmpty());
  format->require_option(1);
  command
      ->add_option("--from", options->from,
                   "Go on behind these positions, SHARD:POSITION,…, as an earlier export printed "
                   "them; an SQLite file knows its own")
      ->check(NotEmpty())
      ->excludes(sqlite);
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
