// A simulated machine, ledgers on it one after the other, and their callers.
//
// The callers keep many requests in flight: some through Ledger::Submit, some through a worker's
// dispatcher with a stream, as connections do. What is not answered when a ledger ends is sent
// again, in order, to the next.

#ifndef TALLYSTICK_TESTS_SIM_SIM_WORLD_H_
#define TALLYSTICK_TESTS_SIM_SIM_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "api/dispatcher.h"
#include "api/embedded.h"
#include "tests/ledger/random_programs.h"
#include "tests/sim/books.h"
#include "tests/sim/process_io.h"
#include "tests/sim/sim_io.h"

namespace tallystick::sim {

using ledger::Random;

struct WorldOptions {
  uint64_t seed = 1;
  uint16_t shards = 2;
  uint16_t threads = 1;
  ClockMode clock = ClockMode::kWall;
  wal::Durability durability = wal::Durability::kOpenDsync;
  uint64_t segment_bytes = 256 << 10;
  uint32_t blocks_in_flight = 4;
  size_t clients = 4;
  size_t requests_in_flight = 4;  // of one client
  size_t operations = 6;          // in one request at most
  int64_t members = 8;
  int64_t snapshot_interval_ms = 0;
  uint64_t snapshot_log_bytes = 0;
  bool snapshot_at_close = false;
  uint64_t disk_reserve_bytes = 0;
};

class World {
 public:
  explicit World(const WorldOptions& options);
  ~World();

  // Makes the ledger; its programs are put in the first turns.
  absl::Status Create();
  // Opens it again. What was not answered waits to be sent.
  absl::Status Open(bool confirm_clock = false);
  // Turns in which the clients go on sending and reading, and time goes by; ends early when a shard
  // has stopped.
  void Run(int turns);
  // Turns until everything is answered. False: something waits for ever.
  bool Settle();
  // The ledger ends as the machine is: after a cut of its power, for one.
  void Drop();
  void KillProcess();
  // Sends everything that was accepted once more: the answers must be the original ones.
  void ResendAccepted();
  // Settles, reads everything, closes the ledger, and holds answers and readings against the log.
  // Returns what one run of a seed must have in common with another.
  std::vector<uint64_t> Finish();

  SimIo& machine() { return machine_; }
  const Process& process() const { return *process_; }
  Ledger* ledger() { return ledger_.get(); }
  Books& books() { return books_; }
  Random& random() { return random_; }
  const WorldOptions& options() const { return options_; }
  size_t unanswered() const { return unanswered_; }
  size_t overloads() const { return overloads_; }
  // What the operator was told.
  const std::vector<std::string>& reports() const { return reports_; }
  // Why requests failed, if any did.
  const absl::Status& last_failure() const { return last_failure_; }
  Operation Draw();
  // Waits for the answer; after a failure the operation is sent again when the clients go on.
  absl::Status Apply(const Operation& operation);
  // Of program 1 or 2; a shard's members are many.
  Id Member(int64_t number) const;
  void Step();
  // Another version of program 1 or 2.
  void Put(uint16_t program);

 private:
  struct Client;
  struct Request;

  LedgerOptions Options(bool create);
  void Connect();
  Instant BusinessTime();
  void DrawRequest(Client& client);
  void SendWaiting(Client& client);
  void SubmitRequest(Client& client, std::vector<size_t> indexes);
  void Answered(Request& request, const absl::Status& status, absl::Span<const Result> results);
  void Read();
  // Each transaction of a statement is found by its id.
  void CheckTransactions(uint16_t program, const Id& member, const StatementAnswer& statement);
  void SendPuts();
  void CheckShards() const;
  bool IsOnItsWay() const;
  void CheckOrder() const;
  Dispatcher& AnyDispatcher();
  template <typename Answer, typename Take>
  std::function<void(absl::StatusOr<Answer>)> Counted(Take take);

  const WorldOptions options_;
  Random random_;
  SimIo machine_;
  std::unique_ptr<Process> process_;
  std::string directory_ = "/ledger";
  std::unique_ptr<Ledger> ledger_;
  Books books_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<size_t> purchases_;  // of the books
  std::vector<size_t> holds_;
  std::vector<size_t> redemptions_;
  std::map<uint64_t, uint16_t> waiting_puts_;  // programs, by the put's number
  uint64_t last_put_ = 0;
  uint64_t last_id_ = 0;
  Instant business_time_ = 0;
  Instant time_left_;  // what may go by in all, so that no receipt ends
  size_t unanswered_ = 0;
  std::vector<std::string> reports_;
  size_t overloads_ = 0;
  absl::Status last_failure_;
};

}  // namespace tallystick::sim

#endif  // TALLYSTICK_TESTS_SIM_SIM_WORLD_H_
