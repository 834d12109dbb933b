// All or nothing for a chain of operations on one account: what they change is kept until the last
// link has passed, and put back when one fails.

#ifndef TALLYSTICK_LEDGER_CHAIN_H_
#define TALLYSTICK_LEDGER_CHAIN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ledger/state_machine.h"

namespace tallystick::ledger {

// Bounded: one account, its lots (kMaxLotsPerAccount) and holds (kMaxHoldsPerAccount), and
// kMaxChainOperations of everything else.
// The state machine tells it of each change; outside a chain that costs a test of one flag.
class StateMachine::ChainUndo {
 public:
  explicit ChainUndo(StateMachine& machine);

  bool active() const { return active_; }

  // `account_row`: kNoRow when the chain's member has no account yet.
  void Begin(ProgramState* program, uint32_t account_row, const RecordSink& out);
  void Commit();
  void Rollback(RecordSink& out);

  void Created(uint64_t hash, uint32_t account_row) {
    if (!active_) return;
    account_hash_ = hash;
    account_row_ = account_row;
    created_ = true;
  }
  void Allocated(uint32_t lot) {
    if (active_) allocated_.push_back(lot);
  }
  // True: the lot is freed later, by Commit.
  bool KeepsFreed(uint32_t lot) {
    if (active_) freed_.push_back(lot);
    return active_;
  }
  void HoldMade(uint32_t hold) {
    if (active_) holds_made_.push_back(hold);
  }
  // True: the hold is freed later, by Commit.
  bool KeepsHold(uint32_t hold) {
    if (active_) holds_ended_.push_back(hold);
    return active_;
  }
  void Appended(ReceiptQueue& queue) {
    if (active_) appended_.push_back(&queue);
  }
  void Superseded(uint32_t receipt) {
    if (active_) superseded_.push_back(receipt);
  }
  void Returning(uint32_t receipt);

 private:
  struct SavedLot {
    uint32_t row;
    Lot lot;
  };
  struct SavedHold {
    uint32_t row;
    Hold hold;
  };
  struct SavedReturn {
    uint32_t receipt;
    bool had_returns;
    Returned returned;
  };
  void KeepLots(const LotList& list);
  void RestoreAccount();
  void RestoreHolds();

  StateMachine& machine_;
  bool active_ = false;
  bool created_ = false;
  ProgramState* program_ = nullptr;
  uint32_t account_row_ = kNoRow;
  uint64_t account_hash_ = 0;
  size_t used_ = 0;
  Instant log_time_ = 0;
  Account account_{};
  Totals totals_;
  std::optional<AccountExtra> extra_;
  std::vector<SavedHold> holds_;
  std::vector<uint32_t> holds_made_;
  std::vector<uint32_t> holds_ended_;
  std::vector<SavedLot> lots_;
  std::vector<uint32_t> allocated_;
  std::vector<uint32_t> freed_;
  std::vector<ReceiptQueue*> appended_;
  std::vector<uint32_t> superseded_;
  std::vector<SavedReturn> returns_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_CHAIN_H_
