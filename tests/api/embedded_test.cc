// A ledger inside its program: real threads, a real directory.

#include "api/embedded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "api/dispatcher.h"
#include "api/program_file.h"
#include "tests/api/counting_io.h"
#include "wal/host_io.h"

namespace tallystick {
namespace {

using ::testing::HasSubstr;

constexpr uint16_t kProgram = 7;
constexpr Instant kStart = 1'700'000'000'000'000;  // of imported orders

Instant Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<uint8_t> ProgramBytes(int points = 1, const std::string& more = "") {
  const absl::StatusOr<ProgramFile> file = ProgramFile::Parse(
      R"({"id": 7, "name": "Embedded", "currency": "USD", "time_zone": "America/New_York",
          "earn": {"points": )" +
          std::to_string(points) + R"(, "per_spend": 1}, "implicit_enrolment": true)" + more + "}",
      "program");
  EXPECT_TRUE(file.ok()) << file.status();
  return file->bytes();
}

class EmbeddedLedger : public testing::Test {
 protected:
  EmbeddedLedger()
      : directory_(std::filesystem::temp_directory_path() /
                   ("tallystick_embedded." + std::to_string(getpid()))) {
    options_.directory = directory_ / "ledger";
    options_.create = true;
    options_.shards = 3;
    options_.threads = 2;
    options_.segment_bytes = 8 << 20;
    options_.durability = wal::Durability::kNone;  // nothing here cuts the power
    std::filesystem::create_directories(directory_);
  }
  ~EmbeddedLedger() override {
    ledger_.reset();
    std::filesystem::remove_all(directory_);
  }

  // With a program in it.
  void Create(const std::string& more = "") {
    absl::StatusOr<std::unique_ptr<Ledger>> made = Ledger::Open(options_);
    ASSERT_TRUE(made.ok()) << made.status();
    ledger_ = *std::move(made);
    const auto put = ledger_->PutProgram(Id(1, 1), ProgramBytes(1, more));
    ASSERT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status();
    options_.create = false;
  }
  void Reopen() {
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
    ledger_.reset();
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ledger_ = *std::move(opened);
  }
  std::string OpenError() const { return Ledger::Open(options_).status().ToString(); }

  static Operation Make(Kind kind, uint64_t id, uint64_t member, int64_t amount,
                        Instant occurred_at = Now(), Instant expires_at = 0) {
    return Operation(Id(id, 1), Id(member, 2), Id(), amount, occurred_at, expires_at, 0, kProgram,
                     0, kind, 0, 0);
  }
  Result Apply(const Operation& operation) {
    const absl::StatusOr<Result> result = ledger_->Apply(operation);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : Result();
  }

  const std::filesystem::path directory_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(EmbeddedLedger, IsThereAgainAfterItWasClosed) {
  Create();
  for (uint64_t member = 1; member <= 20; ++member) {
    Apply(Make(Kind::Accrue, member, member, static_cast<int64_t>(10 * member)));
  }
  Reopen();
  EXPECT_EQ(ledger_->worker_count(), 2);
  for (uint64_t member = 1; member <= 20; ++member) {
    EXPECT_EQ(ledger_->Balance(kProgram, Id(member, 2))->available,
              static_cast<Points>(10 * member));
  }
}

TEST_F(EmbeddedLedger, AnswersAResentOperationAsItDidAtFirst) {
  Create();
  const Operation operation = Make(Kind::Accrue, 1, 1, 10);
  const Result first = Apply(operation);
  EXPECT_EQ(first.outcome(), Outcome::Ok);
  Apply(Make(Kind::Redeem, 2, 1, 4));
  Reopen();
  const Result again = Apply(operation);
  EXPECT_EQ(again.flags() & kReplayed, kReplayed);
  EXPECT_EQ(again.position(), first.position());
  EXPECT_EQ(again.available(), 10);
  EXPECT_EQ(ledger_->Balance(kProgram, Id(1, 2))->available, 6);
  EXPECT_EQ(ledger_->Totals(kProgram)->available, 6);
}

TEST_F(EmbeddedLedger, SaysWhenTheSumsOfAllShardsOverflow) {
  Create();
  for (uint64_t member = 1; member <= 20; ++member) {
    Apply(Make(Kind::Accrue, member, member, int64_t{4} << 60));
  }
  EXPECT_EQ(ledger_->Totals(kProgram)->outcome, Outcome::Overflow);
}

TEST_F(EmbeddedLedger, ExpiriesToComeLeaveOutWhatDebtTakes) {
  Create(R"(, "debt_floor": 500, "pending": {"days": 3}, "expiry": {"months": 1},
             "unknown_original": "newest")");
  Apply(Make(Kind::Enrol, 1, 1, 0));
  EXPECT_EQ(Apply(Make(Kind::Return, 2, 1, 100)).available(), -100);
  Apply(Make(Kind::Accrue, 3, 1, 150));
  const auto balance = ledger_->Balance(kProgram, Id(1, 2));
  EXPECT_EQ(balance->debt, 100);
  ASSERT_EQ(balance->events.size(), 2u);
  EXPECT_EQ(balance->events[0].kind, Kind::Activation);
  EXPECT_EQ(balance->events[0].points, 150);
  EXPECT_EQ(balance->events[1].kind, Kind::Expiry);
  EXPECT_EQ(balance->events[1].points, 50);
}

TEST_F(EmbeddedLedger, TickTellsTheTimeThatItIs) {
  options_.clock = ClockMode::kImport;
  Create();
  const Instant noon = 1'600'000'000 * kMicrosPerSecond;
  EXPECT_EQ(ledger_->Tick(Id(5, 5), noon)->time, noon);
  EXPECT_EQ(ledger_->Tick(Id(6, 5), noon - 10)->time, noon);
}

TEST_F(EmbeddedLedger, CallbackThatWaitsIsToldSo) {
  Create();
  std::promise<absl::Status> told;
  const Operation operation = Make(Kind::Accrue, 1, 1, 10);
  ASSERT_TRUE(
      ledger_
          ->Submit({&operation, 1},
                   [&](auto) { told.set_value(ledger_->Balance(kProgram, Id(1, 2)).status()); })
          .ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(told.get_future().get()));
}

TEST_F(EmbeddedLedger, IsServedByOneProgramOnly) {
  Create();
  EXPECT_THAT(OpenError(), HasSubstr("another process holds it"));
  options_.create = true;
  EXPECT_THAT(OpenError(), HasSubstr("holds a ledger already"));
}

TEST_F(EmbeddedLedger, SaysWhatIsWrongWithADirectory) {
  options_.create = false;
  EXPECT_THAT(OpenError(),
              HasSubstr(" holds no ledger, for it does not exist: name another, or make "
                        "one with --create --shards N (LedgerOptions::create, shards)"));
  std::filesystem::create_directories(options_.directory);
  EXPECT_THAT(OpenError(), HasSubstr(" holds no ledger: name another, or make one with --create"));
  options_.create = true;
  std::filesystem::create_directories(options_.directory);
  std::ofstream(options_.directory + "/notes.txt") << "mine";
  EXPECT_THAT(OpenError(), HasSubstr("is not empty (notes.txt)"));
  EXPECT_TRUE(std::filesystem::exists(options_.directory + "/notes.txt"));
  std::filesystem::remove(options_.directory + "/notes.txt");
  Create();
  ledger_.reset();
  std::filesystem::remove_all(options_.directory + "/shard-0001");
  EXPECT_THAT(OpenError(), HasSubstr("shard-0001"));
  std::filesystem::resize_file(options_.directory + "/LEDGER", 100);
  EXPECT_THAT(OpenError(), HasSubstr("LEDGER is damaged"));
}

TEST_F(EmbeddedLedger, RefusesWrongOptions) {
  const LedgerOptions good = options_;
  const auto expect = [&](const char* sentence) {
    EXPECT_THAT(OpenError(), HasSubstr(sentence));
    EXPECT_FALSE(std::filesystem::exists(good.directory));
    options_ = good;
  };
  options_.directory.clear();
  expect("no directory is named");
  options_.shards = 0;
  expect("1 to 1024 shards");
  options_.shards = 1025;
  expect("1 to 1024 shards");
  options_.threads = 1025;
  expect("at most 1024 threads");
  options_.segment_bytes = 100 << 10;
  expect("at least 128 KiB");
  options_.segment_bytes = (1 << 20) + 1;
  expect("a multiple of 4 KiB");
  options_.blocks_in_flight = 0;
  expect("1 to 64 blocks");
  options_.make_io = [](uint16_t) { return absl::UnimplementedError("no such backend"); };
  expect("no such backend");
}

TEST_F(EmbeddedLedger, RefusesRequestsOfNoOrTooManyOperations) {
  Create();
  const auto never = [](const absl::StatusOr<absl::Span<const Result>>&) { FAIL(); };
  EXPECT_EQ(ledger_->Submit({}, never).code(), absl::StatusCode::kInvalidArgument);
  const std::vector<Operation> many(kMaxRequestOperations + 1, Make(Kind::Accrue, 1, 1, 1));
  EXPECT_EQ(ledger_->Submit(many, never).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EmbeddedLedger, TakesRequestsOfManyThreads) {
  Create();
  constexpr uint64_t kThreads = 4;
  constexpr uint64_t kRequests = 150;
  std::atomic<uint64_t> accepted = 0;
  std::atomic<uint64_t> overloaded = 0;  // more than may cross from one worker to another
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t request = 0; request < kRequests; ++request) {
        std::vector<Operation> operations;
        for (uint64_t i = 0; i < 5; ++i) {
          operations.push_back(
              Make(Kind::Accrue, 1 + i + 5 * (request + kRequests * thread), i, 1));
          operations.back().mutable_member() = Id(1 + (request + i) % 11, 2);
        }
        const auto done = [&](absl::StatusOr<absl::Span<const Result>> results) {
          ASSERT_TRUE(results.ok()) << results.status();
          for (const Result& result : *results) {
            const bool ok = result.outcome() == Outcome::Ok;
            EXPECT_TRUE(ok || result.outcome() == Outcome::Overloaded);
            ++(ok ? accepted : overloaded);
          }
        };
        while (!ledger_->Submit(operations, done).ok()) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_EQ(accepted + overloaded, kThreads * kRequests * 5);
  EXPECT_GT(accepted, 0u);
  ledger_.reset();
  ledger_ = *Ledger::Open(options_);
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, static_cast<Points>(accepted));
}

TEST_F(EmbeddedLedger, ReadsWhatWasWritten) {
  Create();
  std::vector<std::thread> threads;
  for (uint64_t thread = 1; thread <= 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t i = 1; i <= 100; ++i) {
        const Result result = Apply(Make(Kind::Accrue, thread * 1000 + i, thread, 2));
        const auto balance = ledger_->Balance(kProgram, Id(thread, 2));
        ASSERT_TRUE(balance.ok());
        ASSERT_EQ(balance->available, 2 * i);
        ASSERT_EQ(balance->position, result.position());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EmbeddedLedger, AnswersWhatIsUnderWayBeforeItCloses) {
  Create();
  std::atomic<int> answered = 0;
  int taken = 0;
  for (uint64_t i = 1; i <= 500; ++i) {
    const Operation operation = Make(Kind::Accrue, i, i % 7 + 1, 1);
    const absl::Status status = ledger_->Submit(
        absl::MakeConstSpan(&operation, 1), [&](absl::StatusOr<absl::Span<const Result>> results) {
          answered += results.ok() && results->front().outcome() == Outcome::Ok ? 1 : 0;
        });
    ASSERT_TRUE(status.ok()) << status;
    ++taken;
  }
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_EQ(answered, taken);
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_EQ(ledger_->Apply(Make(Kind::Accrue, 1, 1, 1)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ledger_->health(), absl::OkStatus());
}

TEST_F(EmbeddedLedger, ClosesWhileThreadsStillSubmit) {
  Create();
  std::atomic<int> taken = 0;
  std::atomic<int> answered = 0;
  std::promise<void> begun;
  std::vector<std::thread> threads;
  for (uint64_t thread = 1; thread <= 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 1;; ++i) {
        const Operation operation = Make(Kind::Accrue, thread << 32 | i, thread, 1);
        const absl::Status status =
            ledger_->Submit(absl::MakeConstSpan(&operation, 1),
                            [&](const absl::StatusOr<absl::Span<const Result>>& results) {
                              EXPECT_TRUE(results.ok()) << results.status();
                              ++answered;
                            });
        if (absl::IsFailedPrecondition(status)) return;
        if (status.ok() && ++taken == 200) begun.set_value();
      }
    });
  }
  begun.get_future().wait();
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, taken);
}

TEST_F(EmbeddedLedger, GivesStatementsInPages) {
  Create();
  for (uint64_t i = 1; i <= 25; ++i) Apply(Make(Kind::Accrue, i, 1, static_cast<int64_t>(i)));
  uint64_t expected = 25;
  for (Position before = 0;;) {
    const auto page = ledger_->Statement(kProgram, Id(1, 2), before, 10);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->movements.size(), 10u);
    for (const MovementAnswer& movement : page->movements) {
      EXPECT_EQ(movement.operation.id().low(), expected);
      EXPECT_EQ(movement.result.available(), static_cast<Points>(expected * (expected + 1) / 2));
      --expected;
    }
    if (page->next == 0) break;
    before = page->next;
  }
  EXPECT_EQ(expected, 0u);
  EXPECT_EQ(ledger_->Statement(kProgram, Id(99, 2))->outcome, Outcome::UnknownMember);
  EXPECT_EQ(ledger_->Statement(99, Id(1, 2))->outcome, Outcome::UnknownProgram);
}

TEST_F(EmbeddedLedger, TellsHoldsAndWhatBecomesOfThem) {
  Create(R"(, "debt_floor": 100)");
  const Instant now = Now();
  const Instant expires = now + 2 * kMicrosPerDay;
  Apply(Make(Kind::Accrue, 1, 1, 30, now, expires));
  Apply(Make(Kind::Accrue, 2, 1, 30));
  Apply(Make(Kind::Hold, 3, 1, 40, now, now + 3 * kMicrosPerDay));
  Apply(Make(Kind::Hold, 4, 1, 5, now, now + kMicrosPerDay));
  const BalanceAnswer balance = *ledger_->Balance(kProgram, Id(1, 2));
  EXPECT_EQ(balance.available, 15);
  EXPECT_EQ(balance.held, 45);
  ASSERT_EQ(balance.events.size(), 3u);
  EXPECT_EQ(balance.events[0].kind, Kind::HoldTimeout);
  EXPECT_EQ(balance.events[0].points, 5);
  EXPECT_EQ(balance.events[1].kind, Kind::HoldTimeout);
  EXPECT_EQ(balance.events[1].points, 40);
  // What it has of the first lot has expired by then.
  EXPECT_EQ(balance.events[2].kind, Kind::Expiry);
  EXPECT_EQ(balance.events[2].points, 30);
  EXPECT_EQ(balance.events[2].at, balance.events[1].at);
  const LotsAnswer lots = *ledger_->Lots(kProgram, Id(1, 2));
  ASSERT_EQ(lots.holds.size(), 2u);
  EXPECT_EQ(lots.holds[0].points, 5);
  EXPECT_EQ(lots.holds[0].times_out_at, now + kMicrosPerDay);
  ASSERT_EQ(lots.holds[1].lots.size(), 2u);
  EXPECT_EQ(lots.holds[1].lots[0].remaining, 30);
  EXPECT_EQ(lots.holds[1].lots[0].expires_at, expires);
  EXPECT_EQ(lots.holds[1].lots[1].remaining, 10);

  // A debt is paid by what comes back, and that does not expire.
  Apply(Make(Kind::Accrue, 5, 2, 50, now, expires));
  Apply(Make(Kind::Hold, 6, 2, 40, now, now + kMicrosPerDay));
  Operation claim = Make(Kind::Return, 7, 2, 50);
  claim.mutable_related() = Id(5, 1);
  EXPECT_EQ(Apply(claim).points(), -50);
  const BalanceAnswer covered = *ledger_->Balance(kProgram, Id(2, 2));
  EXPECT_EQ(covered.debt, 40);
  EXPECT_EQ(covered.held, 40);
  ASSERT_EQ(covered.events.size(), 1u);
  EXPECT_EQ(covered.events[0].kind, Kind::HoldTimeout);
  EXPECT_EQ(covered.status, ledger::AccountStatus::kActive);
  Apply(Make(Kind::Freeze, 8, 2, 0));
  EXPECT_EQ(ledger_->Balance(kProgram, Id(2, 2))->status, ledger::AccountStatus::kFrozen);
}

TEST_F(EmbeddedLedger, ReadsABalanceAsItWillBe) {
  Create(R"(, "pending": {"days": 3}, "expiry": {"after": "activation", "days": 2})");
  Apply(Make(Kind::Accrue, 1, 1, 10));
  const BalanceAnswer now = *ledger_->Balance(kProgram, Id(1, 2));
  EXPECT_EQ(now.pending, 10);
  ASSERT_EQ(now.events.size(), 2u);
  EXPECT_EQ(now.events[0].kind, Kind::Activation);
  const BalanceAnswer active = *ledger_->Balance(kProgram, Id(1, 2), now.events[0].at);
  EXPECT_EQ(active.available, 10);
  EXPECT_EQ(active.as_of, now.events[0].at);
  EXPECT_EQ(ledger_->Balance(kProgram, Id(1, 2), now.events[1].at)->available, 0);
  EXPECT_EQ(ledger_->Lots(kProgram, Id(1, 2))->lots.size(), 1u);
}

TEST_F(EmbeddedLedger, TicksBringOnWhatIsDue) {
  options_.clock = ClockMode::kImport;
  Create(R"(, "pending": {"days": 1})");
  for (uint64_t member = 1; member <= 9; ++member) {
    Apply(Make(Kind::Accrue, member, member, 10, kStart));
  }
  EXPECT_EQ(ledger_->Totals(kProgram)->pending, 90);
  const auto tick = ledger_->Tick(Id(1, 9), kStart + 2 * kMicrosPerDay);
  ASSERT_TRUE(tick.ok()) << tick.status();
  EXPECT_EQ(tick->outcome, Outcome::Ok);
  EXPECT_EQ(ledger_->Totals(kProgram)->available, 90);
  EXPECT_EQ(ledger_->Tick(Id(2, 9), Now() + kMicrosPerDay)->outcome, Outcome::TooEarly);
  Reopen();
  EXPECT_EQ(ledger_->Totals(kProgram)->available, 90);
}

TEST_F(EmbeddedLedger, PutsProgramsOnEveryShard) {
  Create();
  EXPECT_EQ(ledger_->PutProgram(Id(1, 1), ProgramBytes(1))->version, 1);
  EXPECT_EQ(ledger_->PutProgram(Id(1, 1), ProgramBytes(2))->outcome, Outcome::IdConflict);
  EXPECT_EQ(ledger_->PutProgram(Id(2, 1), ProgramBytes(2))->version, 2);
  const auto bad = ledger_->PutProgram(Id(3, 1), std::vector<uint8_t>{1, 2, 3});
  EXPECT_EQ(bad->outcome, Outcome::BadRequest);
  EXPECT_EQ(bad->field, "program");
  EXPECT_EQ(ledger_->PutProgram(Id(), ProgramBytes(2))->field, "id");
  const auto bytes = ledger_->GetProgram(kProgram);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(flatbuffers::GetRoot<Program>(bytes->data())->earn()->points(), 2);
  EXPECT_TRUE(ledger_->GetProgram(8)->empty());
  for (uint64_t member = 1; member <= 20; ++member) {
    EXPECT_EQ(Apply(Make(Kind::Purchase, member, member, 5)).points(), 10);
  }
}

// Versions race to the shards from two workers.
TEST_F(EmbeddedLedger, PutsOfSeveralThreadsAllArrive) {
  Create();
  std::vector<std::thread> threads;
  for (uint64_t thread = 1; thread <= 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 1; i <= 40; ++i) {
        const auto put = ledger_->PutProgram(Id(i, 10 + thread), ProgramBytes(3));
        ASSERT_TRUE(put.ok()) << put.status();
        ASSERT_EQ(put->outcome, Outcome::Ok);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger_->PutProgram(Id(1, 11), ProgramBytes(4))->outcome, Outcome::IdConflict);
  EXPECT_EQ(ledger_->PutProgram(Id(99, 9), ProgramBytes(4))->version, 162);
  for (uint64_t member = 1; member <= 20; ++member) {
    EXPECT_EQ(Apply(Make(Kind::Purchase, member, member, 5)).points(), 20);
  }
  Reopen();
}

// A loop that spins takes thousands of turns in the time of a single write.
TEST_F(EmbeddedLedger, TurnsOnlyWhenThereIsSomethingToDo) {
  options_.durability = wal::Durability::kOpenDsync;
  std::atomic<uint64_t> polls = 0;
  options_.make_io = [&](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
    absl::StatusOr<wal::HostIo> host = wal::CreateHostIo();
    if (!host.ok()) return host.status();
    return std::make_unique<CountingIo>(std::move(host->io), polls);
  };
  Create();
  const uint64_t before = polls;
  constexpr uint64_t kOperations = 200;
  for (uint64_t i = 1; i <= kOperations; ++i) Apply(Make(Kind::Accrue, i, i, 1));
  EXPECT_LT(polls - before, kOperations * 20);
  ledger_.reset();  // before what counts its turns
}

}  // namespace
}  // namespace tallystick
