#include "api/ids.h"

#include <xxhash.h>

#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace tallystick {
namespace {

constexpr size_t kUuidSize = 36;
// 2^128 − 1 has 39 digits.
constexpr size_t kMaxDecimalDigits = 39;

std::optional<Id> ParseDecimal(absl::string_view text) {
  if (text.empty() || text.size() > kMaxDecimalDigits || text.front() == '0') return std::nullopt;
  using Wide = unsigned __int128;
  Wide value = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
    const unsigned digit = static_cast<unsigned>(c - '0');
    if (value > (~Wide{0} - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return Id(static_cast<uint64_t>(value), static_cast<uint64_t>(value >> 64));
}

std::optional<Id> ParseUuid(absl::string_view text) {
  if (text.size() != kUuidSize) return std::nullopt;
  unsigned __int128 value = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return std::nullopt;
      continue;
    }
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
    const int digit = absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
    value = value << 4 | static_cast<unsigned>(digit);
  }
  return Id(static_cast<uint64_t>(value), static_cast<uint64_t>(value >> 64));
}

}  // namespace

std::optional<Id> ParseId(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (text.empty() || text == "0") return std::nullopt;
  if (const auto number = ParseDecimal(text)) return number;
  if (const auto uuid = ParseUuid(text)) return IsZero(*uuid) ? std::nullopt : uuid;
  return HashId(text);
}

Id HashId(absl::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  const Id id(hash.low64, hash.high64);
  return IsZero(id) ? Id(1, 0) : id;
}

std::string FormatId(const Id& id) {
  if (id.high() == 0) return absl::StrFormat("%d", id.low());
  return absl::StrFormat("%08x-%04x-%04x-%04x-%012x", id.high() >> 32, id.high() >> 16 & 0xffff,
                         id.high() & 0xffff, id.low() >> 48, id.low() & 0xffff'ffff'ffff);
}

Id RandomId() {
  std::random_device source;
  const auto draw = [&source] { return uint64_t{source()} << 32 | source(); };
  Id id(0, 0);
  while (IsZero(id)) id = Id(draw(), draw());
  return id;
}

}  // namespace tallystick
