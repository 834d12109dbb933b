#ifndef TALLYSTICK_TESTS_LEDGER_LEDGER_PAIR_H_
#define TALLYSTICK_TESTS_LEDGER_LEDGER_PAIR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tests/ledger/image_check.h"
#include "tests/ledger/logged_ledger.h"
#include "tests/model/naive_ledger.h"

namespace tallystick::ledger {

// The state machine and the naive model, fed the same. Everything that both answer is compared;
// differences are failures of the test that drives the pair.
class LedgerPair {
 public:
  LedgerPair();

  // With `take_image`: before it, an image of the ledger is begun, unless one is being taken.
  void BeginBlock(const BlockTime& time, size_t capacity, bool take_image = false);
  // Some more of the image, if one is being taken.
  void ContinueImage(size_t budget_bytes);
  // Its bytes need `room()` for them.
  void PutProgram(const model::Program& program, int32_t version);
  // Returns how many of the operations were applied: the others need the next block. With
  // `check_digest`, a request of which nothing is accepted must leave the digest as it was.
  // With `dry_run`, the first operation or chain is tried before it is applied: that must change
  // nothing, and come to the same.
  size_t Apply(const std::vector<model::Operation>& operations, bool check_digest,
               bool dry_run = false);
  // True: more may be due.
  bool SettleDue(uint32_t budget);

  // ---- transfers: of this ledger as the shard of that number ----
  // Of a Transfer, as the model counts.
  using Sequence = uint64_t;
  struct Sent {
    std::vector<Record> records;
    model::Parcel parcel;
  };
  std::vector<model::OpenTransfer> OpenTransfers();
  // `open_from`: as the state machine's.
  Sent WriteParcel(const model::OpenTransfer& transfer, uint16_t shard, Sequence open_from);
  // Needs room for the parcel, and for what its account settles.
  model::Result Receive(const Sent& sent);
  void Finish(const model::OpenTransfer& transfer, model::Outcome outcome);
  // Of what was accepted last.
  Sequence last_sequence() const { return positions_.size() - 1; }

  // ---- crashes ----
  // Ends the open block; Crash can bring the pair back to here, by the number returned: 1, 2, ...
  size_t Remember();
  // The pair is what it was at that one, and the state machine what its log makes it.
  void Crash(size_t remembered);
  // What is before that one is never brought back.
  void Forget(size_t before);
  // Begins to count what the program owes, as of an instant that is not past, or kAsTheyStand,
  // unless something is being counted.
  void BeginOwed(uint16_t program, Instant as_of);
  // Counts on; the sums of a finished count are compared.
  void ContinueOwed(size_t budget);

  // Of one account, at any instant.
  void CompareAccount(uint16_t program, const model::Id& member, Instant at);
  // Totals, balances and invariants. REQUIRES: SettleDue has said that nothing is due.
  void CompareAll();
  // The log gives the same digest once more, from its beginning and from the last image.
  void CompareReplay();

  StateMachine& machine() { return fast_.machine(); }
  // Ends the open block.
  const std::vector<LogBlock>& Log() { return fast_.Log(); }
  size_t images() const { return image_.taken(); }
  size_t room() const { return fast_.room(); }
  // The log time that an accepted operation would have, or may not go below under the import clock.
  Instant Now();
  const model::NaiveLedger& naive() const { return naive_; }
  const std::vector<model::Result>& last_results() const { return expected_; }
  // Accepted operations and derived records so far.
  size_t accepted() const { return accepted_; }
  size_t derived() const { return derived_; }
  size_t dry_runs() const { return dry_runs_; }
  size_t owed_counts() const { return owed_counts_; }

 private:
  using AccountKey = std::pair<uint16_t, model::Id>;
  struct Accepted {
    Operation operation;
    std::vector<int64_t> details;
  };
  // What the model and what is compared with it were at the end of a block.
  struct Memory {
    size_t blocks;
    uint64_t digest;
    model::NaiveLedger naive;
    std::vector<Position> positions;
    std::map<AccountKey, Position> histories;
  };

  // What a dry run has come to.
  struct Rehearsal {
    std::vector<Result> results;  // empty: there was none
    std::vector<Record> records;
    std::optional<StateMachine::Balance> balance;
  };
  Rehearsal Rehearse(const std::vector<Operation>& operations);
  // With what the operations came to, whose records are behind `from`.
  void CompareRehearsal(const Rehearsal& rehearsal, const std::vector<Operation>& operations,
                        const std::vector<Result>& results, size_t applied, size_t from);

  struct Counting {
    uint16_t program;
    Instant as_of;
    model::Zone zone;
    size_t turns = 0;
  };
  Owed ExpectedOwed(const Counting& counting);
  void CompareResult(const model::Result& expected, const Result& actual);
  // The records that were written behind `from`, against what the model accepted and derived.
  void CompareRecords(size_t from, const std::vector<Accepted>& accepted);
  // The TransferIn at that slot, with its details, and the TransferDone or TransferBack.
  void CompareArrival(const std::vector<Record>& parcel, size_t at, const model::Result& expected);
  void CompareFinish(const model::OpenTransfer& transfer, model::Outcome outcome, size_t at,
                     const model::Result& expected, const Result& actual);
  // Compares and takes away the records derived from there up to one of another kind; returns where
  // that is.
  size_t CompareDerivedUntil(size_t from, std::vector<model::Derived>& derived);
  void CompareDerived(const Record& record, const model::Derived& expected);
  void FollowHistory(const Record& record, Position position);

  LoggedLedger fast_;
  ImageCheck image_;
  model::NaiveLedger naive_;
  BlockTime time_;
  std::vector<model::Result> expected_;
  std::vector<Position> positions_{0};        // of accepted operations, by the model's sequence
  std::map<AccountKey, Position> histories_;  // heads
  std::set<uint16_t> programs_;
  std::map<size_t, Memory> memories_;
  size_t last_memory_ = 0;
  size_t accepted_ = 0;
  size_t derived_ = 0;
  size_t dry_runs_ = 0;
  size_t owed_counts_ = 0;
  std::map<uint16_t, model::Zone> zones_;  // of each program's newest version
  std::optional<Counting> counting_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_LEDGER_PAIR_H_
