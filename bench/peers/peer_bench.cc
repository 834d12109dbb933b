// peer_bench: gives the members of a peer points, measures how many durable operations a second it
// does, and asks it for a balance. bench/peers/run.sh starts the servers and calls this.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/instants.h"
#include "api/tally/workload.h"
#include "bench/peers/peer.h"
#include "bench/peers/peer_load.h"

namespace tallystick::peers {
namespace {

struct Options {
  std::string peer;
  std::string socket;
  uint64_t member = 1;
  tally::WorkloadOptions workload;
  PeerLoadOptions load;
  size_t connections = 1;
  size_t batch = 1;
};

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "peer_bench: %s\n", std::string(status.message()).c_str());
  return 1;
}

std::unique_ptr<Peer> MakePeer(const Options& options) {
  return options.peer == "redis" ? MakeRedisPeer(options.socket) : MakePostgresPeer(options.socket);
}

// What was moved must be what the balances grew by, and what was accepted must be kept.
absl::Status Verify(const PeerTally& tally, const PeerTotals& before, const PeerTotals& after) {
  const Points points = after.points - before.points;
  const int64_t operations = after.operations - before.operations;
  if (points == tally.moved && operations == tally.accepted) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the balances grew by ", points, " points in ",
                                          operations, " operations, but the answers say ",
                                          tally.moved, " in ", tally.accepted));
}

nlohmann::ordered_json Figures(const Options& options, const PeerLoad& load) {
  const auto us = [&load](double percent) {
    return static_cast<double>(load.latency_ns().Percentile(percent)) / 1000;
  };
  const PeerTally& tally = load.tally();
  return {
      {"peer", options.peer},
      {"members", options.workload.members},
      {"connections", options.connections},
      {"batch", options.batch},
      {"in_flight", options.load.in_flight},
      {"seconds", load.seconds()},
      {"operations", load.measured_operations()},
      {"ops_per_second",
       load.seconds() > 0 ? static_cast<double>(load.measured_operations()) / load.seconds() : 0.0},
      {"latency_us",
       {{"p50", us(50)},
        {"p99", us(99)},
        {"p999", us(99.9)},
        {"p9999", us(99.99)},
        {"max", static_cast<double>(load.latency_ns().max()) / 1000}}},
      {"outcomes",
       {{"accepted", tally.accepted},
        {"refused", tally.refused},
        {"replayed", tally.replayed},
        {"conflicts", tally.conflicts}}}};
}

int Measure(const Options& options, Peer& peer, const PeerLoad::Fill& fill) {
  const absl::StatusOr<PeerTotals> before = peer.Totals(options.workload.members);
  if (!before.ok()) return Fail(before.status());
  std::vector<std::unique_ptr<PeerConnection>> connections;
  for (size_t i = 0; i < options.connections; ++i) {
    absl::StatusOr<std::unique_ptr<PeerConnection>> connection = peer.Connect();
    if (!connection.ok()) return Fail(connection.status());
    connections.push_back(*std::move(connection));
  }
  PeerLoad load(options.load, fill, std::move(connections));
  if (absl::Status status = load.Run(); !status.ok()) return Fail(status);
  const absl::StatusOr<PeerTotals> after = peer.Totals(options.workload.members);
  if (!after.ok()) return Fail(after.status());
  std::printf("%s\n", Figures(options, load).dump().c_str());
  const absl::Status verified = Verify(load.tally(), *before, *after);
  return verified.ok() ? 0 : Fail(verified);
}

// Each connection gives points to the members of its own.
int GivePoints(const Options& options) {
  const std::unique_ptr<Peer> peer = MakePeer(options);
  if (absl::Status status = peer->Enrol(options.workload.members); !status.ok()) {
    return Fail(status);
  }
  tally::Workload workload(options.workload);
  std::vector<uint64_t> next(options.connections);
  for (size_t i = 0; i < next.size(); ++i) next[i] = i == 0 ? next.size() : i;
  return Measure(options, *peer, [&](size_t connection, std::vector<Operation>* operations) {
    const Instant now = ToInstant(absl::Now());
    for (uint64_t& member = next[connection];
         operations->size() < options.batch && member <= options.workload.members;
         member += next.size()) {
      operations->push_back(workload.Load(member, now));
    }
  });
}

int Run(const Options& options) {
  const std::unique_ptr<Peer> peer = MakePeer(options);
  tally::Workload workload(options.workload);
  const bool splits = peer->SplitsMembers() && options.batch > 1;
  return Measure(options, *peer, [&](size_t connection, std::vector<Operation>* operations) {
    const Instant now = ToInstant(absl::Now());
    while (operations->size() < options.batch) {
      // Those of other connections are drawn again by them: drawing is cheap.
      const Operation operation = workload.Draw(now);
      if (splits && operation.member().low() % options.connections != connection) continue;
      operations->push_back(operation);
    }
  });
}

int PrintBalance(const Options& options) {
  const absl::StatusOr<Points> balance = MakePeer(options)->Balance(Id(options.member, 0));
  if (!balance.ok()) return Fail(balance.status());
  std::printf("%ld\n", *balance);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Measures a peer at Tallystick's work");
  Options options;
  options.load.warm_up_seconds = 0;
  app.require_subcommand(1);
  app.add_option("--peer", options.peer, "redis or postgres")
      ->check(CLI::IsMember({"redis", "postgres"}))
      ->required();
  app.add_option("--socket", options.socket, "Redis: its socket; Postgres: its socket's folder")
      ->required();
  CLI::App* load = app.add_subcommand("load", "Give each member points");
  CLI::App* run = app.add_subcommand("run", "Measure the mix of accruals and redemptions");
  for (CLI::App* command : {load, run}) {
    command->add_option("--members", options.workload.members, "Members 1 to N")
        ->check(CLI::Range(1, 1'000'000'000));
    command->add_option("--connections", options.connections, "Connections")
        ->check(CLI::Range(1, 1000));
    command->add_option("--batch", options.batch, "Operations in a request")
        ->check(CLI::Range(1, 100'000));
    command->add_option("--in-flight", options.load.in_flight, "Requests, on each connection")
        ->check(CLI::Range(1, 1000));
  }
  run->add_option("--seconds", options.load.seconds, "Seconds to measure");
  run->add_option("--ops", options.load.operations, "Operations to begin, warm-up included");
  run->add_option("--warm-up", options.load.warm_up_seconds, "Seconds before measuring");
  run->add_option("--seed", options.workload.seed, "Of the operations' mix");
  CLI::App* balance = app.add_subcommand("balance", "Print a member's balance");
  balance->add_option("--member", options.member, "Its number");
  CLI11_PARSE(app, argc, argv);
  if (load->parsed()) return GivePoints(options);
  return run->parsed() ? Run(options) : PrintBalance(options);
}

}  // namespace
}  // namespace tallystick::peers

int main(int argc, char** argv) { return tallystick::peers::Main(argc, argv); }
