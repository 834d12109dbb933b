// tally log dump: the records of a log, all or some, one a line.

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_commands.h"
#include "api/tally/record_json.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  bool json = false;
  Position from = 1;
  Position to = std::numeric_limits<Position>::max();
  std::optional<uint16_t> shard;
  std::optional<uint16_t> program;
  std::string member;
  std::string id;
  std::string since;
  std::string until;
  std::vector<std::string> kinds;
};

struct Filter {
  Position from = 1;
  Position to = 0;
  std::optional<uint16_t> shard;
  std::optional<uint16_t> program;
  std::optional<Id> member;
  std::optional<Id> id;
  Instant since = std::numeric_limits<Instant>::min();
  Instant until = kNever;  // not included
  std::set<Kind> kinds;    // empty: all

  bool Passes(uint16_t of_shard, Position position, const Operation& op) const {
    return position >= from && position <= to && (!shard || *shard == of_shard) &&
           (!program || *program == op.program()) && (!member || *member == op.member()) &&
           (!id || *id == op.id()) && op.occurred_at() >= since && op.occurred_at() < until &&
           (kinds.empty() || kinds.count(op.kind()) > 0);
  }
};

constexpr std::array kLoggedKinds = {Kind::ProgramPut,
                                     Kind::Enrol,
                                     Kind::Accrue,
                                     Kind::Purchase,
                                     Kind::Return,
                                     Kind::Redeem,
                                     Kind::Adjust,
                                     Kind::Hold,
                                     Kind::Capture,
                                     Kind::Release,
                                     Kind::ReverseRedemption,
                                     Kind::Activate,
                                     Kind::Cancel,
                                     Kind::Freeze,
                                     Kind::Unfreeze,
                                     Kind::Close,
                                     Kind::Extend,
                                     Kind::Transfer,
                                     Kind::TransferIn,
                                     Kind::TransferDone,
                                     Kind::TransferBack,
                                     Kind::Activation,
                                     Kind::Expiry,
                                     Kind::HoldTimeout};

absl::StatusOr<Kind> ParseKind(const std::string& name) {
  for (const Kind kind : kLoggedKinds) {
    if (KindName(kind) == name) return kind;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", name, "\" is no kind of record; there are ",
      absl::StrJoin(kLoggedKinds, ", ",
                    [](std::string* out, Kind kind) { absl::StrAppend(out, KindName(kind)); })));
}

absl::StatusOr<Filter> MakeFilter(const Options& options) {
  Filter filter;
  filter.from = options.from;
  filter.to = options.to;
  filter.shard = options.shard;
  filter.program = options.program;
  const std::array<std::tuple<const std::string*, const char*, std::optional<Id>*>, 2> ids = {
      {{&options.member, "member", &filter.member}, {&options.id, "transaction", &filter.id}}};
  for (const auto& [text, what, id] : ids) {
    if (text->empty()) continue;
    const absl::StatusOr<Id> parsed = RequireId(*text, what);
    if (!parsed.ok()) return parsed.status();
    *id = *parsed;
  }
  for (const auto& [text, instant] :
       {std::pair{&options.since, &filter.since}, std::pair{&options.until, &filter.until}}) {
    if (text->empty()) continue;
    const absl::StatusOr<Instant> parsed = ParseInstant(*text);
    if (!parsed.ok()) return parsed.status();
    *instant = *parsed;
  }
  if (filter.from > filter.to) {
    return absl::InvalidArgumentError(
        absl::StrCat("--from ", filter.from, " is behind --to ", filter.to));
  }
  if (filter.since >= filter.until) {
    return absl::InvalidArgumentError(
        absl::StrCat("--since ", options.since, " is not before --until ", options.until));
  }
  for (const std::string& name : options.kinds) {
    const absl::StatusOr<Kind> kind = ParseKind(name);
    if (!kind.ok()) return kind.status();
    filter.kinds.insert(*kind);
  }
  return filter;
}

int Run(const Options& options) {
  const absl::StatusOr<Filter> filter = MakeFilter(options);
  if (!filter.ok()) return Fail(filter.status());
  const auto ledger = OfflineLedger::OpenToRead(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto logs =
      ReadLedger(**ledger, options.to, [&](uint16_t shard, const wal::BlockView& block) {
        if (filter->shard && *filter->shard != shard) return absl::OkStatus();
        return EachRecord(block, [&](Position position, const Record& record,
                                     absl::Span<const wal::Slot> details) {
          if (!filter->Passes(shard, position, record.operation)) return absl::OkStatus();
          if (options.json) {
            PrintJson(RecordJson(shard, block.header->timestamp_us, position, record, details));
          } else {
            std::printf("%s\n", RecordText(shard, position, record, details).c_str());
          }
          return absl::OkStatus();
        });
      });
  if (!logs.ok()) return Fail(logs.status());
  TellBeginnings(*logs);
  if (options.shard.has_value() && *options.shard >= logs->size()) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        "there is no shard ", *options.shard, ": the ledger has ", logs->size(), " shards")));
  }
  return 0;
}

}  // namespace

void AddLogDumpCommand(CLI::App* log) {
  CLI::App* command = log->add_subcommand("dump", "Print the records, one a line");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  command->add_flag("--json", options->json, "Print one JSON object a record");
  command->add_option("--from", options->from, "First position, each shard's own");
  command->add_option("--to", options->to, "Last position, each shard's own");
  command->add_option("--shard", options->shard, "Only this shard's");
  command->add_option("--program", options->program, "Only this program's");
  command->add_option("--member", options->member, "Only this member's")->check(NotEmpty());
  command->add_option("--id", options->id, "Only this transaction's")->check(NotEmpty());
  command->add_option("--kind", options->kinds, "Only of this kind; may be given again")
      ->check(NotEmpty());
  command
      ->add_option("--since", options->since,
                   "Only what occurred at this instant (a date is its 00:00 UTC) or later")
      ->check(NotEmpty());
  command
      ->add_option("--until", options->until,
                   "Only what occurred before this instant (a date is its 00:00 UTC)")
      ->check(NotEmpty());
  OnRun(
      command, [options] { return Run(*options); }, JsonOutput::kLines);
}

}  // namespace tallystick::tally
