// tally audit: what was owed, what moved and what is owed, day by day or between two points of the
// log, each line checked; or the proof of one member's balance.

#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/tally/audit_rows.h"
#include "api/tally/books.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/proof.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  std::string since;
  std::string until;
  std::string from;
  std::string to;
  uint16_t program = 0;  // 0: all
  std::string member;
  std::string proof;
  bool json = false;
};

struct Days {
  int64_t since = std::numeric_limits<int64_t>::min();
  int64_t until = std::numeric_limits<int64_t>::max();

  bool Has(int64_t day) const { return day >= since && day <= until; }
  bool chosen() const { return *this != Days(); }
  friend bool operator==(const Days&, const Days&) = default;
};

struct Audit {
  std::vector<AuditRow> rows;
  std::map<uint16_t, PostingSums> programs;  // with what was owed before the first row
  // What of `expired` is no breakage: it had been so before the first row, and behind the last.
  struct Apart {
    PostingSums::Sum forfeited = 0;
    PostingSums::Sum closed_out = 0;

    void Add(const ledger::Totals& totals, int sign) {
      forfeited += sign * PostingSums::Sum{totals.forfeited};
      closed_out += sign * PostingSums::Sum{totals.closed_out};
    }
  };
  std::map<uint16_t, Apart> apart;  // that moved in between
  struct Shard {
    uint16_t number;
    Position opening;  // 0: the log's beginning
    Position position;
  };
  std::vector<Shard> shards;
  int64_t accounts = 0;
  int64_t records = 0;
};

absl::StatusOr<Audit> ReadAudit(OfflineLedger& ledger, const std::optional<LogPoint>& from,
                                const LogPoint& to) {
  Audit audit;
  AuditRows rows;
  std::map<uint16_t, PostingSums> totals;
  BooksReader reader;
  Position opening = 0;
  reader.from = from;
  reader.to = to;
  reader.on_opening = [&](const ShardBooks& books) {
    opening = books.position;
    rows.Begin(books.machine);
    for (const uint16_t id : books.machine.Programs()) {
      audit.apart[id].Add(*books.machine.TotalsOf(id), -1);
    }
    return absl::OkStatus();
  };
  reader.on_from = reader.on_opening;
  reader.on_record = [&](uint16_t, const PostedRecord& posted) {
    ++audit.records;
    rows.AddRecord(posted);
    return absl::OkStatus();
  };
  reader.on_day = [&](uint16_t, int64_t day, const ledger::StateMachine& machine) {
    return rows.EndDay(day, machine);
  };
  reader.on_shard = [&](const ShardBooks& books) {
    rows.EndShard();
    audit.shards.push_back({books.shard, std::exchange(opening, 0), books.position});
    audit.accounts += static_cast<int64_t>(books.poster.accounts().size());
    for (const uint16_t id : books.machine.Programs()) {
      totals[id].Add(SumsOf(*books.machine.TotalsOf(id)));
      audit.apart[id].Add(*books.machine.TotalsOf(id), 1);
    }
    return absl::OkStatus();
  };
  if (absl::Status s = ReadBooks(ledger, reader); !s.ok()) return s;
  auto checked = rows.Rows();
  if (!checked.ok()) return checked.status();
  audit.rows = *std::move(checked);
  audit.programs = rows.openings();
  for (const auto& [id, sums] : totals) {
    const AuditRow whole = Between(audit.rows, id, Days().since, Days().until, audit.programs[id]);
    if (whole.closing == sums) continue;
    return absl::DataLossError(
        absl::StrCat("program ", id,
                     ": the last day's closing is not what the ledger owes. Keep the log, and "
                     "report it as a defect"));
  }
  return audit;
}

// ---- what is printed ----

absl::Status AppendTotals(const PostingSums& sums, const char* name, nlohmann::ordered_json* json) {
  const auto t = TotalsOf(sums);
  if (!t.ok()) return t.status();
  (*json)[name] = {{"members", t->members},
                   {"issued", t->issued},
                   {"redeemed", t->redeemed},
                   {"expired", t->expired},
                   {"clawed_back", t->clawed_back},
                   {"written_off", t->written_off},
                   {"adjusted", t->adjusted},
                   {"reinstated", t->reinstated},
                   {"forgiven", t->forgiven},
                   {"pending", t->pending},
                   {"available", t->available},
                   {"held", t->held},
                   {"debt", t->debt},
                   {"sent", t->sent},
                   {"received", t->received}};
  return absl::OkStatus();
}

absl::Status AppendRow(const AuditRow& row, nlohmann::ordered_json* json) {
  absl::Status status = AppendTotals(row.opening, "opening", json);
  if (status.ok()) status = AppendTotals(row.movements, "movements", json);
  if (status.ok()) status = AppendTotals(row.closing, "closing", json);
  return status;
}

Points Owed(const ledger::Totals& t) { return t.pending + t.available + t.held - t.debt; }

void PrintHeader() {
  std::printf("%-10s %14s %14s %12s %12s %12s %12s %12s %14s %14s %14s %12s %12s %12s\n", "day",
              "opening", "+ issued", "+ adjusted", "- redeemed", "- expired", "- clawed back",
              "+ other", "= closing", "pending", "available", "held", "debt", "written off");
}

// `day`: or a word for several.
absl::Status PrintRow(const std::string& day, const AuditRow& row) {
  const auto opening = TotalsOf(row.opening);
  const auto moved = TotalsOf(row.movements);
  const auto closing = TotalsOf(row.closing);
  for (const auto* totals : {&opening, &moved, &closing}) {
    if (!totals->ok()) return totals->status();
  }
  std::printf(
      "%-10s %14ld %14ld %12ld %12ld %12ld %13ld %12ld %14ld %14ld %14ld %12ld %12ld %12ld\n",
      day.c_str(), Owed(*opening), moved->issued, moved->adjusted, moved->redeemed, moved->expired,
      moved->clawed_back, moved->reinstated + moved->forgiven + moved->received - moved->sent,
      Owed(*closing), closing->pending, closing->available, closing->held, closing->debt,
      moved->written_off);
  return absl::OkStatus();
}

// What has expired from the first row to the last, of it told apart.
absl::StatusOr<ledger::Totals> ApartOf(const Audit& audit, uint16_t id) {
  const auto moved = TotalsOf(
      Between(audit.rows, id, Days().since, Days().until, audit.programs.at(id)).movements);
  if (!moved.ok()) return moved.status();
  const Audit::Apart apart = audit.apart.at(id);
  const auto forfeited = Narrow(apart.forfeited, "forfeited");
  if (!forfeited.ok()) return forfeited.status();
  const auto closed_out = Narrow(apart.closed_out, "closed_out");
  if (!closed_out.ok()) return closed_out.status();
  ledger::Totals told;
  told.expired = moved->expired;
  told.forfeited = *forfeited;
  told.closed_out = *closed_out;
  return told;
}

// As an account's statement: between the points of --from and --to.
absl::Status PrintRollForward(const Audit& audit, uint16_t id) {
  const AuditRow sum = Between(audit.rows, id, Days().since, Days().until, audit.programs.at(id));
  const auto opening = TotalsOf(sum.opening);
  const auto moved = TotalsOf(sum.movements);
  const auto closing = TotalsOf(sum.closing);
  const auto apart = ApartOf(audit, id);
  for (const auto* totals : {&opening, &moved, &closing, &apart}) {
    if (!totals->ok()) return totals->status();
  }
  const auto stand = [](const char* name, const ledger::Totals& t) {
    std::printf("  %-14s %18ld   pending %ld, available %ld, held %ld, debt %ld; %ld members\n",
                name, Owed(t), t.pending, t.available, t.held, t.debt, t.members);
  };
  std::printf("Program %u, from the one point to the other\n", id);
  stand("opening", *opening);
  const std::pair<const char*, Points> lines[] = {
      {"+ issued", moved->issued},          {"+ adjusted", moved->adjusted},
      {"+ reinstated", moved->reinstated},  {"+ forgiven", moved->forgiven},
      {"- redeemed", moved->redeemed},      {"- expired", moved->expired},
      {"- clawed back", moved->clawed_back}};
  for (const auto& [name, points] : lines) std::printf("  %-14s %18ld\n", name, points);
  stand("= closing", *closing);
  std::printf(
      "  of expired: %ld by their date, %ld forfeited, %ld closed out; written off: %ld\n\n",
      apart->expired - apart->forfeited - apart->closed_out, apart->forfeited, apart->closed_out,
      moved->written_off);
  return absl::OkStatus();
}

absl::Status PrintJsonAudit(const Audit& audit, const std::vector<uint16_t>& programs,
                            const Days& days) {
  nlohmann::ordered_json json = {
      {"equal", true}, {"zone", "UTC"}, {"records", audit.records}, {"accounts", audit.accounts}};
  json["shards"] = nlohmann::ordered_json::array();
  for (const Audit::Shard& shard : audit.shards) {
    json["shards"].push_back({{"shard", shard.number},
                              {"opening_position", shard.opening},
                              {"position", shard.position}});
  }
  json["programs"] = nlohmann::ordered_json::array();
  for (const uint16_t id : programs) {
    nlohmann::ordered_json program = {{"program", id}, {"funder", id}};
    const AuditRow sum = Between(audit.rows, id, days.since, days.until, audit.programs.at(id));
    if (absl::Status s = AppendRow(sum, &program); !s.ok()) return s;
    if (!days.chosen()) {
      const auto apart = ApartOf(audit, id);
      if (!apart.ok()) return apart.status();
      program["expired"] = {{"in_all", apart->expired},
                            {"by_date", apart->expired - apart->forfeited - apart->closed_out},
                            {"forfeited", apart->forfeited},
                            {"closed_out", apart->closed_out}};
    }
    program["days"] = nlohmann::ordered_json::array();
    for (const AuditRow& row : audit.rows) {
      if (row.program != id || !days.Has(row.day)) continue;
      nlohmann::ordered_json day = {{"day", DayText(row.day)}};
      if (absl::Status s = AppendRow(row, &day); !s.ok()) return s;
      program["days"].push_back(std::move(day));
    }
    json["programs"].push_back(std::move(program));
  }
  PrintJson(json);
  return absl::OkStatus();
}

absl::Status PrintTextAudit(const Audit& audit, const std::vector<uint16_t>& programs,
                            const Days& days, const Options& options) {
  for (const uint16_t id : programs) {
    std::printf("Program %u, funded by itself; days of log time, UTC\n", id);
    PrintHeader();
    for (const AuditRow& row : audit.rows) {
      if (row.program != id || !days.Has(row.day)) continue;
      if (absl::Status s = PrintRow(DayText(row.day), row); !s.ok()) return s;
    }
    const AuditRow sum = Between(audit.rows, id, days.since, days.until, audit.programs.at(id));
    if (absl::Status s = PrintRow("in all", sum); !s.ok()) return s;
    std::printf("\n");
    if (options.from.empty() && options.to.empty()) continue;
    if (absl::Status s = PrintRollForward(audit, id); !s.ok()) return s;
  }
  for (const Audit::Shard& shard : audit.shards) {
    if (!options.from.empty() || !options.to.empty()) {
      std::printf("Shard %u: behind position %lu, up to position %lu\n", shard.number,
                  shard.opening, shard.position);
      continue;
    }
    if (shard.opening == 0) continue;
    std::printf(
        "Shard %u opens with the snapshot of position %lu: what is before in its log is gone\n",
        shard.number, shard.opening);
  }
  std::printf(
      "%ld records of %ld accounts: every line adds up, to what the ledger owes and to the sum "
      "over its members.\n",
      audit.records, audit.accounts);
  return absl::OkStatus();
}

// ---- the command ----

absl::Status ParseDay(const std::string& text, const char* option, int64_t* day) {
  if (text.empty()) return absl::OkStatus();
  const auto civil = ParseCivil(text);
  if (!civil.ok() || *civil != absl::CivilDay(*civil)) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", text, " is no day: write 2026-01-31"));
  }
  *day = absl::CivilDay(*civil) - absl::CivilDay(1970);
  return absl::OkStatus();
}

absl::Status ParsePoint(const std::string& text, LogPoint* point) {
  if (text.empty()) return absl::OkStatus();
  auto parsed = LogPoint::Parse(text);
  if (!parsed.ok()) return parsed.status();
  *point = *std::move(parsed);
  return absl::OkStatus();
}

int RunAudit(const Options& options) {
  Days days;
  if (absl::Status s = ParseDay(options.since, "--since", &days.since); !s.ok()) return Fail(s);
  if (absl::Status s = ParseDay(options.until, "--until", &days.until); !s.ok()) return Fail(s);
  if (days.since > days.until) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("--since ", options.since, " is after --until ", options.until)));
  }
  std::optional<LogPoint> from;
  LogPoint to;
  if (absl::Status s = ParsePoint(options.to, &to); !s.ok()) return Fail(s);
  if (!options.from.empty()) {
    if (absl::Status s = ParsePoint(options.from, &from.emplace()); !s.ok()) return Fail(s);
  }
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto audit = ReadAudit(**ledger, from, to);
  if (!audit.ok()) return Fail(audit.status());
  std::vector<uint16_t> programs;
  for (const auto& [id, opening] : audit->programs) {
    if (options.program == 0 || options.program == id) programs.push_back(id);
  }
  if (options.program != 0 && programs.empty()) return Refuse(Outcome::UnknownProgram);
  const absl::Status printed = options.json ? PrintJsonAudit(*audit, programs, days)
                                            : PrintTextAudit(*audit, programs, days, options);
  return printed.ok() ? 0 : Fail(printed);
}

int RunProof(const Options& options) {
  const auto member = RequireId(options.member, "member");
  if (!member.ok()) return Fail(member.status());
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto proof = WriteProof(**ledger, *member, options.program, options.proof);
  if (!proof.ok()) return Fail(proof.status());
  if (options.json) {
    nlohmann::ordered_json json = {
        {"file", options.proof},
        {"member", FormatId(*member)},
        {"shard", proof->shard},
        {"blocks", proof->blocks},
        {"head", {{"position", proof->head_position}, {"hash", proof->head_hash}}}};
    json["accounts"] = nlohmann::ordered_json::array();
    for (const ProvedAccount& account : proof->accounts) {
      json["accounts"].push_back({{"program", account.program},
                                  {"records", account.records},
                                  {"last_position", account.last_position},
                                  {"pending", account.pending},
                                  {"available", account.available},
                                  {"held", account.held},
                                  {"debt", account.debt}});
    }
    PrintJson(json);
    return 0;
  }
  for (const ProvedAccount& account : proof->accounts) {
    std::printf(
        "Member %s in program %u: available %ld, pending %ld, held %ld, debt %ld, by %ld records\n",
        FormatId(*member).c_str(), account.program, account.available, account.pending,
        account.held, account.debt, account.records);
  }
  std::printf("The proof is in %s: %ld blocks of shard %u, up to position %lu, header %s\n",
              options.proof.c_str(), proof->blocks, proof->shard, proof->head_position,
              proof->head_hash.c_str());
  return 0;
}

}  // namespace

void AddAuditCommand(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "audit", "Roll a ledger's books forward day by day and check every line, without its server");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  AddProgramOption(command, &options->program)->required(false);
  CLI::Option* since = command->add_option("--since", options->since, "First day, UTC");
  CLI::Option* until = command->add_option("--until", options->until, "Last day, UTC");
  CLI::Option* from = command->add_option(
      "--from", options->from,
      "Roll forward from this point of the log on, as of tally log replay: a position, one of each "
      "shard, or an instant");
  CLI::Option* to = command->add_option("--to", options->to, "And up to this one");
  CLI::Option* member =
      command->add_option("--member", options->member, "Prove this member's balance instead");
  CLI::Option* proof =
      command->add_option("--proof", options->proof, "A new file that the proof is written to");
  for (CLI::Option* option : {since, until, from, to, member, proof}) option->check(NotEmpty());
  for (CLI::Option* option : {since, until}) option->excludes(from)->excludes(to);
  member->needs(proof)->excludes(since)->excludes(until)->excludes(from)->excludes(to);
  proof->needs(member);
  AddJsonFlag(command, &options->json);
  OnRun(command,
        [options] { return options->member.empty() ? RunAudit(*options) : RunProof(*options); });
}

}  // namespace tallystick::tally
