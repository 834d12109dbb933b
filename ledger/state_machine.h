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
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "ledger/holds.h"
#include "ledger/image.h"
#include "ledger/lots.h"
#include "ledger/members.h"
#include "ledger/owed.h"
#include "ledger/program.h"
#include "ledger/receipts.h"
#include "ledger/schedule.h"
#include "ledger/totals.h"
#include "ledger/transits.h"
#include "ledger/types.h"

namespace tallystick::ledger {

class RowVisitor;  // row_visitor.h

// Written in every block: a later engine that changes an outcome keeps the old behaviour for old
// blocks.
//   1: the foundation.
//   2: holds, reversals and what else moves an account; redemptions remember what they took, and
//      purchases what was written off of their claims.
//   3: transfers; lots that nothing tells apart are joined.
inline constexpr uint16_t kEngineVersion = 3;
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
  uint32_t holds = 1u << 30;
  uint32_t takings = Takings::kMaxRows;
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
  uint16_t engine = kEngineVersion;  // that made the block's records
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

  // What operations would do in a block of that time, with nothing done: applies `operations`,
  // which are one or one chain, as Apply does, calls `look(t)` with what that comes to, `t` being
  // the last one's log time, and undoes it. Digest, log time and an image under way stay what they
  // are. `scratch` then holds the records that would be written. At a table's limit, where Apply
  // would let receipts that serve nobody leave, it is Overloaded. REQUIRES: `scratch` is empty and
  // has room for kMaxSlotsPerChain; the stamp is not before the last block's; all but the last
  // operation are linked.
  void DryRun(const BlockTime& time, absl::Span<const Operation> operations, Result* results,
              RecordSink& scratch, const std::function<void(Instant t)>& look);

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

  // ---- transfers on their way: docs/movements.md ----
  // Debited here; its points are to arrive at `to`, of whichever shard, and then to be finished.
  struct OpenTransfer {
    Position position;  // of the Transfer
    uint16_t program;
    Id from;
    Id to;
    uint32_t row = kNoRow;  // where it may be found at once
  };
  // Those behind position `after`, oldest first; kMaxTransits at most.
  std::vector<OpenTransfer> OpenTransfers(Position after = 0) const;
  // Appends what the receiver's shard is to apply, as it will stand in its log: a TransferIn, its
  // TransferDetail, and its lots. `shard`: this one. `open_from`: everything that this shard sent
  // to that one before it is settled, durably, and not sent again. REQUIRES: it is open.
  void WriteParcel(const OpenTransfer& transfer, uint16_t shard, Position open_from,
                   std::vector<Record>& parcel) const;
  // Applies a parcel. Ok: the points are here, and the parcel will not be applied again (then it is
  // kReplayed). Any other outcome: nothing has changed. False: the sink may be too small.
  bool Receive(absl::Span<const Record> parcel, Result& result, RecordSink& sink);
  // Fetches ahead what Receive and Finish touch: in steps 0, 1 and 2, each some transfers before
  // the next.
  void FetchReceiver(const Operation& transfer_in, int step) const;
  void FetchSender(const OpenTransfer& transfer, int step) const;
  // Settles a transfer where it was sent: with Ok it is done, else its points come back.
  // UnknownOriginal: none is open there, nothing has changed. False: the sink may be too small.
  bool Finish(const OpenTransfer& transfer, Outcome outcome, Result& result, RecordSink& sink,
              Arrival arrival = Arrival());
  // The newest position of that shard's log from which something was received; 0: none.
  Position NewestArrival(uint16_t shard) const;
  // The newest position of that shard's log at which it has received something from here; 0: none.
  Position NewestDelivery(uint16_t shard) const;

  // ---- an image of the state (image.h), taken while operations go on ----
  // Begins the image of the state as it is, behind `position`. False: the sink has no room now.
  // REQUIRES: no image is being taken; behind a block's last record, and before the next
  // BeginBlock. `sink` outlives the image.
  bool BeginImage(Position position, ImageSink& sink);
  // Writes some `budget_bytes` more of it, or what a row takes beyond them.
  ImageProgress ContinueImage(size_t budget_bytes);
  // Ends it as it is.
  void AbandonImage();

  // ---- what a program owes (owed.h), counted while operations go on ----
  // Begins a count as of `as_of`, or kAsTheyStand. False: unknown program. REQUIRES: none is under
  // way.
  bool BeginOwed(uint16_t program, Instant as_of);
  // Counts some `budget` accounts and lots more, and those that have changed. True: all are
  // counted, as they are at this moment.
  bool ContinueOwed(size_t budget);
  // Ends the count. It is what it should be if ContinueOwed was true and nothing was done since.
  Owed EndOwed();

  // ---- reads: as of `time`, settled aside; nothing changes ----
  struct Balance {
    Points pending, available, debt, held, lifetime_earned;
    uint32_t lot_count;
  };
  std::optional<Balance> BalanceAt(uint16_t program, const Id& member, Instant time) const;
  // Lots with points left: available ones in spending order, then pending ones by their next event.
  // Without what is held.
  std::vector<Lot> LotsAt(uint16_t program, const Id& member, Instant time) const;
  struct OpenHold {
    Position position;
    Instant times_out_at;
    Points points;
    std::vector<Lot> lots;  // what it has of them, in spending order
    Id to;                  // no hold, but a transfer on its way to this member; zero: a hold
  };
  // In the order of their timeouts; no transfers.
  std::vector<OpenHold> HoldsAt(uint16_t program, const Id& member, Instant time) const;
  // Active where there is no account.
  AccountStatus StatusOf(uint16_t program, const Id& member) const;
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
  struct Aside;
  class LookAhead;
  class ChainUndo;
  class ImageWriter;
  class OwedCounter;
  friend class ImageReader;
  using Out = RecordSink;

  // audit.cc
  const char* CheckHolds(const AccountExtra& extra, uint32_t* count) const;

  Instant LogTimeOf(const Operation& operation) const;
  ProgramState* FindProgram(uint16_t id) const;

  // owed_counter.cc
  // Tells whoever wants to know, before anything of an account changes.
  void BeforeAccount(uint32_t row);
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
  bool MayNeedManyRows(const Request& request) const;
  bool HasRows(Request& request);
  bool HasTakings(const Request& request);
  // kinds.cc
  Outcome Check(Request& request);
  Outcome CheckStatus(const Request& request) const;
  Outcome CheckEarning(Request& request);
  static Outcome CheckSpending(const Request& request);
  // Whether `related` is the id of a live receipt of the account, and then which: request.receipt.
  bool FindRelated(Request& request) const;
  void Perform(Request& request);
  void Credit(Request& request);
  void TakeInSpendingOrder(Request& request, Points points);
  Points TakeFromLot(Request& request, uint32_t row, Points most);
  void RememberTaking(Request& request, const Lot& lot, uint32_t row, Points points);
  Receipts::TakingsOf TakingsOf(ProgramState& program, const Receipt& receipt) const;
  // Behind Accept, for its flag.
  template <typename Detail>
  void WriteDetail(Request& request, const Detail& detail);
  // holding.cc
  Outcome CheckHold(Request& request) const;
  Outcome CheckOpenHold(Request& request) const;
  Outcome CheckCapture(Request& request) const;
  void PerformHold(Request& request);
  // Whether a hold or transfer finds room in the account.
  Outcome CheckPinning(const Request& request) const;
  // Takes what is spent first out of what is available, into a hold. Returns its row.
  uint32_t Pin(Request& request, Instant times_out_at);
  // Behind Accept.
  void LinkHold(const Request& request, uint32_t hold_row);
  void PerformCapture(Request& request);
  void PerformRelease(Request& request);
  void TakeFromHold(Request& request, Points points);
  Points ForgiveExcess(Request& request);
  // What it has becomes available and pays debt. What is left of lots that expire at or before `u`
  // stays with the hold, for EndHold.
  void GiveBack(ProgramState& program, uint32_t account_row, uint32_t hold_row, Instant u);
  // Expires what stayed, and closes it.
  void EndHold(ProgramState& program, uint32_t account_row, uint32_t hold_row, Instant t, Out& out);
  void TimeOut(ProgramState& program, uint32_t account_row, uint32_t hold_row, Instant t, Out& out);
  // joining.cc
  // Whether an account with so many lots joins some before it gets more.
  bool JoinsLots(uint32_t count, uint32_t more) const {
    return more > 0 && (count | more) >= kManyLots && JoinsManyLots(count, more);
  }
  bool JoinsManyLots(uint32_t count, uint32_t more) const;
  bool IsPlainLot(const ProgramState& program, const Lot& lot, Instant t) const;
  bool AreJoined(const ProgramState& program, const Lot& first, const Lot& second, Instant t) const;
  // Whether the account, settled to t, has room for more lots, once what can be joined has been.
  bool HasRoomForLots(const Request& request, uint32_t more) const;
  bool HasRoomOnceJoined(const Request& request, uint32_t more) const;
  // REQUIRES: the account is settled to t.
  void JoinLots(const ProgramState& program, uint32_t account_row, Instant t);
  // transfer.cc
  Outcome CheckTransfer(Request& request) const;
  Outcome CheckParcel(Request& request, size_t lots);
  void PerformTransfer(Request& request);
  void Unpack(Request& request, absl::Span<const Record> parcel);
  // Its hold, or kNoRow: it is not open.
  uint32_t FindTransit(const OpenTransfer& transfer) const;
  void DropLots(uint32_t account_row, LotList& list);
  Arrivals& ArrivalsOf(uint16_t shard);
  // reversal.cc
  Outcome CheckReversal(Request& request) const;
  void PerformReversal(Request& request);
  void PutBack(Request& request, Taking& taking, Points points, ReversalDetail& detail);
  void PlaceSomeLots(Account& account);
  void SortHeldLots(uint32_t account_row);
  Points Repay(Request& request, uint32_t purchase, Points most);
  uint32_t PurchaseOf(const Request& request, Taking& taking) const;
  struct RowsOfLot;
  RowsOfLot FindRows(const Request& request, const Taking& taking);
  // standing.cc
  Outcome CheckPending(Request& request) const;
  Outcome CheckCancel(Request& request) const;
  Outcome CheckClose(const Request& request) const;
  void PerformActivate(Request& request);
  void PerformCancel(Request& request);
  void PerformExtend(Request& request);
  void PerformClose(Request& request);
  void ExtendList(uint32_t account_row, LotList& list, Instant expires_at);
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
  size_t SlotsOfChain(absl::Span<const Operation> chain, uint32_t account_row) const;
  bool ApplyChain(absl::Span<const Operation> chain, Result* results, Out& out);
  enum class ChainEnd : uint8_t { kNoRoom, kRefused, kApplied };
  // kApplied: to be committed or rolled back; else nothing was done.
  ChainEnd TryChain(absl::Span<const Operation> chain, Result* results, Out& out);
  // replay.cc
  void ApplyLogged(absl::Span<const Operation> operations, Out& out);
  bool ApplyBetweenShards(absl::Span<const Record> slots, Out& out);
  // settle.cc
  void SettleAside(const Account& account, uint32_t row, Instant t, Balance* balance) const;
  // The same, lot by lot.
  Aside SettledAside(uint32_t account_row, Instant t) const;
  // The account's first hold to time out, or kNoRow.
  uint32_t FirstHold(uint32_t account_row) const;
  Instant NextDueOf(uint32_t account_row) const;
  void Settle(uint32_t account_row, Instant t, Out& out);
  void ExpireLot(ProgramState& program, uint32_t account_row, LotList& list, uint32_t row,
                 Instant t, Out& out);
  // Without a record; what debt took is not the lot's any more, and it may be none.
  void MakeAvailable(ProgramState& program, uint32_t account_row, uint32_t row);
  void AddLost(uint32_t receipt, Points points);
  // Takes a lot without points left out of its list, and frees it.
  void EmptyLot(Account& account, uint32_t row);
  void FreeLot(uint32_t row);
  void WriteDerived(Kind kind, Account& account, Position origin, Points amount, Points points,
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
  // Into the log; the member's chain goes on.
  void WriteRecord(Request& request, Points points, uint16_t details);
  // Rows that refer to each other, or kNoRow when the other has gone.
  uint32_t ReceiptOf(const Lot& lot) const;
  uint32_t ReceiptOf(const Hold& hold) const;
  uint32_t LotOf(const Receipt& receipt) const;
  // The open hold of a Hold's receipt.
  uint32_t HoldOf(const Receipt& receipt) const;
  // A row that is listed again, or anew.
  void LinkToReceipt(uint32_t lot_row);
  // receipts
  Instant TooOldBound(const ProgramState& program, Instant t) const;
  bool IsLive(const ProgramState& program, const Receipt& receipt, Instant t) const;
  Instant DeadBefore(const ProgramState& program, Kind kind, uint16_t version, Instant t) const;
  void DropReceipts(ProgramState& program, ReceiptQueue& queue);
  uint32_t DropDead(ProgramState& program, ReceiptQueue& queue, Instant t);

  Accounts accounts_;
  Lots lots_;
  Receipts receipts_;
  Holds holds_;
  Transits transits_;
  std::vector<Arrivals> arrivals_;  // by sending shard
  Schedule schedule_;
  std::vector<std::unique_ptr<ProgramState>> programs_;
  std::vector<uint16_t> program_slots_;  // by id: index in programs_ + 1
  BlockTime block_;
  Instant log_time_ = 0;
  bool replaying_ = false;
  bool sorts_held_ = false;  // a reversal has given lots that are held other dates
  bool imaging_ = false;     // whether image_ wants to know: at hand, for each operation asks
  bool counting_ = false;    // whether owed_ does
  // Lots of one account, for a moment.
  std::vector<uint32_t> some_lots_;
  std::vector<uint32_t> expired_lots_;
  std::vector<std::pair<Position, uint32_t>> lots_by_position_;
  std::unique_ptr<ChainUndo> chain_;
  std::unique_ptr<ImageWriter> image_;
  std::unique_ptr<OwedCounter> owed_;
  std::vector<Record> replayed_;  // what Replay's operations write
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_STATE_MACHINE_H_
