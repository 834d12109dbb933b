// Transfers between shards on a simulated machine: whatever dies where, every point arrives once or
// comes back.
//
// TALLYSTICK_SEED=N runs from that seed; TALLYSTICK_RUNS=N makes the random lives that long.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/embedded.h"
#include "api/ledger_files.h"
#include "api/program_file.h"
#include "api/shard_of.h"
#include "api/shard_worker.h"
#include "tests/ledger/campaign.h"
#include "tests/ledger/random_programs.h"
#include "tests/sim/process_io.h"
#include "tests/sim/sim_io.h"

namespace tallystick::sim {
namespace {

using ledger::FromEnvironment;

using ledger::Random;
using ::testing::HasSubstr;

constexpr Points kGift = 1000;
constexpr uint16_t kProgram = 1;
// A log without room looks for it once a second.
constexpr int64_t kLookForRoomUs = 2 * kMicrosPerSecond;

struct Options {
  uint64_t seed = 1;
  uint16_t shards = 2;
  uint16_t threads = 2;
  int64_t snapshot_interval_ms = 0;
  uint64_t segment_bytes = 256 << 10;
};

// A ledger of some members, each of whom got kGift points, and what they send each other.
class Members {
 public:
  static constexpr int64_t kCount = 6;
  static constexpr size_t kMostUnderWay = 300;

  explicit Members(const Options& options)
      : options_(options),
        random_(options.seed),
        machine_({.seed = options.seed * 31 + 7, .short_write_percent = 10, .late_percent = 40}) {}
  ~Members() { Drop(); }

  absl::Status Open(bool create) {
    Drop();
    process_ = std::make_unique<Process>();
    LedgerOptions ledger;
    ledger.directory = "/ledger";
    ledger.create = create;
    ledger.shards = options_.shards;
    ledger.threads = options_.threads;
    ledger.manual = true;
    ledger.segment_bytes = options_.segment_bytes;
    ledger.block_digests = true;
    ledger.disk_reserve_bytes = 0;
    ledger.snapshot_interval_ms = options_.snapshot_interval_ms;
    ledger.snapshot_buffer_bytes = wal::kMinSnapshotBufferBytes;
    ledger.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
    ledger.make_io = [this](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
      return std::make_unique<ProcessIo>(machine_, *process_);
    };
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(ledger);
    if (!opened.ok()) return opened.status();
    ledger_ = *std::move(opened);
    return absl::OkStatus();
  }

  // Enrols the members and gives them points; the last one's account is closed.
  void Start() {
    const absl::StatusOr<ProgramFile> program = ProgramFile::Parse(
        R"({"id": 1, "name": "Tally", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 100}})",
        "program");
    ASSERT_TRUE(program.ok());
    ASSERT_TRUE(ledger_->PutProgram(Id(1, 1), program->bytes()).ok());
    for (int64_t m = 1; m <= kCount; ++m) {
      Do(Kind::Enrol, m, 0);
      if (m == kCount) {
        Do(Kind::Close, m, 0);
      } else {
        Do(Kind::Adjust, m, kGift);
      }
    }
  }

  // The last member's account is closed; number 0 is nobody's.
  void SendSome(int count) {
    for (int i = 0; i < count && under_way_ < kMostUnderWay; ++i) {
      const int64_t from = random_.Between(1, kCount - 1);
      int64_t to = random_.Between(0, kCount);
      if (to == from) to = kCount;
      Sent& sent = sent_.emplace_back();
      sent.operation = Make(Kind::Transfer, Member(from), random_.Between(1, 5), Member(to));
      Submit(sent_.size() - 1);
    }
  }

  // What was not answered, and sometimes what was.
  void Resend(bool answered_too) {
    for (size_t i = 0; i < sent_.size(); ++i) {
      if (under_way_ == kMostUnderWay) return;
      if (!sent_[i].under_way &&
          (!sent_[i].answer.has_value() || (answered_too && random_.OneIn(4)))) {
        Submit(i);
      }
    }
  }

  void Run(int turns, int sends_percent) {
    for (int turn = 0; turn < turns && ledger_->health().ok(); ++turn) {
      if (random_.Percent(sends_percent)) SendSome(static_cast<int>(random_.Between(1, 4)));
      Turn();
    }
  }
  void Turn() {
    machine_.AdvanceMicros(random_.Between(1, 400));
    ledger_->Step(0);
  }
  // False: something waits for ever.
  bool Settle() {
    for (int turn = 0; turn < 20'000; ++turn) {
      if (under_way_ == 0) return true;
      Turn();
    }
    return false;
  }

  void Drop() {
    ledger_.reset();
    EXPECT_EQ(under_way_, 0u) << "requests were not answered, not even with an error";
  }
  void Kill() {
    process_->dead = true;
    machine_.KillProcess();
    Drop();
  }

  // Each member has what the answers say.
  void Check() {
    const auto answered = [](const Sent& sent) { return sent.answer.has_value(); };
    for (int round = 0; round < 20; ++round) {
      Resend(round == 0);
      ASSERT_TRUE(Settle()) << "requests wait for ever; health: " << ledger_->health();
      if (std::all_of(sent_.begin(), sent_.end(), answered)) break;
      machine_.AdvanceMicros(kLookForRoomUs);
      Turn();
    }
    std::map<int64_t, Points> expected;
    for (int64_t m = 1; m < kCount; ++m) expected[m] = kGift;
    size_t back = 0;
    for (const Sent& sent : sent_) {
      ASSERT_TRUE(sent.answer.has_value());
      const int64_t to = NumberOf(sent.operation.related());
      if (to == 0 || to == kCount) {
        EXPECT_EQ(sent.answer->outcome(), to == 0 ? Outcome::UnknownMember : Outcome::Closed);
        EXPECT_EQ(sent.answer->field(), Field::Related);
        EXPECT_EQ(sent.answer->points(), 0);
        ++back;
      } else if (sent.answer->outcome() == Outcome::Ok) {
        EXPECT_EQ(sent.answer->points(), -sent.operation.amount());
        expected[NumberOf(sent.operation.member())] -= sent.operation.amount();
        expected[to] += sent.operation.amount();
      } else {
        EXPECT_EQ(sent.answer->outcome(), Outcome::InsufficientPoints);
      }
    }
    // Nobody waits for those that nobody has asked for again.
    for (int turn = 0; turn < 500; ++turn) Turn();
    for (const auto& [number, points] : expected) {
      EXPECT_EQ(ledger_->Balance(kProgram, Member(number))->available, points) << number;
    }
    const TotalsAnswer totals = *ledger_->Totals(kProgram);
    EXPECT_EQ(totals.available, kGift * (kCount - 1));
    EXPECT_EQ(totals.sent, totals.received);
    EXPECT_EQ(OpenTransfers(), 0u);
  }

  size_t OpenTransfers() {
    size_t open = 0;
    EachShard([&](const Shard& shard) {
      EXPECT_EQ(shard.machine().CheckInvariants(), absl::OkStatus());
      open += shard.machine().OpenTransfers().size();
    });
    return open;
  }
  template <typename Visit>
  void EachShard(Visit&& visit) {
    for (uint16_t i = 0; i < ledger_->worker_count(); ++i) {
      for (const auto& shard : static_cast<ShardWorker&>(ledger_->worker(i)).shards()) {
        visit(*shard);
      }
    }
  }

  // The segment that a shard is writing.
  std::string SegmentOf(uint16_t shard) {
    const std::string directory = ShardDirectory("/ledger", shard);
    std::string newest;
    const std::vector<std::string> names = *machine_.List(directory);
    for (const std::string& name : names) {
      if (absl::EndsWith(name, ".log")) newest = name;
    }
    return directory + "/" + newest;
  }

  SimIo& machine() { return machine_; }
  Ledger& ledger() { return *ledger_; }
  Random& random() { return random_; }
  size_t under_way() const { return under_way_; }
  const std::vector<std::string>& reports() const { return reports_; }
  size_t failed() const { return failed_; }

 private:
  struct Sent {
    Operation operation;
    std::optional<Result> answer;
    bool under_way = false;
  };

  Id Member(int64_t number) const { return Id(static_cast<uint64_t>(number) + 100, 7); }
  static int64_t NumberOf(const Id& member) { return static_cast<int64_t>(member.low()) - 100; }
  Operation Make(Kind kind, const Id& member, int64_t amount, const Id& related) {
    const uint64_t id = ++last_id_;
    return Operation(Id(id, options_.seed), member, related, amount, machine_.WallMicros(), 0, id,
                     kProgram, 0, kind, 0, 0);
  }

  // Overloaded while the log's next segment is being prepared.
  void Do(Kind kind, int64_t member, int64_t amount) {
    const Operation operation = Make(kind, Member(member), amount, Id());
    Outcome outcome = Outcome::Overloaded;
    for (int i = 0; i < 10 && outcome == Outcome::Overloaded; ++i) {
      outcome = ledger_->Apply(operation)->outcome();
      if (outcome == Outcome::Overloaded) machine_.AdvanceMicros(kLookForRoomUs);
      Turn();
    }
    EXPECT_EQ(outcome, Outcome::Ok);
  }

  void Submit(size_t index) {
    ++under_way_;
    sent_[index].under_way = true;
    const absl::Status taken = ledger_->Submit(
        {&sent_[index].operation, 1},
        [this, index](absl::StatusOr<absl::Span<const Result>> results) {
          --under_way_;
          Sent& sent = sent_[index];
          sent.under_way = false;
          if (!results.ok()) {
            ++failed_;
            return;
          }
          const Result& result = results->front();
          if (result.outcome() == Outcome::Overloaded) return;
          if (sent.answer.has_value()) {
            // Nothing that was accepted is undone; what was refused may be refused otherwise.
            EXPECT_EQ(sent.answer->outcome() == Outcome::Ok, result.outcome() == Outcome::Ok);
            return;
          }
          sent.answer = result;
        });
    EXPECT_EQ(taken, absl::OkStatus());
  }

  const Options options_;
  Random random_;
  SimIo machine_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<Ledger> ledger_;
  std::deque<Sent> sent_;
  uint64_t last_id_ = 0;
  size_t under_way_ = 0;
  size_t failed_ = 0;
  std::vector<std::string> reports_;
};

// How a short life goes, in which the power may go at any boundary.
void LiveShortly(Members& members) { members.Run(12, 60); }

// Of so many shards.
class TransferAtEveryBoundary : public testing::TestWithParam<uint16_t> {};

TEST_P(TransferAtEveryBoundary, ArrivesOnceOrComesBack) {
  const Options options{FromEnvironment("TALLYSTICK_SEED", 1), GetParam(), GetParam(), 1,
                        256 << 10};
  uint64_t first = 0;
  uint64_t last = 0;
  {
    Members whole(options);
    ASSERT_EQ(whole.Open(true), absl::OkStatus());
    whole.Start();
    first = whole.machine().boundaries();
    LiveShortly(whole);
    last = whole.machine().boundaries();
    whole.Check();
  }
  ASSERT_GT(last - first, 10u);
  size_t resumed = 0;
  for (uint64_t boundary = first + 1; boundary <= last; ++boundary) {
    for (const CrashPoint point : {CrashPoint::kBefore, CrashPoint::kMiddle, CrashPoint::kAfter}) {
      SCOPED_TRACE(testing::Message() << "seed " << options.seed << ", power cut at boundary "
                                      << boundary << ", point " << static_cast<int>(point));
      Members members(options);
      members.machine().CrashAt(boundary, point);
      ASSERT_EQ(members.Open(true), absl::OkStatus());
      members.Start();
      LiveShortly(members);
      members.Drop();
      members.machine().Crash();
      ASSERT_EQ(members.Open(false), absl::OkStatus());
      resumed += members.OpenTransfers();
      members.Check();
      ASSERT_FALSE(HasFailure());
    }
  }
  if (options.shards > 1) {
    EXPECT_GT(resumed, 10u);
  }
  std::printf("%lu boundaries of %d shards, %zu transfers resumed\n", last - first, options.shards,
              resumed);
}

INSTANTIATE_TEST_SUITE_P(TransferSim, TransferAtEveryBoundary, testing::Values(1, 2, 3));

TEST(TransferSim, RandomLivesAndDeathsLoseNothing) {
  const uint64_t first = FromEnvironment("TALLYSTICK_SEED", 1);
  const uint64_t runs = FromEnvironment("TALLYSTICK_RUNS", 60);
  size_t resumed = 0;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    Random random(seed);
    const Options options{seed, random.Pick<uint16_t>({1, 2, 5}),
                          static_cast<uint16_t>(random.Between(1, 3)),
                          random.Pick<int64_t>({0, 1, 20}), 256 << 10};
    SCOPED_TRACE(testing::Message() << "TALLYSTICK_SEED=" << seed);
    Members members(options);
    ASSERT_EQ(members.Open(true), absl::OkStatus());
    members.Start();
    for (int life = static_cast<int>(random.Between(1, 5)); life > 0; --life) {
      const int kind = static_cast<int>(random.Between(0, 3));
      if (kind <= 1) {
        members.machine().CrashAt(
            members.machine().boundaries() + static_cast<uint64_t>(random.Between(1, 80)),
            static_cast<CrashPoint>(random.Between(0, 2)));
      } else if (kind == 2) {
        // One shard's disk fails, and the others go on for a while.
        members.machine().FailWrite(
            static_cast<uint64_t>(random.Between(1, 20)), EIO,
            members.SegmentOf(static_cast<uint16_t>(random.Between(0, options.shards - 1))));
      }
      members.Run(static_cast<int>(random.Between(1, 120)), 40);
      for (int turn = 0; turn < 50; ++turn) members.Turn();
      if (kind <= 1) {
        members.Drop();
        members.machine().Crash();
      } else if (random.OneIn(3)) {
        members.Drop();  // an orderly end
      } else {
        members.Kill();
      }
      members.machine().CrashAt(0, CrashPoint::kBefore);
      members.machine().FailWrite(0, 0);
      ASSERT_EQ(members.Open(false), absl::OkStatus());
      resumed += members.OpenTransfers();
    }
    members.Check();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
  EXPECT_GT(resumed, runs / 4);
  std::printf("%lu runs from seed %lu, %zu transfers resumed\n", runs, first, resumed);
}

// While the receiver's shard has stopped, the sender is told that nothing is known; then it is
// settled.
TEST(TransferSim, AStoppedReceiverIsNotWaitedFor) {
  // Many blocks fit into a segment, so that it is known which file is written next.
  Members members({.seed = 3, .shards = 2, .threads = 2, .segment_bytes = 4 << 20});
  ASSERT_EQ(members.Open(true), absl::OkStatus());
  members.Start();
  members.machine().FailWrite(1, EIO, members.SegmentOf(1));
  members.Run(200, 100);
  members.SendSome(40);
  EXPECT_TRUE(members.Settle()) << "somebody waits for a shard that has stopped";
  EXPECT_GT(members.failed(), 0u);
  members.Drop();
  ASSERT_EQ(members.Open(false), absl::OkStatus());
  members.Check();
}

// Folders of two moments: a shard has received what the other one never sent, as far as its log
// tells.
TEST(TransferSim, ShardsOfTwoMomentsAreRefusedWithASentence) {
  Members members({.seed = 5, .shards = 2, .threads = 1});
  ASSERT_EQ(members.Open(true), absl::OkStatus());
  members.Start();
  members.Drop();
  const std::string directory = ShardDirectory("/ledger", 0);
  std::map<std::string, std::vector<std::byte>> old;
  const auto names = *members.machine().List(directory);
  for (const std::string& name : names) {
    old[directory + "/" + name] = members.machine().Contents(directory + "/" + name);
  }
  ASSERT_EQ(members.Open(false), absl::OkStatus());
  members.Run(100, 100);
  members.Check();
  members.Drop();
  const auto now = *members.machine().List(directory);
  for (const std::string& name : now) {
    ASSERT_EQ(members.machine().Remove(directory + "/" + name), absl::OkStatus());
  }
  for (const auto& [path, content] : old) members.machine().AddFile(path, content);
  const absl::Status opened = members.Open(false);
  EXPECT_EQ(opened.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(opened.message()), HasSubstr("folders are not of one moment"));
}

// A full disk: what cannot be received comes back, or waits until there is room.
TEST(TransferSim, AFullDiskLosesNothing) {
  Members members({.seed = 7, .shards = 2, .threads = 2});
  ASSERT_EQ(members.Open(true), absl::OkStatus());
  members.Start();
  members.machine().SetDiskBytes(0);
  members.Run(1000, 100);
  members.machine().SetDiskBytes(uint64_t{1} << 40);
  members.Run(50, 0);
  members.Check();
}

}  // namespace
}  // namespace tallystick::sim
