// tally log cut: gives up the end of a shard's log, so that a damaged one can be opened again.

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/tally/command.h"
#include "api/tally/ledger_log.h"
#include "api/tally/log_commands.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/transfer_check.h"
#include "wal/log_cut.h"
#include "wal/log_survey.h"
#include "wal/snapshot_files.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  uint16_t shard = 0;
  std::string at;
  bool yes = false;
  bool json = false;
};

// The first place that is given up: a position, or a segment and an offset.
struct At {
  Position position = 0;
  uint64_t segment = 0;
  uint64_t offset = 0;

  bool Is(Position other_position, uint64_t other_segment, uint64_t other_offset) const {
    return position != 0 ? position == other_position
                         : segment == other_segment && offset == other_offset;
  }
};

absl::StatusOr<At> ParseAt(const std::string& text) {
  At at;
  if (absl::SimpleAtoi(text, &at.position) && at.position > 0) return at;
  at.position = 0;
  const std::pair<absl::string_view, absl::string_view> pair =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  if (absl::SimpleAtoi(pair.first, &at.segment) && absl::SimpleAtoi(pair.second, &at.offset) &&
      at.segment > 0) {
    return at;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text,
                   "\" is no place in a log: give a position (1234), or segment and "
                   "offset (3:8192)"));
}

// What a cut would take.
struct Loss {
  Position first = 0;
  Position last = 0;
  uint64_t records = 0;       // that can be read
  uint64_t acknowledged = 0;  // of them, at least
  uint64_t damaged = 0;       // positions that cannot be read
  Instant first_written = std::numeric_limits<Instant>::max();
  Instant last_written = std::numeric_limits<Instant>::min();
  std::vector<Position> snapshots;
  // Transfers that the shard and another one will say different things of, by that shard.
  struct Apart {
    uint64_t count = 0;
    Points points = 0;
    Position first = 0;  // in that shard's log
  };
  std::map<uint16_t, Apart> received;  // it has received what is lost here
  std::map<uint16_t, Apart> settled;   // it has settled what is received here, and lost
};

struct Plan {
  wal::LogPlace place;
  Loss loss;
};

// Looks through the log for the place, and at what lies behind it.
class Planner {
 public:
  Planner(OfflineLedger& ledger, uint16_t shard, const At& at)
      : ledger_(ledger),
        shard_(shard),
        folder_(ledger.ShardPath(shard)),
        at_(at),
        transfers_(ledger.shard_count()) {}

  absl::StatusOr<Plan> Make();

 private:
  void Look(const wal::BlockView& block, size_t damages);
  absl::Status CheckFound(const wal::LogSurvey& survey);
  absl::Status NotFound(const wal::LogSurvey& survey) const;
  absl::Status LookAtOthers();
  void AddTransfers(uint16_t shard, const wal::BlockView& block);

  OfflineLedger& ledger_;
  const uint16_t shard_;
  const std::string folder_;
  const At at_;
  Plan plan_;
  TransferCheck transfers_;  // what will be left
  bool found_ = false;
  bool begun_ = false;
  bool damaged_ = false;  // the blocks that come now lie behind damage
  std::optional<std::pair<Position, Position>> inside_;  // the block that holds the position
  std::vector<Position> lost_;                           // of records
};

void Planner::Look(const wal::BlockView& block, size_t damages) {
  const Position first = block.header->first_position;
  damaged_ = damages > 0;
  if (!found_ && !damaged_) {
    found_ = at_.Is(first, block.segment, block.offset) ||
             at_.Is(first, plan_.place.segment, plan_.place.offset);
  }
  // The place may be where the damage begins.
  if (!found_ && damaged_) {
    found_ = at_.Is(plan_.place.next_position, plan_.place.segment, plan_.place.offset);
  }
  if (!found_) {
    if (damaged_) return;
    const Position end = first + block.header->count;
    if (at_.position > first && at_.position < end) inside_ = {first, end};
    plan_.place = wal::PlaceBehind(block);
    begun_ = true;
    AddTransfers(shard_, block);
    return;
  }
  Loss& loss = plan_.loss;
  loss.first_written = std::min(loss.first_written, block.header->timestamp_us);
  loss.last_written = std::max(loss.last_written, block.header->timestamp_us);
  // A block whose records cannot be told apart has been told of by verify.
  (void)EachRecord(block, [&](Position position, const Record&, absl::Span<const wal::Slot>) {
    lost_.push_back(position);
    return absl::OkStatus();
  });
  loss.last = first + block.header->count - 1;
}

// A block whose records cannot be told apart has been told of by verify.
void Planner::AddTransfers(uint16_t shard, const wal::BlockView& block) {
  (void)EachRecord(
      block, [&](Position position, const Record& record, absl::Span<const wal::Slot> details) {
        transfers_.Add(shard, position, record, details);
        return absl::OkStatus();
      });
}

// Which of them know of what is lost here.
absl::Status Planner::LookAtOthers() {
  using What = TransferFinding::What;
  for (uint16_t other = 0; other < ledger_.shard_count(); ++other) {
    if (other == shard_) continue;
    const auto survey =
        wal::SurveyLog(ledger_.io(), ledger_.FoldersOf(other), ledger_.LogOf(other),
                       [&](const wal::BlockView& block, size_t) { AddTransfers(other, block); });
    if (!survey.ok()) return survey.status();
    transfers_.End(other, survey->first_position, survey->end.next_position - 1,
                   survey->damages.empty());
  }
  const auto add = [](Position position, Points points, Loss::Apart& apart) {
    apart.first = apart.count++ == 0 ? position : std::min(apart.first, position);
    apart.points += points;
  };
  for (const TransferFinding& finding : transfers_.Findings()) {
    const bool is_lost = finding.sent_at >= plan_.loss.first;
    if (finding.what == What::kNotSent && finding.sender == shard_ && is_lost &&
        finding.receiver != shard_) {
      add(finding.received_at, finding.points, plan_.loss.received[finding.receiver]);
    }
    if (finding.what == What::kNotReceived && finding.receiver == shard_ &&
        finding.sender != shard_) {
      add(finding.settled_at, finding.points, plan_.loss.settled[finding.sender]);
    }
  }
  return absl::OkStatus();
}

absl::Status Planner::NotFound(const wal::LogSurvey& survey) const {
  if (inside_.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("position ", at_.position,
                     " lies inside a block, which stays or goes whole: "
                     "cut at ",
                     inside_->first, " or at ", inside_->second));
  }
  if (!survey.damages.empty()) {
    const wal::LogDamage& damage = survey.damages.front();
    return absl::InvalidArgumentError(absl::StrCat(
        "the log is damaged before that place, at position ", damage.first_position, " (segment ",
        damage.segment, ", offset ", damage.offset, "): cut there, or before"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "no block begins there: the log ends with position ", survey.end.next_position - 1,
      ", behind segment ", survey.end.segment, ", offset ", survey.end.offset));
}

absl::Status Planner::CheckFound(const wal::LogSurvey& survey) {
  if (!found_) {
    found_ = at_.Is(plan_.place.next_position, plan_.place.segment, plan_.place.offset);
    if (found_ && survey.damages.empty() && plan_.loss.snapshots.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the log is sound and ends there: there is nothing to cut",
          survey.torn_bytes > 0 ? "; the torn tail behind it goes at the next start by itself"
                                : ""));
    }
  }
  if (!found_) return NotFound(survey);
  if (begun_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "nothing would be left of the log: restore the shard's folder from a copy, or begin a new "
      "ledger");
}

absl::StatusOr<Plan> Planner::Make() {
  const auto survey =
      wal::SurveyLog(ledger_.io(), ledger_.FoldersOf(shard_), ledger_.LogOf(shard_),
                     [&](const wal::BlockView& block, size_t damages) { Look(block, damages); });
  if (!survey.ok()) return survey.status();
  const auto snapshots = wal::ListSnapshots(ledger_.io(), folder_);
  if (!snapshots.ok()) return snapshots.status();
  Loss& loss = plan_.loss;
  std::copy_if(snapshots->begin(), snapshots->end(), std::back_inserter(loss.snapshots),
               [this](Position position) { return position >= plan_.place.next_position; });
  if (absl::Status s = CheckFound(*survey); !s.ok()) return s;
  absl::Status can = wal::CheckCuttable(ledger_.io(), ledger_.FoldersOf(shard_), plan_.place);
  if (!can.ok()) return can;
  loss.first = plan_.place.next_position;
  loss.last = std::max({loss.last, survey->durable_before - 1, loss.first - 1});
  if (!loss.snapshots.empty()) loss.last = std::max(loss.last, loss.snapshots.back());
  loss.records = lost_.size();
  loss.acknowledged = static_cast<uint64_t>(
      std::lower_bound(lost_.begin(), lost_.end(), survey->durable_before) - lost_.begin());
  for (const wal::LogDamage& damage : survey->damages) {
    loss.damaged += damage.last_position + 1 - damage.first_position;
  }
  if (survey->first_position > 1 && loss.snapshots.size() == snapshots->size()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "what is left could not be opened: the log's first segments are gone, and no snapshot is "
        "of a position before ",
        loss.first, ". Restore the shard's folder from a copy"));
  }
  transfers_.End(shard_, survey->first_position, loss.first - 1, /*whole=*/true);
  if (absl::Status s = LookAtOthers(); !s.ok()) return s;
  return std::move(plan_);
}

// ---- what is said of it ----

nlohmann::ordered_json ApartJson(const std::map<uint16_t, Loss::Apart>& by_shard) {
  auto json = nlohmann::ordered_json::array();
  for (const auto& [shard, apart] : by_shard) {
    json.push_back({{"shard", shard},
                    {"first_position", apart.first},
                    {"transfers", apart.count},
                    {"points", apart.points}});
  }
  return json;
}

nlohmann::ordered_json LossJson(const Options& options, const Plan& plan) {
  const Loss& loss = plan.loss;
  nlohmann::ordered_json json = {{"shard", options.shard},
                                 {"segment", plan.place.segment},
                                 {"offset", plan.place.offset},
                                 {"kept_position", plan.place.next_position - 1},
                                 {"lost",
                                  {{"first_position", loss.first},
                                   {"last_position", loss.last},
                                   {"records", loss.records},
                                   {"acknowledged_records", loss.acknowledged},
                                   {"damaged_positions", loss.damaged}}}};
  if (loss.first_written <= loss.last_written) {
    json["lost"]["first_written_at"] = InstantJson(loss.first_written);
    json["lost"]["last_written_at"] = InstantJson(loss.last_written);
  }
  json["lost"]["snapshots"] = loss.snapshots;
  json["lost"]["received_elsewhere"] = ApartJson(loss.received);
  json["lost"]["settled_elsewhere"] = ApartJson(loss.settled);
  return json;
}

std::string LossText(const Options& options, const Plan& plan) {
  const Loss& loss = plan.loss;
  std::string text = absl::StrCat("shard ", options.shard, " then ends with position ",
                                  plan.place.next_position - 1, ", behind segment ",
                                  plan.place.segment, ", offset ", plan.place.offset, ". Lost: ");
  if (loss.last < loss.first) {
    absl::StrAppend(&text, "no position");
  } else {
    absl::StrAppend(&text, "positions ", loss.first, " to ", loss.last, ": ", loss.records,
                    " records that can be read, at least ", loss.acknowledged,
                    " of them acknowledged");
    if (loss.damaged > 0) absl::StrAppend(&text, ", and ", loss.damaged, " damaged positions");
  }
  if (loss.first_written <= loss.last_written) {
    absl::StrAppend(&text, "; what can be read was written from ", InstantText(loss.first_written),
                    " to ", InstantText(loss.last_written));
  }
  if (!loss.snapshots.empty()) {
    absl::StrAppend(&text, "; and the snapshots of positions ", absl::StrJoin(loss.snapshots, ", "),
                    " (a start may succeed from one of them, without a cut)");
  }
  absl::StrAppend(&text, ".");
  for (const auto& [shard, apart] : loss.received) {
    absl::StrAppend(&text, " Shard ", shard, " has received what is lost here: ", apart.count,
                    " transfers of ", apart.points, " points, from its position ", apart.first,
                    " on; the ledger cannot be opened until shard ", shard,
                    " is cut there, or before, too.");
  }
  for (const auto& [shard, apart] : loss.settled) {
    absl::StrAppend(
        &text, " Shard ", shard, " has sent what was received here, and is lost: ", apart.count,
        " transfers of ", apart.points, " points, settled from its position ", apart.first,
        " on; they are nobody's unless shard ", shard, " is cut there, or before, too.");
  }
  return text;
}

std::string OtherShards(const Options& options, uint16_t shard_count) {
  if (shard_count < 2) return "";
  return absl::StrCat(
      " No other shard is cut: each keeps what happened until its own end, also what happened "
      "later "
      "than shard ",
      options.shard, "'s last record.");
}

absl::Status Cut(OfflineLedger& ledger, const Options& options, const Plan& plan,
                 nlohmann::ordered_json* json) {
  const std::string folder = ledger.ShardPath(options.shard);
  const wal::LogFolders folders = ledger.FoldersOf(options.shard);
  const auto cut = wal::CutLog(ledger.io(), folders, ledger.LogOf(options.shard), plan.place);
  if (!cut.ok()) {
    const bool unchanged =
        absl::IsFailedPrecondition(cut.status()) || absl::IsDataLoss(cut.status());
    return absl::Status(cut.status().code(),
                        absl::StrCat(cut.status().message(),
                                     unchanged ? ". Nothing was changed"
                                               : "; the cut may be half done: the same command "
                                                 "completes it"));
  }
  (*json)["aside"] = absl::StrCat(folder, "/", cut->aside);
  (*json)["moved"] = cut->moved;
  if (!cut->copied.empty()) (*json)["copied"] = cut->copied;
  (*json)["given_back_bytes"] = cut->given_back_bytes;
  // What a start will find.
  auto reader = wal::LogReader::OpenOldest(ledger.io(), folders, ledger.LogOf(options.shard));
  if (!reader.ok()) return reader.status();
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  if ((*reader)->tail().next_position == plan.place.next_position) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(folder, ": after the cut the log ends with position ",
                                          (*reader)->tail().next_position - 1, " instead of ",
                                          plan.place.next_position - 1));
}

void PrintDone(const nlohmann::ordered_json& json) {
  for (const auto& name : json["moved"]) {
    std::printf("moved   %s\n", name.get<std::string>().c_str());
  }
  if (json.contains("copied")) {
    std::printf("copied  %s, and cut %lu bytes short\n", json["copied"].get<std::string>().c_str(),
                json["given_back_bytes"].get<uint64_t>());
  }
  std::printf("The originals are in %s. The log reads to its new end.\n",
              json["aside"].get<std::string>().c_str());
}

int Run(const Options& options) {
  const absl::StatusOr<At> at = ParseAt(options.at);
  if (!at.ok()) return Fail(at.status());
  const auto ledger = OfflineLedger::Open(options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  const uint16_t shard_count = (*ledger)->shard_count();
  if (options.shard >= shard_count) {
    return Fail(absl::InvalidArgumentError(absl::StrCat(
        "there is no shard ", options.shard, ": the ledger has ", shard_count, " shards")));
  }
  if (!(*ledger)->locked().ok()) return Fail((*ledger)->locked());
  const absl::StatusOr<Plan> plan = Planner(**ledger, options.shard, *at).Make();
  if (!plan.ok()) return Fail(plan.status());
  nlohmann::ordered_json json = LossJson(options, *plan);
  json["done"] = options.yes;
  const std::string loss = LossText(options, *plan) + OtherShards(options, shard_count);
  if (!options.yes) {
    if (options.json) PrintJson(json);
    return Fail(absl::FailedPreconditionError(absl::StrCat("nothing was changed: ", loss,
                                                           " If that is what you want, say "
                                                           "--yes-lose-records")));
  }
  if (absl::Status s = Cut(**ledger, options, *plan, &json); !s.ok()) return Fail(s);
  if (options.json) {
    PrintJson(json);
  } else {
    std::printf("%s\n", loss.c_str());
    PrintDone(json);
  }
  return 0;
}

}  // namespace

void AddLogCutCommand(CLI::App* log) {
  CLI::App* command = log->add_subcommand(
      "cut", "Give up the end of one shard's log, so that a damaged one can be opened again");
  const auto options = std::make_shared<Options>();
  AddDirectory(command, &options->directory);
  command->add_option("--shard", options->shard, "The shard")->required();
  command
      ->add_option("--at", options->at,
                   "The first place that is given up: a position (1234), or SEGMENT:OFFSET")
      ->required()
      ->check(NotEmpty());
  command->add_flag("--yes-lose-records", options->yes,
                    "Do it; without, it only says what would be lost");
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
