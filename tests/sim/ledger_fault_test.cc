// Ledgers on a machine whose disk, space or clock fails.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "api/ledger_files.h"
#include "api/shard.h"
#include "api/worker.h"
#include "tests/sim/sim_world.h"

namespace tallystick::sim {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Instant kHour = 3600 * kMicrosPerSecond;

// Many blocks fit into a segment, so that it is known which file is written next.
WorldOptions TwoShards() {
  WorldOptions options;
  options.shards = 2;
  options.threads = 2;
  options.segment_bytes = 4 << 20;
  options.members = 12;
  return options;
}

// The segment that a shard is writing.
std::string SegmentOf(World& world, uint16_t shard) {
  const std::string directory = ShardDirectory("/ledger", shard);
  std::string newest;
  const std::vector<std::string> names = *world.machine().List(directory);
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".log")) newest = name;
  }
  return directory + "/" + newest;
}

void StartAndRun(World& world) {
  ASSERT_EQ(world.Create(), absl::OkStatus());
  world.Run(100);
  ASSERT_TRUE(world.Settle());
}

// Shard 1 has stopped; members of shard 0 are served, those of shard 1 are told why not.
void ExpectOnlyShard1HasStopped(World& world) {
  ASSERT_FALSE(world.ledger()->health().ok());
  for (int turn = 0; turn < 1000 && world.unanswered() > 0; ++turn) world.Step();
  EXPECT_EQ(world.unanswered(), 0u) << "a request waits for ever";
  EXPECT_THAT(world.ledger()->health().ToString(), HasSubstr("shard 1 has stopped"));
  int served = 0;
  int refused = 0;
  for (int64_t number = 1; number <= world.options().members; ++number) {
    Operation operation = world.Draw();
    operation.mutable_member() = world.Member(number);
    operation.mutate_flags(0);
    const absl::StatusOr<BalanceAnswer> read = world.ledger()->Balance(1, world.Member(number));
    EXPECT_EQ(read.ok(), world.Apply(operation).ok());
    ++(read.ok() ? served : refused);
    if (!read.ok()) {
      EXPECT_THAT(read.status().ToString(), HasSubstr("shard 1 has stopped"));
    }
  }
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0);
}

TEST(LedgerFaults, AFailedWriteStopsItsShardAlone) {
  World world(TwoShards());
  StartAndRun(world);
  world.machine().FailWrite(1, EIO, SegmentOf(world, 1));
  world.Run(1000);
  ExpectOnlyShard1HasStopped(world);
  EXPECT_THAT(world.last_failure().ToString(), HasSubstr("writing a block failed"));
  ASSERT_EQ(world.Open(), absl::OkStatus());
  world.Run(50);
  world.Finish();
}

TEST(LedgerFaults, AFailedSyncStopsItsShardAlone) {
  WorldOptions options = TwoShards();
  options.durability = wal::Durability::kFdatasync;
  World world(options);
  StartAndRun(world);
  world.machine().FailSync(1, EIO, SegmentOf(world, 1));
  world.Run(1000);
  ExpectOnlyShard1HasStopped(world);
  EXPECT_THAT(world.last_failure().ToString(), HasSubstr("syncing the segment failed"));
  world.Drop();
  world.machine().Crash();
  ASSERT_EQ(world.Open(), absl::OkStatus());
  world.Run(50);
  world.Finish();
}

TEST(LedgerFaults, AFullDiskOverloadsUntilThereIsRoom) {
  WorldOptions options = TwoShards();
  options.segment_bytes = 512 << 10;
  World world(options);
  StartAndRun(world);
  world.machine().SetDiskBytes(1);
  for (int turn = 0; turn < 3000 && world.overloads() < 20; ++turn) world.Run(1);
  EXPECT_GE(world.overloads(), 20u);
  EXPECT_EQ(world.ledger()->health(), absl::OkStatus());
  for (int64_t number = 1; number <= options.members; ++number) {
    EXPECT_TRUE(world.ledger()->Balance(1, world.Member(number)).ok());
    EXPECT_TRUE(world.ledger()->Statement(1, world.Member(number)).ok());
  }
  EXPECT_TRUE(world.ledger()->Totals(1).ok());
  EXPECT_THAT(world.reports(), Contains(HasSubstr("writes are refused as Overloaded")));
  world.machine().SetDiskBytes(UINT64_MAX);
  for (int second = 0; second < 3; ++second) {
    world.machine().AdvanceMicros(kMicrosPerSecond);
    world.Run(10);
  }
  world.Run(50);
  EXPECT_THAT(world.reports(), Contains(HasSubstr("there is room for the log again")));
  world.Finish();
}

// What is left is the archive's and the operator's.
TEST(LedgerFaults, LogsLeaveTheDisksReserveAlone) {
  constexpr uint64_t kReserve = 4 << 20;
  WorldOptions options = TwoShards();
  options.segment_bytes = 512 << 10;
  options.disk_reserve_bytes = kReserve;
  World world(options);
  StartAndRun(world);
  uint64_t used = 0;
  for (const char* shard : {"/ledger/shard-0000", "/ledger/shard-0001"}) {
    const std::vector<std::string> names = *world.machine().List(shard);
    used += names.size() * options.segment_bytes;
  }
  world.machine().SetDiskBytes(used + kReserve + options.segment_bytes);
  for (int turn = 0; turn < 3000 && world.overloads() < 20; ++turn) world.Run(1);
  EXPECT_GE(world.overloads(), 20u);
  EXPECT_GE(*world.machine().FreeBytes("/ledger"), kReserve);
  EXPECT_THAT(world.reports(), Contains(HasSubstr("are kept for archiving and repair")));
  const absl::StatusOr<SnapshotsAnswer> taken = world.ledger()->Snapshot();
  ASSERT_TRUE(taken.ok()) << taken.status();
  for (int64_t number = 1; number <= options.members; ++number) {
    EXPECT_TRUE(world.ledger()->Statement(1, world.Member(number)).ok());
  }
  world.machine().SetDiskBytes(used + 4 * kReserve);
  for (int second = 0; second < 3; ++second) {
    world.machine().AdvanceMicros(kMicrosPerSecond);
    world.Run(10);
  }
  EXPECT_THAT(world.reports(), Contains(HasSubstr("there is room for the log again")));
  world.Finish();
}

// What two snapshots need no more makes room: nobody has to free any.
TEST(LedgerFaults, ArchivingGivesAFullDiskRoomAgain) {
  WorldOptions options;
  options.shards = 1;
  options.disk_reserve_bytes = 1 << 20;
  World world(options);
  StartAndRun(world);
  ASSERT_TRUE(world.ledger()->Snapshot().ok());
  const uint64_t used = UINT64_C(256) * options.segment_bytes;
  world.machine().SetDiskBytes(used);
  for (int turn = 0; turn < 20'000 && world.overloads() < 20; ++turn) world.Run(1);
  ASSERT_GE(world.overloads(), 20u);
  // Or a segment was being made when the disk shrank.
  EXPECT_THAT(world.reports(),
              Contains(testing::AnyOf(HasSubstr("are kept for archiving and repair"),
                                      HasSubstr("No space left on device"))));
  ASSERT_FALSE(world.machine().Exists("/ledger/shard-0000/archive/0000000000000001.arc"));
  for (int snapshot = 0; snapshot < 2; ++snapshot) {
    const absl::StatusOr<SnapshotsAnswer> taken = world.ledger()->Snapshot();
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(taken->shards[0].failure, "");
    for (int turn = 0; turn < 3000; ++turn) {
      world.machine().AdvanceMicros(1000);
      world.ledger()->Step(0);
    }
    world.Run(5);  // else there is nothing new to take a snapshot of
  }
  for (int turn = 0; turn < 3000; ++turn) world.ledger()->Step(0);
  EXPECT_TRUE(world.machine().Exists("/ledger/shard-0000/archive/0000000000000001.arc"));
  EXPECT_GT(*world.machine().FreeBytes("/ledger"), used / 2);
  EXPECT_THAT(world.reports(), Contains(HasSubstr("there is room for the log again")));
  const size_t overloads = world.overloads();
  world.Run(20);
  EXPECT_EQ(world.overloads(), overloads);
  world.machine().SetDiskBytes(UINT64_MAX);
  world.Finish();
}

// The log's growth counts from the last snapshot that there is, not from one that has failed.
TEST(LedgerFaults, ASnapshotThatFailedIsStillDue) {
  WorldOptions options = TwoShards();
  options.snapshot_log_bytes = 100 * kSlotBytes;
  World world(options);
  ASSERT_EQ(world.Create(), absl::OkStatus());
  world.machine().FailWrite(1, ENOSPC, ".snap.new");
  for (int turn = 0; turn < 1000 && world.reports().empty(); ++turn) world.Run(1);
  ASSERT_THAT(world.reports(), ElementsAre(HasSubstr("no snapshot was taken: ")));
  ASSERT_TRUE(world.Settle());
  const auto snapshots = [&](const char* shard) {
    size_t count = 0;
    const std::vector<std::string> names = *world.machine().List(shard);
    for (const std::string& name : names) count += name.find(".snap") != std::string::npos ? 1 : 0;
    return count;
  };
  const char* const failed =
      world.reports()[0].find("shard 0") == 0 ? "/ledger/shard-0000" : "/ledger/shard-0001";
  EXPECT_EQ(snapshots(failed), 0u);
  world.machine().AdvanceMicros(11 * kMicrosPerSecond);
  for (int turn = 0; turn < 200; ++turn) world.ledger()->Step(0);  // nothing more is written
  EXPECT_GT(snapshots(failed), 0u);
  world.Finish();
}

// What the disk has no room for is the snapshot alone; it is tried again, and the log goes on.
TEST(LedgerFaults, ADiskThatIsFullForASnapshotIsNotForTheLog) {
  WorldOptions options = TwoShards();
  options.snapshot_interval_ms = 1;
  World world(options);
  StartAndRun(world);
  const auto snapshots = [&] {
    size_t count = 0;
    const std::vector<std::string> names = *world.machine().List("/ledger/shard-0000");
    for (const std::string& name : names) {
      count += name.find(".snap") != std::string::npos ? 1 : 0;
    }
    return count;
  };
  EXPECT_GT(snapshots(), 0u);
  world.machine().FailWrite(1, ENOSPC, ".snap.new");
  for (int turn = 0; turn < 1000 && world.reports().empty(); ++turn) world.Run(1);
  EXPECT_THAT(world.reports(), ElementsAre(AllOf(HasSubstr("no snapshot was taken: "),
                                                 HasSubstr(".snap.new: writing it failed"))));
  EXPECT_EQ(world.ledger()->health(), absl::OkStatus());
  EXPECT_EQ(world.overloads(), 0u);
  // Those that are there stay; the next comes when there has been time.
  EXPECT_GT(snapshots(), 0u);
  world.machine().AdvanceMicros(11 * kMicrosPerSecond);
  world.Run(50);
  EXPECT_EQ(world.reports().size(), 1u);
  world.Drop();
  ASSERT_EQ(world.Open(), absl::OkStatus());
  EXPECT_THAT(world.reports(), Contains(HasSubstr("loaded the snapshot")));
  world.Finish();
}

TEST(LedgerFaults, AFullDiskAtTheStartIsASentence) {
  World world(TwoShards());
  StartAndRun(world);
  world.Drop();
  const std::vector<std::string> names = *world.machine().List("/ledger/shard-0000");
  for (const std::string& name : names) {
    if (name.find("spare") == std::string::npos) continue;
    ASSERT_EQ(world.machine().Remove("/ledger/shard-0000/" + name), absl::OkStatus());
  }
  world.machine().SetDiskBytes(1);
  EXPECT_THAT(world.Open().ToString(), HasSubstr("Free or add disk space"));
  world.machine().SetDiskBytes(UINT64_MAX);
  ASSERT_EQ(world.Open(), absl::OkStatus());
  world.Finish();
}

TEST(LedgerFaults, AClockThatLeapsStopsTheLedger) {
  for (const Instant leap : {2 * kHour, -2 * kHour}) {
    World world(TwoShards());
    StartAndRun(world);
    world.machine().SetWallMicros(world.machine().WallMicros() + leap);
    world.Run(10);
    EXPECT_THAT(world.ledger()->health().ToString(), HasSubstr("the clock leapt by"));
    EXPECT_FALSE(world.ledger()->Balance(1, world.Member(1)).ok());
    const absl::Status opened = world.Open();
    EXPECT_EQ(opened.ok(), leap > 0) << opened;
    if (!opened.ok()) {
      ASSERT_EQ(world.Open(true), absl::OkStatus());
    }
    world.Run(50);
    world.Finish();
  }
}

TEST(LedgerFaults, AClockThatCreepsIsFollowed) {
  World world(TwoShards());
  StartAndRun(world);
  for (int hour = 0; hour < 20; ++hour) {
    world.machine().SetWallMicros(world.machine().WallMicros() + kHour - kMicrosPerSecond);
    world.Run(3);
  }
  EXPECT_EQ(world.ledger()->health(), absl::OkStatus());
  world.Finish();
}

TEST(LedgerFaults, AClockAWeekAheadAtTheStartMustBeConfirmed) {
  World world(TwoShards());
  StartAndRun(world);
  world.Drop();
  world.machine().AdvanceMicros(8 * kMicrosPerDay);
  EXPECT_THAT(world.Open().ToString(), HasSubstr("if the clock is right, start with"));
  ASSERT_EQ(world.Open(true), absl::OkStatus());
  world.Run(50);
  world.Finish();
}

TEST(LedgerFaults, AnOrderlyEndAnswersWhatIsUnderWay) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    WorldOptions options = TwoShards();
    options.seed = seed;
    World world(options);
    ASSERT_EQ(world.Create(), absl::OkStatus());
    world.Run(20 + static_cast<int>(seed));
    world.Drop();
    EXPECT_EQ(world.last_failure(), absl::OkStatus());
    ASSERT_EQ(world.Open(), absl::OkStatus());
    world.Finish();
  }
}

TEST(LedgerFaults, AnIdleLedgerSleeps) {
  WorldOptions options = TwoShards();
  options.threads = 1;
  options.clock = ClockMode::kImport;  // nothing falls due by itself
  World world(options);
  StartAndRun(world);
  // Spares are prepared and the witness is written.
  for (int turn = 0; turn < 200; ++turn) {
    world.machine().AdvanceMicros(1000);
    world.ledger()->Step(-1);
  }
  EXPECT_LT(world.process().asked_wait_us, 0);
  EXPECT_EQ(world.machine().pending(), 0u);
  const uint64_t boundaries = world.machine().boundaries();
  for (int turn = 0; turn < 200; ++turn) {
    world.machine().AdvanceMicros(1000);
    world.ledger()->Step(-1);
    EXPECT_LT(world.process().asked_wait_us, 0);
  }
  EXPECT_EQ(world.machine().boundaries(), boundaries);
  world.Finish();
}

// A stream without callers' logic around it.
class StreamTest : public testing::Test {
 protected:
  struct Batch {
    std::vector<Operation> operations;
    std::vector<Result> results;
    SubmitCall call;
    bool done = false;
  };

  void SetUp() override {
    WorldOptions options;
    options.shards = 1;
    options.segment_bytes = 8 << 20;
    world_ = std::make_unique<World>(options);
    ASSERT_EQ(world_->Create(), absl::OkStatus());
    ASSERT_TRUE(world_->Settle());
  }

  Batch& Submit(size_t count, uint32_t overloads_seen) {
    batches_.push_back(std::make_unique<Batch>());
    Batch& batch = *batches_.back();
    for (size_t i = 0; i < count; ++i) {
      batch.operations.emplace_back(Id(++last_id_, 9), Id(1, 9), Id(), 0,
                                    world_->machine().WallMicros(), 0, 0, 1, 0, Kind::Enrol, 0, 0);
    }
    batch.results.resize(count);
    batch.call.stream = &stream_;
    batch.call.overloads_seen = overloads_seen;
    batch.call.operations = batch.operations;
    batch.call.results = absl::MakeSpan(batch.results);
    batch.call.owner = &batch;
    batch.call.done = [](SubmitCall& call) { static_cast<Batch*>(call.owner)->done = true; };
    world_->ledger()->worker(0).dispatcher().Submit(batch.call);
    return batch;
  }

  bool SettleAll() {
    for (int turn = 0; turn < 10'000; ++turn) {
      bool all = true;
      for (const auto& batch : batches_) all = all && batch->done;
      if (all) return true;
      world_->ledger()->Step(0);
    }
    return false;
  }

  static size_t Count(const Batch& batch, Outcome outcome) {
    size_t count = 0;
    for (const Result& result : batch.results) count += result.outcome() == outcome ? 1 : 0;
    return count;
  }

  std::unique_ptr<World> world_;
  Stream stream_{1};
  std::vector<std::unique_ptr<Batch>> batches_;
  uint64_t last_id_ = 0;
};

TEST_F(StreamTest, WhatIsBehindAnOverloadedOperationIsOverloadedUntilTheCallerHasSeenIt) {
  constexpr size_t kRequests = kMaxQueuedOperations / kMaxRequestOperations + 2;
  for (size_t i = 0; i < kRequests; ++i) Submit(kMaxRequestOperations, 0);
  // There is room again, but what was too much still waits to be refused.
  world_->ledger()->Step(0);
  EXPECT_EQ(stream_.overloads_given(), 0u);
  const Batch& behind = Submit(3, 0);
  ASSERT_TRUE(SettleAll());
  EXPECT_EQ(Count(behind, Outcome::Overloaded), 3u);
  for (size_t i = 0; i < kRequests; ++i) {
    const bool fits = i + 2 < kRequests;
    EXPECT_EQ(Count(*batches_[i], fits ? Outcome::Ok : Outcome::Overloaded), kMaxRequestOperations)
        << "request " << i;
  }
  EXPECT_EQ(stream_.overloads_given(), 2 * kMaxRequestOperations + 3);
  const Batch& unaware = Submit(3, 0);
  const Batch& half_aware = Submit(3, kMaxRequestOperations);
  ASSERT_TRUE(SettleAll());
  EXPECT_EQ(Count(unaware, Outcome::Overloaded), 3u);
  EXPECT_EQ(Count(half_aware, Outcome::Overloaded), 3u);
  const Batch& aware = Submit(3, stream_.overloads_given());
  ASSERT_TRUE(SettleAll());
  EXPECT_EQ(Count(aware, Outcome::Ok), 3u);
}

// Refusals by a full disk come back while later requests are on their way.
TEST_F(StreamTest, NothingOvertakesWhatAFullDiskRefused) {
  world_->machine().SetDiskBytes(1);
  for (int round = 0; round < 200 && stream_.overloads_given() == 0; ++round) {
    Submit(2000, 0);
    Submit(10, 0);
    Submit(10, 0);
    ASSERT_TRUE(SettleAll());
  }
  ASSERT_GT(stream_.overloads_given(), 0u);
  bool refused = false;
  for (const auto& batch : batches_) {
    for (const Result& result : batch->results) {
      if (result.outcome() == Outcome::Overloaded) refused = true;
      ASSERT_EQ(result.outcome() == Outcome::Overloaded, refused);
    }
  }
  world_->machine().SetDiskBytes(UINT64_MAX);
  for (int turn = 0; turn < 100; ++turn) {
    world_->machine().AdvanceMicros(kMicrosPerSecond);
    world_->ledger()->Step(0);
  }
  EXPECT_EQ(Count(Submit(5, stream_.overloads_given() - 1), Outcome::Ok), 0u);
  ASSERT_TRUE(SettleAll());
  const Batch& aware = Submit(5, stream_.overloads_given());
  ASSERT_TRUE(SettleAll());
  EXPECT_EQ(Count(aware, Outcome::Ok), 5u);
}

}  // namespace
}  // namespace tallystick::sim
