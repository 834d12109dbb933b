// Opening: identity, archive, keeper, shards, and the threads that keep pace in it.

#include <algorithm>
#include <filesystem>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/frame.h"
#include "api/history_builder.h"
#include "api/ids.h"
#include "api/ledger_state.h"
#include "wal/host_io.h"

namespace tallystick {
namespace {

// A program of the largest size fits into a block.
constexpr uint64_t kMinSegmentBytes = 128 << 10;
static_assert(kMinSegmentBytes >= 2 * ledger::kMaxProgramBytes);

std::string Name(wal::Durability durability) {
  switch (durability) {
    case wal::Durability::kOpenDsync:
      return "open-dsync";
    case wal::Durability::kDsync:
      return "dsync";
    case wal::Durability::kFdatasync:
      return "fdatasync";
    case wal::Durability::kNone:
      return "none";
  }
  return "";
}

const char* Name(ClockMode clock) { return clock == ClockMode::kWall ? "wall" : "import"; }

wal::Id128 RandomLedgerId() {
  std::random_device random;
  const auto word = [&] { return (uint64_t{random()} << 32) | random(); };
  return {word(), word()};
}

absl::Status CheckOptions(const LedgerOptions& options) {
  if (options.directory.empty()) return absl::InvalidArgumentError("no directory is named");
  if (options.create && (options.shards < 1 || options.shards > kMaxShards)) {
    return absl::InvalidArgumentError(absl::StrCat("a ledger has 1 to ", kMaxShards, " shards"));
  }
  const uint64_t bytes = options.segment_bytes;
  if (bytes != 0 && (bytes < kMinSegmentBytes || bytes > wal::kMaxSegmentBytes ||
                     bytes % wal::kSectorBytes != 0)) {
    return absl::InvalidArgumentError(
        "segments are at least 128 KiB, at most 2 GiB, and a multiple of 4 KiB");
  }
  if (options.blocks_in_flight < 1 || options.blocks_in_flight > wal::kMaxBlocksInFlight) {
    return absl::InvalidArgumentError(
        absl::StrCat("from 1 to ", wal::kMaxBlocksInFlight, " blocks may be in flight"));
  }
  if (options.snapshot_interval_ms < 0 || options.snapshot_disk_percent < 1 ||
      options.snapshot_disk_percent > 100) {
    return absl::InvalidArgumentError(
        "snapshots take 1 to 100 percent of the disk, and their interval is not negative");
  }
  if (options.snapshot_buffer_bytes < wal::kMinSnapshotBufferBytes) {
    return absl::InvalidArgumentError(absl::StrCat("snapshots need at least ",
                                                   wal::kMinSnapshotBufferBytes >> 20,
                                                   " MiB of memory for what waits to be written"));
  }
  if (options.threads > kMaxShards) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ledger has at most ", kMaxShards, " threads"));
  }
  return absl::OkStatus();
}

// Another directory for the archive is another archive: what lies in the old one must be moved
// first, and what lies in the new one be of this log.
absl::Status CheckNewArchive(wal::Io& io, const wal::LogFolders& old, const std::string& archive) {
  const auto segments = wal::ListArchives(io, old.archive);
  if (!segments.ok()) return segments.status();
  if (!segments->empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(old.archive, " holds archived segments of this ledger: move them to ", archive,
                     ", each shard's to its own, then start again"));
  }
  const auto others = wal::ListArchives(io, archive);
  if (!others.ok()) return others.status();
  if (others->empty()) return absl::OkStatus();
  const auto log = wal::ListLogFiles(io, old.log);
  if (!log.ok()) return log.status();
  if (log->segments.empty() || others->back() < log->segments.back()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      wal::FilePath(archive, others->back(), wal::FileKind::kArchive),
      " is of a segment that the log in ", old.log,
      " has not come to: the archive is that of another copy of the ledger. Give this one an "
      "archive directory of its own"));
}

}  // namespace

absl::Status Ledger::State::MakeWorkers() {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  // The shard count of a ledger that exists is not known yet; a worker too many only idles.
  size_t count = options.threads != 0 ? options.threads : cores;
  if (options.create) count = std::min<size_t>(count, options.shards);
  if (options.manual && options.threads == 0) count = 1;
  for (size_t i = 0; i < count; ++i) {
    absl::StatusOr<std::unique_ptr<wal::Io>> io = MakeIo(i);
    if (!io.ok()) return io.status();
    workers.push_back(std::make_unique<ShardWorker>(static_cast<uint16_t>(i), *std::move(io)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<wal::Io>> Ledger::State::MakeIo(size_t index) {
  if (options.make_io) return options.make_io(static_cast<uint16_t>(index));
  absl::StatusOr<wal::HostIo> host = wal::CreateHostIo();
  if (!host.ok()) return host.status();
  if (!host->degraded.empty() && index == 0) Report(host->degraded);
  return std::move(host->io);
}

absl::Status Ledger::State::FindArchive() {
  if (options.archive_directory.empty()) return absl::OkStatus();
  const std::string wanted =
      std::filesystem::absolute(options.archive_directory).lexically_normal().string();
  if (wanted == identity.archive_directory) return absl::OkStatus();
  for (uint16_t shard = 0; shard < identity.shard_count && !options.create; ++shard) {
    const wal::LogFolders old = ShardFolders(options.directory, identity, shard);
    const std::string archive = ShardDirectory(wanted, shard);
    if (absl::Status s = CheckNewArchive(workers[0]->io(), old, archive); !s.ok()) return s;
  }
  identity.archive_directory = wanted;
  return absl::OkStatus();
}

// Copies of a ledger remember the same archive, and must not both fill it.
absl::Status Ledger::State::LockArchive() {
  if (identity.archive_directory.empty() || !options.archive) return absl::OkStatus();
  wal::Io& io = workers[0]->io();
  absl::Status usable = io.MakeDirectory(identity.archive_directory);
  if (usable.ok()) {
    const absl::StatusOr<wal::Handle> locked = LockLedger(io, identity.archive_directory);
    if (locked.ok()) archive_lock = *locked;
    usable = locked.status();
  }
  if (absl::IsFailedPrecondition(usable)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the archive directory ", identity.archive_directory,
        " is in use by another ledger: give this one its own, or stop that. ", usable.message()));
  }
  if (!usable.ok()) {
    Report(absl::StrCat("nothing can be archived in ", identity.archive_directory,
                        ", segments stay where they are: ", usable.message()));
  }
  return absl::OkStatus();
}

absl::Status Ledger::State::MakeKeeper() {
  absl::StatusOr<std::unique_ptr<wal::Io>> io = MakeIo(workers.size());
  if (!io.ok()) return io.status();
  std::vector<wal::KeeperOptions> shards;
  for (uint16_t shard = 0; shard < identity.shard_count; ++shard) {
    wal::KeeperOptions shard_options;
    shard_options.folders = ShardFolders(options.directory, identity, shard);
    shard_options.identity = {identity.ledger_id, shard, identity.shard_count};
    shard_options.archive = options.archive;
    shard_options.limits = {
        .keep_us = options.archive_keep_days * kMicrosPerDay,
        .keep_bytes = options.archive_keep_bytes / identity.shard_count +
                      uint64_t{options.archive_keep_bytes % identity.shard_count != 0}};
    shard_options.snapshots_kept = kSnapshotsKept;
    shard_options.segment_bytes = options.segment_bytes;
    shard_options.report = [this, shard](const std::string& sentence) {
      Report(absl::StrCat("shard ", shard, ": ", sentence));
    };
    shards.push_back(std::move(shard_options));
  }
  keeper = std::make_unique<KeeperThread>(*std::move(io), shards);
  for (uint16_t shard = 0; options.history && shard < identity.shard_count; ++shard) {
    built.push_back(std::make_shared<BuiltIndexes>());
    keeper->keeper(shard).AddTask(std::make_unique<HistoryBuilder>(
        keeper->io(), shards[shard].folders, shards[shard].identity,
        options.disk_reserve_bytes + 2 * options.segment_bytes, built[shard]));
  }
  return absl::OkStatus();
}

absl::Status Ledger::State::FindIdentity() {
  wal::Io& io = workers[0]->io();
  if (options.create) {
    if (absl::Status s = CheckEmpty(io, options.directory); !s.ok()) return s;
    if (absl::Status s = io.MakeDirectory(options.directory); !s.ok()) return s;
    identity = {RandomLedgerId(), options.shards, ClockMode::kWall, kDefaultSegmentBytes, ""};
  } else {
    absl::StatusOr<LedgerIdentity> found = ReadIdentity(io, options.directory);
    if (!found.ok()) return found.status();
    identity = stored = *found;
  }
  if (options.clock.has_value()) identity.clock = options.clock;
  if (options.segment_bytes != 0) identity.segment_bytes = options.segment_bytes;
  options.clock = identity.clock.value_or(ClockMode::kWall);
  options.segment_bytes =
      identity.segment_bytes != 0 ? identity.segment_bytes : kDefaultSegmentBytes;
  if (absl::Status found = FindArchive(); !found.ok()) return found;
  absl::StatusOr<wal::Handle> locked = LockLedger(io, options.directory);
  if (!locked.ok()) return locked.status();
  lock = *locked;
  if (absl::Status s = LockArchive(); !s.ok()) return s;
  if (workers.size() > identity.shard_count) workers.resize(identity.shard_count);
  for (uint16_t shard = 0; shard < identity.shard_count; ++shard) {
    owners.push_back(static_cast<uint16_t>(shard % workers.size()));
  }
  return absl::OkStatus();
}

absl::Status Ledger::State::OpenShards(ShardWorker& worker) {
  for (uint16_t shard = worker.index(); shard < identity.shard_count;
       shard = static_cast<uint16_t>(shard + workers.size())) {
    ShardOptions shard_options;
    shard_options.log.directory = ShardDirectory(options.directory, shard);
    shard_options.log.identity = {identity.ledger_id, shard, identity.shard_count};
    shard_options.log.segment_bytes = options.segment_bytes;
    shard_options.log.blocks_in_flight = options.blocks_in_flight;
    shard_options.log.durability = options.durability;
    shard_options.log.reserve_bytes = options.disk_reserve_bytes;
    shard_options.archive = ShardFolders(options.directory, identity, shard).archive;
    shard_options.on_progress = [this, shard](uint64_t sealed_before) {
      keeper->Note(shard, sealed_before);
    };
    if (options.history) {
      built[shard]->set_wake([&worker] { worker.io().Wake(); });
      shard_options.history.built = built[shard];
      shard_options.history.memory_bytes = options.history_memory_bytes / identity.shard_count;
      shard_options.history.build = [this, shard](const wal::SealedSegment& segment) {
        keeper->Redo(shard, segment);
      };
    }
    shard_options.clock = *options.clock;
    shard_options.create = options.create;
    shard_options.confirm_clock = options.confirm_clock;
    shard_options.digests = options.block_digests;
    shard_options.snapshots = {.interval_us = options.snapshot_interval_ms * 1000,
                               .log_bytes = options.snapshot_log_bytes};
    shard_options.snapshot_at_stop = options.snapshot_at_close;
    shard_options.snapshot_disk_percent = options.snapshot_disk_percent;
    shard_options.snapshot_buffer_bytes = options.snapshot_buffer_bytes;
    shard_options.hash_seed = RandomId().low();
    shard_options.regions = memory.get();
    shard_options.report = [this](const std::string& sentence) { Report(sentence); };
    absl::StatusOr<std::unique_ptr<Shard>> opened = Shard::Open(worker.io(), shard_options);
    if (!opened.ok()) return opened.status();
    worker.AddShard(*std::move(opened));
  }
  return absl::OkStatus();
}

// A put that shard 0 has, and a crash kept from others.
absl::Status Ledger::State::CompletePrograms(ShardWorker& worker) {
  const ledger::StateMachine& home = workers[0]->shards()[0]->machine();
  for (const uint16_t program : home.Programs()) {
    const auto& versions = home.VersionsOf(program);
    for (const auto& shard : worker.shards()) {
      for (size_t v = shard->machine().VersionsOf(program).size(); v < versions.size(); ++v) {
        const Operation put = workers[0]->shards()[0]->PutOf(program, static_cast<uint16_t>(v + 1));
        if (absl::Status s = shard->InstallProgram(put, versions[v].bytes); !s.ok()) return s;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Ledger::State::CheckArrivals() const {
  const auto shard_of = [this](uint16_t number) -> const Shard& {
    const auto& shards = workers[owners[number]]->shards();
    return **std::find_if(shards.begin(), shards.end(),
                          [&](const auto& shard) { return shard->number() == number; });
  };
  for (uint16_t to = 0; to < identity.shard_count; ++to) {
    for (uint16_t from = 0; from < identity.shard_count; ++from) {
      const std::string remedy =
          ": the shards' folders are not of one moment. Restore all of them from one backup, or to "
          "one point in time; tally log verify says where they differ";
      const auto ends = [&](uint16_t shard) {
        return absl::StrCat(", and the log of shard ", shard, " ends at position ",
                            shard_of(shard).end() - 1, remedy);
      };
      const Position arrival = shard_of(to).machine().NewestArrival(from);
      if (arrival >= shard_of(from).end()) {
        return absl::DataLossError(absl::StrCat(options.directory, ": shard ", to,
                                                " has received points that shard ", from,
                                                " sent at position ", arrival, ends(from)));
      }
      const Position delivery = shard_of(from).machine().NewestDelivery(to);
      if (delivery >= shard_of(to).end()) {
        return absl::DataLossError(absl::StrCat(options.directory, ": shard ", from,
                                                " knows of points that shard ", to,
                                                " received at position ", delivery, ends(to)));
      }
    }
  }
  return absl::OkStatus();
}

void Ledger::State::Connect() {
  ServerInfo info;
  info.protocol_version = kProtocolVersion;
  info.ledger = Id(identity.ledger_id.low, identity.ledger_id.high);
  info.shard_count = identity.shard_count;
  info.clock = *options.clock;
  info.durability = Name(options.durability);
  info.max_operations = kMaxRequestOperations;
  std::vector<ShardWorker*> all;
  for (const auto& worker : workers) all.push_back(worker.get());
  for (const auto& worker : workers) worker->Connect(owners, all, info);
}

// Recover, then complete programs, then serve: each step when all have done the one before.
void Ledger::State::ThreadMain(size_t index) {
  ShardWorker& worker = *workers[index];
  statuses[index] = OpenShards(worker);
  pace->arrive_and_wait();  // main looks at the statuses
  pace->arrive_and_wait();
  if (give_up) return worker.CloseShards();
  statuses[index] = CompletePrograms(worker);
  pace->arrive_and_wait();
  pace->arrive_and_wait();
  if (give_up) return worker.CloseShards();
  worker.Run();
  statuses[index] = worker.CloseLogs();
}

absl::Status Ledger::State::OpenAll() {
  const auto first_failure = [&] {
    const auto it = std::find_if(statuses.begin(), statuses.end(),
                                 [](const absl::Status& s) { return !s.ok(); });
    return it == statuses.end() ? absl::OkStatus() : *it;
  };
  // All shards have their logs: now there is a ledger, and it is served this way.
  const auto begin = [&]() -> absl::Status {
    if (!(identity == stored)) {
      absl::Status s = WriteIdentity(workers[0]->io(), options.directory, identity);
      if (!s.ok()) return s;
    }
    if (stored.clock.has_value() && identity.clock != stored.clock) {
      Report(absl::StrCat("the ledger goes by the ", Name(*identity.clock),
                          " clock from now on, and by the ", Name(*stored.clock),
                          " clock no more"));
    }
    Connect();
    return absl::OkStatus();
  };
  statuses.assign(workers.size(), absl::OkStatus());
  if (options.manual) {
    for (const auto& worker : workers) {
      if (absl::Status s = OpenShards(*worker); !s.ok()) return s;
    }
    if (absl::Status s = CheckArrivals(); !s.ok()) return s;
    for (const auto& worker : workers) {
      if (absl::Status s = CompletePrograms(*worker); !s.ok()) return s;
    }
    return begin();
  }
  pace = std::make_unique<std::barrier<>>(static_cast<std::ptrdiff_t>(workers.size() + 1));
  for (size_t i = 0; i < workers.size(); ++i) threads.emplace_back([this, i] { ThreadMain(i); });
  for (int step = 0; step < 2; ++step) {
    pace->arrive_and_wait();
    absl::Status failure = first_failure();
    if (failure.ok() && step == 0) failure = CheckArrivals();
    if (failure.ok() && step == 1) failure = begin();
    give_up = !failure.ok();
    pace->arrive_and_wait();
    if (failure.ok()) continue;
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    return failure;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Open(const LedgerOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  auto state = std::make_unique<State>(options);
  if (absl::Status s = state->MakeWorkers(); !s.ok()) return s;
  if (absl::Status s = state->FindIdentity(); !s.ok()) return s;
  if (options.durability == wal::Durability::kNone) {
    state->Report(
        "durability none: a crash of this machine loses acknowledged operations; for benchmarks "
        "only");
  }
  if (!options.manual) state->memory = std::make_unique<MemoryAhead>(options.reserve_memory_bytes);
  if (absl::Status s = state->MakeKeeper(); !s.ok()) return s;
  if (absl::Status s = state->OpenAll(); !s.ok()) return s;
  if (!options.manual) state->keeper->Start();
  return std::unique_ptr<Ledger>(new Ledger(std::move(state)));
}

}  // namespace tallystick
