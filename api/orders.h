// From order exports to operations: reads CSV files of order lines, adds the
// lines of each order up, and names what it had to leave out.
//
// An order is all lines with the same order id and member. It becomes one purchase, or one return
// when its text begins with the return prefix or its sum is negative, at the time of its earliest
// line. Its transaction id is that of its text, as ParseId reads it, so that importing a file again
// adds exactly what is missing, and a return may name it. Without an order column each row is an
// order, and its transaction id HashId of, in this order,
//   "row", a zero byte; program u16; member u64 low, u64 high; of each field of the row, its
//   length u32 and its bytes; occurrence u64: n - 1 for the n-th row of the same content
// Numbers are little-endian. No text of an order has a zero byte.

#ifndef TALLYSTICK_API_ORDERS_H_
#define TALLYSTICK_API_ORDERS_H_

#include <array>
#include <cstdint>
#include <functional>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "api/csv.h"
#include "ledger/types.h"

namespace tallystick {

// Why a line, or a whole order, is left out. The names are stable.
enum class SkipReason : uint8_t {
  kBlankLine,
  kUnclosedQuote,
  kLineTooLong,
  kCutLine,  // the file ends in the middle of it
  kFieldCount,
  kNulByte,  // in a column that is used
  kNotUtf8,  // in a column that is used
  kNoOrder,  // neither an empty text nor 0 names one
  kNoMember,
  kBadTime,
  kFutureTime,
  kBadAmount,
  kBadQuantity,
  kBadPrice,
  kAmountTooLarge,
  kZeroAmount,  // an order whose lines add up to nothing; counts once an order
};
inline constexpr size_t kSkipReasonCount = static_cast<size_t>(SkipReason::kZeroAmount) + 1;
// "no member".
absl::string_view SkipReasonName(SkipReason reason);

// Names of columns; empty: there is none. Amounts come from `spend`, or else from `quantity` ×
// `unit_price`.
struct OrderColumns {
  std::string member;
  std::string time;
  std::string spend;
  std::string quantity;
  std::string unit_price;
  std::string order;
  std::string original;  // of a return: the order that is given back
};

struct OrderRules {
  OrderColumns columns;
  uint16_t program = 0;
  int currency_digits = 2;
  // As absl::ParseTime takes it. Without an offset, a time in a gap of the zone is the first
  // instant after it, and of two in an overlap the earlier.
  std::string time_format;
  absl::TimeZone zone;
  std::string return_prefix;  // empty: only negative sums are returns
  Instant latest = kNever;    // a line of a later time is skipped
};

struct Order {
  Id id;
  Id member;
  Id original;        // zero: none named
  int64_t sum = 0;    // in minor units; signed
  Instant time = 0;   // of the earliest line
  Instant turn = 0;   // `time`, or that of the order that is given back if it is later
  uint32_t file = 0;  // of its first line, as it was read
  int64_t line = 0;
  std::string order;  // as the file names it; empty without an order column
  bool is_return = false;

  // Ready to be sent.
  Operation ToOperation(uint16_t program) const;
};

struct Skip {
  uint32_t file = 0;
  int64_t line = 0;
  absl::string_view order;  // as far as it is known
  SkipReason reason = SkipReason::kBlankLine;
};

// Memory grows with the orders, not with their lines.
class OrderBuilder {
 public:
  // `on_skip` is told of everything that is left out.
  OrderBuilder(OrderRules rules, std::function<void(const Skip&)> on_skip);

  // Adds the lines of a file. `name` is for messages. Not OK, with a sentence: the file is not what
  // it should be. `on_bytes` is told now and then how much has been read.
  absl::Status AddFile(const std::string& name, std::istream& in,
                       const std::function<void(int64_t bytes)>& on_bytes = nullptr);

  // The orders of all files in the order of time, a return behind the order that it names, if that
  // is among them, and of equal times behind purchases; else in the order in which they appeared.
  // So that applying them once more changes nothing.
  std::vector<Order> TakeOrders();

  int64_t lines() const { return lines_; }
  // Lines whose amount has more digits than the currency: each is rounded, half away from zero.
  int64_t rounded_lines() const { return rounded_lines_; }
  const std::array<int64_t, kSkipReasonCount>& skipped() const { return skipped_; }

 private:
  struct Columns;

  absl::Status ReadHeader(const std::string& name, CsvReader& reader, Columns* columns);
  void AddRow(const CsvRow& row, const Columns& columns);
  bool CheckShape(const CsvRow& row, const Columns& columns, SkipReason* reason) const;
  bool ReadAmount(const CsvRow& row, const Columns& columns, int64_t* amount, bool* rounded,
                  SkipReason* reason);
  bool ParseTime(absl::string_view text, Instant* time);
  bool ReadTime(absl::string_view text, Instant* time, SkipReason* reason);
  Id RowId(const CsvRow& row, const Id& member);
  void Leave(int64_t line, absl::string_view order, SkipReason reason);

  const OrderRules rules_;
  const std::function<void(const Skip&)> on_skip_;
  uint32_t file_ = 0;
  int64_t lines_ = 0;
  int64_t rounded_lines_ = 0;
  std::array<int64_t, kSkipReasonCount> skipped_ = {};
  std::vector<Order> orders_;
  using IdKey = std::pair<uint64_t, uint64_t>;
  absl::flat_hash_map<std::pair<IdKey, IdKey>, size_t> index_;  // id, member → place in orders_
  absl::flat_hash_map<IdKey, uint64_t> repeats_;                // row content → times seen
  std::string encoded_;
  std::optional<bool> has_offset_;  // the time format, as the first time shows
  std::string last_time_text_;      // neighbouring lines mostly have the same time
  Instant last_time_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_ORDERS_H_
