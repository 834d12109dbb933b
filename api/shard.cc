// Opening: recovery by replay, and the clock.

#include "api/shard.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "api/load_image.h"
#include "api/outcomes.h"
#include "wal/missing_segment.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick {
namespace {

// Blocks that statements keep at hand.
constexpr size_t kFetchedBlocks = 16;
// And readers of the newest records, who read them at about the same time.
constexpr size_t kStreamedBlocks = 8;
// Between two reports of a recovery that takes long.
constexpr int64_t kProgressUs = 5 * kMicrosPerSecond;

std::string Text(Instant instant) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(instant), absl::UTCTimeZone()) +
         " UTC";
}

}  // namespace

Shard::Shard(wal::Io& io, const ShardOptions& options) : io_(io), options_(options) {
  MakeMachine();
}

void Shard::MakeMachine() {
  machine_ = std::make_unique<ledger::StateMachine>(ledger::Limits{}, options_.hash_seed,
                                                    options_.regions);
}

wal::LogFolders Shard::Folders() const {
  if (options_.archive.empty()) return options_.log.directory;
  return {options_.log.directory, options_.archive};
}

absl::StatusOr<std::unique_ptr<Shard>> Shard::Open(wal::Io& io, const ShardOptions& options) {
  std::unique_ptr<Shard> shard(new Shard(io, options));
  wal::LogTail tail;
  if (absl::Status s = shard->Recover(&tail); !s.ok()) return s;
  if (absl::Status s = shard->CheckClockAtStart(tail); !s.ok()) return s;
  shard->stamp_ = tail.timestamp_us;
  shard->wall_minus_monotonic_ = io.WallMicros() - io.MonotonicMicros();
  absl::StatusOr<std::unique_ptr<wal::LogWriter>> writer =
      wal::LogWriter::Open(io, options.log, std::move(tail));
  if (!writer.ok()) return writer.status();
  shard->writer_ = *std::move(writer);
  HistoryOptions history = options.history;
  history.folders = shard->Folders();
  history.identity = options.log.identity;
  history.beginning = shard->Beginning();
  history.report = [s = shard.get()](const std::string& sentence) {
    s->options_.report(absl::StrCat("shard ", s->number(), ": ", sentence));
  };
  absl::StatusOr<std::unique_ptr<History>> opened =
      History::Open(io, std::move(history), shard->writer_->place().segment);
  if (!opened.ok()) return opened.status();
  shard->history_ = *std::move(opened);
  shard->OpenReaders();
  shard->transfers_ = std::make_unique<Transfers>(
      *shard->machine_, options.log.identity.shard, options.log.identity.shard_count,
      [s = shard.get()](SubmitPart& part) { s->FinishSubmit(part); });
  if (const size_t resumed = shard->transfers_->TakeSent(); resumed > 0) {
    options.report(absl::StrCat("shard ", shard->number(), ": resumes ", resumed,
                                " transfers that were on their way"));
  }
  absl::Status tidied = wal::RemoveUnfinishedSnapshots(io, options.log.directory);
  if (tidied.ok()) tidied = shard->SetSnapshotsAside();
  if (!tidied.ok()) return tidied;
  shard->snapshots_ = std::make_unique<Snapshotter>(
      io,
      wal::SnapshotOptions{.directory = options.log.directory,
                           .identity = options.log.identity,
                           .buffer_bytes = options.snapshot_buffer_bytes,
                           .disk_share_percent = options.snapshot_disk_percent,
                           .reserve_bytes = options.log.reserve_bytes},
      options.snapshots, *shard->machine_, *shard->writer_, options.report,
      [s = shard.get()](ShardRequest& request) { s->Answer(request); });
  shard->snapshots_->Recovered(shard->snapshot_position_, shard->replayed_slots_ * kSlotBytes);
  return shard;
}

absl::Status Shard::Beginning() const {
  const wal::LogIndex& index = writer_->index();
  if (index.first_segment() == 0 || index.Find(1).has_value()) return absl::OkStatus();
  absl::Status missing = wal::MissingBefore(io_, Folders(), index.first_segment());
  return absl::IsNotFound(missing) ? absl::OkStatus() : missing;
}

void Shard::OpenReaders() {
  const wal::LogFolders folders = Folders();
  wal::LogIndex& index = writer_->index();
  const auto answer = [this](ShardRequest& request) { Answer(request); };
  const auto report = [this](const std::string& sentence) {
    options_.report(absl::StrCat("shard ", number(), ": ", sentence));
  };
  fetcher_ = std::make_unique<wal::BlockFetcher>(io_, folders, index, kFetchedBlocks);
  records_ = std::make_unique<wal::RecordFetcher>(io_, folders, history_->indexes());
  statements_ = std::make_unique<StatementWalk>(*history_, *fetcher_, *records_, answer);
  lookups_fetcher_ = std::make_unique<wal::BlockFetcher>(io_, folders, index, kFetchedBlocks);
  lookups_records_ = std::make_unique<wal::RecordFetcher>(io_, folders, history_->indexes());
  search_ = std::make_unique<TransactionSearch>(*history_, *lookups_fetcher_, *lookups_records_);
  lookups_ = std::make_unique<TransactionLookups>(*search_, answer, report);
  changes_fetcher_ = std::make_unique<wal::BlockFetcher>(io_, folders, index, kStreamedBlocks);
  changes_ = std::make_unique<ChangeStream>(*changes_fetcher_, answer);
}

void Shard::Answer(ShardRequest& request) {
  --unanswered_;
  answer_(request);
}

absl::Status Shard::Recover(wal::LogTail* tail) {
  const std::string& directory = options_.log.directory;
  if (options_.create) {
    tail->identity = options_.log.identity;
    return absl::OkStatus();
  }
  recovery_began_us_ = io_.MonotonicMicros();
  absl::StatusOr<std::unique_ptr<wal::LogReader>> reader = LoadNewestSnapshot();
  if (!reader.ok()) return reader.status();
  if (*reader != nullptr) {
    const absl::Status& beginning = (*reader)->beginning();
    if (absl::IsFailedPrecondition(beginning)) return beginning;
    if (!beginning.ok()) {
      options_.report(absl::StrCat("shard ", number(),
                                   ": what is older cannot be read: ", beginning.message()));
    }
  } else {
    reader = wal::LogReader::Open(io_, Folders(), options_.log.identity);
    if (!reader.ok()) return reader.status();
  }
  if (absl::Status s = ReplayRest(**reader); !s.ok()) return s;
  *tail = (*reader)->TakeTail();
  if (tail->segment == 0) {
    return absl::DataLossError(
        absl::StrCat(directory,
                     ": the log of this shard is missing, although the ledger was created with it; "
                     "restore it from a backup"));
  }
  options_.report(absl::StrCat("shard ", number(), ": replayed ", replayed_slots_,
                               " records up to position ", tail->next_position - 1));
  if (tail->torn) {
    options_.report(absl::StrCat("shard ", number(), ": cut ", tail->cut_bytes,
                                 " bytes that were never acknowledged behind segment ",
                                 tail->segment, " offset ", tail->offset, ": ", tail->cut_reason));
  }
  return absl::OkStatus();
}

// What is damaged, or no snapshot of this shard, is set aside later: it must not count among those
// that are kept.
absl::StatusOr<std::unique_ptr<wal::LogReader>> Shard::LoadNewestSnapshot() {
  const std::string& directory = options_.log.directory;
  if (!io_.Exists(directory)) return nullptr;
  absl::StatusOr<std::vector<uint64_t>> positions = wal::ListSnapshots(io_, directory);
  if (!positions.ok()) return positions.status();
  for (auto position = positions->rbegin(); position != positions->rend(); ++position) {
    absl::StatusOr<std::unique_ptr<wal::LogReader>> reader = LoadSnapshot(*position);
    if (reader.ok()) {
      snapshot_position_ = *position;
      options_.report(absl::StrCat("shard ", number(), ": loaded the snapshot of position ",
                                   *position, " in ",
                                   (io_.MonotonicMicros() - recovery_began_us_) / 1000, " ms"));
      return reader;
    }
    if (absl::IsFailedPrecondition(reader.status())) return reader.status();
    MakeMachine();
    if (absl::IsDataLoss(reader.status()) || absl::IsInvalidArgument(reader.status())) {
      useless_snapshots_.push_back(*position);
    }
    options_.report(absl::StrCat("shard ", number(), ": the snapshot of position ", *position,
                                 " is of no use: ", reader.status().message(),
                                 position + 1 == positions->rend()
                                     ? "; the whole log is replayed instead"
                                     : "; the one before it is used instead"));
  }
  return nullptr;
}

// Once the log is known to be this shard's, and whole.
absl::Status Shard::SetSnapshotsAside() {
  for (const Position position : std::exchange(useless_snapshots_, {})) {
    absl::Status aside = wal::SetSnapshotAside(io_, options_.log.directory, position);
    if (!aside.ok()) return aside;
    options_.report(absl::StrCat("shard ", number(), ": the snapshot of position ", position,
                                 " is set aside as ", wal::SnapshotPath("", position).substr(1),
                                 ".bad"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<wal::LogReader>> Shard::LoadSnapshot(Position position) {
  const std::string& directory = options_.log.directory;
  absl::StatusOr<std::unique_ptr<wal::SnapshotReader>> snapshot =
      wal::SnapshotReader::Open(io_, directory, position, options_.log.identity);
  if (!snapshot.ok()) return snapshot.status();
  const absl::Status loaded = LoadImage(**snapshot, *machine_, [&] {
    ReportProgress("loading the snapshot", (*snapshot)->bytes_read(), (*snapshot)->bytes_total());
  });
  if (!loaded.ok()) return loaded;
  auto reader = wal::LogReader::OpenAt(io_, Folders(), options_.log.identity, (*snapshot)->place());
  if (!absl::IsDataLoss(reader.status())) return reader;
  return absl::FailedPreconditionError(absl::StrCat(
      (*snapshot)->path(), " is sound, and was taken when everything up to position ", position,
      " was durable, but the log does not have it: ", reader.status().message(),
      ". Nothing was changed. Restore the shard's folder from a copy; without one, tally log "
      "verify says where the log ends, and tally log cut there gives up what is lost"));
}

absl::Status Shard::ReplayRest(wal::LogReader& reader) {
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = reader.Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) return absl::OkStatus();
    if (block.header->type != wal::BlockType::kRecords) continue;
    if (absl::Status s = ReplayBlock(block, options_.log.directory, *machine_); !s.ok()) return s;
    replayed_slots_ += block.slots.size();
    ReportProgress("replaying the log", reader.bytes_read(), reader.bytes_total());
  }
}

// Of what takes long, once in a while.
void Shard::ReportProgress(const char* doing, uint64_t bytes, uint64_t bytes_total) {
  const int64_t now_us = io_.MonotonicMicros();
  if (next_progress_us_ == 0) next_progress_us_ = recovery_began_us_ + kProgressUs;
  if (now_us < next_progress_us_) return;
  next_progress_us_ = now_us + kProgressUs;
  const double seconds = static_cast<double>(now_us - recovery_began_us_) / 1e6;
  const double rate = static_cast<double>(bytes) / seconds;
  const auto left_s = static_cast<int64_t>(static_cast<double>(bytes_total - bytes) / rate);
  options_.report(absl::StrFormat("shard %d: %s: %.1f of %.1f GB, %.2f GB/s, %d s left", number(),
                                  doing, static_cast<double>(bytes) / 1e9,
                                  static_cast<double>(bytes_total) / 1e9, rate / 1e9, left_s));
}

absl::Status Shard::CheckClockAtStart(const wal::LogTail& tail) const {
  if (options_.clock != ClockMode::kWall || options_.confirm_clock || tail.timestamp_us == 0) {
    return absl::OkStatus();
  }
  const Instant now = io_.WallMicros();
  if (now - tail.timestamp_us <= kMaxClockGap && tail.timestamp_us - now <= kMaxClockLeap) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      options_.log.directory, ": the clock says ", Text(now), ", the log ends at ",
      Text(tail.timestamp_us),
      "; if the clock is right, start with --confirm-clock (LedgerOptions::confirm_clock)"));
}

void Shard::CheckClock() {
  clock_ = io_.WallMicros();
  if (options_.clock != ClockMode::kWall) return;
  const Instant difference = clock_ - io_.MonotonicMicros();
  const Instant leap = difference - wall_minus_monotonic_;
  if (std::abs(leap) > kMaxClockLeap) {
    failure_ =
        absl::UnavailableError(absl::StrCat("shard ", number(), " has stopped: the clock leapt by ",
                                            leap / kMicrosPerSecond, " s to ", Text(clock_),
                                            "; put it right, or confirm it with --confirm-clock "
                                            "(LedgerOptions::confirm_clock) at the next start"));
  }
  wall_minus_monotonic_ = difference;
}

absl::Status Shard::InstallProgram(const Operation& put, const std::vector<uint8_t>& bytes) {
  ControlRequest request(ShardRequest::Type::kInstallProgram);
  request.put = put;
  request.bytes = bytes;
  CheckClock();
  while (writer_->failure().ok() && !Install(request)) {
    writer_->Tick(io_.MonotonicMicros());
    io_.Poll(-1);
  }
  if (block_open_) SealBlock();
  while (writer_->durable_position() < writer_->next_position() && writer_->failure().ok()) {
    io_.Poll(-1);
  }
  if (!writer_->failure().ok()) return writer_->failure();
  const Outcome outcome = std::get<ProgramPutAnswer>(request.answer).outcome;
  if (outcome == Outcome::Ok) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      options_.log.directory, ": version ", put.category(), " of program ", put.program(),
      ", which shard 0 has, could not be completed here: ",
      outcome == Outcome::Overloaded ? writer_->space_status().message() : OutcomeName(outcome)));
}

absl::Status Shard::Stop() {
  if (options_.snapshot_at_stop && failure_.ok()) snapshots_->TakeLast();
  const absl::Status stopped = writer_->Stop();
  return failure_.ok() ? stopped : failure_;
}

}  // namespace tallystick
