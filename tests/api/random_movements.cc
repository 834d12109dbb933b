#include "tests/api/random_movements.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "api/program_file.h"

namespace tallystick {
namespace {

constexpr Instant kHour = 60 * kMicrosPerMinute;

constexpr char kRules[] = R"({"id": 7, "name": "Random", "currency": "USD",
    "time_zone": "America/New_York", "implicit_enrolment": true, "debt_floor": 40,
    "earn": {"points": 1, "per_spend": 1}, "pending": {"days": 2},
    "expiry": {"after": "activation", "months": 1, "round_up_to": "month"},
    "unknown_original": "newest", "hold": {"timeout_minutes": 2000}})";

}  // namespace

std::unique_ptr<Ledger> RandomMovements::MakeLedger(const std::string& directory, uint16_t shards) {
  LedgerOptions options;
  options.directory = directory;
  options.create = true;
  options.shards = shards;
  options.manual = true;
  options.clock = ClockMode::kImport;
  options.segment_bytes = 1 << 20;
  options.durability = wal::Durability::kNone;
  options.block_digests = true;
  auto ledger = Ledger::Open(options);
  EXPECT_TRUE(ledger.ok()) << ledger.status();
  if (!ledger.ok()) return nullptr;
  const auto rules = ProgramFile::Parse(kRules, "rules");
  EXPECT_TRUE(rules.ok()) << rules.status();
  const auto put = (*ledger)->PutProgram(Id(1, 1), rules->bytes());
  EXPECT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put->field << put->message;
  return *std::move(ledger);
}

Id RandomMovements::Related(uint64_t member, std::vector<Kind> kinds) {
  for (int tries = 0; tries < 50 && !accepted_.empty(); ++tries) {
    // Lately, as a rule.
    const auto all = static_cast<int64_t>(accepted_.size());
    const int64_t back = random_.Between(1, random_.OneIn(4) ? all : std::min<int64_t>(all, 60));
    const Operation& op = accepted_[static_cast<size_t>(all - back)];
    const bool fits = op.member() == Member(member) &&
                      std::find(kinds.begin(), kinds.end(), op.kind()) != kinds.end();
    if (fits) return op.id();
  }
  return Id(999, 999);
}

Operation RandomMovements::Draw(uint64_t member) {
  const int64_t what = random_.Between(0, 99);
  int64_t amount = random_.Between(1, 60);
  Id related;
  Instant expires_at = 0;
  uint8_t flags = 0;
  Kind kind = Kind::Purchase;
  if (what < 8) {
    kind = Kind::Accrue;
    if (random_.OneIn(2)) expires_at = now_ + random_.Between(1, 90 * 24) * kHour;
  } else if (what < 18) {
    kind = Kind::Redeem;
  } else if (what < 24) {
    kind = Kind::Adjust;
    if (random_.OneIn(3)) amount = -amount;
  } else if (what < 36) {
    kind = Kind::Hold;
    if (random_.OneIn(2)) expires_at = now_ + random_.Between(1, 29 * 24) * kHour;
  } else if (what < 44) {
    kind = random_.OneIn(2) ? Kind::Capture : Kind::Release;
    if (kind == Kind::Release || random_.OneIn(2)) amount = 0;
    related = Related(member, {Kind::Hold});
  } else if (what < 52) {
    kind = Kind::ReverseRedemption;
    related = Related(member, {Kind::Redeem, Kind::Capture});
  } else if (what < 62) {
    kind = Kind::Return;
    related = Related(member, {Kind::Purchase, Kind::Accrue});
  } else if (what < 68) {
    kind = random_.OneIn(2) ? Kind::Activate : Kind::Cancel;
    if (kind == Kind::Activate || random_.OneIn(2)) amount = 0;
    related = Related(member, {Kind::Purchase, Kind::Accrue});
  } else if (what < 74) {
    constexpr Kind kKinds[] = {Kind::Enrol,    Kind::Extend,   Kind::Freeze,
                               Kind::Unfreeze, Kind::Unfreeze, Kind::Close};
    kind = kKinds[random_.Between(0, 5)];
    if (kind == Kind::Close && !random_.OneIn(6)) kind = Kind::Unfreeze;
    amount = 0;
    if (kind == Kind::Extend) expires_at = now_ + random_.Between(1, 60) * 24 * kHour;
    if (kind == Kind::Close) flags = kExpireRest;
  }
  return Operation(Id(++last_id_, 2), Member(member), related, amount, now_, expires_at, 0,
                   kProgram, 0, kind, flags, 0);
}

std::vector<Operation> RandomMovements::Next() {
  now_ += random_.OneIn(12) ? random_.Between(0, 12 * 24) * kHour : random_.Between(0, kHour);
  const auto member = static_cast<uint64_t>(random_.Between(1, kMembers));
  std::vector<Operation> operations = {Draw(member)};
  if (!random_.OneIn(5)) return operations;
  for (int64_t links = random_.Between(1, 3); links > 0; --links) {
    operations.back().mutate_flags(operations.back().flags() | kLinked);
    operations.push_back(Draw(member));
  }
  return operations;
}

std::vector<Result> RandomMovements::Submit(Ledger& ledger,
                                            const std::vector<Operation>& operations) {
  std::vector<Result> answer;
  const absl::Status taken =
      ledger.Submit(operations, [&](absl::StatusOr<absl::Span<const Result>> results) {
        EXPECT_TRUE(results.ok()) << results.status();
        if (results.ok()) answer.assign(results->begin(), results->end());
      });
  EXPECT_TRUE(taken.ok()) << taken;
  for (int turns = 0; answer.empty() && turns < 100'000; ++turns) ledger.Step(1000);
  EXPECT_EQ(answer.size(), operations.size());
  for (size_t i = 0; i < answer.size(); ++i) {
    if (answer[i].outcome() == Outcome::Ok) accepted_.push_back(operations[i]);
  }
  return answer;
}

void RandomMovements::Tick(Ledger& ledger, Instant to) {
  now_ = std::max(now_, to);
  const auto ticked = ledger.Tick(Id(++last_id_, 4), to);
  EXPECT_TRUE(ticked.ok() && ticked->outcome == Outcome::Ok) << ticked.status();
}

}  // namespace tallystick
