// The embedded ledger on a real disk: durable operations of one thread that submits and as many
// workers as there are CPUs, over shards and members; then the same ledger's recovery from its
// files. Bare writes to the same disk in the same run are the limit.
//
// Files lie in a temporary folder of the working directory, or of TALLYSTICK_BENCH_FOLDER. Receipts
// of every operation stay, so that memory is made ready before, as for a server with --reserve-mib.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/embedded.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/ledger_files.h"
#include "api/memory_ahead.h"
#include "api/program_file.h"
#include "api/shard.h"
#include "api/shard_of.h"
#include "api/tally/random.h"
#include "api/tally/workload.h"
#include "bench/disk.h"
#include "bench/stopwatch.h"
#include "bench/submitter.h"
#include "wal/host_io.h"

namespace tallystick::bench {
namespace {

constexpr uint64_t kOperations = 4'000'000;
constexpr int kPortions = 5;

// For kPortions, and as many members as there are.
size_t ReservedBytes(uint64_t members) {
  return (kOperations * kPortions * 128) + (members * 320) + (size_t{1} << 30);
}

constexpr char kProgram[] = R"({"id": 999, "name": "Bench", "currency": "USD", "time_zone": "UTC",
    "implicit_enrolment": true, "earn": {"points": 1, "per_spend": 100, "rounding": "floor"}})";

// Replays the shards of a ledger one after another, and counts their records.
uint64_t Recover(const std::string& directory, ledger::RegionSource& regions) {
  const std::unique_ptr<wal::Io> io = Must(wal::CreateHostIo()).io;
  const LedgerIdentity identity = Must(ReadIdentity(*io, directory));
  uint64_t records = 0;
  for (uint16_t number = 0; number < identity.shard_count; ++number) {
    ShardOptions options;
    options.log.directory = ShardDirectory(directory, number);
    options.log.identity = {identity.ledger_id, number, identity.shard_count};
    options.regions = &regions;
    options.report = [](const std::string&) {};
    const std::unique_ptr<Shard> shard = Must(Shard::Open(*io, options));
    records += shard->machine().sizes().receipts;
    Must(shard->Stop());
  }
  return records;
}

void Durable(benchmark::State& state) {
  const auto members = static_cast<uint64_t>(state.range(1));
  const Folder folder("embedded_bench");
  LedgerOptions options;
  options.directory = folder.Path("ledger");
  options.create = true;
  options.shards = static_cast<uint16_t>(state.range(0));
  options.reserve_memory_bytes = ReservedBytes(members);
  std::unique_ptr<Ledger> ledger = Must(Ledger::Open(options));
  Must(ledger->PutProgram(RandomId(), Must(ProgramFile::Parse(kProgram, "bench")).bytes()));

  tally::WorkloadOptions work;
  work.members = members;
  tally::Workload workload(work);
  {
    Submitter loader(*ledger);
    const Instant now = ToInstant(absl::Now());
    for (uint64_t member = 1; member <= members; ++member) loader.Add(workload.Load(member, now));
    loader.Finish();
  }
  Submitter submitter(*ledger);
  for ([[maybe_unused]] auto _ : state) {
    const Instant now = ToInstant(absl::Now());
    for (uint64_t n = 0; n < kOperations; ++n) submitter.Add(workload.Draw(now));
    submitter.Finish();
  }
  state.SetItemsProcessed(static_cast<int64_t>(submitter.accepted()));
  state.counters["p50_us"] = static_cast<double>(submitter.nanoseconds().Percentile(50)) / 1e3;
  state.counters["p99_us"] = static_cast<double>(submitter.nanoseconds().Percentile(99)) / 1e3;

  Must(ledger->Close());
  ledger.reset();
  MemoryAhead memory(ReservedBytes(members));
  const Stopwatch watch;
  const uint64_t records = Recover(options.directory, memory);
  state.counters["recovered/s"] = static_cast<double>(records) / watch.Seconds();
}

// Between members of two shards, each answered when it is durable on both that it has arrived.
void Transfers(benchmark::State& state) {
  constexpr uint64_t kMembers = 100'000;
  constexpr uint64_t kTransfers = 400'000;
  constexpr size_t kRequests = 24;  // fewer transfers than may be on their way
  const auto shards = static_cast<uint16_t>(state.range(0));
  const Folder folder("embedded_bench");
  LedgerOptions options;
  options.directory = folder.Path("ledger");
  options.create = true;
  options.shards = shards;
  options.reserve_memory_bytes = size_t{1} << 30;
  const std::unique_ptr<Ledger> ledger = Must(Ledger::Open(options));
  Must(ledger->PutProgram(RandomId(), Must(ProgramFile::Parse(kProgram, "bench")).bytes()));
  tally::Random random(1);
  uint64_t last_id = 0;
  const auto make = [&](Kind kind, uint64_t member, int64_t amount, uint64_t to) {
    return Operation(Id(++last_id, 1), Id(member, 2), to == 0 ? Id() : Id(to, 2), amount,
                     ToInstant(absl::Now()), 0, 0, 999, 0, kind, 0, 0);
  };
  {
    Submitter loader(*ledger);
    for (uint64_t member = 1; member <= kMembers; ++member) {
      loader.Add(make(Kind::Accrue, member, 1'000'000, 0));
    }
    loader.Finish();
  }
  const auto other = [&](uint64_t from) {
    while (true) {
      const uint64_t to = random.Below(kMembers) + 1;
      const bool crosses = ShardOf(Id(from, 2), shards) != ShardOf(Id(to, 2), shards);
      if (to != from && (crosses || shards == 1)) return to;
    }
  };
  Submitter submitter(*ledger, kRequests);
  for ([[maybe_unused]] auto _ : state) {
    for (uint64_t n = 0; n < kTransfers; ++n) {
      const uint64_t from = random.Below(kMembers) + 1;
      submitter.Add(make(Kind::Transfer, from, 1, other(from)));
    }
    submitter.Finish();
  }
  state.SetItemsProcessed(static_cast<int64_t>(submitter.accepted()));
  state.counters["refused"] = static_cast<double>(kTransfers * kPortions - submitter.accepted());
  state.counters["p50_us"] = static_cast<double>(submitter.nanoseconds().Percentile(50)) / 1e3;
  state.counters["p99_us"] = static_cast<double>(submitter.nanoseconds().Percentile(99)) / 1e3;
  Must(ledger->Close());
}

void RawWrites(benchmark::State& state) {
  constexpr size_t kPortionBytes = size_t{1} << 30;
  const Folder folder("embedded_bench");
  RawWriter writer(folder.Path("raw"), kBlockTargetSlots * sizeof(Record), 8);
  for ([[maybe_unused]] auto _ : state) writer.Write(kPortionBytes);
  state.SetItemsProcessed(state.iterations() *
                          static_cast<int64_t>(kPortionBytes / sizeof(Record)));
}

BENCHMARK(Transfers)->ArgName("shards")->Arg(1)->Arg(2)->Iterations(kPortions)->UseRealTime()->Unit(
    benchmark::kMillisecond);
BENCHMARK(RawWrites)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(Durable)
    ->ArgNames({"shards", "members"})
    ->ArgsProduct({{1, 2, 4, 8}, {1'000'000}})
    ->ArgsProduct({{1}, {100'000, 10'000'000}})
    ->Iterations(kPortions)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
