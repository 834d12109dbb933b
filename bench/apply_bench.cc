// What the state machine does in memory, by kind of operation: nothing but StateMachine::Apply is
// timed. Points are spent as fast as they are earned and receipts leave as fast as they come, so
// that no table grows while it is measured.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/program_file.h"
#include "api/tally/random.h"
#include "bench/zipf.h"
#include "ledger/state_machine.h"

namespace tallystick::bench {
namespace {

using ledger::RecordSink;
using ledger::StateMachine;

constexpr uint16_t kProgram = 1;
constexpr size_t kBlockSlots = 2048;
constexpr size_t kBatch = 1000;
constexpr size_t kChunk = 64 * kBatch;
constexpr Instant kStart = 1'700'000'000 * kMicrosPerSecond;
// Operations that pass while a receipt lives: a day of log time.
constexpr int64_t kReceiptsAlive = 1'000'000;

enum class Mix { kAccrue, kPurchaseReturn, kRedeem, kAccrueRedeem };

// A ledger with members who have points, and operations for it.
class World {
 public:
  explicit World(uint64_t members) : members_(members), slots_(kBlockSlots), results_(kBatch) {
    const auto file = ProgramFile::Parse(
        absl::StrCat(R"({"id": )", kProgram, R"(, "name": "Bench", "currency": "USD",
          "time_zone": "UTC", "implicit_enrolment": true, "retention_days": 1, "return_days": 1,
          "debt_floor": 1000000, "earn": {"points": 1, "per_spend": 1, "rounding": "floor"},
          "expiry": {"after": "earning", "days": 7}})"),
        "the benchmark's program");
    if (!file.ok()) std::abort();
    Begin(1);
    const Operation put(NewId(), Id(), Id(), static_cast<int64_t>(file->bytes().size()), 0, 0, 0,
                        kProgram, 1, Kind::ProgramPut, 0, 0);
    if (machine_.PutProgram(put, file->bytes(), sink_).outcome() != Outcome::Ok) std::abort();
    for (uint64_t member = 1; member <= members;) {
      operations_.clear();
      for (; member <= members && operations_.size() < kChunk; ++member) {
        operations_.push_back(Make(Kind::Accrue, member, 1000));
      }
      Apply();
    }
  }

  uint64_t members() const { return members_; }

  void Draw(Mix mix, const std::optional<Zipf>& zipf) {
    operations_.clear();
    while (operations_.size() < kChunk) {
      const uint64_t member = 1 + (zipf ? Scatter(zipf->Draw(random_)) : random_.Below(members_));
      const auto points = static_cast<int64_t>(1 + random_.Below(100));
      switch (mix) {
        case Mix::kAccrue:
          operations_.push_back(Make(Kind::Accrue, member, points));
          break;
        case Mix::kRedeem:
          operations_.push_back(Make(Kind::Redeem, member, 1));
          break;
        case Mix::kAccrueRedeem:
          // Four accruals to a redemption of as much.
          operations_.push_back(random_.Below(5) == 0 ? Make(Kind::Redeem, member, 4 * points)
                                                      : Make(Kind::Accrue, member, points));
          break;
        case Mix::kPurchaseReturn: {
          operations_.push_back(Make(Kind::Purchase, member, points));
          const Operation& purchase = operations_.back();
          operations_.push_back(Make(Kind::Return, member, points, purchase.id()));
          break;
        }
      }
    }
  }

  // Seconds that Apply took for what was drawn.
  double Apply() {
    const auto start = std::chrono::steady_clock::now();
    for (size_t at = 0; at < operations_.size();) {
      const size_t size = std::min(kBatch, operations_.size() - at);
      const absl::Span<const Operation> batch(operations_.data() + at, size);
      const size_t applied = machine_.Apply(batch, results_.data(), sink_);
      at += applied;
      if (applied < size) Begin(kBlockSlots);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  const StateMachine& machine() const { return machine_; }

 private:
  // Log time goes on by as much as the block's operations are of kReceiptsAlive.
  void Begin(int64_t operations) {
    now_ += kMicrosPerDay / kReceiptsAlive * operations;
    machine_.BeginBlock({now_, false});
    sink_ = {slots_.data(), slots_.size(), 0, sink_.next_position() + (sink_.slots == nullptr)};
  }
  Id NewId() {
    const uint64_t low = random_.Next();
    return Id(low, random_.Next());
  }
  Operation Make(Kind kind, uint64_t member, int64_t amount, const Id& related = Id()) {
    return Operation(NewId(), Id(member, 0), related, amount, now_, 0, 0, kProgram, 0, kind, 0, 0);
  }
  // Neighbours in rank are no neighbours in memory.
  uint64_t Scatter(uint64_t rank) const { return rank * 0x9e3779b97f4a7c15 % members_; }

  const uint64_t members_;
  tally::Random random_{1};
  StateMachine machine_;
  std::vector<Record> slots_;
  std::vector<Result> results_;
  RecordSink sink_;
  Instant now_ = kStart;
  std::vector<Operation> operations_;
};

// One at a time: the largest takes gigabytes.
World& WorldOf(uint64_t members) {
  static std::unique_ptr<World> world;
  if (world == nullptr || world->members() != members) {
    world.reset();
    world = std::make_unique<World>(members);
  }
  return *world;
}

void Apply(benchmark::State& state, Mix mix, double theta) {
  World& world = WorldOf(static_cast<uint64_t>(state.range(0)));
  std::optional<Zipf> zipf;
  if (theta > 0) zipf.emplace(world.members(), theta);
  // Until receipts leave as fast as they come.
  for (int64_t warm = 0; warm < kReceiptsAlive + 200'000; warm += kChunk) {
    world.Draw(mix, zipf);
    world.Apply();
  }
  int64_t operations = 0;
  for ([[maybe_unused]] auto _ : state) {
    world.Draw(mix, zipf);
    state.SetIterationTime(world.Apply());
    operations += kChunk;
  }
  state.SetItemsProcessed(operations);
  const StateMachine::Sizes sizes = world.machine().sizes();
  state.counters["bytes_per_member"] =
      static_cast<double>(sizes.bytes) / static_cast<double>(sizes.accounts);
  state.counters["receipts"] = static_cast<double>(sizes.receipts);
}

void Members(benchmark::internal::Benchmark* bench) {
  bench->Arg(1'000'000)->Arg(10'000'000)->UseManualTime();
}
BENCHMARK_CAPTURE(Apply, accrue, Mix::kAccrue, 0)->Apply(Members);
BENCHMARK_CAPTURE(Apply, redeem, Mix::kRedeem, 0)->Apply(Members);
BENCHMARK_CAPTURE(Apply, accrue_redeem, Mix::kAccrueRedeem, 0)->Apply(Members);
BENCHMARK_CAPTURE(Apply, accrue_redeem_zipf, Mix::kAccrueRedeem, 0.99)->Apply(Members);
BENCHMARK_CAPTURE(Apply, purchase_return, Mix::kPurchaseReturn, 0)->Apply(Members);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
