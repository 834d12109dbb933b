// Decimal amounts in files, exactly: no binary fraction ever stands between a price and a ledger.

#ifndef TALLYSTICK_API_MONEY_H_
#define TALLYSTICK_API_MONEY_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace tallystick {

// mantissa / 10^fraction_digits
struct Decimal {
  int64_t mantissa = 0;
  int fraction_digits = 0;
};

// "12", "-3.50", "+.5"; spaces around it are left aside. At most 17 digits. Nothing for anything
// else: no exponents, no separators of thousands, no currency signs, which files mean differently.
std::optional<Decimal> ParseDecimal(absl::string_view text);

// a × b in units of 10^-digits, rounded half away from zero; `*rounded`: that changed it. Nothing
// when it does not fit.
std::optional<int64_t> ProductInUnits(const Decimal& a, const Decimal& b, int digits,
                                      bool* rounded = nullptr);
std::optional<int64_t> InUnits(const Decimal& a, int digits, bool* rounded = nullptr);

// Digits of a currency's minor unit (ISO 4217): JPY 0, BHD 3; 2 for most, and for codes that are
// not known.
int CurrencyDigits(absl::string_view code);

}  // namespace tallystick

#endif  // TALLYSTICK_API_MONEY_H_
