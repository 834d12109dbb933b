// Transfers between shards that crash, against the naive model: random ones among random
// operations, and one with a crash at each point of its way.
//
// TALLYSTICK_SEED=n runs one seed again; TALLYSTICK_RUNS=n makes a longer campaign.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/ledger/campaign.h"
#include "tests/ledger/random_operations.h"
#include "tests/ledger/transfer_fleet.h"

namespace tallystick::ledger {
namespace {

using model::kDay;

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kRuns = 60;
constexpr size_t kStepsPerShard = 120;
constexpr size_t kSlotsOfRequest = 2'000;

// What all runs together have met.
struct Tally {
  size_t accepted = 0;
  size_t sent = 0;
  size_t done = 0;
  size_t back = 0;
  size_t replayed = 0;  // parcels
  size_t crashes = 0;
  size_t images = 0;
};

// The life of a ledger of some shards.
class FleetLife {
 public:
  FleetLife(uint64_t seed, size_t shards)
      : random_(seed), fleet_(shards, static_cast<uint64_t>(members_of_shard_)) {
    taste_.start = model::UtcInstant(2023, 1, 1) + random_.Between(0, 700 * kDay);
    taste_.huge_numbers = random_.OneIn(8);
    taste_.long_lives = random_.OneIn(4);
    crash_percent_ = random_.Pick<int64_t>({0, 1, 3, 10});
    shards_.resize(shards);
    for (size_t i = 0; i < shards; ++i) {
      OperationTaste taste;
      taste.first_member = 1 + static_cast<int64_t>(i) * members_of_shard_;
      taste.members = members_of_shard_;
      taste.last_receiver = static_cast<int64_t>(shards) * members_of_shard_;
      taste.transfer_percent = 25;
      if (taste_.huge_numbers) taste.largest_points = INT64_MAX;
      Shard& shard = shards_[i];
      shard.operations =
          std::make_unique<RandomOperations>(random_, fleet_.pair(i).machine(), taste);
      shard.import_clock = random_.OneIn(5);
      shard.stamp = taste_.start + (shard.import_clock ? 900 * kDay : random_.Between(0, kDay));
    }
  }

  void Go(Tally& tally) {
    for (int64_t id = random_.Between(1, 2); id > 0; --id) {
      Put(RandomProgram(random_, taste_, static_cast<uint16_t>(id)));
    }
    const size_t steps = kStepsPerShard * shards_.size();
    for (size_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      Step(tally);
      fleet_.CheckConservation(Programs());
    }
    if (testing::Test::HasFailure()) return;
    fleet_.Complete();
    fleet_.CheckConservation(Programs());
    for (size_t i = 0; i < shards_.size() && !testing::Test::HasFailure(); ++i) {
      Settle(i);
      fleet_.pair(i).CompareAll();
      fleet_.pair(i).CompareReplay();
      tally.accepted += fleet_.pair(i).accepted();
      tally.images += fleet_.pair(i).images();
    }
    fleet_.CheckConservation(Programs());
    tally.done += fleet_.done();
    tally.back += fleet_.back();
    tally.replayed += fleet_.replayed();
    tally.crashes += fleet_.crashes();
  }

 private:
  struct Shard {
    std::unique_ptr<RandomOperations> operations;
    Instant stamp;
    bool import_clock;
  };

  std::vector<uint16_t> Programs() const {
    std::vector<uint16_t> programs;
    for (const auto& [id, version] : newest_) programs.push_back(id);
    return programs;
  }

  size_t AnyShard() {
    return static_cast<size_t>(random_.Between(0, static_cast<int64_t>(shards_.size()) - 1));
  }
  size_t Any(size_t count) {
    return static_cast<size_t>(random_.Between(0, static_cast<int64_t>(count) - 1));
  }

  void NextBlock(size_t i, size_t room) {
    Shard& shard = shards_[i];
    const Instant now = fleet_.pair(i).Now();
    const Instant edge = random_.OneIn(4) ? shard.operations->Edge(std::max(now, shard.stamp)) : 0;
    if (edge > shard.stamp && edge < shard.stamp + 60 * kDay) {
      shard.stamp = edge;
    } else {
      shard.stamp += std::min<Instant>(shard.operations->Leap(), 30 * kDay);
    }
    fleet_.BeginBlock(i, {shard.stamp, shard.import_clock}, room, random_.OneIn(8));
  }

  // Into all shards, durably: that all have the same programs is not theirs to see to.
  void Put(const model::Program& program) {
    const int32_t version = ++versions_[program.id];
    newest_[program.id] = program;
    for (size_t i = 0; i < shards_.size(); ++i) {
      NextBlock(i, StateMachine::SlotsOfProgram(4'096) + kSlotsOfRequest);
      fleet_.pair(i).PutProgram(program, version);
      NextBlock(i, kSlotsOfRequest);
      fleet_.MakeDurable(i, SIZE_MAX);
      shards_[i].operations->AddProgram(program);
    }
  }

  void Send(size_t i, Tally& tally) {
    LedgerPair& pair = fleet_.pair(i);
    Shard& shard = shards_[i];
    const std::vector<model::Operation> request =
        shard.operations->Request(std::max(pair.Now(), taste_.start), shard.import_clock);
    size_t done = 0;
    while (done < request.size() && !testing::Test::HasFailure()) {
      const size_t applied = pair.Apply(
          {request.begin() + static_cast<std::ptrdiff_t>(done), request.end()}, random_.OneIn(8));
      for (size_t j = 0; j < applied; ++j) {
        const model::Result& result = pair.last_results()[j];
        if (result.outcome != model::Outcome::kOk || result.replayed) continue;
        shard.operations->Accepted(request[done + j]);
        tally.sent += result.in_transit ? 1 : 0;
      }
      done += applied;
      if (done < request.size()) NextBlock(i, kSlotsOfRequest);
    }
    const model::Operation& last = request.back();
    if (last.member.IsZero() || last.program == 0) return;
    pair.CompareAccount(last.program, last.member, pair.Now() + random_.Between(0, kDay));
  }

  void Settle(size_t i) {
    NextBlock(i, 2 * kSlotsOfRequest);
    while (fleet_.pair(i).SettleDue(20) && !testing::Test::HasFailure()) {
      fleet_.NeedRoom(i, kSlotsOfRequest);
    }
  }

  // Of one shard, or of all at once, as when a machine goes down.
  void Crash(size_t i) {
    const bool all = random_.OneIn(4);
    for (size_t s = 0; s < shards_.size(); ++s) {
      if (!all && s != i) continue;
      fleet_.Crash(s, Any(fleet_.BlocksNotDurable(s) + 1));
    }
  }

  void Step(Tally& tally) {
    const size_t i = AnyShard();
    const int64_t what = random_.Between(0, 99);
    if (random_.Percent(crash_percent_)) Crash(i);
    if (what < 30) {
      Send(i, tally);
    } else if (what < 42) {
      NextBlock(i,
                random_.OneIn(2) ? static_cast<size_t>(random_.Between(1, 40)) : kSlotsOfRequest);
    } else if (what < 54) {
      fleet_.MakeDurable(i, Any(fleet_.BlocksNotDurable(i) + 1) + 1);
    } else if (what < 68) {
      const std::vector<model::OpenTransfer> unsent = fleet_.Unsent(i);
      if (!unsent.empty()) fleet_.SendParcel(i, random_.Pick(unsent));
      if (!unsent.empty() && random_.OneIn(4)) fleet_.SendParcel(i, random_.Pick(unsent));
    } else if (what < 82) {
      if (fleet_.parcels() > 0) fleet_.Deliver(Any(fleet_.parcels()));
    } else if (what < 94) {
      if (fleet_.answers() == 0) return;
      const size_t answer = Any(fleet_.answers());
      if (fleet_.MayLeave(answer)) fleet_.DeliverAnswer(answer);
    } else if (what < 97) {
      fleet_.pair(i).ContinueImage(static_cast<size_t>(random_.Between(1, 3'000)));
    } else if (what < 99) {
      Settle(i);
      fleet_.pair(i).CompareAll();
    } else if (versions_.begin()->second < 4) {
      const uint16_t id = random_.Pick(Programs());
      Put(RandomSuccessor(random_, taste_, newest_[id], fleet_.pair(i).Now()));
    }
  }

  static constexpr int64_t members_of_shard_ = 3;

  Random random_;
  TransferFleet fleet_;
  ProgramTaste taste_;
  std::vector<Shard> shards_;
  int64_t crash_percent_;
  std::map<uint16_t, int32_t> versions_;
  std::map<uint16_t, model::Program> newest_;
};

TEST(TransferModel, NoShardLosesOrDoublesAPoint) {
  const uint64_t only = FromEnvironment("TALLYSTICK_SEED", 0);
  const uint64_t first = only != 0 ? only : kFirstSeed;
  const uint64_t runs = only != 0 ? 1 : FromEnvironment("TALLYSTICK_RUNS", kRuns);
  Tally tally;
  for (uint64_t seed = first; seed < first + runs && !HasFailure(); ++seed) {
    SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
    FleetLife(seed, std::vector<size_t>{1, 2, 5}[seed % 3]).Go(tally);
  }
  std::printf(
      "seeds %lu to %lu: %zu accepted, %zu sent, %zu done, %zu back, %zu parcels replayed, "
      "%zu crashes, %zu images\n",
      first, first + runs - 1, tally.accepted, tally.sent, tally.done, tally.back, tally.replayed,
      tally.crashes, tally.images);
  if (runs < 60) return;
  EXPECT_GT(tally.done, runs * 4);
  EXPECT_GT(tally.back, runs / 2);
  EXPECT_GT(tally.replayed, runs / 2);
  EXPECT_GT(tally.crashes, runs);
  EXPECT_GT(tally.images, runs);
}

// ---- one transfer, and a crash at each point of its way ----

struct Crash {
  int before = 0;       // the step, from 0; -1: none
  bool sender = false;  // which shards
  bool receiver = false;
  bool keeps = false;  // what is not durable is in the log, too
};
constexpr int kSteps = 7;
constexpr Crash kNoCrash{.before = -1};

enum class Receiver { kThere, kClosed, kEnrolsBehindTheCrash };

class OneTransfer {
 public:
  OneTransfer(size_t shards, Receiver receiver)
      : fleet_(shards, 1), to_(shards - 1), receiver_(receiver) {
    for (size_t i = 0; i < fleet_.size(); ++i) {
      fleet_.BeginBlock(i, {now_, false}, kSlotsOfRequest);
      fleet_.pair(i).PutProgram({.id = kProgram, .effective_at = now_}, 1);
    }
    Do(0, Make(kFrom, model::Kind::kEnrol, 0));
    Do(0, Make(kFrom, model::Kind::kAccrue, 100));
    if (receiver_ != Receiver::kEnrolsBehindTheCrash) Do(to_, Make(kTo, model::Kind::kEnrol, 0));
    if (receiver_ == Receiver::kClosed) Do(to_, Make(kTo, model::Kind::kClose, 0));
    for (size_t i = 0; i < fleet_.size(); ++i) MakeDurable(i);
    transfer_ = Make(kFrom, model::Kind::kTransfer, 40);
    transfer_.related = kTo;
  }

  // Step by step, with the first crash; then from the beginning again, with the second; then once
  // more, to its end.
  void Go(const Crash& first, const Crash& second) {
    Way(first);
    if (receiver_ == Receiver::kEnrolsBehindTheCrash) {
      Do(to_, Make(kTo, model::Kind::kEnrol, 0));
      MakeDurable(to_);
    }
    Way(second);
    Way(kNoCrash);
    fleet_.Complete();
    Check();
    EXPECT_TRUE(fleet_.Quiet());
    const model::Result again = Do(0, transfer_);
    if (receiver_ == Receiver::kClosed) {
      EXPECT_EQ(Available(0, kFrom), 60);
      EXPECT_TRUE(again.in_transit) << "it has come back, and is a new one";
      fleet_.Complete();
      EXPECT_EQ(Available(0, kFrom), 100);
    } else {
      EXPECT_TRUE(again.replayed);
      EXPECT_FALSE(again.in_transit);
      EXPECT_EQ(again.points, -40);
      EXPECT_EQ(Available(0, kFrom), 60);
      EXPECT_EQ(Available(to_, kTo), 40);
    }
    Check();
    for (size_t i = 0; i < fleet_.size(); ++i) {
      fleet_.pair(i).CompareAll();
      fleet_.pair(i).CompareReplay();
    }
  }

 private:
  static constexpr uint16_t kProgram = 1;
  static constexpr model::Id kFrom{0, 1};
  static constexpr model::Id kTo{0, 2};

  model::Operation Make(const model::Id& member, model::Kind kind, int64_t amount) {
    model::Operation operation;
    operation.id = {0, ++last_id_};
    operation.member = member;
    operation.amount = amount;
    operation.occurred_at = now_;
    operation.program = kProgram;
    operation.kind = static_cast<uint8_t>(kind);
    return operation;
  }

  model::Result Do(size_t shard, const model::Operation& operation) {
    fleet_.NeedRoom(shard, kSlotsOfRequest / 2);
    fleet_.pair(shard).Apply({operation}, false);
    return fleet_.pair(shard).last_results().front();
  }

  void EndBlock(size_t shard) { fleet_.BeginBlock(shard, {now_, false}, kSlotsOfRequest); }
  void MakeDurable(size_t shard) {
    EndBlock(shard);
    fleet_.MakeDurable(shard, SIZE_MAX);
  }
  int64_t Available(size_t shard, const model::Id& member) {
    return fleet_.pair(shard).naive().BalanceAt(kProgram, member, now_)->available;
  }
  void Check() { fleet_.CheckConservation({kProgram}); }

  // Whoever asked for it asks again as long as he has no answer.
  void Way(const Crash& crash) {
    for (int step = 0; step <= kSteps && !testing::Test::HasFailure(); ++step) {
      if (step == crash.before) {
        if (crash.sender) CrashOne(0, crash.keeps);
        if (crash.receiver) CrashOne(to_, crash.keeps);
        Check();
      }
      if (step < kSteps) Step(step);
      Check();
    }
  }
  void CrashOne(size_t shard, bool keeps) {
    EndBlock(shard);
    fleet_.Crash(shard, keeps ? SIZE_MAX : 0);
  }

  void Step(int step) {
    switch (step) {
      case 0:
        if (!IsKnown()) Do(0, transfer_);
        break;
      case 1:
      case 6:
        MakeDurable(0);
        break;
      case 2:
        for (const model::OpenTransfer& open : fleet_.Unsent(0)) fleet_.SendParcel(0, open);
        break;
      case 3:
        while (fleet_.parcels() > 0) fleet_.Deliver(0);
        break;
      case 4:
        MakeDurable(to_);
        break;
      default:
        while (fleet_.answers() > 0 && fleet_.MayLeave(0)) fleet_.DeliverAnswer(0);
    }
  }

  // Done or refused, durably, or at least on its way.
  bool IsKnown() { return !fleet_.pair(0).OpenTransfers().empty(); }

  Instant now_ = model::UtcInstant(2024, 3, 1);
  TransferFleet fleet_;
  size_t to_;
  Receiver receiver_;
  uint64_t last_id_ = 0;
  model::Operation transfer_;
};

std::vector<Crash> AllCrashes(size_t shards) {
  std::vector<Crash> crashes;
  for (int before = 0; before <= kSteps; ++before) {
    for (const bool keeps : {false, true}) {
      crashes.push_back({before, true, false, keeps});
      if (shards == 1) continue;
      crashes.push_back({before, false, true, keeps});
      crashes.push_back({before, true, true, keeps});
    }
  }
  return crashes;
}

// One crash; in a long campaign, each with each other.
TEST(TransferModel, EachCrashOnTheWayOfATransfer) {
  const bool is_long = FromEnvironment("TALLYSTICK_RUNS", kRuns) > kRuns;
  size_t ways = 0;
  for (const size_t shards : {1, 2}) {
    for (const Receiver receiver :
         {Receiver::kThere, Receiver::kClosed, Receiver::kEnrolsBehindTheCrash}) {
      for (const Crash& first : AllCrashes(shards)) {
        for (const Crash& second : is_long ? AllCrashes(shards) : std::vector<Crash>{kNoCrash}) {
          SCOPED_TRACE(testing::Message()
                       << shards << " shards, receiver " << static_cast<int>(receiver)
                       << ", crash before step " << first.before << " of " << first.sender
                       << first.receiver << " keeps " << first.keeps << ", then before "
                       << second.before << " of " << second.sender << second.receiver << " keeps "
                       << second.keeps);
          OneTransfer(shards, receiver).Go(first, second);
          ++ways;
          if (HasFailure()) return;
        }
      }
    }
  }
  std::printf("%zu ways\n", ways);
}

}  // namespace
}  // namespace tallystick::ledger
