// Replay: applying what a log's blocks say once more, and comparing every byte. Without reading
// files.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/points_world.h"
#include "bench/stopwatch.h"

namespace tallystick::bench {
namespace {

void Replay(benchmark::State& state) {
  std::vector<PointsWorld::Block> log;
  uint64_t digest = 0;
  size_t records = 0;
  {
    PointsWorld world(static_cast<uint64_t>(state.range(0)), &log);
    for (int chunk = 0; chunk < 16; ++chunk) {
      world.Draw(&PointsWorld::SaveOrSpend);
      world.Apply();
    }
    world.EndBlock();
    digest = world.machine().Digest();
  }
  for (const PointsWorld::Block& block : log) records += block.slots.size();
  for ([[maybe_unused]] auto _ : state) {
    ledger::StateMachine machine;
    const Stopwatch watch;
    for (const PointsWorld::Block& block : log) {
      const absl::Status status = machine.Replay(block.time, block.first_position, block.slots);
      if (!status.ok()) {
        std::fprintf(stderr, "%s\n", status.ToString().c_str());
        std::abort();
      }
    }
    state.SetIterationTime(watch.Seconds());
    if (machine.Digest() != digest) state.SkipWithError("replay gave another digest");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(records));
}

BENCHMARK(Replay)->Arg(100'000)->Arg(1'000'000)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
