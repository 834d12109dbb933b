// What the state machine does in memory, by kind of operation: only StateMachine's own calls are
// timed. Points are spent as fast as they are earned and receipts leave as fast as they come, so
// that no table grows while it is measured. Beside them in the same run stands what bounds them:
// random reads and writes of as much memory, fetched ahead.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/tally/zipf.h"
#include "bench/points_world.h"
#include "bench/stopwatch.h"
#include "ledger/pages.h"
#include "ledger/prefetch.h"

namespace tallystick::bench {
namespace {

enum class Mix {
  kAccrue,
  kRedeem,
  kAccrueRedeem,
  kPurchase,
  kReturn,
  kAdjust,
  kReplayed,
  kHold,
  kCapture,
  kReverse
};

// One at a time: the largest takes gigabytes.
PointsWorld& WorldOf(uint64_t members) {
  static std::unique_ptr<PointsWorld> world;
  if (world == nullptr || world->members() != members) {
    world.reset();
    world = std::make_unique<PointsWorld>(members);
  }
  return *world;
}

// Draws a chunk of operations, of which what is timed is applied; returns seconds.
double Chunk(PointsWorld& world, Mix mix) {
  switch (mix) {
    case Mix::kAccrue:
    case Mix::kPurchase: {
      world.Draw(mix == Mix::kAccrue ? &PointsWorld::Accrual : &PointsWorld::Purchase);
      const double seconds = world.Apply();
      world.DrawAgain(&PointsWorld::SpendAll);
      world.Apply();
      return seconds;
    }
    case Mix::kRedeem:
      world.Draw(&PointsWorld::Accrual);
      world.Apply();
      world.DrawAgain(&PointsWorld::SpendAll);
      return world.Apply();
    case Mix::kAccrueRedeem:
      world.Draw(&PointsWorld::SaveOrSpend);
      return world.Apply();
    case Mix::kReturn:
      world.Draw(&PointsWorld::Purchase);
      world.Apply();
      world.DrawReturns();
      return world.Apply();
    case Mix::kHold:
    case Mix::kCapture: {
      world.Draw(&PointsWorld::Accrual);
      world.Apply();
      world.DrawAgain(&PointsWorld::HoldAll);
      const double held = world.Apply();
      world.DrawNaming(Kind::Hold, Kind::Capture);
      const double captured = world.Apply();
      return mix == Mix::kHold ? held : captured;
    }
    case Mix::kReverse: {
      world.Draw(&PointsWorld::Accrual);
      world.Apply();
      world.DrawAgain(&PointsWorld::SpendAll);
      world.Apply();
      world.DrawNaming(Kind::Redeem, Kind::ReverseRedemption);
      const double seconds = world.Apply();
      world.DrawAgain(&PointsWorld::SpendAll);
      world.Apply();
      return seconds;
    }
    case Mix::kAdjust:
      world.Draw(&PointsWorld::Adjustment);
      return world.Apply();
    case Mix::kReplayed:
      world.Draw(&PointsWorld::SaveOrSpend);
      world.Apply();
      return world.Apply();
  }
  return 0;
}

void CountMemory(benchmark::State& state, const PointsWorld& world) {
  const ledger::StateMachine::Sizes sizes = world.machine().sizes();
  state.counters["bytes_per_member"] =
      static_cast<double>(sizes.bytes) / static_cast<double>(sizes.accounts);
  state.counters["receipts"] = static_cast<double>(sizes.receipts);
}

void Apply(benchmark::State& state, Mix mix, double theta) {
  PointsWorld& world = WorldOf(static_cast<uint64_t>(state.range(0)));
  world.SkewMembers(theta);
  // Until receipts leave as fast as they come.
  for (int64_t warm = 0; warm < PointsWorld::kReceiptsAlive + 200'000;
       warm += PointsWorld::kChunk) {
    Chunk(world, mix);
  }
  for ([[maybe_unused]] auto _ : state) state.SetIterationTime(Chunk(world, mix));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(PointsWorld::kChunk));
  CountMemory(state, world);
}

void Balance(benchmark::State& state) {
  PointsWorld& world = WorldOf(static_cast<uint64_t>(state.range(0)));
  world.SkewMembers(0);
  for ([[maybe_unused]] auto _ : state) {
    world.Draw(&PointsWorld::Accrual);
    state.SetIterationTime(world.ReadBalances());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(PointsWorld::kChunk));
}

// As many random lines as an operation touches, in as much memory as the ledger has, or in so much
// that more makes no difference.
void MemoryBound(benchmark::State& state) {
  constexpr size_t kLines = 5;
  constexpr size_t kAhead = 40;
  struct alignas(64) Line {
    uint64_t words[8];
  };
  constexpr size_t kEnough = size_t{4} << 30;
  const PointsWorld& world = WorldOf(static_cast<uint64_t>(state.range(0)));
  const size_t bytes = std::min<size_t>(world.machine().sizes().bytes, kEnough);
  constexpr size_t kLinesPerRegion = ledger::kRegionBytes / sizeof(Line);
  ledger::Pages pages(nullptr);
  std::vector<Line*> regions;
  for (size_t mapped = 0; mapped < bytes; mapped += ledger::kRegionBytes) {
    regions.push_back(reinterpret_cast<Line*>(pages.Take(ledger::kRegionBytes)));
    for (size_t i = 0; i < kLinesPerRegion; i += 64) regions.back()[i].words[0] = 1;
  }
  tally::Random random(1);
  Line* ahead[kAhead] = {};
  const auto next = [&]() -> Line* {
    const uint64_t at = random.Next();
    return &regions[(at >> 32) * regions.size() >> 32][at % kLinesPerRegion];
  };
  for (Line*& line : ahead) line = next();
  size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Stopwatch watch;
    for (size_t line = 0; line < PointsWorld::kChunk * kLines; ++line) {
      Line*& slot = ahead[i++ % kAhead];
      ++slot->words[0];
      slot = next();
      ledger::Prefetch(slot);
    }
    state.SetIterationTime(watch.Seconds());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(PointsWorld::kChunk));
}

// All of one size before the next, whose ledger is another.
void Register() {
  struct Applied {
    const char* name;
    Mix mix;
    double theta;
  };
  constexpr Applied kApplied[] = {{"accrue_redeem", Mix::kAccrueRedeem, 0},
                                  {"accrue_redeem_zipf", Mix::kAccrueRedeem, 0.99},
                                  {"accrue", Mix::kAccrue, 0},
                                  {"redeem", Mix::kRedeem, 0},
                                  {"purchase", Mix::kPurchase, 0},
                                  {"return", Mix::kReturn, 0},
                                  {"adjust", Mix::kAdjust, 0},
                                  {"replayed", Mix::kReplayed, 0},
                                  {"hold", Mix::kHold, 0},
                                  {"capture", Mix::kCapture, 0},
                                  {"reverse", Mix::kReverse, 0}};
  for (const int64_t members : {10'000, 1'000'000, 10'000'000, 50'000'000}) {
    const auto add = [members](const std::string& name, auto run) {
      benchmark::RegisterBenchmark(name.c_str(), run)->Arg(members)->UseManualTime();
    };
    add("MemoryBound", MemoryBound);
    for (const Applied& applied : kApplied) {
      add(absl::StrCat("Apply/", applied.name),
          [applied](benchmark::State& state) { Apply(state, applied.mix, applied.theta); });
    }
    add("Balance", Balance);
  }
}

}  // namespace
}  // namespace tallystick::bench

int main(int argc, char** argv) {
  tallystick::bench::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
