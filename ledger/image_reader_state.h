// What has been read of an image so far: image_reader.cc reads its rows, image_joining.cc joins
// them.

#ifndef TALLYSTICK_LEDGER_IMAGE_READER_STATE_H_
#define TALLYSTICK_LEDGER_IMAGE_READER_STATE_H_

#include <algorithm>
#include <compare>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ledger/image.h"
#include "ledger/image_format.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {

class ImageReader::State {
 public:
  explicit State(StateMachine& machine) : machine_(machine) {}

  absl::Status Read(absl::Span<const std::byte> part);
  absl::Status Finish();
  Position position() const { return position_; }

 private:
  using ProgramState = StateMachine::ProgramState;

  // What becomes of a row, until all of the part have been looked at: `row` is inside the part.
  struct Pending {
    const std::byte* row;
    uint64_t hash;
  };
  // A row of a lot or hold, by account and position.
  struct RowAt {
    uint32_t account;
    Position position;
    uint32_t row;
    auto operator<=>(const RowAt&) const = default;
  };
  // The first at the place, in what is sorted; the end: there is none.
  static std::vector<RowAt>::const_iterator FindAt(const std::vector<RowAt>& rows, uint32_t account,
                                                   Position position) {
    const auto it = std::lower_bound(rows.begin(), rows.end(), RowAt{account, position, 0});
    const bool found = it != rows.end() && it->account == account && it->position == position;
    return found ? it : rows.end();
  }
  // What the rows of an account are still to bring.
  struct Missing {
    Points available = 0;
    Points pending = 0;
    uint32_t lots = 0;
    bool many = false;
  };
  // Accounts with more lots than this get them in order at the end, and theirs are found by
  // searching: else both by walking.
  static constexpr uint32_t kFewLots = 64;
  static constexpr size_t kAhead = 16;

  // The size of the row at the front of `bytes`, with what follows it; 0: it is not whole, or none.
  size_t SizeOf(absl::Span<const std::byte> bytes) const;
  size_t ProgramRowBytes() const {
    if (version_ == 1) return kProgramRowBytesOfV1;
    return version_ == 2 ? kProgramRowBytesOfV2 : sizeof(ProgramRow);
  }
  // As a row of the type. REQUIRES: SizeOf was not 0.
  template <typename Row>
  static const Row& As(const std::byte* row) {
    return *reinterpret_cast<const Row*>(row);
  }
  static absl::Status Wrong(absl::string_view what) {
    return absl::DataLossError(absl::StrCat("the image is not sound: ", what));
  }

  absl::Status ReadState(const StateRow& row);
  absl::Status ReadProgram(const ProgramRow& row);
  absl::Status ReadVersion(const VersionRow& row);
  absl::Status ReadReceipt(const Pending& pending);
  absl::Status ReadAccount(const Pending& pending);
  absl::Status ReadLots(const LotsRow& row);
  absl::Status ReadTakings(const TakingsRow& row);
  absl::Status ReadStanding(const StandingRow& row);
  absl::Status ReadHold(const HoldRow& row);
  absl::Status ReadTransit(const TransitRow& row);
  absl::Status ReadArrivals(const ArrivalsRow& row);
  bool IsLot(const LotRow& row) const;
  // A row of its own, in no list yet. REQUIRES: there is room for it.
  uint32_t MakeLot(const LotRow& row, bool pending, bool held);
  // Of an account that was read, and is of a program; null: there is none.
  Account* AccountAt(uint32_t number);
  absl::Status LinkHolds();
  // In the order of their positions.
  absl::Status LinkTransits();
  // Of accounts with many.
  void LinkLots();
  absl::Status CheckAccounts() const;
  absl::Status LinkReceipts(ProgramState& program);
  absl::Status CheckTotals() const;
  // What the account has of it that is not held.
  uint32_t LotAt(uint32_t number, Position position) const;
  ProgramState* Find(uint16_t program) const { return machine_.FindProgram(program); }

  StateMachine& machine_;
  bool begun_ = false;
  bool ended_ = false;
  uint16_t version_ = 0;
  uint32_t last_receipt_ = kNoRow;      // of the row before, if it was one
  ReceiptQueue* last_queue_ = nullptr;  // its
  uint32_t last_hold_ = kNoRow;         // of a transfer, whose row is to follow
  Position position_ = 0;
  uint16_t programs_ = 0;
  uint32_t accounts_ = 0;
  EndRow end_{};
  uint64_t digest_ = 0;
  uint32_t accounts_read_ = 0;
  uint64_t lots_read_ = 0;
  std::vector<Missing> missing_;                          // of each account
  std::vector<Pending> rows_;                             // of the part
  std::vector<uint16_t> versions_;                        // of each program, as its row says
  std::vector<std::pair<uint32_t, uint32_t>> many_lots_;  // account and row, where they are many
  std::vector<RowAt> lots_at_;                            // the same, as they are found
  std::vector<RowAt> holds_at_;                           // holds by position
  std::vector<std::pair<Position, Transit>> transits_;
  std::vector<RowAt> held_at_;  // what they have, by the lot's position
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_IMAGE_READER_STATE_H_
