#include "tests/api/random_ledger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/program_file.h"
#include "tests/ledger/random_programs.h"

namespace tallystick {
namespace {

constexpr Instant kStart = 1'600'000'000'000'000;
constexpr Instant kHour = 3600 * kMicrosPerSecond;

class Maker {
 public:
  explicit Maker(const RandomLedgerOptions& options) : options_(options), random_(options.seed) {}

  void Run();

 private:
  void Put(uint16_t program);
  void Submit();
  void TickAll();
  Operation Draw(Id member);
  Instant Now() const {
    return options_.clock == ClockMode::kImport ? now_ : absl::ToUnixMicros(absl::Now());
  }
  Id Member() { return Id(static_cast<uint64_t>(random_.Between(1, kRandomMembers)), 5); }

  const RandomLedgerOptions options_;
  ledger::Random random_;
  std::unique_ptr<Ledger> ledger_;
  Instant now_ = kStart;
  uint64_t last_id_ = 0;
  std::vector<Operation> purchases_;
};

void Maker::Put(uint16_t program) {
  // So that what has no time of its own to the shards has the same.
  TickAll();
  const auto file = ProgramFile::Parse(
      absl::StrCat(R"({"id": )", program, R"(, "name": "Random", "currency": "USD",
          "time_zone": "America/New_York", "implicit_enrolment": true, "debt_floor": 20,
          "earn": {"points": 1, "per_spend": )",
                   random_.Between(1, 3), R"(}, "pending": {"days": )", random_.Between(1, 3),
                   R"(}, "expiry": {"after": "activation", "days": )", random_.Between(1, 5), "}}"),
      "program");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto put = ledger_->PutProgram(Id(++last_id_, 3), file->bytes());
  ASSERT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status() << put->message;
}

void Maker::TickAll() {
  if (options_.clock != ClockMode::kImport) return;
  now_ += kHour;
  ASSERT_TRUE(ledger_->Tick(Id(++last_id_, 4), now_).ok());
}

Operation Maker::Draw(Id member) {
  const Id id(++last_id_, 2);
  const auto program = static_cast<uint16_t>(random_.Between(1, kRandomPrograms));
  // Some come late.
  const Instant at = random_.OneIn(4) ? Now() - random_.Between(0, 30) * kHour : Now();
  const int64_t amount = random_.Between(1, 300);
  const int64_t kind = random_.Between(0, options_.transfers ? 12 : 9);
  if (kind == 10) {  // to be sent
    return Operation(id, member, Id(), amount, at, 0, 0, program, 0, Kind::Adjust, 0, 0);
  }
  if (kind > 10) {
    // Some to members that are not there: they come back.
    const Id to = random_.OneIn(8) ? Id(last_id_, 6) : Member();
    if (to != member) {
      return Operation(id, member, to, amount / 10 + 1, at, 0, 0, program, 0, Kind::Transfer, 0, 0);
    }
  }
  if (kind == 0 && !purchases_.empty()) {
    const Operation& original = random_.Pick(purchases_);
    return Operation(id, original.member(), original.id(), std::max<int64_t>(1, amount / 3), at, 0,
                     0, original.program(), 0, Kind::Return, 0, 0);
  }
  if (kind == 1) {
    return Operation(id, member, Id(), amount / 10 + 1, at, 0, 0, program, 0, Kind::Redeem, 0, 0);
  }
  if (kind == 2) {
    return Operation(id, member, Id(), amount - 150 == 0 ? 1 : amount - 150, at, 0, 0, program, 0,
                     Kind::Adjust, 0, 0);
  }
  // Points of the wall clock's ledgers that expire in this run.
  const Instant expires = random_.OneIn(3) ? Now() + random_.Between(1, 20'000) : 0;
  if (kind <= 4) {
    return Operation(id, member, Id(), amount, at, expires, 0, program, 0, Kind::Accrue, 0, 0);
  }
  purchases_.push_back(
      Operation(id, member, Id(), amount, at, 0, 0, program, 0, Kind::Purchase, 0, 0));
  return purchases_.back();
}

void Maker::Submit() {
  now_ += random_.OneIn(3) ? random_.Between(0, 20) * kHour : random_.Between(0, kHour);
  std::vector<Operation> request;
  const int64_t count = random_.Between(1, 12);
  for (int64_t i = 0; i < count; ++i) {
    const Id member = Member();
    request.push_back(Draw(member));
    if (request.back().kind() == Kind::Transfer || !random_.OneIn(6)) continue;
    // A chain, of one account.
    for (int64_t links = random_.Between(1, 3); links > 0; --links) {
      request.back().mutate_flags(kLinked);
      request.push_back(Operation(Id(++last_id_, 2), request.back().member(), Id(),
                                  random_.Between(1, 50), request.back().occurred_at(), 0, 0,
                                  request.back().program(), 0, Kind::Purchase, 0, 0));
    }
  }
  bool done = false;
  absl::Status status =
      ledger_->Submit(request, [&](absl::StatusOr<absl::Span<const Result>> results) {
        ASSERT_TRUE(results.ok()) << results.status();
        done = true;
      });
  ASSERT_EQ(status, absl::OkStatus());
  while (!done) ledger_->Step(1000);
}

void Maker::Run() {
  LedgerOptions options;
  options.directory = options_.directory;
  options.create = true;
  options.shards = options_.shards;
  options.manual = true;
  options.clock = options_.clock;
  options.segment_bytes = 128 << 10;
  options.durability = wal::Durability::kNone;
  options.block_digests = true;
  options.snapshot_interval_ms = 0;
  options.snapshot_log_bytes = 0;
  auto opened = Ledger::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ledger_ = *std::move(opened);
  for (uint16_t program = 1; program <= kRandomPrograms; ++program) Put(program);
  const int between = options_.requests / (options_.snapshots + 1) + 1;
  for (int i = 1; i <= options_.requests; ++i) {
    Submit();
    if (random_.OneIn(40)) Put(static_cast<uint16_t>(random_.Between(1, kRandomPrograms)));
    if (random_.OneIn(40)) TickAll();
    if (i % between == 0) {
      ASSERT_TRUE(ledger_->Snapshot().ok());
    }
  }
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
}

}  // namespace

void MakeRandomLedger(const RandomLedgerOptions& options) { Maker(options).Run(); }

absl::StatusOr<std::unique_ptr<Ledger>> OpenLedger(const std::string& directory) {
  LedgerOptions options;
  options.directory = directory;
  options.manual = true;
  options.confirm_clock = true;
  options.durability = wal::Durability::kNone;
  options.snapshot_interval_ms = 0;
  options.snapshot_log_bytes = 0;
  return Ledger::Open(options);
}

Operation AnotherPurchase(Ledger& ledger, uint64_t id) {
  const auto totals = ledger.Totals(1);
  EXPECT_TRUE(totals.ok()) << totals.status();
  Instant at = 0;
  for (const ShardTime& shard : totals->shards) at = std::max(at, shard.time);
  return Operation(Id(id, 9), Id(1, 5), Id(), 100, at, 0, 0, 1, 0, Kind::Purchase, 0, 0);
}

}  // namespace tallystick
