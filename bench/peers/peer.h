// What the load loop knows of a peer: a server that keeps balances as a Tallystick ledger would, in
// whatever way suits it best.

#ifndef TALLYSTICK_BENCH_PEERS_PEER_H_
#define TALLYSTICK_BENCH_PEERS_PEER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ledger/types.h"

namespace tallystick::peers {

// What became of an operation; peers answer with one such character for each.
enum class PeerOutcome : char {
  kAccepted = '0',
  kRefused = '1',   // the balance is too small; nothing was kept
  kReplayed = '2',  // the member has this transaction already
  kConflict = '3',  // the same, with another amount or instant
};

// What a peer holds in all.
struct PeerTotals {
  int64_t members = 0;
  int64_t operations = 0;  // kept, in the members' histories
  Points points = 0;       // of all balances
};

// What an operation does to a balance.
inline Points Movement(const Operation& operation) {
  return operation.kind() == Kind::Redeem ? -operation.amount() : operation.amount();
}

// One connection, which never blocks. Requests are answered in the order in which they began.
class PeerConnection {
 public:
  virtual ~PeerConnection() = default;

  // Takes a request of one or more operations. It may put them into another order, which keeps
  // that of each member; outcomes come in the new order.
  virtual absl::Status Begin(std::vector<Operation>& operations) = 0;
  // Sends what it can; true when something is left to send.
  virtual absl::StatusOr<bool> Send() = 0;
  // Receives what has come.
  virtual absl::Status Receive() = 0;
  // Takes the next answer, which is durable, out of what was received; false when there is none.
  virtual absl::StatusOr<bool> NextOutcomes(std::string* outcomes) = 0;
  // To wait for.
  virtual int descriptor() const = 0;
};

class Peer {
 public:
  virtual ~Peer() = default;

  virtual absl::StatusOr<std::unique_ptr<PeerConnection>> Connect() = 0;
  // Whether connections are faster when each has the members of its own.
  virtual bool SplitsMembers() const = 0;
  // Makes members 1 .. N, where a peer needs to know them before.
  virtual absl::Status Enrol(uint64_t members) = 0;
  // Of members 1 .. N.
  virtual absl::StatusOr<PeerTotals> Totals(uint64_t members) = 0;
  virtual absl::StatusOr<Points> Balance(const Id& member) = 0;
};

// `socket`: of the server; Postgres takes the folder that its socket is in.
std::unique_ptr<Peer> MakeRedisPeer(std::string socket);
std::unique_ptr<Peer> MakePostgresPeer(std::string socket);

}  // namespace tallystick::peers

#endif  // TALLYSTICK_BENCH_PEERS_PEER_H_
