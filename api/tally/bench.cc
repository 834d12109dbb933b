// tally bench: how many durable operations a running server does, and how long they take.

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/program_file.h"
#include "api/tally/command.h"
#include "api/tally/histogram.h"
#include "api/tally/pipeline.h"
#include "api/tally/progress.h"
#include "api/tally/random.h"
#include "api/tally/totals.h"

namespace tallystick::tally {
namespace {

constexpr char kProgramName[] = "Bench";
// What the load phase gives each member: enough that few redemptions are refused.
constexpr Points kLoadPoints = 1000;
constexpr uint64_t kLargestAmount = 100;

struct Options {
  uint16_t program = 999;
  uint64_t members = 1'000'000;
  uint64_t operations = 10'000'000;
  Pipeline::Limits limits;
  double redeem_share = 0.2;
  uint64_t seed = 1;
  bool no_load = false;
  bool json = false;
};

// What the client knows that the ledger must say too.
struct Tally {
  std::array<int64_t, kOutcomeCount> outcomes = {};
  int64_t replayed = 0;
  Points issued = 0;
  Points redeemed = 0;

  int64_t Answered() const {
    int64_t sum = 0;
    for (const int64_t count : outcomes) sum += count;
    return sum;
  }
};

// Accruals and redemptions of members 1 .. N, drawn from a seed.
class Operations {
 public:
  explicit Operations(const Options& options)
      : options_(options),
        random_(options.seed),
        run_(std::random_device()()),
        redeem_below_(static_cast<uint64_t>(options.redeem_share * 4294967296.0)) {}

  Operation Load(uint64_t member, Instant now) {
    return Make(Kind::Accrue, member, kLoadPoints, now);
  }
  Operation Draw(Instant now) {
    const uint64_t member = 1 + random_.Below(options_.members);
    const uint64_t draw = random_.Next();
    const Kind kind = draw >> 32 < redeem_below_ ? Kind::Redeem : Kind::Accrue;
    return Make(kind, member, 1 + static_cast<int64_t>((draw & 0xffff'ffff) % kLargestAmount), now);
  }

 private:
  // Ids are new in each run, so that a run with the same seed is not taken for a repetition.
  Operation Make(Kind kind, uint64_t member, int64_t amount, Instant now) {
    const uint64_t low = random_.Next();
    const Id id(low, random_.Next() ^ run_ << 32);
    return Operation(id, Id(member, 0), Id(0, 0), amount, now, /*expires_at=*/0, /*user_data=*/0,
                     options_.program, /*category=*/0, kind, /*flags=*/0, /*reserved=*/0);
  }

  const Options& options_;
  Random random_;
  const uint64_t run_;
  const uint64_t redeem_below_;
};

class Bench {
 public:
  Bench(const Options& options, Client& client)
      : options_(options), client_(client), source_(options) {}

  int Run();

 private:
  absl::Status EnsureProgram();
  // Sends `count` operations from `next` and waits for all of them.
  template <typename NextOperation>
  absl::Status Send(const char* what, uint64_t count, Histogram* latency_ns, NextOperation next);
  void TakeAnswer(const Pipeline::Answer& answer);
  absl::Status Verify(const TotalsAnswer& before, const TotalsAnswer& after) const;
  void Print(double seconds, const Tally& loaded, const Histogram& latency_ns) const;

  const Options& options_;
  Client& client_;
  Operations source_;
  Tally tally_;
  int64_t resent_ = 0;
};

absl::Status Bench::EnsureProgram() {
  const auto known = client_.GetProgram(options_.program);
  if (known.ok()) {
    const auto* name = flatbuffers::GetRoot<Program>(known->data())->name();
    if (name != nullptr && name->str() == kProgramName) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("program ", options_.program,
                     " is not the benchmark's own: choose another id with --program"));
  }
  if (!absl::IsNotFound(known.status())) return known.status();
  const auto file = ProgramFile::Parse(
      absl::StrCat(R"({"id": )", options_.program, R"(, "name": ")", kProgramName,
                   R"(", "currency": "USD", "time_zone": "UTC", "implicit_enrolment": true,
                      "earn": {"points": 1, "per_spend": 100, "rounding": "floor"}})"),
      "the benchmark's program");
  if (!file.ok()) return file.status();
  const auto answer = client_.PutProgram(RandomId(), file->bytes());
  if (!answer.ok()) return answer.status();
  if (answer->outcome == Outcome::Ok) return absl::OkStatus();
  return absl::InternalError(file->Sentence(answer->field, answer->message));
}

template <typename NextOperation>
absl::Status Bench::Send(const char* what, uint64_t count, Histogram* latency_ns,
                         NextOperation next) {
  Progress progress(what, static_cast<int64_t>(count));
  int64_t answered = 0;
  Pipeline pipeline(client_, options_.limits, [&](const Pipeline::Answer& answer) {
    TakeAnswer(answer);
    answered += static_cast<int64_t>(answer.results.size());
    if (latency_ns != nullptr) latency_ns->Record(answer.latency_ns);
    progress.Update(answered);
  });
  Instant now = 0;
  for (uint64_t i = 0; i < count; ++i) {
    if (i % options_.limits.batch == 0) now = ToInstant(absl::Now());
    if (absl::Status status = pipeline.Add(next(i, now)); !status.ok()) return status;
  }
  absl::Status finished = pipeline.Finish();
  resent_ = pipeline.resent();
  return finished;
}

void Bench::TakeAnswer(const Pipeline::Answer& answer) {
  for (const Result& result : answer.results) {
    if (result.outcome() == Outcome::Overloaded) continue;
    ++tally_.outcomes[static_cast<size_t>(result.outcome())];
    if ((result.flags() & kReplayed) != 0) {
      ++tally_.replayed;
    } else if (result.points() > 0) {
      tally_.issued += result.points();
    } else {
      tally_.redeemed -= result.points();
    }
  }
}

absl::Status Bench::Verify(const TotalsAnswer& before, const TotalsAnswer& after) const {
  if (!Balanced(after)) return absl::DataLossError("the program's totals don't balance");
  const auto sent =
      static_cast<int64_t>(options_.operations + (options_.no_load ? 0 : options_.members));
  if (tally_.Answered() != sent) {
    return absl::DataLossError(
        absl::StrCat(tally_.Answered(), " operations were answered, but ", sent, " were sent"));
  }
  // Replayed ones, after a broken connection, moved points that this client has not counted.
  if (tally_.replayed == 0 && (after.issued - before.issued != tally_.issued ||
                               after.redeemed - before.redeemed != tally_.redeemed)) {
    return absl::DataLossError(absl::StrCat(
        "the program's totals grew by ", after.issued - before.issued, " issued and ",
        after.redeemed - before.redeemed, " redeemed points, but the results say ", tally_.issued,
        " and ", tally_.redeemed, ": was somebody else at program ", options_.program, "?"));
  }
  return absl::OkStatus();
}

int Bench::Run() {
  if (absl::Status status = EnsureProgram(); !status.ok()) return Fail(status);
  const auto before = client_.Totals(options_.program);
  if (!before.ok()) return Fail(before.status());
  if (!options_.no_load) {
    const absl::Status loaded =
        Send("loading, members", options_.members, nullptr,
             [this](uint64_t i, Instant now) { return source_.Load(i + 1, now); });
    if (!loaded.ok()) return Fail(loaded);
  }
  const Tally loaded = tally_;
  Histogram latency_ns;
  const auto start = std::chrono::steady_clock::now();
  const absl::Status sent = Send("benchmark, operations", options_.operations, &latency_ns,
                                 [this](uint64_t, Instant now) { return source_.Draw(now); });
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!sent.ok()) return Fail(sent);
  const auto after = client_.Totals(options_.program);
  if (!after.ok()) return Fail(after.status());
  Print(seconds, loaded, latency_ns);
  const absl::Status verified = Verify(*before, *after);
  return verified.ok() ? 0 : Fail(verified);
}

void Bench::Print(double seconds, const Tally& loaded, const Histogram& latency_ns) const {
  const double per_second = static_cast<double>(options_.operations) / seconds;
  const auto us = [&latency_ns](double percent) {
    return static_cast<double>(latency_ns.Percentile(percent)) / 1000;
  };
  const double max_us = static_cast<double>(latency_ns.max()) / 1000;
  auto outcomes = nlohmann::ordered_json::object();
  for (size_t i = 0; i < kOutcomeCount; ++i) {
    const int64_t count = tally_.outcomes[i] - loaded.outcomes[i];
    if (count != 0) outcomes[std::string(OutcomeName(static_cast<Outcome>(i)))] = count;
  }
  if (options_.json) {
    PrintJson({{"program", options_.program},
               {"members", options_.members},
               {"operations", options_.operations},
               {"batch", options_.limits.batch},
               {"in_flight", options_.limits.in_flight},
               {"redeem_share", options_.redeem_share},
               {"seed", options_.seed},
               {"durability", client_.server().durability},
               {"shards", client_.server().shard_count},
               {"seconds", seconds},
               {"ops_per_second", per_second},
               {"latency_us",
                {{"p50", us(50)},
                 {"p99", us(99)},
                 {"p999", us(99.9)},
                 {"p9999", us(99.99)},
                 {"max", max_us}}},
               {"outcomes", outcomes},
               {"replayed", tally_.replayed},
               {"resent", resent_},
               {"reconnects", client_.reconnects()}});
    return;
  }
  std::printf("%.0f operations a second: %lu in %.2f s, durability %s, %d shards\n", per_second,
              options_.operations, seconds, client_.server().durability.c_str(),
              client_.server().shard_count);
  std::printf("latency of a request of %zu operations, %zu in flight, in µs:\n",
              options_.limits.batch, options_.limits.in_flight);
  std::printf("  p50 %.0f   p99 %.0f   p99.9 %.0f   p99.99 %.0f   max %.0f\n", us(50), us(99),
              us(99.9), us(99.99), max_us);
  for (const auto& [name, count] : outcomes.items()) {
    std::printf("%14ld %s\n", count.get<int64_t>(), name.c_str());
  }
}

int Run(const Server& server, const Options& options) {
  ClientOptions client_options;
  client_options.in_flight_bytes = Pipeline::kClientInFlightBytes;
  auto client = server.Connect(client_options);
  if (!client.ok()) return Fail(client.status());
  return Bench(options, **client).Run();
}

}  // namespace

void AddBenchCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure durable operations a second, and how long requests take; puts a program of its own");
  auto options = std::make_shared<Options>();
  command->add_option("--program", options->program, "Id for the benchmark's program")
      ->check(CLI::Range(1, 65'535))
      ->capture_default_str();
  command->add_option("--members", options->members, "Members 1 to N")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--ops", options->operations, "Operations to measure")
      ->check(CLI::Range(1L, 1'000'000'000'000L))
      ->capture_default_str();
  command->add_option("--batch", options->limits.batch, "Operations in a request")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--in-flight", options->limits.in_flight, "Requests in flight")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command->add_option("--redeem-share", options->redeem_share, "Share of redemptions, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the operations' mix")->capture_default_str();
  command->add_flag("--no-load", options->no_load,
                    "Leave out the phase before, which gives each member points");
  AddJsonFlag(command, &options->json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
