// Snapshots of an embedded ledger on a real disk, of two shards on as many threads: what one
// costs, and what a start costs with it and without. Bare writes to the same disk in the same run
// are the limit.
//
// Files lie in a temporary folder of the working directory, or of TALLYSTICK_BENCH_FOLDER.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "api/embedded.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/ledger_files.h"
#include "api/program_file.h"
#include "api/tally/workload.h"
#include "bench/disk.h"
#include "bench/stopwatch.h"
#include "bench/submitter.h"
#include "wal/snapshot_format.h"

namespace tallystick::bench {
namespace {

constexpr uint16_t kShards = 2;
constexpr uint64_t kLotsPerMember = 3;

constexpr char kProgram[] = R"({"id": 999, "name": "Bench", "currency": "USD", "time_zone": "UTC",
    "implicit_enrolment": true, "earn": {"points": 1, "per_spend": 100, "rounding": "floor"}})";

LedgerOptions Options(const Folder& folder, uint64_t members, uint64_t tail) {
  LedgerOptions options;
  options.directory = folder.Path("ledger");
  options.shards = kShards;
  options.threads = kShards;
  options.snapshot_interval_ms = 0;
  options.snapshot_log_bytes = 0;
  options.reserve_memory_bytes =
      members * 128 + members * kLotsPerMember * 192 + tail * 192 + (size_t{1} << 30);
  return options;
}

double OpenSeconds(const LedgerOptions& options, std::unique_ptr<Ledger>* ledger) {
  const Stopwatch watch;
  *ledger = Must(Ledger::Open(options));
  return watch.Seconds();
}

void RemoveSnapshots(const LedgerOptions& options) {
  for (uint16_t shard = 0; shard < kShards; ++shard) {
    for (const auto& file :
         std::filesystem::directory_iterator(ShardDirectory(options.directory, shard))) {
      if (file.path().extension() == ".snap") std::filesystem::remove(file.path());
    }
  }
}

// So many members with three lots each, a snapshot, and so many records behind it.
void SnapshotAndStart(benchmark::State& state) {
  const auto members = static_cast<uint64_t>(state.range(0));
  const auto tail = static_cast<uint64_t>(state.range(1));
  const Folder folder("snapshot_bench");
  LedgerOptions options = Options(folder, members, tail);
  options.create = true;
  std::unique_ptr<Ledger> ledger = Must(Ledger::Open(options));
  options.create = false;
  Must(ledger->PutProgram(RandomId(), Must(ProgramFile::Parse(kProgram, "bench")).bytes()));
  tally::WorkloadOptions work;
  work.members = members;
  tally::Workload workload(work);
  const auto submit = [&](uint64_t count, const auto& draw) {
    Submitter submitter(*ledger);
    for (uint64_t n = 0; n < count; ++n) submitter.Add(draw(n));
    submitter.Finish();
  };
  const Instant now = ToInstant(absl::Now());
  submit(members * kLotsPerMember,
         [&](uint64_t n) { return workload.Load(n % members + 1, now + static_cast<Instant>(n)); });

  for ([[maybe_unused]] auto _ : state) {
    const Stopwatch watch;
    const SnapshotsAnswer taken = Must(ledger->Snapshot());
    const double seconds = watch.Seconds();
    double bytes = 0;
    double memory = 0;
    for (const SnapshotState& shard : taken.shards) {
      if (!shard.failure.empty()) Must(absl::UnavailableError(shard.failure));
      bytes += static_cast<double>(shard.size_bytes);
      memory += static_cast<double>(shard.memory_bytes);
    }
    {
      RawWriter raw(folder.Path("raw"), wal::kMaxChunkBytes, 4 * size_t{kShards});
      constexpr size_t kRawBytes = size_t{1} << 30;
      const Stopwatch raw_watch;
      raw.Write(kRawBytes);
      state.counters["raw_MB/s"] = static_cast<double>(kRawBytes) / raw_watch.Seconds() / 1e6;
    }
    state.counters["snapshot_MB"] = bytes / 1e6;
    state.counters["snapshot_MB/s"] = bytes / seconds / 1e6;
    state.counters["memory_MB"] = memory / 1e6;
    submit(tail, [&](uint64_t) { return workload.Draw(ToInstant(absl::Now())); });
    Must(ledger->Close());
    ledger.reset();
    state.counters["start_s"] = OpenSeconds(options, &ledger);
    Must(ledger->Close());
    ledger.reset();
    RemoveSnapshots(options);
    state.counters["start_by_log_s"] = OpenSeconds(options, &ledger);
  }
}

BENCHMARK(SnapshotAndStart)
    ->ArgNames({"members", "tail"})
    ->Args({1'000'000, 1'000'000})
    ->Args({10'000'000, 10'000'000})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
