#include "api/orders.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/money.h"
#include "api/time_zones.h"
#include "flatbuffers/util.h"

namespace tallystick {
namespace {

constexpr int64_t kLinesBetweenProgress = 65'536;

template <typename Number>
void AppendNumber(std::string* bytes, Number value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

bool IsUtf8(absl::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<signed char>(c) >= 0; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return true;
  const std::string copy(text);  // the decoder looks for the NUL behind the end
  const char* next = copy.c_str();
  while (next < copy.c_str() + copy.size()) {
    if (flatbuffers::FromUTF8(&next) < 0) return false;
  }
  return true;
}

// For a header without a column that should be there.
absl::string_view SeparatorHint(const std::vector<absl::string_view>& fields) {
  for (const absl::string_view field : fields) {
    if (absl::StrContains(field, ';')) {
      return " (fields must be separated by commas, and semicolons are here: convert it first)";
    }
    if (absl::StrContains(field, '\t')) {
      return " (fields must be separated by commas, and tabs are here: convert it first)";
    }
  }
  return "";
}

std::pair<uint64_t, uint64_t> Key(const Id& id) { return {id.low(), id.high()}; }

}  // namespace

// Where the columns of one file are; -1: not used.
struct OrderBuilder::Columns {
  size_t count = 0;
  int member = -1;
  int time = -1;
  int spend = -1;
  int quantity = -1;
  int unit_price = -1;
  int order = -1;
  int original = -1;
  std::vector<int> used;
};

absl::string_view SkipReasonName(SkipReason reason) {
  switch (reason) {
    case SkipReason::kBlankLine:
      return "blank line";
    case SkipReason::kUnclosedQuote:
      return "unclosed quote";
    case SkipReason::kLineTooLong:
      return "line too long";
    case SkipReason::kCutLine:
      return "cut line";
    case SkipReason::kFieldCount:
      return "wrong number of fields";
    case SkipReason::kNulByte:
      return "NUL byte";
    case SkipReason::kNotUtf8:
      return "not UTF-8";
    case SkipReason::kNoOrder:
      return "no order";
    case SkipReason::kNoMember:
      return "no member";
    case SkipReason::kBadTime:
      return "bad time";
    case SkipReason::kFutureTime:
      return "time in the future";
    case SkipReason::kBadAmount:
      return "bad amount";
    case SkipReason::kBadQuantity:
      return "bad quantity";
    case SkipReason::kBadPrice:
      return "bad price";
    case SkipReason::kAmountTooLarge:
      return "amount too large";
    case SkipReason::kZeroAmount:
      return "zero amount";
  }
  return "";
}

Operation Order::ToOperation(uint16_t program) const {
  const int64_t amount = sum < 0 ? -sum : sum;
  return Operation(id, member, is_return ? original : Id(0, 0), amount, time, /*expires_at=*/0,
                   /*user_data=*/0, program, /*category=*/0,
                   is_return ? Kind::Return : Kind::Purchase, /*flags=*/0, /*reserved=*/0);
}

OrderBuilder::OrderBuilder(OrderRules rules, std::function<void(const Skip&)> on_skip)
    : rules_(std::move(rules)), on_skip_(std::move(on_skip)) {}

absl::Status OrderBuilder::ReadHeader(const std::string& name, CsvReader& reader,
                                      Columns* columns) {
  CsvRow row;
  if (!reader.Next(&row)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is empty: a line with the names of its columns was expected"));
  }
  const absl::string_view first = row.fields.empty() ? "" : row.fields[0];
  if (absl::StartsWith(first, "\xff\xfe") || absl::StartsWith(first, "\xfe\xff")) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is UTF-16: convert it first, as with iconv -f UTF-16 -t UTF-8"));
  }
  if (row.fault != CsvFault::kNone || row.fields.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":1: the names of the columns were expected here"));
  }
  if (absl::StrContains(row.fields.back(), '\r') || absl::StrContains(first, '\r')) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " ends its lines with CR alone: convert it first, as with tr '\\r' '\\n'"));
  }
  columns->count = row.fields.size();
  const auto find = [&](const std::string& column, int* place) -> absl::Status {
    if (column.empty()) return absl::OkStatus();
    for (size_t i = 0; i < row.fields.size(); ++i) {
      if (absl::StripAsciiWhitespace(row.fields[i]) != column) continue;
      if (*place >= 0) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ":1: there are two columns \"", column, "\""));
      }
      *place = static_cast<int>(i);
    }
    if (*place < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":1: there is no column \"", column, "\"; the columns are ",
                       absl::StrJoin(row.fields, ", "), SeparatorHint(row.fields)));
    }
    columns->used.push_back(*place);
    return absl::OkStatus();
  };
  const OrderColumns& wanted = rules_.columns;
  const std::initializer_list<std::pair<const std::string*, int*>> pairs = {
      {&wanted.member, &columns->member},         {&wanted.time, &columns->time},
      {&wanted.spend, &columns->spend},           {&wanted.quantity, &columns->quantity},
      {&wanted.unit_price, &columns->unit_price}, {&wanted.order, &columns->order},
      {&wanted.original, &columns->original}};
  for (const auto& [column, place] : pairs) {
    if (absl::Status status = find(*column, place); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status OrderBuilder::AddFile(const std::string& name, std::istream& in,
                                   const std::function<void(int64_t)>& on_bytes) {
  CsvReader reader(in);
  Columns columns;
  if (absl::Status status = ReadHeader(name, reader, &columns); !status.ok()) return status;
  CsvRow row;
  while (reader.Next(&row)) {
    ++lines_;
    AddRow(row, columns);
    if (on_bytes && lines_ % kLinesBetweenProgress == 0) on_bytes(reader.bytes_read());
  }
  if (in.bad()) return absl::UnavailableError(absl::StrCat("cannot read ", name, " to its end"));
  ++file_;
  return absl::OkStatus();
}

bool OrderBuilder::CheckShape(const CsvRow& row, const Columns& columns, SkipReason* reason) const {
  const bool cut = !row.ends_with_newline;
  if (row.fault == CsvFault::kTooLong) {
    *reason = SkipReason::kLineTooLong;
  } else if (row.fault == CsvFault::kUnclosedQuote) {
    *reason = cut ? SkipReason::kCutLine : SkipReason::kUnclosedQuote;
  } else if (row.fields.empty()) {
    *reason = SkipReason::kBlankLine;
  } else if (row.fields.size() != columns.count) {
    *reason =
        cut && row.fields.size() < columns.count ? SkipReason::kCutLine : SkipReason::kFieldCount;
  } else {
    for (const int column : columns.used) {
      const absl::string_view field = row.fields[static_cast<size_t>(column)];
      if (absl::StrContains(field, '\0')) {
        *reason = SkipReason::kNulByte;
        return false;
      }
      if (!IsUtf8(field)) {
        *reason = SkipReason::kNotUtf8;
        return false;
      }
    }
    return true;
  }
  return false;
}

bool OrderBuilder::ParseTime(absl::string_view text, Instant* time) {
  const auto parse = [&](const absl::TimeZone& zone, absl::Time* parsed) {
    std::string error;
    return absl::ParseTime(rules_.time_format, text, zone, parsed, &error);
  };
  const absl::TimeZone utc = absl::UTCTimeZone();
  absl::Time parsed;
  if (text.empty() || !parse(utc, &parsed)) return false;
  if (parsed == absl::InfiniteFuture() || parsed == absl::InfinitePast()) return false;
  if (!has_offset_.has_value()) {
    absl::Time elsewhere;
    has_offset_ = parse(absl::FixedTimeZone(3600), &elsewhere) && elsewhere == parsed;
  }
  *time = ToInstant(parsed);
  if (!*has_offset_) {
    const absl::CivilSecond civil = absl::ToCivilSecond(parsed, utc);
    const bool in_gap = rules_.zone.At(civil).kind == absl::TimeZone::TimeInfo::SKIPPED;
    const Instant fraction = in_gap ? 0 : *time - ToInstant(absl::FromCivil(civil, utc));
    *time = CivilToInstant(civil, rules_.zone) + fraction;
  }
  return *time > 0 && *time < kEndOfTime;
}

bool OrderBuilder::ReadTime(absl::string_view text, Instant* time, SkipReason* reason) {
  *reason = SkipReason::kBadTime;
  if (text != last_time_text_ || text.empty()) {
    if (!ParseTime(text, &last_time_)) return false;
    last_time_text_ = std::string(text);
  }
  *time = last_time_;
  *reason = SkipReason::kFutureTime;
  return *time <= rules_.latest;
}

bool OrderBuilder::ReadAmount(const CsvRow& row, const Columns& columns, int64_t* amount,
                              bool* rounded, SkipReason* reason) {
  const auto read = [&](int column, SkipReason if_bad) -> std::optional<Decimal> {
    const auto value = ParseDecimal(row.fields[static_cast<size_t>(column)]);
    if (!value.has_value()) *reason = if_bad;
    return value;
  };
  std::optional<int64_t> units;
  if (columns.spend >= 0) {
    const auto spend = read(columns.spend, SkipReason::kBadAmount);
    if (!spend.has_value()) return false;
    units = InUnits(*spend, rules_.currency_digits, rounded);
  } else {
    const auto quantity = read(columns.quantity, SkipReason::kBadQuantity);
    if (!quantity.has_value()) return false;
    const auto price = read(columns.unit_price, SkipReason::kBadPrice);
    if (!price.has_value()) return false;
    units = ProductInUnits(*quantity, *price, rules_.currency_digits, rounded);
  }
  if (!units.has_value()) {
    *reason = SkipReason::kAmountTooLarge;
    return false;
  }
  *amount = *units;
  return true;
}

Id OrderBuilder::RowId(const CsvRow& row, const Id& member) {
  encoded_.assign("row");
  encoded_.push_back('\0');
  AppendNumber(&encoded_, rules_.program);
  AppendNumber(&encoded_, member.low());
  AppendNumber(&encoded_, member.high());
  for (const absl::string_view field : row.fields) {
    AppendNumber(&encoded_, static_cast<uint32_t>(field.size()));
    absl::StrAppend(&encoded_, field);
  }
  const uint64_t occurrence = repeats_[Key(HashId(encoded_))]++;
  AppendNumber(&encoded_, occurrence);
  return HashId(encoded_);
}

void OrderBuilder::Leave(int64_t line, absl::string_view order, SkipReason reason) {
  ++skipped_[static_cast<size_t>(reason)];
  on_skip_(Skip{file_, line, order, reason});
}

void OrderBuilder::AddRow(const CsvRow& row, const Columns& columns) {
  const auto field = [&](int column) -> absl::string_view {
    const auto place = static_cast<size_t>(column);
    return column < 0 || place >= row.fields.size() ? absl::string_view()
                                                    : absl::StripAsciiWhitespace(row.fields[place]);
  };
  const absl::string_view order = field(columns.order);
  SkipReason reason;
  if (!CheckShape(row, columns, &reason)) return Leave(row.line, order, reason);
  const auto order_id = ParseId(order);
  if (columns.order >= 0 && !order_id.has_value()) {
    return Leave(row.line, order, SkipReason::kNoOrder);
  }
  const auto member = ParseId(field(columns.member));
  if (!member.has_value()) return Leave(row.line, order, SkipReason::kNoMember);
  Instant time = 0;
  if (!ReadTime(field(columns.time), &time, &reason)) return Leave(row.line, order, reason);
  int64_t amount = 0;
  bool rounded = false;
  if (!ReadAmount(row, columns, &amount, &rounded, &reason)) return Leave(row.line, order, reason);

  const Id id = order_id.has_value() ? *order_id : RowId(row, *member);
  const auto [place, is_new] = index_.try_emplace({Key(id), Key(*member)}, orders_.size());
  if (is_new) {
    Order& added = orders_.emplace_back();
    added.id = id;
    added.member = *member;
    added.time = time;
    added.file = file_;
    added.line = row.line;
    added.order = std::string(order);
  }
  Order& all = orders_[place->second];
  int64_t sum = 0;
  // The most negative sum has no positive counterpart.
  if (__builtin_add_overflow(all.sum, amount, &sum) || sum == std::numeric_limits<int64_t>::min()) {
    return Leave(row.line, order, SkipReason::kAmountTooLarge);
  }
  if (rounded) ++rounded_lines_;
  all.sum = sum;
  all.time = std::min(all.time, time);
  if (const auto original = ParseId(field(columns.original)); original.has_value()) {
    if (IsZero(all.original)) all.original = *original;
  }
}

std::vector<Order> OrderBuilder::TakeOrders() {
  for (Order& order : orders_) {
    order.is_return = order.sum < 0 || (!rules_.return_prefix.empty() &&
                                        absl::StartsWith(order.order, rules_.return_prefix));
    order.turn = order.time;
    const auto named = index_.find({Key(order.original), Key(order.member)});
    if (order.is_return && named != index_.end()) {
      order.turn = std::max(order.time, orders_[named->second].time);
    }
  }
  std::vector<Order> orders;
  orders.reserve(orders_.size());
  for (Order& order : orders_) {
    if (order.sum != 0) {
      orders.push_back(std::move(order));
      continue;
    }
    file_ = order.file;
    Leave(order.line, order.order, SkipReason::kZeroAmount);
  }
  orders_ = {};
  index_ = {};
  std::stable_sort(orders.begin(), orders.end(), [](const Order& a, const Order& b) {
    return std::make_pair(a.turn, a.is_return) < std::make_pair(b.turn, b.is_return);
  });
  return orders;
}

}  // namespace tallystick
