// Writes an image of the state while operations go on.

#ifndef TALLYSTICK_LEDGER_IMAGE_WRITER_H_
#define TALLYSTICK_LEDGER_IMAGE_WRITER_H_

#include <cstdint>
#include <vector>

#include "ledger/image.h"
#include "ledger/image_format.h"
#include "ledger/state_machine.h"

namespace tallystick::ledger {

// The state machine tells it of each change before it is made; without an image under way that
// costs a test of one flag.
//
// Accounts are written in the order of their numbers, each with its lots; receipts in log order,
// the queues in turns, and the state machine drops none before it is written. What is changed ahead
// of that: an account, and each lot by itself, is written at once, and marked; what was returned of
// a purchase is kept aside until its receipt's turn.
class StateMachine::ImageWriter {
 public:
  explicit ImageWriter(StateMachine& machine) : machine_(machine) {}

  bool active() const { return sink_ != nullptr; }
  // What a lot is marked with that is not to be written any more.
  uint32_t number() const { return number_; }

  // As StateMachine::BeginImage and the two behind it.
  bool Begin(Position position, ImageSink& sink);
  ImageProgress Continue(size_t budget_bytes);
  void Abandon();

  // Before the account's own fields change. Before any lot of it does, it has been told of.
  void BeforeAccount(uint32_t row) {
    if (sink_ != nullptr) [[unlikely]]
      SaveAccount(row);
  }
  // Before the lot's points or list change; links are not in an image.
  void BeforeLot(uint32_t account_row, uint32_t row) {
    if (sink_ != nullptr) [[unlikely]]
      SaveLot(account_row, row);
  }
  void BeforeReturned(uint32_t receipt) {
    if (sink_ != nullptr) SaveReturned(receipt);
  }

 private:
  // Returns that are kept aside at most: some 20 MB.
  static constexpr size_t kMaxReturns = size_t{1} << 18;
  // Receipts of one queue in a turn.
  static constexpr uint32_t kQueueTurn = 512;

  struct KeptReturned {
    uint32_t receipt;
    Returned returned;
  };
  struct QueueCursor {
    ProgramState* program;
    uint32_t queue;
    Receipts::Place place;
    Instant dead_before;
  };

  ImageProgress WritePrograms(size_t end_bytes);
  // False: there is no room.
  bool WriteArrivals();
  ImageProgress WriteReceipts(size_t end_bytes);
  ImageProgress WriteAccounts(size_t end_bytes);
  // False: there is no room.
  bool WriteProgram(const ProgramState& program, size_t index);
  bool WriteVersion(const ProgramState& program, size_t version);
  bool WriteReceipt(const QueueCursor& cursor, uint32_t row);
  // What was not written of it ahead of its turn.
  bool WriteAccount(uint32_t number);
  void Put(const Account& account, uint32_t number, AccountRow& row);
  LotRow Put(const Account& account, const Lot& lot);
  static LotRow RowOf(const Lot& lot);
  // The account's status and holds, into `next`; returns what is behind them.
  std::byte* PutExtra(const Account& account, uint32_t number, std::byte* next);
  struct ExtraSize {
    size_t held_lots = 0;
    size_t bytes = 0;  // with them
  };
  ExtraSize SizeOfExtra(const Account& account, uint32_t number) const;
  // Written ahead of its turn, or not part of the image.
  bool Passes(const Lot& lot) const { return lot.position > position_ || lot.image == number_; }
  bool WriteEnd();
  // One turn of a queue. False: there is no room.
  bool WriteTurn(QueueCursor& cursor);
  void FetchAccounts(uint32_t row) const;
  // Not for the compiler to make part of every operation.
  [[gnu::noinline, gnu::cold]] void SaveAccount(uint32_t row);
  [[gnu::noinline, gnu::cold]] void SaveLot(uint32_t account_row, uint32_t row);
  [[gnu::noinline, gnu::cold]] void SaveReturned(uint32_t receipt);
  // What was kept of the receipt; null: nothing was.
  const Returned* Kept(uint32_t row) const;
  // Zeroed room for the next row; null: there is none.
  std::byte* Room(size_t size_bytes);
  template <typename Row>
  Row* RoomFor(ImageRow type, size_t more_bytes = 0);
  // No room: what will be lost if it is not written now.
  void GiveUp();

  StateMachine& machine_;
  ImageSink* sink_ = nullptr;
  bool abandoned_ = false;
  Position position_ = 0;
  uint32_t number_ = 0;  // of this image: marks what was written ahead of its turn
  uint64_t digest_ = 0;
  uint64_t lots_ = 0;
  uint64_t receipts_ = 0;

  absl::Span<std::byte> part_;
  size_t used_ = 0;     // of the part
  size_t written_ = 0;  // in all
  size_t next_program_ = 0;
  size_t next_version_ = 0;         // 0: the program's own row
  std::vector<uint16_t> versions_;  // of each program, at the position
  std::vector<Totals> totals_;
  std::vector<Arrivals> arrivals_;   // at the position; those behind next_arrivals_ are written
  size_t next_arrivals_ = 0;         // shard
  size_t next_arrival_ = 0;          // of its positions
  std::vector<QueueCursor> queues_;  // that have receipts left to write
  size_t next_queue_ = 0;
  std::vector<KeptReturned> returns_;
  uint32_t next_account_ = 0;
  uint32_t accounts_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_IMAGE_WRITER_H_
