#include "api/instants.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tallystick {

absl::StatusOr<absl::CivilSecond> ParseCivil(absl::string_view text) {
  // ParseTime takes more than is meant here ("infinite-future", signs, years of many digits): the
  // shape comes first.
  constexpr absl::string_view kShape = "dddd-dd-dd dd:dd:dd";
  bool fits = text.size() == 10 || text.size() == 16 || text.size() == 19;
  for (size_t i = 0; fits && i < text.size(); ++i) {
    fits = kShape[i] == 'd' ? absl::ascii_isdigit(static_cast<unsigned char>(text[i]))
                            : text[i] == kShape[i];
  }
  constexpr absl::string_view kFormat = "%Y-%m-%d %H:%M:%S";
  const absl::string_view format = kFormat.substr(0, text.size() == 10   ? 8
                                                     : text.size() == 16 ? 14
                                                                         : 17);
  absl::Time time;
  std::string error;
  if (!fits || !absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no date: write 2026-01-31 or 2026-01-31 10:00:30"));
  }
  return absl::ToCivilSecond(time, absl::UTCTimeZone());
}

absl::StatusOr<Instant> ParseInstant(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  absl::Time time;
  std::string error;
  if (const auto civil = ParseCivil(text); civil.ok()) {
    time = absl::FromCivil(*civil, absl::UTCTimeZone());
  } else if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text,
        "\" is no time: write 2026-01-31, 2026-01-31 10:00:30 or 2026-01-31T10:00:30Z"));
  }
  if (time <= absl::UnixEpoch() || time >= absl::FromUnixMicros(kEndOfTime)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" does not lie between 1970 and the year 10000"));
  }
  return ToInstant(time);
}

std::string FormatInstant(Instant instant) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixMicros(instant),
                          absl::UTCTimeZone());
}

int64_t UtcDay(Instant instant) {
  const int64_t day = instant / kMicrosPerDay;
  return instant % kMicrosPerDay < 0 ? day - 1 : day;
}

std::string DayText(int64_t day) {
  std::string text = FormatInstant(day * kMicrosPerDay);
  text.resize(text.find('T'));
  return text;
}

}  // namespace tallystick
