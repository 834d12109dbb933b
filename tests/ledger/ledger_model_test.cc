// The state machine against the naive model: random operations over random programs, everything
// that both answer compared.
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
#include "tests/ledger/ledger_pair.h"
#include "tests/ledger/random_operations.h"

namespace tallystick::ledger {
namespace {

using model::kDay;

constexpr size_t kOperationsPerRun = 520;
constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kRuns = 1'920;

// What all runs together have met.
struct Tally {
  size_t operations = 0;
  size_t accepted = 0;
  size_t derived = 0;
  std::map<int, size_t> outcomes;
  std::map<int, size_t> kinds;     // accepted
  std::map<int, size_t> detailed;  // by kind
  size_t replayed = 0;
  size_t written_off = 0;
  size_t images = 0;
  size_t transfers_done = 0;
  size_t transfers_back = 0;
  size_t dry_runs = 0;
  size_t owed_counts = 0;  // that took several turns
};

// One ledger's life: a clock that leaps, programs that change, requests, ticks.
class LedgerLife {
 public:
  explicit LedgerLife(uint64_t seed) : random_(seed), image_random_(seed), owed_random_(seed) {
    taste_.start = model::UtcInstant(2023, 1, 1) + random_.Between(0, 700 * kDay);
    taste_.huge_numbers = random_.OneIn(6);
    taste_.long_lives = random_.OneIn(5);
    OperationTaste taste;
    taste.members = random_.Between(2, 12);
    taste.last_receiver = taste.members;
    if (taste_.huge_numbers) taste.largest_points = INT64_MAX;
    if (random_.OneIn(4)) taste.chain_percent = 15;
    operations_ = std::make_unique<RandomOperations>(random_, pair_.machine(), taste);
    small_blocks_ = random_.OneIn(2);
    import_clock_ = random_.OneIn(2);
    mixes_clocks_ = random_.OneIn(3);
    stamp_ = taste_.start + (import_clock_ ? random_.Between(0, 900 * kDay) : 0);
  }

  void Go(Tally& tally) {
    NextBlock(0);
    const int64_t programs = random_.Between(1, 3);
    for (int64_t id = 1; id <= programs; ++id) PutFirst(static_cast<uint16_t>(id));
    while (sent_ < kOperationsPerRun && !testing::Test::HasFailure()) Step(tally);
    while (!pair_.OpenTransfers().empty() && !testing::Test::HasFailure()) Deliver(tally);
    Settle();
    pair_.CompareAll();
    pair_.CompareReplay();
    tally.operations += sent_;
    tally.accepted += pair_.accepted();
    tally.derived += pair_.derived();
    tally.images += pair_.images();
    tally.dry_runs += pair_.dry_runs();
    tally.owed_counts += pair_.owed_counts();
  }

  uint64_t Digest() { return pair_.machine().Digest(); }

 private:
  void NextBlock(size_t room_needed) {
    if (mixes_clocks_ && random_.OneIn(12)) import_clock_ = !import_clock_;
    const Instant now = pair_.Now();
    const Instant edge = random_.OneIn(5) ? operations_->Edge(std::max(now, stamp_)) : 0;
    if (edge > stamp_ && edge < stamp_ + 400 * kDay) {
      stamp_ = edge;
    } else {
      stamp_ += operations_->Leap();
    }
    size_t capacity = small_blocks_ ? random_.Between(1, 40) : 400;
    capacity = std::max(capacity, room_needed);
    pair_.BeginBlock({stamp_, import_clock_}, capacity, image_random_.OneIn(6));
  }

  void Put(const model::Program& program) {
    const size_t slots = StateMachine::SlotsOfProgram(4'096);
    if (pair_.room() < slots) NextBlock(slots);
    pair_.PutProgram(program, ++version_counts_[program.id]);
    operations_->AddProgram(program);
    newest_[program.id] = program;
  }

  void PutFirst(uint16_t id) { Put(RandomProgram(random_, taste_, id)); }

  void PutSuccessor() {
    const uint16_t id = random_.Pick(operations_->versions()).id;
    Put(RandomSuccessor(random_, taste_, newest_[id], pair_.Now()));
  }

  void Send(Tally& tally) {
    const std::vector<model::Operation> request =
        operations_->Request(std::max(pair_.Now(), taste_.start), import_clock_);
    size_t done = 0;
    while (done < request.size() && !testing::Test::HasFailure()) {
      const bool check_digest = random_.OneIn(8);
      const size_t applied =
          pair_.Apply({request.begin() + static_cast<std::ptrdiff_t>(done), request.end()},
                      check_digest, image_random_.OneIn(3));
      for (size_t i = 0; i < applied; ++i) {
        const model::Result& result = pair_.last_results()[i];
        const model::Operation& op = request[done + i];
        if (result.outcome == model::Outcome::kOk && !result.replayed) {
          operations_->Accepted(op);
          ++tally.kinds[op.kind];
          tally.detailed[op.kind] += result.detailed ? 1 : 0;
        }
        ++tally.outcomes[static_cast<int>(result.outcome)];
        tally.replayed += result.replayed ? 1 : 0;
        tally.written_off += result.written_off ? 1 : 0;
      }
      done += applied;
      // What did not fit into a small block must fit into a large one.
      if (done < request.size()) NextBlock(random_.OneIn(2) ? 2'000 : 0);
    }
    sent_ += request.size();
    const model::Operation& last = request.back();
    if (last.member.IsZero() || last.program == 0) return;
    pair_.CompareAccount(last.program, last.member, pair_.Now());
    if (random_.OneIn(3)) {
      pair_.CompareAccount(last.program, last.member, pair_.Now() + operations_->Leap());
    }
  }

  // Until nothing is due. An account may need more room than a block has left.
  void Settle() {
    size_t room = pair_.room();
    while (pair_.SettleDue(static_cast<uint32_t>(random_.Between(1, 50))) &&
           !testing::Test::HasFailure()) {
      if (pair_.room() == room) NextBlock(2'000);
      room = pair_.room();
    }
  }

  // One of the transfers on their way arrives, or is settled, or both.
  void Deliver(Tally& tally) {
    const std::vector<model::OpenTransfer> open = pair_.OpenTransfers();
    if (open.empty()) return;
    const model::OpenTransfer transfer = random_.Pick(open);
    if (pair_.room() < 2'000) NextBlock(4'000);
    const auto known = arrived_.find(transfer.sequence);
    if (known == arrived_.end() || (known->second == model::Outcome::kOk && random_.OneIn(3))) {
      const LedgerPair::Sent sent = pair_.WriteParcel(transfer, 0, open.front().sequence);
      arrived_[transfer.sequence] = pair_.Receive(sent).outcome;
    }
    if (random_.OneIn(3)) return;
    const model::Outcome outcome = arrived_[transfer.sequence];
    pair_.Finish(transfer, outcome);
    ++(outcome == model::Outcome::kOk ? tally.transfers_done : tally.transfers_back);
  }

  // A few accounts at a time, as they are or as of a later instant, while all else goes on.
  void CountOwed() {
    if (owed_random_.OneIn(4)) {
      const bool later = owed_random_.OneIn(2) && !mixes_clocks_;
      const Instant as_of = std::max(pair_.Now(), stamp_) + owed_random_.Between(0, 3'000) * kDay;
      const uint16_t program = owed_random_.Pick(operations_->versions()).id;
      pair_.BeginOwed(program, later ? as_of : kAsTheyStand);
    }
    pair_.ContinueOwed(static_cast<size_t>(owed_random_.Between(1, 6)));
  }

  void Step(Tally& tally) {
    // Few rows at a time, so that most are changed before their turn.
    pair_.ContinueImage(static_cast<size_t>(image_random_.Between(1, 400)));
    CountOwed();
    const int64_t what = random_.Between(0, 99);
    if (random_.OneIn(6)) Deliver(tally);
    if (what < 60) {
      Send(tally);
    } else if (what < 90) {
      NextBlock(0);
    } else if (what < 94) {
      pair_.SettleDue(static_cast<uint32_t>(random_.Between(1, 20)));
    } else if (what < 96) {
      Settle();
      pair_.CompareAll();
    } else if (operations_->versions().size() < 12) {
      PutSuccessor();
    }
  }

  Random random_;
  Random image_random_;  // for images and dry runs, so that a seed's digests do not depend on them
  Random owed_random_;   // of counts
  LedgerPair pair_;
  ProgramTaste taste_;
  std::unique_ptr<RandomOperations> operations_;
  bool small_blocks_;
  bool import_clock_;
  bool mixes_clocks_;
  Instant stamp_;
  size_t sent_ = 0;
  std::map<uint16_t, int32_t> version_counts_;
  std::map<uint16_t, model::Program> newest_;
  std::map<LedgerPair::Sequence, model::Outcome> arrived_;  // of transfers on their way
};

TEST(StateMachine, AnswersAsTheNaiveModel) {
  const uint64_t only = FromEnvironment("TALLYSTICK_SEED", 0);
  const uint64_t first = only != 0 ? only : kFirstSeed;
  const uint64_t runs = only != 0 ? 1 : FromEnvironment("TALLYSTICK_RUNS", kRuns);
  Tally tally;
  for (uint64_t seed = first; seed < first + runs && !HasFailure(); ++seed) {
    SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
    LedgerLife(seed).Go(tally);
  }
  std::string outcomes;
  for (const auto& [outcome, count] : tally.outcomes) {
    outcomes += " " + std::to_string(outcome) + ":" + std::to_string(count);
  }
  std::string kinds;
  for (const auto& [kind, count] : tally.kinds) {
    kinds += " " + std::to_string(kind) + ":" + std::to_string(count);
    if (const size_t detailed = tally.detailed[kind]; detailed > 0) {
      kinds += " (" + std::to_string(detailed) + " detailed)";
    }
  }
  std::printf(
      "%zu operations, %zu accepted, %zu derived, %zu replayed, %zu written off, %zu images, "
      "%zu transfers done, %zu back, %zu dry runs, %zu counts; "
      "outcomes%s; accepted%s\n",
      tally.operations, tally.accepted, tally.derived, tally.replayed, tally.written_off,
      tally.images, tally.transfers_done, tally.transfers_back, tally.dry_runs, tally.owed_counts,
      outcomes.c_str(), kinds.c_str());
  // A campaign that meets only refusals proves nothing.
  if (runs < 100) return;
  EXPECT_GT(tally.accepted, tally.operations / 4);
  EXPECT_GT(tally.derived, tally.operations / 20);
  EXPECT_GT(tally.replayed, tally.operations / 200);
  EXPECT_GT(tally.written_off, tally.operations / 200);
  EXPECT_GT(tally.images, runs);
  EXPECT_GT(tally.transfers_done, runs / 2);
  EXPECT_GT(tally.transfers_back, runs / 10);
  EXPECT_GT(tally.dry_runs, tally.operations / 20);
  EXPECT_GT(tally.owed_counts, runs);
  for (const int outcome :
       {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 22, 24, 26, 28}) {
    EXPECT_GT(tally.outcomes[outcome], 0u) << "outcome " << outcome;
  }
  for (int kind = static_cast<int>(Kind::Enrol); kind <= static_cast<int>(Kind::Transfer); ++kind) {
    EXPECT_GT(tally.kinds[kind], runs / 10) << "kind " << kind;
  }
  // Debt forgiven, claims repaid or points forfeited, accounts closed with something in them.
  for (const Kind kind : {Kind::Capture, Kind::ReverseRedemption, Kind::Close}) {
    EXPECT_GT(tally.detailed[static_cast<int>(kind)], runs / 60) << EnumNameKind(kind);
  }
}

// Only a change that is meant to change what a ledger comes to writes this number anew.
TEST(StateMachine, DigestsAreTheSameInAnyBuild) {
  uint64_t digests = 0;
  for (uint64_t seed = 1; seed <= 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE("TALLYSTICK_SEED=" + std::to_string(seed));
    Tally tally;
    LedgerLife life(seed);
    life.Go(tally);
    digests = digests * 31 + life.Digest();
  }
  EXPECT_EQ(digests, 9103193234992261849u);
}

}  // namespace
}  // namespace tallystick::ledger
