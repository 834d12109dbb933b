// What is owed by month, when points become good and expire, and balances as of a later instant,
// against what then comes.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/embedded.h"
#include "api/program_file.h"
#include "tests/api/random_movements.h"

namespace tallystick {
namespace {

constexpr uint16_t kProgram = RandomMovements::kProgram;
constexpr int32_t kNoMonth = -1;

struct Sums {
  // By month since January 1970, kNoMonth: never.
  std::map<int32_t, std::tuple<Points, Points, Points>> months;
  Points debt = 0;

  void Add(int32_t month, Points pending, Points available, Points held) {
    if ((pending | available | held) == 0) return;
    auto& [p, a, h] = months[month];
    p += pending;
    a += available;
    h += held;
  }
  friend bool operator==(const Sums&, const Sums&) = default;
};

Sums SumsOf(const OwedAnswer& owed) {
  Sums sums;
  for (const OwedMonth& m : owed.months) sums.Add(m.month, m.pending, m.available, m.held);
  sums.Add(kNoMonth, owed.never.pending, owed.never.available, owed.never.held);
  sums.debt = owed.counted_debt;
  return sums;
}

class Owing : public testing::Test {
 protected:
  Owing()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_owed." + std::to_string(getpid()))) {
    std::filesystem::create_directories(directory_);
    ledger_ = RandomMovements::MakeLedger(directory_ / "ledger", 2);
    EXPECT_TRUE(absl::LoadTimeZone("America/New_York", &zone_));
  }
  ~Owing() override {
    ledger_.reset();
    std::filesystem::remove_all(directory_);
  }

  int32_t MonthOf(Instant expires_at) const {
    if (expires_at == kNever) return kNoMonth;
    const absl::CivilMonth month(absl::ToCivilSecond(absl::FromUnixMicros(expires_at - 1), zone_));
    return static_cast<int32_t>(month - absl::CivilMonth(1970));
  }
  Sums SumOverMembers() {
    Sums sums;
    for (uint64_t number = 1; number <= RandomMovements::kMembers; ++number) {
      const Id member = RandomMovements::Member(number);
      const auto lots = ledger_->Lots(kProgram, member);
      EXPECT_TRUE(lots.ok()) << lots.status();
      for (const LotAnswer& lot : lots->lots) {
        const bool pending = lot.activates_at > lots->as_of;
        sums.Add(MonthOf(lot.expires_at), pending ? lot.remaining : 0, pending ? 0 : lot.remaining,
                 0);
      }
      for (const HoldAnswer& hold : lots->holds) {
        for (const LotAnswer& lot : hold.lots) {
          sums.Add(MonthOf(lot.expires_at), 0, 0, lot.remaining);
        }
      }
      sums.debt += ledger_->Balance(kProgram, member)->debt;
    }
    return sums;
  }
  void GoOn(int times) {
    for (int i = 0; i < times; ++i) movements_.Submit(*ledger_, movements_.Next());
  }

  const std::filesystem::path directory_;
  absl::TimeZone zone_;
  RandomMovements movements_{7};
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(Owing, MonthsAreTheSumsOverMembersAndOfTheTotals) {
  size_t months = 0;
  for (int round = 0; round < 40 && !HasFailure(); ++round) {
    GoOn(40);
    movements_.Tick(*ledger_, movements_.now());
    const auto owed = ledger_->Owed(kProgram);
    ASSERT_TRUE(owed.ok()) << owed.status();
    EXPECT_EQ(SumsOf(*owed), SumOverMembers());
    const auto totals = ledger_->Totals(kProgram);
    OwedMonth sum = owed->never;
    for (const OwedMonth& month : owed->months) {
      sum.pending += month.pending;
      sum.available += month.available;
      sum.held += month.held;
    }
    EXPECT_EQ(sum.pending, totals->pending);
    EXPECT_EQ(sum.available, totals->available);
    EXPECT_EQ(sum.held, totals->held);
    EXPECT_EQ(owed->debt, totals->debt);
    EXPECT_EQ(owed->counted_debt, totals->debt);
    EXPECT_EQ(owed->expired, totals->expired);
    EXPECT_EQ(owed->forfeited, totals->forfeited);
    EXPECT_EQ(owed->closed_out, totals->closed_out);
    EXPECT_EQ(owed->members, totals->members);
    EXPECT_EQ(owed->time_zone, "America/New_York");
    ASSERT_EQ(owed->shards.size(), 2u);
    months = std::max(months, owed->months.size());
  }
  EXPECT_GE(months, 3u);
}

TEST_F(Owing, AsOfALaterInstantIsWhatThenIs) {
  for (int round = 0; round < 40 && !HasFailure(); ++round) {
    GoOn(25);
    const Instant later =
        movements_.now() + movements_.random().Between(0, 60 * 24) * 60 * kMicrosPerMinute;
    const auto forecast = ledger_->Owed(kProgram, later);
    ASSERT_TRUE(forecast.ok()) << forecast.status();
    EXPECT_EQ(forecast->as_of, later);
    std::vector<BalanceAnswer> balances;
    for (uint64_t number = 1; number <= RandomMovements::kMembers; ++number) {
      balances.push_back(*ledger_->Balance(kProgram, RandomMovements::Member(number), later));
    }
    movements_.Tick(*ledger_, later);
    const auto owed = ledger_->Owed(kProgram);
    EXPECT_EQ(SumsOf(*forecast), SumsOf(*owed));
    EXPECT_EQ(forecast->pending, owed->pending);
    EXPECT_EQ(forecast->available, owed->available);
    EXPECT_EQ(forecast->held, owed->held);
    EXPECT_EQ(forecast->debt, owed->debt);
    EXPECT_EQ(forecast->expired, owed->expired);
    EXPECT_EQ(forecast->forfeited, owed->forfeited);
    for (uint64_t number = 1; number <= RandomMovements::kMembers; ++number) {
      const auto now = ledger_->Balance(kProgram, RandomMovements::Member(number));
      const BalanceAnswer& then = balances[number - 1];
      EXPECT_EQ(then.pending, now->pending);
      EXPECT_EQ(then.available, now->available);
      EXPECT_EQ(then.held, now->held);
      EXPECT_EQ(then.debt, now->debt);
    }
  }
}

TEST_F(Owing, SchedulesHaveAllEventsAndTheyCome) {
  const Id member = RandomMovements::Member(1);
  std::vector<Operation> accruals;
  constexpr int kLots = 500;
  for (int i = 0; i < kLots; ++i) {
    accruals.push_back(Operation(Id(10'000 + i, 9), member, Id(), 1 + i % 7, movements_.now(),
                                 movements_.now() + (10 + i) * kMicrosPerDay, 0, kProgram, 0,
                                 Kind::Accrue, 0, 0));
  }
  movements_.Submit(*ledger_, accruals);
  EXPECT_EQ(ledger_->Balance(kProgram, member)->events.size(), kMaxBalanceEvents);
  const auto schedule = ledger_->Schedule(kProgram, member);
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  ASSERT_EQ(schedule->events.size(), 2u * kLots);
  EXPECT_TRUE(
      std::is_sorted(schedule->events.begin(), schedule->events.end(),
                     [](const BalanceEvent& a, const BalanceEvent& b) { return a.at < b.at; }));
  Points left = schedule->available + schedule->pending;
  for (const BalanceEvent& event : schedule->events) {
    if (event.kind == Kind::Expiry) left -= event.points;
    const auto then = ledger_->Balance(kProgram, member, event.at);
    // At one instant several may come.
    if (&event != &schedule->events.back() && (&event + 1)->at == event.at) continue;
    EXPECT_EQ(then->available + then->pending, left);
  }
  EXPECT_EQ(left, 0);
}

// More accounts than are counted in one turn, of which many change meanwhile.
TEST_F(Owing, AddsUpWhileOperationsGoOn) {
  ledger_.reset();
  LedgerOptions options;
  options.directory = directory_ / "busy";
  options.create = true;
  options.shards = 2;
  options.threads = 2;
  options.durability = wal::Durability::kNone;
  ledger_ = Ledger::Open(options).value();
  const auto rules = ProgramFile::Parse(
      R"({"id": 7, "name": "Busy", "currency": "USD", "time_zone": "America/New_York",
          "implicit_enrolment": true, "debt_floor": 100, "earn": {"points": 1, "per_spend": 1},
          "pending": {"days": 1}, "expiry": {"months": 3}, "unknown_original": "newest"})",
      "rules");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(ledger_->PutProgram(Id(1, 1), rules->bytes())->outcome, Outcome::Ok);
  ledger::Random random(3);
  uint64_t last_id = 0;
  const auto draw = [&](Kind kind, uint64_t member) {
    const Instant now = absl::ToUnixMicros(absl::Now());
    const Instant expires_at =
        kind == Kind::Adjust ? now + random.Between(1, 400 * kMicrosPerDay) : 0;
    const int64_t amount = kind == Kind::Enrol ? 0 : random.Between(1, 50);
    return Operation(Id(++last_id, 9), Id(member, 5), Id(), amount, now, expires_at, 0, kProgram, 0,
                     kind, 0, 0);
  };
  std::atomic<int> requests = 0;
  const auto submit = [&](const std::vector<Operation>& operations) {
    while (!ledger_->Submit(operations, [&](auto) { ++requests; }).ok()) std::this_thread::yield();
  };
  constexpr int kLoads = 10;
  for (uint64_t load = 0; load < kLoads; ++load) {
    std::vector<Operation> operations;
    for (uint64_t member = load * 2'000; member < (load + 1) * 2'000; ++member) {
      operations.push_back(draw(Kind::Enrol, member));
      operations.push_back(draw(Kind::Adjust, member));
    }
    submit(operations);
  }
  while (requests < kLoads) std::this_thread::yield();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    constexpr Kind kKinds[] = {Kind::Purchase, Kind::Redeem, Kind::Redeem, Kind::Hold,
                               Kind::Return};
    while (!stop) {
      std::vector<Operation> operations;
      for (int i = 0; i < 500; ++i) {
        operations.push_back(draw(kKinds[random.Between(0, 4)],
                                  static_cast<uint64_t>(random.Between(0, kLoads * 2'000 - 1))));
      }
      submit(operations);
    }
  });
  int counted_beside = 0;
  for (int i = 0; i < 300 && counted_beside < 8; ++i) {
    const int before = requests;
    const auto owed = ledger_->Owed(kProgram);
    if (!owed.ok()) {
      ADD_FAILURE() << owed.status();
      break;
    }
    counted_beside += requests > before ? 1 : 0;
    OwedMonth sum = owed->never;
    for (const OwedMonth& month : owed->months) {
      sum.pending += month.pending;
      sum.available += month.available;
      sum.held += month.held;
    }
    EXPECT_EQ(sum.pending, owed->pending);
    EXPECT_EQ(sum.available, owed->available);
    EXPECT_EQ(sum.held, owed->held);
    EXPECT_EQ(owed->counted_debt, owed->debt);
  }
  stop = true;
  busy.join();
  EXPECT_EQ(counted_beside, 8);
  EXPECT_GT(ledger_->Totals(kProgram)->held, 0);
  EXPECT_GT(ledger_->Totals(kProgram)->debt, 0);
}

TEST_F(Owing, UnknownProgramIsAnOutcome) {
  const auto owed = ledger_->Owed(99);
  ASSERT_TRUE(owed.ok()) << owed.status();
  EXPECT_EQ(owed->outcome, Outcome::UnknownProgram);
}

}  // namespace
}  // namespace tallystick
