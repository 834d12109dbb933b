#include "api/tally/ledger_check.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/replay_block.h"
#include "api/tally/replay_start.h"
#include "api/tally/snapshot_check.h"
#include "api/tally/transfer_check.h"
#include "wal/log_survey.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

// Segments, indexes and snapshots, whatever became of them; the lock; what a cut has set aside.
bool BelongsInShard(absl::string_view name) {
  for (const char* suffix : {".log", ".cut", ".free", ".spare", ".prep", ".gone", ".idx",
                             ".idx.new", ".snap", ".snap.new", ".snap.bad"}) {
    if (wal::ParseNumberedName(name, suffix).has_value()) return true;
  }
  if (absl::ConsumePrefix(&name, "aside-")) {
    return !name.empty() && name.find_first_not_of("0123456789") == name.npos;
  }
  return name == "lock" || name == "archive";
}

constexpr char kTwinToDo[] =
    "Nothing is lost: the log is read from the other file of that segment while it is sound. "
    "Restore this one from a copy, or move it away.";

class ShardCheck {
 public:
  ShardCheck(OfflineLedger& ledger, uint16_t shard, LedgerCheck& check, TransferCheck& transfers)
      : ledger_(ledger),
        shard_(shard),
        path_(ledger.ShardPath(shard)),
        check_(check),
        transfers_(transfers) {
    log_.shard = shard;
  }

  void Run();

 private:
  void BeginReplaying();
  void CheckBlock(const wal::BlockView& block, size_t damages);
  void Explain(const wal::LogSurvey& survey);
  void CheckTwins();
  void CheckTwin(uint64_t number);
  void CheckSnapshots();
  std::string SnapshotToDo(const absl::Status& problem) const;
  absl::Status CheckOne(Position position);
  void CheckGone(const wal::LogSurvey& survey);
  void CheckNames();
  Problem& Add(std::string path, std::string cause, std::string to_do);

  OfflineLedger& ledger_;
  const uint16_t shard_;
  const std::string path_;
  LedgerCheck& check_;
  TransferCheck& transfers_;
  bool sound_ = true;  // so far: every block is there, and follows
  ledger::StateMachine* machine_ = nullptr;
  ShardLog log_;
  bool replaying_ = true;
  absl::Status begun_;
  Position begin_ = 0;  // of the snapshot that the replay begins with; 0: the log's beginning
  // Digests of the log at the positions of snapshots.
  std::map<Position, uint64_t> digests_;
  std::set<Position> wanted_;
};

Problem& ShardCheck::Add(std::string path, std::string cause, std::string to_do) {
  check_.problems.push_back({.shard = shard_,
                             .path = std::move(path),
                             .cause = std::move(cause),
                             .to_do = std::move(to_do)});
  return check_.problems.back();
}

void ShardCheck::Run() {
  if (!ledger_.io().Exists(path_)) {
    transfers_.End(shard_, 1, 0, /*whole=*/false);
    Add(path_, "the shard's folder is missing", "Restore it from a copy.");
    return;
  }
  if (const auto positions = wal::ListSnapshots(ledger_.io(), path_); positions.ok()) {
    wanted_.insert(positions->begin(), positions->end());
  }
  BeginReplaying();
  const auto survey = wal::SurveyLog(
      ledger_.io(), ledger_.FoldersOf(shard_), ledger_.LogOf(shard_),
      [&](const wal::BlockView& block, size_t damages) { CheckBlock(block, damages); });
  const bool whole = sound_ && survey.ok() && survey->damages.empty();
  transfers_.End(shard_, survey.ok() ? survey->first_position : 1, log_.position, whole);
  if (survey.ok()) {
    Explain(*survey);
    CheckGone(*survey);
    check_.logs.push_back(log_);
  } else {
    Add(path_, std::string(survey.status().message()),
        "Move away what does not belong there, or restore what cannot be read.");
  }
  CheckTwins();
  CheckSnapshots();
  CheckNames();
}

// What cannot be read is explained by the survey.
void ShardCheck::BeginReplaying() {
  auto start = BeginReplay(ledger_.io(), ledger_.FoldersOf(shard_), ledger_.LogOf(shard_));
  if (start.ok()) {
    check_.machines[shard_] = std::move(start->machine);
    begin_ = start->position();
    log_.first_position = begin_ + 1;
    log_.position = begin_;
  }
  begun_ = start.status();
  replaying_ = start.ok();
  machine_ = &MachineOf(check_.machines, shard_);
}

void ShardCheck::CheckBlock(const wal::BlockView& block, size_t damages) {
  const wal::BlockHeader& header = *block.header;
  const Position end = header.first_position + header.count - 1;
  absl::Status sound;
  if (damages > 0) replaying_ = false;
  const bool replays = replaying_ && end > begin_;
  if (replays) {
    sound = ReplayBlock(block, path_, *machine_);
    replaying_ = sound.ok();
  }
  if (sound.ok()) {
    sound = EachRecord(
        block, [&](Position position, const Record& record, absl::Span<const wal::Slot> details) {
          transfers_.Add(shard_, position, record, details);
          return absl::OkStatus();
        });
  }
  sound_ = sound_ && sound.ok();
  if (replays && replaying_) {
    ++log_.blocks;
    log_.position = end;
    if (header.type == wal::BlockType::kRecords) log_.records += header.count;
    if (wanted_.count(end) > 0) digests_[end] = machine_->Digest();
  }
  if (sound.ok()) return;
  Problem& problem = Add(
      wal::FilePath(path_, block.segment, wal::FileKind::kSegment), std::string(sound.message()),
      absl::IsFailedPrecondition(sound)
          ? "Nothing is lost."
          : "The bytes are sound, but the records do not follow from each other: keep the "
            "ledger as it is, and compare it with a copy (tally log diff).");
  problem.segment = block.segment;
  problem.offset = block.offset;
  problem.first = header.first_position;
  problem.last = end;
}

void ShardCheck::Explain(const wal::LogSurvey& survey) {
  log_.tail.segment = survey.end.segment;
  log_.tail.offset = survey.end.offset;
  log_.tail.next_position = survey.end.next_position;
  log_.tail.torn = survey.torn_bytes > 0;
  log_.tail.cut_bytes = survey.torn_bytes;
  log_.tail.cut_reason = survey.torn_cause;
  for (const wal::LogDamage& damage : survey.damages) {
    const std::string file =
        damage.segment == 0 ? path_ : wal::FilePath(path_, damage.segment, wal::FileKind::kSegment);
    std::string to_do = "Restore it from a copy.";
    if (&damage == &survey.damages.front() && damage.segment > 0) {
      absl::StrAppend(&to_do, " Without one: tally log cut ", ledger_.directory(), " --shard ",
                      shard_, " --at ", damage.first_position,
                      " gives up everything from there on, and says first what that is.");
    }
    Problem& problem = Add(file, damage.cause, std::move(to_do));
    problem.segment = damage.segment;
    problem.offset = damage.offset;
    problem.first = damage.first_position;
    problem.last = damage.last_position;
  }
  if (!survey.complete) {
    Add(path_, absl::StrCat("there are more than ", wal::kMaxLogDamages, " damaged places"),
        "Restore the folder from a copy.");
  }
  if (survey.end.segment == 0 && survey.damages.empty()) {
    Add(path_, "the log of this shard is missing", "Restore it from a copy.");
  }
  if (absl::Status s = machine_->CheckInvariants(); !s.ok()) {
    Add(path_, std::string(s.message()),
        "The state that the log gives contradicts itself: keep the ledger as it is, and tell those "
        "who wrote the program.");
  }
}

// The first segments may be gone if the archive's limits removed them.
void ShardCheck::CheckGone(const wal::LogSurvey& survey) {
  if (survey.first_position == 1) return;
  const auto gone = wal::LastGone(ledger_.io(), ledger_.FoldersOf(shard_));
  if (!gone.ok()) {
    Add(path_, std::string(gone.status().message()), "Make it readable.");
  } else if (*gone < survey.gone_segment) {
    Add(path_,
        absl::StrCat("segments up to ", survey.gone_segment, ", before position ",
                     survey.first_position, ", are missing, and no limit of the archive removed ",
                     *gone == 0 ? "them" : absl::StrCat("more than those up to ", *gone)),
        "Put them back into the archive from a copy.");
  } else {
    check_.notes.push_back(absl::StrCat(
        "shard ", shard_, ": the log begins at position ", survey.first_position,
        ": segments up to ", survey.gone_segment, " were removed as the archive's limits say"));
  }
  if (!begun_.ok()) {
    Add(path_, std::string(begun_.message()), "Without them the state cannot be checked.");
  }
}

// A segment that is plain and archived is read from either: both must be sound.
void ShardCheck::CheckTwins() {
  const wal::LogFolders folders = ledger_.FoldersOf(shard_);
  const auto plain = wal::ListLogFiles(ledger_.io(), folders.log);
  const auto archived = wal::ListArchives(ledger_.io(), folders.archive);
  if (!plain.ok() || !archived.ok()) return;  // the survey has said so
  for (const uint64_t number : plain->segments) {
    if (std::binary_search(archived->begin(), archived->end(), number)) CheckTwin(number);
  }
}

void ShardCheck::CheckTwin(uint64_t number) {
  const wal::LogFolders folders = ledger_.FoldersOf(shard_);
  const std::string archive = wal::FilePath(folders.archive, number, wal::FileKind::kArchive);
  wal::SegmentWindow windows[] = {{ledger_.io(), folders, wal::kMaxBlockBytes},
                                  {ledger_.io(), folders, wal::kMaxBlockBytes}};
  auto& [plain, packed] = windows;
  if (absl::Status s = packed.OpenArchive(number); !s.ok()) {
    Add(archive, std::string(s.message()), kTwinToDo);
    return;
  }
  absl::Status opened = plain.OpenPlain(number);
  for (uint64_t at = 0; opened.ok() && at < packed.size_bytes();) {
    const size_t wanted = std::min<uint64_t>(wal::kMaxBlockBytes, packed.size_bytes() - at);
    const auto theirs = packed.Read(at, wanted);
    if (!theirs.ok()) {
      Add(archive, std::string(theirs.status().message()), kTwinToDo);
      return;
    }
    const auto ours = plain.Read(at, wanted);
    opened = ours.status();
    if (!opened.ok()) break;
    if (ours->size() < wanted || theirs->size() < wanted ||
        std::memcmp(ours->data(), theirs->data(), wanted) != 0) {
      opened = absl::DataLossError(absl::StrCat(
          "it is not what ", archive, " holds, between offset ", at, " and ", at + wanted));
    }
    at += wanted;
  }
  if (opened.ok()) return;
  Add(wal::FilePath(path_, number, wal::FileKind::kSegment), std::string(opened.message()),
      kTwinToDo);
}

void ShardCheck::CheckSnapshots() {
  for (const Position position : wanted_) {
    const absl::Status sound = CheckOne(position);
    if (sound.ok()) {
      ++check_.snapshots;
      continue;
    }
    Add(wal::SnapshotPath(path_, position), std::string(sound.message()), SnapshotToDo(sound));
  }
}

std::string ShardCheck::SnapshotToDo(const absl::Status& problem) const {
  if (absl::IsFailedPrecondition(problem)) return "Nothing is lost.";
  if (!absl::IsOutOfRange(problem)) {
    return "A start sets it aside and takes an older one, or the whole log.";
  }
  return absl::StrCat(
      "What it was taken of was durable: restore the shard's folder from a copy. Without one: "
      "tally "
      "log cut ",
      ledger_.directory(), " --shard ", shard_, " --at ", log_.tail.next_position,
      " gives up what is lost, and sets it aside.");
}

absl::Status ShardCheck::CheckOne(Position position) {
  const auto reader =
      wal::SnapshotReader::Open(ledger_.io(), path_, position, ledger_.LogOf(shard_));
  if (!reader.ok()) return reader.status();
  const auto checked = CheckSnapshot(ledger_.io(), ledger_.FoldersOf(shard_), **reader);
  if (!checked.ok()) return checked.status();
  const auto digest = digests_.find(position);
  // What lies behind damage cannot be held against a replay.
  if (digest == digests_.end()) return absl::OkStatus();
  return CompareDigests(**reader, checked->digest, digest->second);
}

void ShardCheck::CheckNames() {
  const auto names = ledger_.io().List(path_);
  if (!names.ok()) {
    Add(path_, std::string(names.status().message()), "Make it readable.");
    return;
  }
  for (const std::string& name : *names) {
    if (BelongsInShard(name)) continue;
    Add(absl::StrCat(path_, "/", name), "it is no part of a ledger", "Move it away.");
  }
}

std::string CauseText(const TransferFinding& finding, const TransferCheck& transfers) {
  using What = TransferFinding::What;
  const std::string sent =
      absl::StrCat("what shard ", finding.sender, " sent at position ", finding.sent_at);
  switch (finding.what) {
    case What::kNotSent:
      return absl::StrCat(
          "it has received ", finding.points, " points as ", sent, ", ",
          finding.sent_at > transfers.LastOf(finding.sender)
              ? absl::StrCat("whose log ends at position ", transfers.LastOf(finding.sender))
              : "where nothing was sent, or what was received before");
    case What::kOther:
      return absl::StrCat("it has received ", finding.points, " points as ", sent,
                          ", which is something else");
    case What::kNotReceived:
      return absl::StrCat("it says that shard ", finding.receiver, " has received the ",
                          finding.points, " points of position ", finding.sent_at,
                          ", and that shard has not");
    case What::kCameBack:
      return absl::StrCat("it has received the ", finding.points, " points of ", sent,
                          ", and they came back there too, at position ", finding.settled_at);
  }
  return "";
}

void CheckTransfers(OfflineLedger& ledger, const TransferCheck& transfers, LedgerCheck& check) {
  for (const TransferFinding& finding : transfers.Findings()) {
    const bool at_sender = finding.what == TransferFinding::What::kNotReceived;
    const uint16_t shard = at_sender ? finding.sender : finding.receiver;
    const Position position = at_sender ? finding.settled_at : finding.received_at;
    check.problems.push_back(
        {.shard = shard,
         .path = ledger.ShardPath(shard),
         .first = position,
         .last = position,
         .cause = CauseText(finding, transfers),
         .to_do = "The shards' folders are not of one moment, or one was changed: restore all of "
                  "them from one copy."});
  }
}

void CheckLedgerNames(OfflineLedger& ledger, LedgerCheck& check) {
  std::set<std::string> known = {"LEDGER", "LEDGER.new", "LOCK"};
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    known.insert(ledger.ShardPath(shard).substr(ledger.ShardPath(shard).rfind('/') + 1));
  }
  const auto names = ledger.io().List(ledger.directory());
  if (!names.ok()) {
    check.problems.push_back({.path = ledger.directory(),
                              .cause = std::string(names.status().message()),
                              .to_do = "Make it readable."});
    return;
  }
  for (const std::string& name : *names) {
    if (known.count(name) > 0) continue;
    check.problems.push_back({.path = absl::StrCat(ledger.directory(), "/", name),
                              .cause = "it is no part of a ledger",
                              .to_do = "Move it away."});
  }
}

}  // namespace

std::string ProblemText(const Problem& problem) {
  std::string text = problem.path;
  if (problem.shard >= 0) text = absl::StrCat("shard ", problem.shard, ": ", text);
  if (problem.segment > 0) absl::StrAppend(&text, ": offset ", problem.offset);
  if (problem.first > 0) {
    if (problem.last > problem.first) {
      absl::StrAppend(&text, ": positions ", problem.first, " to ", problem.last);
    } else if (problem.last == problem.first) {
      absl::StrAppend(&text, ": position ", problem.first);
    } else {
      absl::StrAppend(&text, ": before position ", problem.first);
    }
  }
  return absl::StrCat(text, ": ", problem.cause, ". ", problem.to_do);
}

LedgerCheck CheckLedger(OfflineLedger& ledger) {
  LedgerCheck check;
  TransferCheck transfers(ledger.shard_count());
  CheckLedgerNames(ledger, check);
  for (uint16_t shard = 0; shard < ledger.shard_count(); ++shard) {
    ShardCheck(ledger, shard, check, transfers).Run();
  }
  CheckTransfers(ledger, transfers, check);
  return check;
}

}  // namespace tallystick::tally
