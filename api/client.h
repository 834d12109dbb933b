// A client of tallyd: one connection, many requests in flight, driven by its
// caller's thread.
//
// Submitted operations are kept until they are answered. When the connection breaks, the client
// connects again and sends what is unanswered once more, under the same ids: an operation that had
// been applied returns its original result, so each is applied exactly once. Overloaded operations
// are given back to the caller; where that and a broken connection come together, those in flight
// behind them may be applied first.

#ifndef TALLYSTICK_API_CLIENT_H_
#define TALLYSTICK_API_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/messages.h"
#include "ledger/types.h"

namespace tallystick {

struct ClientOptions {
  std::string name = "tallystick-client";
  // How long to try to connect or to connect again before requests fail; 0: one attempt.
  int64_t reconnect_ms = 10'000;
  // Submit waits (polls) while more than these bytes are unanswered.
  size_t in_flight_bytes = size_t{16} << 20;
};

class Client {
 public:
  // `address`: "unix:PATH" or "tcp:127.0.0.1:PORT".
  static absl::StatusOr<std::unique_ptr<Client>> Connect(const std::string& address,
                                                         const ClientOptions& options = {});
  ~Client();

  const ServerInfo& server() const;
  // How often the connection was made again.
  int64_t reconnects() const;

  // Results in the order of the operations; valid inside the callback only.
  using ResultsCallback = std::function<void(absl::StatusOr<absl::Span<const Result>>)>;

  // Queues one request of at most server().max_operations operations (copied). `done` is called
  // from Poll, Drain or a blocking call of this client; with an error only when the connection is
  // gone for good or the server refuses the request.
  void Submit(absl::Span<const Operation> operations, ResultsCallback done);

  // Sends and receives what is possible; waits at most `wait_ms` for something (0: not; < 0:
  // without limit). An error is final: every unanswered request has been failed with it.
  absl::Status Poll(int64_t wait_ms);
  // Polls until nothing is unanswered.
  absl::Status Drain();
  size_t requests_in_flight() const;

  // ---- blocking calls ----
  absl::StatusOr<Result> Apply(const Operation& operation);
  // What one operation or chain would do now: as Ledger::DryRun. A server that does not know dry
  // runs ends the connection with a sentence, and applies nothing.
  absl::StatusOr<DryRunAnswer> DryRun(absl::Span<const Operation> operations);
  absl::StatusOr<ProgramPutAnswer> PutProgram(const Id& id, absl::Span<const uint8_t> program);
  // NotFound: unknown program.
  absl::StatusOr<std::vector<uint8_t>> GetProgram(uint16_t program);
  // The answers below carry an outcome: UnknownProgram, UnknownMember or Ok. What the log has no
  // more or cannot be read of it is NotFound or DataLoss, as Ledger says.
  absl::StatusOr<BalanceAnswer> Balance(uint16_t program, const Id& member, Instant as_of = 0);
  // The same with all events, at most kMaxScheduleEvents.
  absl::StatusOr<BalanceAnswer> Schedule(uint16_t program, const Id& member, Instant as_of = 0);
  absl::StatusOr<LotsAnswer> Lots(uint16_t program, const Id& member);
  absl::StatusOr<StatementAnswer> Statement(uint16_t program, const Id& member, Position before = 0,
                                            uint32_t limit = 0);
  // Or UnknownOriginal, as Ledger::Transaction.
  absl::StatusOr<TransactionAnswer> Transaction(uint16_t program, const Id& member, const Id& id);
  absl::StatusOr<TotalsAnswer> Totals(uint16_t program);
  // As Ledger::Owed.
  absl::StatusOr<OwedAnswer> Owed(uint16_t program, Instant as_of = 0);
  absl::StatusOr<ShardsAnswer> Shards();
  absl::StatusOr<TickAnswer> Tick(const Id& id, Instant to);
  // Takes a snapshot of each shard; answers when they are durable.
  absl::StatusOr<SnapshotsAnswer> Snapshot();
  // As Ledger::Records.
  absl::StatusOr<RecordsAnswer> Records(uint16_t shard, Position from, uint32_t wait_ms = 0);

  // ---- the same without waiting: answered like Submit, but whatever is in flight; at once after
  // the client's failure ----
  void Balance(uint16_t program, const Id& member, Instant as_of,
               std::function<void(absl::StatusOr<BalanceAnswer>)> done);
  void Shards(std::function<void(absl::StatusOr<ShardsAnswer>)> done);
  void Records(uint16_t shard, Position from, uint32_t wait_ms,
               std::function<void(absl::StatusOr<RecordsAnswer>)> done);

  // ---- for a caller that waits for several clients at once ----
  // The socket, and whether there is something to send that it has not taken yet: then wait for it
  // to be writable too. Negative while there is no connection; Poll(0) tries again when it is time
  // to. Poll(0) now and then all the same: a peer that says nothing is given up in it.
  int descriptor() const;
  bool wants_to_send() const;

 private:
  struct State;
  explicit Client(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_CLIENT_H_
