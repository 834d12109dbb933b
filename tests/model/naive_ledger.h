#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_LEDGER_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tests/model/naive_account.h"
#include "tests/model/naive_kinds.h"
#include "tests/model/naive_program.h"
#include "tests/model/naive_types.h"

namespace tallystick::model {

inline constexpr size_t kMaxChainSize = 64;
inline constexpr size_t kMaxTransits = 32'768;  // of a shard
inline constexpr size_t kMaxArrivals = 65'536;  // of one shard, not known to be settled

// A record that the ledger makes by itself.
struct Derived {
  Kind kind = Kind::kNone;
  Id member;
  uint16_t program = 0;
  // What activated or expired, or what the hold had, before debt is paid; never negative.
  int64_t points = 0;
  Instant at = 0;
  uint64_t origin_sequence = 0;  // of the lot's origin or of the hold
  int64_t available = 0;         // after it, negative by the debt
  int64_t pending = 0;           // after it
  bool operator==(const Derived&) const = default;
};

struct Lot {
  int64_t remaining = 0;
  int64_t original = 0;
  Instant activates_at = 0;
  Instant expires_at = kNever;
  bool pending = false;
  bool operator==(const Lot&) const = default;
};

// An open hold, with what it has of each lot, in spending order.
struct Hold {
  uint64_t sequence = 0;
  Instant times_out_at = 0;
  int64_t points = 0;
  std::vector<Lot> lots;
  bool operator==(const Hold&) const = default;
};

// A transfer that was sent and is neither done nor back.
struct OpenTransfer {
  uint64_t sequence = 0;  // of the Transfer
  uint16_t program = 0;
  Id from;
  Id to;
  bool operator==(const OpenTransfer&) const = default;
};

// What the shard of a transfer's receiver is told.
struct Parcel {
  struct Lot {
    int64_t points = 0;
    Instant activates_at = 0;
    Instant expires_at = kNever;
    bool operator==(const Lot&) const = default;
  };

  Operation operation;    // the TransferIn
  uint16_t shard = 0;     // of the sender
  uint64_t sequence = 0;  // of the Transfer, on that shard
  // What that shard sent before it is settled, and will not be sent again.
  uint64_t open_from = 0;
  std::vector<Lot> lots;
};

struct Totals {
  int64_t members = 0;
  int64_t issued = 0;
  int64_t redeemed = 0;
  int64_t expired = 0;
  int64_t forfeited = 0;   // part of expired
  int64_t closed_out = 0;  // part of expired
  int64_t clawed_back = 0;
  int64_t written_off = 0;
  int64_t adjusted = 0;
  int64_t reinstated = 0;
  int64_t forgiven = 0;
  int64_t sent = 0;
  int64_t received = 0;
  int64_t pending = 0;
  int64_t available = 0;
  int64_t held = 0;
  int64_t debt = 0;
  bool operator==(const Totals&) const = default;
};

// The points ledger of docs/semantics.md, written to be read beside it: every rule is a full scan,
// an operation works on a copy of its account, a chain is undone by putting the old state back.
class NaiveLedger {
 public:
  // Appends a version, which must be valid. Log time moves to `log_time` unless it is later.
  void PutProgram(const Program& program, Instant log_time);

  // Wall clock: what is accepted has the stamp as its log time. Import clock: log time follows the
  // operations, and the stamp is the wall clock. A block by itself moves nothing.
  void BeginBlock(Instant stamp, bool import_clock);

  // Applies a request; a chain that does not end in it is refused.
  std::vector<Result> Apply(const std::vector<Operation>& operations);

  // Those of this shard on their way, the oldest first.
  std::vector<OpenTransfer> OpenTransfers() const;

  // What the receiver's shard is to apply. The transfer must be open.
  Parcel ParcelOf(const OpenTransfer& transfer, uint16_t shard, uint64_t open_from) const;

  // Applies it once. The record has one sequence, its first detail the next, and each lot one more.
  Result Receive(const Parcel& parcel);

  // With kOk the transfer is done, else its points come back. UnknownOriginal where it is not open.
  // The result is that of the record.
  Result Finish(const OpenTransfer& transfer, Outcome outcome);

  // Each counts as a lot of the account.
  size_t LotsOnTheirWay(uint16_t program, const Id& member) const;

  // Whether the points of that transfer have come here, as far as it is known.
  bool HasReceived(uint16_t shard, uint64_t sequence) const;

  // The derived records since the last call, in order.
  std::vector<Derived> TakeDerived();

  // Every time that lots were to be joined, even if none could be.
  const std::vector<Joining>& joinings() const { return state_.joinings; }

  // Settles an account, or every one in order of program and member, to the present: the block's
  // stamp, or the log time under the import clock. Where something was due, log time moves to it.
  void SettleMember(uint16_t program, const Id& member);
  void SettleAll();

  // Settled aside to the instant; nothing where there is no account.
  std::optional<Balance> BalanceAt(uint16_t program, const Id& member, Instant instant) const;

  // Settled aside; with points left beside what is held: the available in spending order, then the
  // pending by activation.
  std::vector<Lot> LotsAt(uint16_t program, const Id& member, Instant instant) const;

  // Settled aside; the open holds by position.
  std::vector<Hold> HoldsAt(uint16_t program, const Id& member, Instant instant) const;

  // The outstanding sums come from the members, as far as each is settled.
  Totals TotalsOf(uint16_t program) const;

  Instant log_time() const { return state_.log_time; }

  // In order of id, with balances as far as each is settled.
  std::vector<std::pair<Id, Balance>> Members(uint16_t program) const;

  // Aborts with a message when a program's movements are not its members' balances.
  void CheckConservation() const;

 private:
  struct ProgramState {
    ProgramHistory history;
    Movements movements;
    std::map<Id, Member> members;
  };

  // What came from one shard.
  struct Arrivals {
    std::set<uint64_t> received;  // sequences of the Transfers
    uint64_t open_from = 0;       // the latest that was told: before it all are settled
  };

  struct State {
    Instant log_time = 0;
    uint64_t last_sequence = 0;
    std::map<uint16_t, ProgramState> programs;
    std::map<uint16_t, Arrivals> arrivals;  // by shard
    std::vector<Derived> derived;
    std::vector<Joining> joinings;
  };

  Instant Now() const;
  Instant LogTimeOf(const Operation& operation) const;
  const Member* FindMember(uint16_t program, const Id& member) const;
  std::vector<Result> ApplyChain(const std::vector<Operation>& chain);
  Result ApplyOne(const Operation& operation);
  Outcome CheckParcel(const Parcel& parcel, Instant t) const;
  Result ApplyTick(const Operation& operation, Instant t);
  Result Run(const Operation& operation, Instant t, ProgramState& program);
  Result Refusal(const Operation& operation, Outcome outcome, Field field = Field::kNone) const;
  void Derive(uint16_t program, const Id& member, const std::vector<AccountEvent>& events);

  Instant stamp_ = 0;
  bool import_clock_ = false;
  State state_;
};

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_LEDGER_H_
