// Shows that operations of existing members allocate nothing: this program counts every allocation.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "ledger/state_machine.h"
#include "tests/ledger/counted_allocations.h"
#include "tests/ledger/encoded_program.h"

namespace tallystick::ledger {
namespace {

constexpr uint16_t kProgram = 7;
constexpr uint64_t kMembers = 2'000;
constexpr size_t kBatch = 512;
constexpr Instant kStart = 1'700'000'000 * kMicrosPerSecond;

// Batches for members that are there, with a clock that goes on by an hour a batch, so that points
// activate and expire and receipts leave.
class Load {
 public:
  Load() : machine_(std::make_unique<StateMachine>()), slots_(kMaxSlotsPerChain) {
    ProgramSpec spec;
    spec.id = kProgram;
    spec.pending_days = 1;
    spec.expiry = ExpirySpec{.days = 4};
    spec.debt_floor = 1'000;
    spec.retention_days = 1;
    spec.return_days = 3;
    spec.unknown_original = UnknownOriginal::newest;
    const std::vector<uint8_t> bytes = Encode(spec);
    Begin();
    EXPECT_EQ(machine_->PutProgram(PutOf(spec, bytes), bytes, sink_).outcome(), Outcome::Ok);
    for (uint64_t member = 1; member <= kMembers; ++member) {
      batch_.push_back(Make(member, Kind::Enrol, 0));
    }
    results_.resize(kMembers);
    Send();
    results_.resize(kBatch);
  }

  // Returns how many allocations a batch of operations made.
  size_t SendBatch(bool in_chains) {
    batch_.clear();
    for (size_t i = 0; i < kBatch; ++i) batch_.push_back(Draw());
    for (size_t i = 0; in_chains && i < kBatch; ++i) {
      if (i % 4 != 3) batch_[i].mutate_flags(kLinked);
      batch_[i].mutable_member() = batch_[i / 4 * 4].member();
    }
    const size_t before = AllocationCount();
    Begin();
    machine_->SettleDue(100, sink_);
    Send();
    const size_t allocations = AllocationCount() - before;
    for (const Result& result : results_) accepted_ += result.outcome() == Outcome::Ok ? 1 : 0;
    return allocations;
  }

  size_t accepted() const { return accepted_; }
  StateMachine& machine() { return *machine_; }

 private:
  void Begin() {
    now_ += 3'600 * kMicrosPerSecond;
    machine_->BeginBlock({now_, false});
    position_ += sink_.used;
    sink_ = {slots_.data(), slots_.size(), 0, position_};
  }

  // In as many blocks as it takes.
  void Send() {
    size_t done = 0;
    while (true) {
      done += machine_->Apply(absl::MakeSpan(batch_).subspan(done), results_.data() + done, sink_);
      if (done == batch_.size()) return;
      Begin();
    }
  }

  Operation Make(uint64_t member, Kind kind, int64_t amount, const Id& related = Id()) {
    return Operation(Id(++last_id_, 0), Id(member, 0), related, amount, now_, 0, 0, kProgram, 0,
                     kind, 0, 0);
  }

  Operation Draw() {
    const uint64_t member = 1 + random_() % kMembers;
    const auto amount = static_cast<int64_t>(1 + random_() % 50);
    switch (random_() % 8) {
      case 0:
      case 1:
        purchases_[next_purchase_++ % purchases_.size()] = Make(member, Kind::Purchase, amount);
        return purchases_[(next_purchase_ - 1) % purchases_.size()];
      case 2:
      case 3:
        return Make(member, Kind::Accrue, amount);
      case 4:
        return Make(member, Kind::Redeem, amount);
      case 5:
        return Make(member, Kind::Adjust, random_() % 2 == 0 ? amount : -amount);
      case 6:
        return Make(member, Kind::Return, amount);
      default: {
        const Operation& purchase = purchases_[random_() % purchases_.size()];
        if (purchase.amount() == 0) return Make(member, Kind::Accrue, amount);
        Operation op = Make(member, Kind::Return, 1, purchase.id());
        op.mutable_member() = purchase.member();
        return op;
      }
    }
  }

  std::unique_ptr<StateMachine> machine_;
  std::vector<Record> slots_;
  RecordSink sink_;
  Position position_ = 1;
  Instant now_ = kStart;
  std::mt19937_64 random_{1};
  uint64_t last_id_ = 0;
  std::vector<Operation> batch_;
  std::vector<Result> results_;
  std::vector<Operation> purchases_ = std::vector<Operation>(1'000);
  size_t next_purchase_ = 0;
  size_t accepted_ = 0;
};

TEST(Allocation, GrowingTablesAllocateOnlyTheirLists) {
  Load load;
  size_t allocations = 0;
  for (int batch = 0; batch < 200; ++batch) allocations += load.SendBatch(false);
  EXPECT_GT(load.accepted(), 50'000u);
  // Lists of chunks, and directories of hash tables, that double.
  EXPECT_LE(allocations, 60u);
}

TEST(Allocation, SteadyLoadAllocatesNothing) {
  Load load;
  for (int batch = 0; batch < 300; ++batch) load.SendBatch(batch % 2 == 0);
  size_t allocations = 0;
  const size_t before = load.accepted();
  for (int batch = 0; batch < 200; ++batch) allocations += load.SendBatch(batch % 2 == 0);
  EXPECT_GT(load.accepted() - before, 30'000u);
  EXPECT_EQ(allocations, 0u);
  EXPECT_TRUE(load.machine().CheckInvariants().ok());
}

}  // namespace
}  // namespace tallystick::ledger
