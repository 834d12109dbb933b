// The ledger itself: a deterministic fold of operations into accounts.
//
// No I/O, no clock, no thread, no randomness: what it does follows from the operations and the
// blocks' stamps alone, so that the same records give the same digest everywhere. docs/semantics.md
// says what each operation does.
//
// Apply writes records where the log block is being built: for each accepted operation the derived
// records of its account's settling, then operation and result, then its detail slots. Refused and
// replayed operations write none. Nothing is allocated for an operation.

#ifndef TALLYSTICK_LEDGER_STATE_MACHINE_H_
#define TALLYSTICK_LEDGER_STATE_MACHINE_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "ledger/image.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/program.h"
#include "ledger/receipts.h"
#include "ledger/schedule.h"
#include "ledger/totals.h"
#include "ledger/types.h"

namespace tallystick::ledger {

class RowVisitor;  // row_visitor.h

// Written in every block: a later engine that changes an outcome keeps the old behaviour for old
// blocks.
inline constexpr uint16_t kEngineVersion = 1;
inline constexpr size_t kMaxChainOperations = 64;
inline constexpr size_t kMaxPrograms = 256;
inline constexpr size_t kMaxProgramVersions = 1000;
// Slots that a single operation, or one account of a tick, may need at the most.
inline constexpr size_t kMaxSlotsPerOperation = 2 * kMaxLotsPerAccount + 3;
// A link of a chain: its record, a detail slot, and two events of the lot that it makes.
inline constexpr size_t kSlotsPerLink = 4;
inline constexpr size_t kMaxSlotsPerChain =
    2 * kMaxLotsPerAccount + kSlotsPerLink * kMaxChainOperations;

// Rows at most; at a limit new operations are Overloaded.
struct Limits {
  uint32_t accounts = 1u << 30;
  uint32_t lots = 1u << 31;
  uint32_t receipts = 1u << 31;
};

// Where records go: the free slots of a block.
struct RecordSink {
  Record* slots = nullptr;
  size_t capacity = 0;
  size_t used = 0;
  Position first_position = 0;

  size_t room() const { return capacity - used; }
  Position next_position() const { return first_position + used; }
};

// How log time comes about in a block; the block's header carries both.
struct BlockTime {
  Instant stamp = 0;
  bool import_clock = false;
};

class StateMachine {
 public:
  // `hash_seed`: places rows in the indexes, and touches nothing else. A secret one keeps anyone
  // from choosing ids that all fall into one place.
  // `regions`: where its tables get memory from when they grow; null: from the system, page by page
  // as they are touched. Outlives it.
  explicit StateMachine(const Limits& limits = {}, uint64_t hash_seed = 0,
                        RegionSource* regions = nullptr);
  ~StateMachine();

  // REQUIRES: stamps never go back.
  void BeginBlock(const BlockTime& time);

  // Applies operations of one request in order, until all are done or `sink` may be too small for
  // the next; returns how many. Chains are never divided. `results` has room for as many. An
  // operation that does not fit into an empty sink of kMaxSlotsPerChain does not exist.
  size_t Apply(absl::Span<const Operation> operations, Result* results, RecordSink& sink);

  // Puts a program's next version. `operation`: kind ProgramPut, category = the version's number,
  // amount = program.size(); the bytes are a checked, resolved tallystick.Program. A version that
  // is there under the same id: replayed; any other number than the next: IdConflict. REQUIRES: the
  // sink has room for SlotsOfProgram(program.size()).
  Result PutProgram(const Operation& operation, absl::Span<const uint8_t> program,
                    RecordSink& sink);
  static size_t SlotsOfProgram(size_t bytes) { return 1 + (bytes + kSlotBytes - 1) / kSlotBytes; }

  // Settles accounts that are due at log time, doing at most `budget` steps and writing into `sink`
  // what fits; true when more may be due. `*needed`: slots that the next account needs when it did
  // not fit, else 0.
  bool SettleDue(uint32_t budget, RecordSink& sink, size_t* needed = nullptr);
  // Nothing is due before it.
  Instant NextDue() const { return schedule_.NextDue(); }

  // Applies what a block of the log says, and compares every byte that this engine writes with it.
  // DataLoss: the log does not follow from itself; says where.
  // Operations and ticks behind position `last` are left out.
  absl::Status Replay(const BlockTime& time, Position first_position,
                      absl::Span<const Record> slots,
                      Position last = std::numeric_limits<Position>::max());

  // ---- a log's records, applied one by one: to write them into another log ----
  // Applies an operation that was accepted once, by itself even if it was a link of a chain: links
  // that were known already left no record. False: the sink may be too small; nothing was done.
  bool ApplyRecorded(const Operation& operation, Result& result, RecordSink& sink);
  // Settles one account to log time, as a tick did that found it due; writes nothing if it is not.
  // False: there is no such account. REQUIRES: room for two slots for each of its lots; no image is
  // being taken.
  bool SettleAccount(uint16_t program, const Id& member, RecordSink& sink);

  // ---- an image of the state (image.h), taken while operations go on ----
  // Begins the image of the state as it is, behind `position`. False: the sink has no room now.
  // REQUIRES: no image is being taken; behind a block's last record, and before the next
  // BeginBlock. `sink` outlives the image.
  bool BeginImage(Position position, ImageSink& sink);
  // Writes some `budget_bytes` more of it, or what a row takes beyond them.
  ImageProgress ContinueImage(size_t budget_bytes);
  // Ends it as it is.
  void AbandonImage();

  // ---- reads: as of `time`, settled aside; nothing changes ----
  struct Balance {
    Points pending, available, debt, lifetime_earned;
    uint32_t lot_count;
  };
  std::optional<Balance> BalanceAt(uint16_t program, const Id& member, Instant time) const;
  // Lots with points left: available ones in spending order, then pending ones by their next event.
  std::vector<Lot> LotsAt(uint16_t program, const Id& member, Instant time) const;
  // Head of the history chain; 0: no such account.
  Position LastPosition(uint16_t program, const Id& member) const;
  // Null: unknown program.
  const Totals* TotalsOf(uint16_t program) const;
  struct ProgramVersion {
    Id id;  // of the put
    std::vector<uint8_t> bytes;
    CompiledProgram rules;
    // The greatest too-old bound of all earlier versions while they were in force.
    Instant bound_before;
  };
  // Oldest first; empty: unknown program.
  const std::vector<ProgramVersion>& VersionsOf(uint16_t program) const;
  std::vector<uint16_t> Programs() const;

  Instant log_time() const { return log_time_; }

  // Order-independent hash of all that is remembered. O(everything).
  uint64_t Digest() const;
  // Shows each account and each living receipt to `visitor`. O(everything).
  void VisitRows(RowVisitor& visitor) const;
  // Every list, sum, index and schedule is what it should be. O(everything).
  absl::Status CheckInvariants() const;

  struct Sizes {
    uint64_t accounts, receipts, bytes;
  };
  Sizes sizes() const;

 private:
  struct ProgramState;
  struct Approach;
  struct Request;
  class LookAhead;
  class ChainUndo;
  class ImageWriter;
  friend class ImageReader;
  using Out = RecordSink;

  Instant LogTimeOf(const Operation& operation) const;
  ProgramState* FindProgram(uint16_t id) const;

  // state_machine.cc: the ladder of checks, batches
  bool ApplyOne(const Operation& operation, const Approach& approach, Result& result, Out& out);
  Approach Locate(const Operation& operation) const;
  bool ApplyTick(const Operation& operation, Result& result, Out& out);
  bool FindReceipt(Request& request);
  uint32_t AccountOf(const Operation& operation) const;
  void Refuse(const Operation& operation, uint32_t account_row, Outcome outcome, Field field,
              Result& result) const;
  void Refuse(Request& request, Outcome outcome) const;
  size_t SlotsNeeded(const Request& request) const;
  bool HasRows(Request& request);
  // kinds.cc
  Outcome Check(Request& request);
  Outcome CheckEarning(Request& request);
  void Perform(Request& request);
  void Credit(Request& request);
  void TakeInSpendingOrder(Request& request, Points points);
  Points TakeFromLot(Request& request, uint32_t row, Points most);
  // returns.cc
  // What was returned of a purchase is about to change.
  void BeforeReturned(uint32_t receipt);
  Outcome CheckReturn(Request& request);
  Outcome CheckKnownReturn(Request& request, const Receipt& original);
  void PerformReturn(Request& request);
  Points ClaimKnown(Request& request, ReturnDetail& detail);
  Points ClaimNewest(Request& request, ReturnDetail& detail);
  // chain.cc
  size_t ChainLength(absl::Span<const Operation> operations) const;
  bool ApplyChain(absl::Span<const Operation> chain, Result* results, Out& out);
  // replay.cc
  void ApplyLogged(absl::Span<const Operation> operations, Out& out);
  // settle.cc
  void SettleAside(const Account& account, Instant t, Balance* balance) const;
  void Settle(uint32_t account_row, Instant t, Out& out);
  void ExpireLot(ProgramState& program, uint32_t account_row, uint32_t row, Instant t, Out& out);
  void ActivateLot(ProgramState& program, uint32_t account_row, uint32_t row, Out& out);
  // Takes a lot without points left out of its list, and frees it.
  void EmptyLot(Account& account, uint32_t row);
  void FreeLot(uint32_t row);
  void WriteDerived(Kind kind, Account& account, const Lot& lot, Points amount, Points points,
                    Instant at, Out& out);
  // Finds the account's next event: where it is due. Elsewhere a lot that leaves changes nothing,
  // so that spending touches no neighbours in the schedule.
  void UpdateDue(uint32_t account_row);
  void LowerDue(uint32_t account_row, Instant due);
  void Reschedule(uint32_t account_row, Instant due);
  // O(accounts).
  void RebuildSchedule(Instant now);
  // state_machine.cc
  void Accept(Request& request, Points points, uint16_t details);
  // Rows that refer to each other, or kNoRow when the other has gone.
  uint32_t ReceiptOf(const Lot& lot) const;
  uint32_t LotOf(const Receipt& receipt) const;
  // receipts
  Instant TooOldBound(const ProgramState& program, Instant t) const;
  bool IsLive(const ProgramState& program, const Receipt& receipt, Instant t) const;
  Instant DeadBefore(const ProgramState& program, Kind kind, uint16_t version, Instant t) const;
  void DropReceipts(ProgramState& program, ReceiptQueue& queue);
  uint32_t DropDead(ProgramState& program, ReceiptQueue& queue, Instant t);

  Accounts accounts_;
  Lots lots_;
  Receipts receipts_;
  Schedule schedule_;
  std::vector<std::unique_ptr<ProgramState>> programs_;
  std::vector<uint16_t> program_slots_;  // by id: index in programs_ + 1
  BlockTime block_;
  Instant log_time_ = 0;
  bool imaging_ = false;  // whether image_ wants to know: at hand, for each operation asks
  std::vector<uint32_t> newest_first_;  // lots of one account, for returns of unknown purchases
  std::unique_ptr<ChainUndo> chain_;
  std::unique_ptr<ImageWriter> image_;
  std::vector<Record> replayed_;  // what Replay's operations write
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_STATE_MACHINE_H_
