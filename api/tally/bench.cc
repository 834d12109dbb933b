// tally bench: how many durable operations a running server does, and how long they take.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/outcomes.h"
#include "api/program_file.h"
#include "api/tally/bench_report.h"
#include "api/tally/command.h"
#include "api/tally/load.h"
#include "api/tally/log_time.h"
#include "api/tally/output_file.h"
#include "api/tally/pipeline.h"
#include "api/tally/progress.h"
#include "api/tally/totals.h"
#include "api/tally/workload.h"

namespace tallystick::tally {
namespace {

constexpr char kProgramName[] = "Bench";
constexpr size_t kMaxConnections = 1000;
// On all connections: some hundred bytes each.
constexpr size_t kMaxOperationsUnderWay = size_t{4} << 20;
// With a greater share of refusals, the figures are not what one wanted to know.
constexpr double kNotableRefusals = 0.01;
// Operations of the load phase that are under way.
constexpr Pipeline::Limits kLoadLimits = {.batch = 1000, .in_flight = 32};

struct Options {
  std::string kind = "mixed";
  WorkloadOptions workload;
  LoadOptions load;
  size_t connections = 1;
  bool no_load = false;
  double load_expires_seconds = 0;  // after the load phase has begun; 0: as the program says
  std::string html;
  bool json = false;
};

class Bench {
 public:
  Bench(const Options& options, std::vector<std::unique_ptr<Client>>& clients)
      : options_(options),
        client_(*clients.front()),
        workload_(options.workload),
        load_(options.load, options.workload.program, workload_, clients) {}

  int Run();

 private:
  absl::Status EnsureProgram();
  absl::Status GivePoints();
  absl::Status Measure();
  absl::Status Verify(const TotalsAnswer& before, const TotalsAnswer& after) const;
  nlohmann::ordered_json Figures(const ShardsAnswer& shards) const;
  void PrintText(const nlohmann::ordered_json& figures) const;

  const Options& options_;
  Client& client_;
  Workload workload_;
  Load load_;
  Tally given_;
};

absl::Status Bench::EnsureProgram() {
  const auto known = client_.GetProgram(options_.workload.program);
  if (known.ok()) {
    const auto* name = flatbuffers::GetRoot<Program>(known->data())->name();
    if (name != nullptr && name->str() == kProgramName) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("program ", options_.workload.program,
                     " is not the benchmark's own: choose another id with --program"));
  }
  if (!absl::IsNotFound(known.status())) return known.status();
  const auto file = ProgramFile::Parse(
      absl::StrCat(R"({"id": )", options_.workload.program, R"(, "name": ")", kProgramName,
                   R"(", "currency": "USD", "time_zone": "UTC", "implicit_enrolment": true,
                      "earn": {"points": 1, "per_spend": 100, "rounding": "floor"}})"),
      "the benchmark's program");
  if (!file.ok()) return file.status();
  const auto answer = client_.PutProgram(RandomId(), file->bytes());
  if (!answer.ok()) return answer.status();
  if (answer->outcome == Outcome::Ok) return absl::OkStatus();
  return absl::InternalError(file->Sentence(answer->field, answer->message));
}

absl::Status Bench::GivePoints() {
  Progress progress("loading, members", static_cast<int64_t>(options_.workload.members));
  int64_t answered = 0;
  Pipeline pipeline(client_, kLoadLimits, [&](const Pipeline::Answer& answer) {
    for (const Result& result : answer.results) {
      if (result.outcome() != Outcome::Overloaded) given_.Count(result);
    }
    answered += static_cast<int64_t>(answer.results.size());
    progress.Update(answered);
  });
  const Instant now = ToInstant(absl::Now());
  const double expires_seconds = options_.load_expires_seconds;
  const Instant expires_at =
      expires_seconds > 0 ? now + static_cast<Instant>(expires_seconds * kMicrosPerSecond) : 0;
  for (uint64_t member = 1; member <= options_.workload.members; ++member) {
    if (absl::Status s = pipeline.Add(workload_.Load(member, now, expires_at)); !s.ok()) return s;
  }
  return pipeline.Finish();
}

absl::Status Bench::Measure() {
  Progress progress("benchmark, operations", 0);
  return load_.Run([&](int64_t answered) { progress.Update(answered); });
}

absl::Status Bench::Verify(const TotalsAnswer& before, const TotalsAnswer& after) const {
  if (!Balanced(after)) return absl::DataLossError("the program's totals don't balance");
  const Tally& tally = load_.tally();
  const Points issued = given_.issued + tally.issued;
  const Points redeemed = given_.redeemed + tally.redeemed;
  // Replayed ones, after a broken connection, moved points that this client has not counted.
  if (given_.replayed + tally.replayed == 0 &&
      (after.issued - before.issued != issued || after.redeemed - before.redeemed != redeemed)) {
    return absl::DataLossError(absl::StrCat(
        "the program's totals grew by ", after.issued - before.issued, " issued and ",
        after.redeemed - before.redeemed, " redeemed points, but the results say ", issued, " and ",
        redeemed, ": was somebody else at program ", options_.workload.program, "?"));
  }
  return absl::OkStatus();
}

int Bench::Run() {
  // Before all else: it would be a pity afterwards.
  std::unique_ptr<OutputFile> page;
  if (!options_.html.empty()) {
    auto created = OutputFile::Create(options_.html, /*reading=*/nullptr);
    if (!created.ok()) return Fail(created.status());
    page = *std::move(created);
  }
  absl::Status may = CheckNow(client_, "Measure a server on the wall clock");
  if (!may.ok()) return Fail(may);
  if (absl::Status status = EnsureProgram(); !status.ok()) return Fail(status);
  const auto before = client_.Totals(options_.workload.program);
  if (!before.ok()) return Fail(before.status());
  if (!options_.no_load) {
    if (absl::Status status = GivePoints(); !status.ok()) return Fail(status);
  }
  if (absl::Status status = Measure(); !status.ok()) return Fail(status);
  const auto after = client_.Totals(options_.workload.program);
  if (!after.ok()) return Fail(after.status());
  const auto shards = client_.Shards();
  if (!shards.ok()) return Fail(shards.status());
  const nlohmann::ordered_json figures = Figures(*shards);
  if (options_.json) {
    PrintJson(figures);
  } else {
    PrintText(figures);
  }
  const auto refused = static_cast<double>(load_.refused());
  const auto operations = static_cast<double>(load_.timeline().operations());
  if (refused > kNotableRefusals * (operations + refused)) {
    std::fprintf(stderr,
                 "tally: %.1f %% of the operations were refused, and are not counted: the outcomes "
                 "say why\n",
                 100 * refused / (operations + refused));
  }
  absl::Status status;
  if (page != nullptr) {
    page->buffer() = BenchReport(figures, load_.timeline());
    status = page->Publish();
  }
  status.Update(Verify(*before, *after));
  return status.ok() ? 0 : Fail(status);
}

nlohmann::ordered_json Bench::Figures(const ShardsAnswer& shards) const {
  const Histogram& latency_ns = load_.timeline().latency_ns();
  const auto us = [&latency_ns](double percent) {
    return static_cast<double>(latency_ns.Percentile(percent)) / 1000;
  };
  auto outcomes = nlohmann::ordered_json::object();
  const Tally& tally = load_.tally();
  for (size_t i = 0; i < kOutcomeCount; ++i) {
    if (tally.outcomes[i] == 0) continue;
    outcomes[std::string(OutcomeName(static_cast<Outcome>(i)))] = tally.outcomes[i];
  }
  if (tally.reads != 0) outcomes["Read"] = tally.reads;
  ShardState sum;
  for (const ShardState& shard : shards.shards) {
    sum.accounts += shard.accounts;
    sum.receipts += shard.receipts;
    sum.memory_bytes += shard.memory_bytes;
  }
  const double seconds = load_.seconds();
  return {{"program", options_.workload.program},
          {"members", options_.workload.members},
          {"members_by", options_.workload.members_by},
          {"redeem_share", options_.workload.redeem_share},
          {"read_share", options_.workload.read_share},
          {"seed", options_.workload.seed},
          {"connections", options_.connections},
          {"batch", options_.load.batch},
          {"in_flight", options_.load.in_flight},
          {"asked_ops_per_second", options_.load.rate},
          {"warm_up_seconds", options_.load.warm_up_seconds},
          {"durability", client_.server().durability},
          {"shards", client_.server().shard_count},
          {"seconds", seconds},
          {"operations", load_.timeline().operations()},
          {"refused", load_.refused()},
          {"ops_per_second", static_cast<double>(load_.timeline().operations()) / seconds},
          {"latency_us",
           {{"p50", us(50)},
            {"p99", us(99)},
            {"p999", us(99.9)},
            {"p9999", us(99.99)},
            {"max", static_cast<double>(latency_ns.max()) / 1000}}},
          {"outcomes", outcomes},
          {"replayed", tally.replayed},
          {"reconnects", client_.reconnects()},
          {"server",
           {{"accounts", sum.accounts},
            {"receipts", sum.receipts},
            {"memory_bytes", sum.memory_bytes}}}};
}

void Bench::PrintText(const nlohmann::ordered_json& figures) const {
  const LoadOptions& load = options_.load;
  std::printf("%.0f operations a second: %ld in %.2f s, durability %s, %d shards\n",
              figures["ops_per_second"].get<double>(), load_.timeline().operations(),
              load_.seconds(), client_.server().durability.c_str(), client_.server().shard_count);
  std::printf("%zu connections, requests of %zu operations, ", options_.connections, load.batch);
  if (load.rate > 0) {
    std::printf("begun at %.0f operations a second; latency from when they should have begun",
                load.rate);
  } else {
    std::printf("%zu in flight on each; latency", load.in_flight);
  }
  const auto us = [&](const char* name) { return figures["latency_us"][name].get<double>(); };
  std::printf(", in µs:\n  p50 %.0f   p99 %.0f   p99.9 %.0f   p99.99 %.0f   max %.0f\n", us("p50"),
              us("p99"), us("p999"), us("p9999"), us("max"));
  for (const auto& [name, count] : figures["outcomes"].items()) {
    std::printf("%14ld %s\n", count.get<int64_t>(), name.c_str());
  }
}

// What a kind of workload means.
void ApplyKind(Options& options) {
  WorkloadOptions& workload = options.workload;
  if (options.kind == "accrual") {
    workload.redeem_share = workload.read_share = 0;
  } else if (options.kind == "redemption") {
    workload.redeem_share = 1;
    workload.read_share = 0;
  } else if (options.kind == "balance") {
    workload.read_share = 1;
  }
}

// Not a number is not between any two.
CLI::Validator Between(double least, double most) {
  const std::string range = absl::StrCat("[", least, " - ", most, "]");
  return CLI::Validator(
      [=](const std::string& text) {
        double value;
        const bool within = absl::SimpleAtod(text, &value) && value >= least && value <= most;
        return within ? std::string() : absl::StrCat(text, " is not a number of ", range);
      },
      range);
}

int Run(const Server& server, Options& options) {
  ApplyKind(options);
  ClientOptions client_options;
  client_options.in_flight_bytes = Pipeline::kClientInFlightBytes;
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < options.connections; ++i) {
    auto client = server.Connect(client_options);
    if (!client.ok()) return Fail(client.status());
    clients.push_back(*std::move(client));
  }
  // A request is one Submit.
  options.load.batch =
      std::min<size_t>(options.load.batch, clients.front()->server().max_operations);
  const size_t under_way = options.connections * options.load.in_flight * options.load.batch;
  if (under_way > kMaxOperationsUnderWay) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("--connections times --in-flight times --batch are ", under_way,
                     " operations under way, and this program remembers ", kMaxOperationsUnderWay,
                     ": choose fewer of one")));
  }
  return Bench(options, clients).Run();
}

}  // namespace

void AddBenchCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure durable operations a second, and how long requests take; puts a program of its own");
  auto options = std::make_shared<Options>();
  WorkloadOptions& workload = options->workload;
  LoadOptions& load = options->load;
  command
      ->add_option("--workload", options->kind,
                   "accrual, redemption, balance (reads), or mixed (by the shares below)")
      ->check(CLI::IsMember({"accrual", "redemption", "balance", "mixed"}))
      ->capture_default_str();
  command->add_option("--members", workload.members, "Members 1 to N")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command
      ->add_option("--members-by", workload.members_by,
                   "Whom operations are of: uniform, zipf (0.99), or hot (all of one member)")
      ->check(CLI::IsMember({"uniform", "zipf", "hot"}))
      ->capture_default_str();
  command
      ->add_option("--redeem-share", workload.redeem_share,
                   "Share of redemptions in a mix, 0 to 1; the others are accruals")
      ->check(Between(0, 1))
      ->capture_default_str();
  command
      ->add_option("--read-share", workload.read_share,
                   "Share of balances read in a mix, 0 to 1, each a request of its own")
      ->check(Between(0, 1))
      ->capture_default_str();
  command->add_option("--connections", options->connections, "Connections")
      ->check(CLI::Range(size_t{1}, kMaxConnections))
      ->capture_default_str();
  command->add_option("--batch", load.batch, "Operations in a request")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--in-flight", load.in_flight, "Requests in flight on each connection")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command
      ->add_option("--rate", load.rate,
                   "Operations a second to begin, whatever the server does (open loop); latencies "
                   "count from when "
                   "requests should have begun. Otherwise as many as go (closed loop)")
      ->check(Between(1e-3, 1e9));
  command->add_option("--warm-up", load.warm_up_seconds, "Seconds before measuring")
      ->check(Between(0, 1e6))
      ->capture_default_str();
  CLI::Option* operations = command->add_option("--ops", load.operations, "Operations to measure")
                                ->check(CLI::Range(1L, 1'000'000'000'000L))
                                ->capture_default_str();
  command->add_option("--seconds", load.seconds, "Seconds to measure, instead of --ops")
      ->check(Between(0.001, 1e6))
      ->excludes(operations)
      ->each([options](const std::string&) { options->load.operations = UINT64_MAX; });
  command->add_option("--program", workload.program, "Id for the benchmark's program")
      ->check(CLI::Range(1, 65'535))
      ->capture_default_str();
  command->add_option("--seed", workload.seed, "Of the operations' mix")->capture_default_str();
  command->add_flag("--no-load", options->no_load,
                    "Leave out the phase before, which gives each member points");
  command
      ->add_option("--load-expires", options->load_expires_seconds,
                   "Seconds after which the points of that phase expire, all members' at once")
      ->check(Between(0.001, 1e6));
  command->add_option("--html", options->html, "A new file that a page with plots is written to")
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
