// Opening: recovery by replay, and the clock.

#include "api/shard.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace tallystick {
namespace {

// Blocks that statements keep at hand.
constexpr size_t kFetchedBlocks = 16;

std::string Text(Instant instant) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(instant), absl::UTCTimeZone()) +
         " UTC";
}

}  // namespace

Shard::Shard(wal::Io& io, const ShardOptions& options)
    : io_(io), options_(options), machine_(std::make_unique<ledger::StateMachine>()) {}

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
  shard->fetcher_ = std::make_unique<wal::BlockFetcher>(io, options.log.directory,
                                                        shard->writer_->index(), kFetchedBlocks);
  shard->statements_ =
      std::make_unique<StatementWalk>(*shard->fetcher_, [s = shard.get()](ShardRequest& request) {
        --s->unanswered_;
        s->answer_(request);
      });
  return shard;
}

absl::Status Shard::Recover(wal::LogTail* tail) {
  const std::string& directory = options_.log.directory;
  if (options_.create) {
    tail->identity = options_.log.identity;
    return absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<wal::LogReader>> reader =
      wal::LogReader::Open(io_, directory, options_.log.identity);
  if (!reader.ok()) return reader.status();
  wal::BlockView block;
  uint64_t slots = 0;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (block.header->type != wal::BlockType::kRecords) continue;
    if (absl::Status s = ReplayBlock(block); !s.ok()) return s;
    slots += block.slots.size();
  }
  *tail = (*reader)->TakeTail();
  if (tail->segment == 0) {
    return absl::DataLossError(
        absl::StrCat(directory,
                     ": the log of this shard is missing, although the ledger was created with it; "
                     "restore it from a backup"));
  }
  options_.report(absl::StrCat("shard ", number(), ": replayed ", slots, " records up to position ",
                               tail->next_position - 1));
  if (tail->torn) {
    options_.report(absl::StrCat("shard ", number(), ": cut ", tail->cut_bytes,
                                 " bytes that were never acknowledged behind segment ",
                                 tail->segment, " offset ", tail->offset, ": ", tail->cut_reason));
  }
  return absl::OkStatus();
}

absl::Status Shard::ReplayBlock(const wal::BlockView& block) {
  const wal::BlockHeader& header = *block.header;
  const std::string where = absl::StrCat(options_.log.directory, ": segment ", block.segment,
                                         " offset ", block.offset, ": ");
  if (header.engine_version > ledger::kEngineVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(where, "written by engine ", header.engine_version, ", this program knows ",
                     ledger::kEngineVersion, ": start the newer program"));
  }
  const ledger::BlockTime time{header.timestamp_us, (header.flags & kBlockImportClock) != 0};
  const absl::Span<const Record> records(reinterpret_cast<const Record*>(block.slots.data()),
                                         block.slots.size());
  if (absl::Status s = machine_->Replay(time, header.first_position, records); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat(where, s.message()));
  }
  if ((header.flags & kBlockDigest) != 0 && machine_->Digest() != header.digest) {
    return absl::DataLossError(
        absl::StrCat(where, "the state behind this block has another digest than it had live"));
  }
  return absl::OkStatus();
}

absl::Status Shard::CheckClockAtStart(const wal::LogTail& tail) const {
  if (options_.clock != ClockMode::kWall || options_.confirm_clock || tail.timestamp_us == 0) {
    return absl::OkStatus();
  }
  const Instant now = io_.WallMicros();
  if (now - tail.timestamp_us <= kMaxClockGap && tail.timestamp_us - now <= kMaxClockLeap) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(options_.log.directory, ": the clock says ", Text(now), ", the log ends at ",
                   Text(tail.timestamp_us), "; if the clock is right, start with --confirm-clock"));
}

void Shard::CheckClock() {
  clock_ = io_.WallMicros();
  if (options_.clock != ClockMode::kWall) return;
  const Instant difference = clock_ - io_.MonotonicMicros();
  const Instant leap = difference - wall_minus_monotonic_;
  if (std::abs(leap) > kMaxClockLeap) {
    failure_ = absl::UnavailableError(absl::StrCat(
        "shard ", number(), " has stopped: the clock leapt by ", leap / kMicrosPerSecond, " s to ",
        Text(clock_), "; put it right, or confirm it with --confirm-clock at the next start"));
  }
  wall_minus_monotonic_ = difference;
}

absl::Status Shard::InstallProgram(const Operation& put, const std::vector<uint8_t>& bytes) {
  ControlRequest request(ShardRequest::Type::kInstallProgram);
  request.put = put;
  request.bytes = bytes;
  CheckClock();
  if (!Install(request)) {
    return absl::UnavailableError(absl::StrCat(
        options_.log.directory, ": no room in the log to complete a program that was being put"));
  }
  SealBlock();
  while (writer_->durable_position() < writer_->next_position() && writer_->failure().ok()) {
    io_.Poll(-1);
  }
  return writer_->failure();
}

absl::Status Shard::Stop() { return failure_.ok() ? writer_->Stop() : failure_; }

}  // namespace tallystick
