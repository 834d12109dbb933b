// Whole ledgers on a simulated machine that loses its power, its processes and its writes.
//
// TALLYSTICK_SEED=N runs the campaigns from that seed; TALLYSTICK_RUNS=N makes them that long.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/ledger/campaign.h"
#include "tests/sim/sim_world.h"

namespace tallystick::sim {
namespace {

using ledger::FromEnvironment;

uint64_t FirstSeed() { return FromEnvironment("TALLYSTICK_SEED", 1); }
uint64_t Runs(uint64_t otherwise) { return FromEnvironment("TALLYSTICK_RUNS", otherwise); }

// A machine as the seed has it.
WorldOptions RandomOptions(uint64_t seed) {
  Random random(seed);
  WorldOptions options;
  options.seed = seed;
  options.shards = random.Pick<uint16_t>({1, 2, 5});
  options.threads = static_cast<uint16_t>(random.Between(1, 3));
  options.clock = random.OneIn(3) ? ClockMode::kImport : ClockMode::kWall;
  options.durability = random.Pick<wal::Durability>(
      {wal::Durability::kOpenDsync, wal::Durability::kDsync, wal::Durability::kFdatasync});
  options.segment_bytes = random.Pick<uint64_t>({256 << 10, 640 << 10});
  options.blocks_in_flight = static_cast<uint32_t>(random.Between(1, 8));
  options.clients = static_cast<size_t>(random.Between(1, 5));
  options.requests_in_flight = static_cast<size_t>(random.Between(1, 6));
  options.operations = static_cast<size_t>(random.Between(1, 12));
  options.members = random.Between(2, 20);
  options.snapshot_interval_ms = random.Pick<int64_t>({0, 1, 20, 1'000});
  options.snapshot_at_close = random.OneIn(4);
  return options;
}

std::string Describe(const WorldOptions& options) {
  return absl::StrCat("TALLYSTICK_SEED=", options.seed, ": ", options.shards, " shards, ",
                      options.threads, " threads, ", options.segment_bytes, "-byte segments, ",
                      options.blocks_in_flight, " blocks in flight");
}

// Opens what a crash has left, through more crashes. True: it serves. False: the crash came before
// there was a ledger.
bool Recover(World& world, int more_crashes) {
  while (true) {
    if (more_crashes-- > 0) {
      world.machine().CrashAt(
          world.machine().boundaries() + static_cast<uint64_t>(world.random().Between(1, 12)),
          static_cast<CrashPoint>(world.random().Between(0, 2)));
    }
    const absl::Status opened = world.Open();
    if (opened.ok()) return true;
    if (world.machine().powered()) {
      EXPECT_EQ(opened.code(), absl::StatusCode::kNotFound) << opened;
      EXPECT_EQ(world.books().size(), 0u) << "operations were taken before there was a ledger";
      return false;
    }
    world.machine().Crash();
  }
}

// The machine stops at `boundary` of a short run, recovers and goes on.
void CrashOnce(const WorldOptions& options, uint64_t boundary, CrashPoint point) {
  World world(options);
  world.machine().CrashAt(boundary, point);
  const absl::Status created = world.Create();
  if (created.ok()) world.Run(options.shards == 1 ? 25 : 10);
  world.Drop();
  EXPECT_TRUE(created.ok() || !world.machine().powered()) << created;
  world.machine().Crash();
  if (!Recover(world, 0)) return;
  world.ResendAccepted();
  world.Run(5);
  world.Finish();
}

WorldOptions ShortRun(uint16_t shards, bool snapshots) {
  WorldOptions options;
  options.seed = FirstSeed();
  options.shards = shards;
  options.threads = shards;
  options.clients = 3;
  options.members = 5;
  options.snapshot_interval_ms = snapshots ? 1 : 0;
  options.snapshot_at_close = snapshots;
  return options;
}

// Of so many shards, with snapshots or without.
class EveryBoundary : public testing::TestWithParam<std::tuple<uint16_t, bool>> {};

TEST_P(EveryBoundary, LosesNothingThatWasAcknowledged) {
  const WorldOptions options = ShortRun(std::get<0>(GetParam()), std::get<1>(GetParam()));
  World whole(options);
  ASSERT_EQ(whole.Create(), absl::OkStatus());
  whole.Run(options.shards == 1 ? 25 : 10);
  const uint64_t boundaries = whole.machine().boundaries();
  EXPECT_GT(boundaries, 40u);
  for (uint64_t boundary = 1; boundary <= boundaries; ++boundary) {
    for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
      SCOPED_TRACE(testing::Message() << Describe(options) << "; power cut at boundary " << boundary
                                      << ", point " << static_cast<int>(point));
      CrashOnce(options, boundary, point);
      ASSERT_FALSE(HasFailure());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(LedgerSim, EveryBoundary,
                         testing::Combine(testing::Values(1, 2), testing::Bool()));

size_t CountReports(const World& world, const std::string& words) {
  return static_cast<size_t>(std::count_if(
      world.reports().begin(), world.reports().end(),
      [&](const std::string& report) { return report.find(words) != std::string::npos; }));
}

// One machine, some lives: power cuts and kills at random, some of them while it recovers. Returns
// how many recoveries of a shard began with a snapshot.
size_t LiveAndDie(const WorldOptions& options) {
  World world(options);
  Random& random = world.random();
  EXPECT_EQ(world.Create(), absl::OkStatus());
  for (int life = static_cast<int>(random.Between(1, 5)); life > 0; --life) {
    SCOPED_TRACE(testing::Message() << life << " lives left");
    const auto turns = static_cast<int>(random.Between(1, 150));
    const bool power = random.Percent(70);
    if (power) {
      world.machine().CrashAt(
          world.machine().boundaries() + static_cast<uint64_t>(random.Between(1, 200)),
          static_cast<CrashPoint>(random.Between(0, 2)));
    }
    world.Run(turns);
    if (power) {
      world.Drop();
      world.machine().Crash();
    } else if (random.OneIn(3)) {
      world.Drop();  // an orderly end
    } else {
      world.KillProcess();
    }
    world.machine().AdvanceMicros(random.Between(0, 3) * kMicrosPerDay / 4);
    EXPECT_TRUE(Recover(world, static_cast<int>(random.Between(0, 2))));
    if (testing::Test::HasFailure()) return 0;
    if (random.OneIn(2)) world.ResendAccepted();
  }
  world.machine().CrashAt(0, CrashPoint::kBefore);
  world.Run(20);
  world.Finish();
  EXPECT_EQ(CountReports(world, "is of no use"), 0u);
  return CountReports(world, "loaded the snapshot");
}

TEST(LedgerSim, RandomLivesAndDeathsLoseNothing) {
  const uint64_t first = FirstSeed();
  size_t snapshots = 0;
  for (uint64_t seed = first; seed < first + Runs(25); ++seed) {
    const WorldOptions options = RandomOptions(seed);
    SCOPED_TRACE(Describe(options));
    snapshots += LiveAndDie(options);
    ASSERT_FALSE(HasFailure());
  }
  std::printf("%zu recoveries began with a snapshot\n", snapshots);
  if (Runs(25) >= 25) {
    EXPECT_GT(snapshots, 0u);
  }
}

// Machines whose logs go into the archive all the time.
TEST(LedgerSim, LivesAndDeathsOfArchivedLedgersLoseNothing) {
  const uint64_t first = FirstSeed() + 1000;
  size_t archives = 0;
  for (uint64_t seed = first; seed < first + Runs(15); ++seed) {
    WorldOptions options = RandomOptions(seed);
    options.shards = 1 + seed % 2;
    options.segment_bytes = 256 << 10;
    options.snapshot_interval_ms = 1;
    SCOPED_TRACE(Describe(options));
    World world(options);
    Random& random = world.random();
    ASSERT_EQ(world.Create(), absl::OkStatus());
    for (int life = 0; life < 5; ++life) {
      const bool power = random.Percent(70);
      if (power) {
        world.machine().CrashAt(
            world.machine().boundaries() + static_cast<uint64_t>(random.Between(1, 600)),
            static_cast<CrashPoint>(random.Between(0, 2)));
      }
      world.Run(static_cast<int>(random.Between(50, 200)));
      if (power) {
        world.Drop();
        world.machine().Crash();
      } else {
        world.KillProcess();
      }
      ASSERT_TRUE(Recover(world, static_cast<int>(random.Between(0, 2))));
    }
    world.machine().CrashAt(0, CrashPoint::kBefore);
    world.Run(100);
    archives += world.machine()
                    .List("/ledger/shard-0000/archive")
                    .value_or(std::vector<std::string>())
                    .size();
    world.Finish();
    ASSERT_FALSE(HasFailure());
  }
  std::printf("%zu segments were archived\n", archives);
  if (Runs(15) >= 15) {
    EXPECT_GT(archives, 0u);
  }
}

TEST(LedgerSim, UndisturbedRunsAreWhatTheNaiveLedgerSays) {
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + Runs(4); ++seed) {
    const WorldOptions options = RandomOptions(seed);
    SCOPED_TRACE(Describe(options));
    World world(options);
    ASSERT_EQ(world.Create(), absl::OkStatus());
    world.Run(400);
    EXPECT_GT(world.Finish().size(), 20u) << "blocks";
    ASSERT_FALSE(HasFailure());
  }
}

TEST(LedgerSim, TheSameSeedWritesTheSameLog) {
  for (uint64_t seed = FirstSeed(); seed < FirstSeed() + 3; ++seed) {
    const WorldOptions options = RandomOptions(seed);
    SCOPED_TRACE(Describe(options));
    std::vector<uint64_t> logs[2];
    for (std::vector<uint64_t>& log : logs) {
      World world(options);
      ASSERT_EQ(world.Create(), absl::OkStatus());
      world.Run(150);
      log = world.Finish();
    }
    EXPECT_FALSE(logs[0].empty());
    EXPECT_EQ(logs[0], logs[1]);
  }
}

}  // namespace
}  // namespace tallystick::sim
