#include "api/money.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "absl/strings/ascii.h"

namespace tallystick {
namespace {

// Two mantissas of 17 digits multiply within 128 bits, with room for the four digits of a currency.
constexpr int kMaxDigits = 17;

constexpr absl::string_view kNoDigits[] = {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY",
                                           "KMF", "KRW", "PYG", "RWF", "UGX", "UYI",
                                           "VND", "VUV", "XAF", "XOF", "XPF"};
constexpr absl::string_view kThreeDigits[] = {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"};
constexpr absl::string_view kFourDigits[] = {"CLF", "UYW"};

template <size_t kSize>
bool Contains(const absl::string_view (&codes)[kSize], absl::string_view code) {
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

}  // namespace

std::optional<Decimal> ParseDecimal(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  Decimal value;
  int digits = 0;
  bool any = false;
  bool fraction = false;
  for (const char c : text) {
    if (c == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    any = true;
    if (digits > 0 || c != '0') ++digits;
    if (fraction) ++value.fraction_digits;
    if (digits > kMaxDigits || value.fraction_digits > kMaxDigits) return std::nullopt;
    value.mantissa = value.mantissa * 10 + (c - '0');
  }
  if (!any) return std::nullopt;
  if (negative) value.mantissa = -value.mantissa;
  return value;
}

std::optional<int64_t> ProductInUnits(const Decimal& a, const Decimal& b, int digits,
                                      bool* rounded) {
  __int128 product = static_cast<__int128>(a.mantissa) * b.mantissa;
  int surplus = a.fraction_digits + b.fraction_digits - digits;
  for (; surplus < 0; ++surplus) product *= 10;
  __int128 divisor = 1;
  for (; surplus > 0; --surplus) divisor *= 10;
  const __int128 rest = product % divisor;
  product /= divisor;
  if (rounded != nullptr) *rounded = rest != 0;
  if (rest * 2 >= divisor) ++product;
  if (rest * 2 <= -divisor) --product;
  if (product > std::numeric_limits<int64_t>::max() ||
      product < -std::numeric_limits<int64_t>::max()) {
    return std::nullopt;
  }
  return static_cast<int64_t>(product);
}

std::optional<int64_t> InUnits(const Decimal& a, int digits, bool* rounded) {
  return ProductInUnits(a, Decimal{1, 0}, digits, rounded);
}

int CurrencyDigits(absl::string_view code) {
  if (Contains(kNoDigits, code)) return 0;
  if (Contains(kThreeDigits, code)) return 3;
  return Contains(kFourDigits, code) ? 4 : 2;
}

}  // namespace tallystick
