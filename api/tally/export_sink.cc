#include "api/tally/export_sink.h"

#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/instants.h"

namespace tallystick::tally {
namespace {

void AppendDigits(int64_t number, int digits, std::string* out) {
  const size_t end = out->size() + static_cast<size_t>(digits);
  out->resize(end);
  for (int i = 1; i <= digits; ++i, number /= 10) {
    (*out)[end - static_cast<size_t>(i)] = static_cast<char>('0' + number % 10);
  }
}

}  // namespace

std::string HexText(const wal::Id128& id) { return absl::StrFormat("%016x%016x", id.high, id.low); }

void RecordTexts::AppendInstant(Instant instant, std::string* out) {
  const int64_t day = UtcDay(instant);
  if (day != day_) {
    day_ = day;
    date_ = FormatInstant(instant);
    date_.resize(date_.find('T') + 1);
  }
  out->append(date_);
  const int64_t micros = instant - day * kMicrosPerDay;
  const int64_t seconds = micros / kMicrosPerSecond;
  AppendDigits(seconds / 3600, 2, out);
  out->push_back(':');
  AppendDigits(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendDigits(seconds % 60, 2, out);
  out->push_back('.');
  AppendDigits(micros % kMicrosPerSecond, 6, out);
  out->push_back('Z');
}

std::string RecordTexts::IdText(const Id& id) { return IsZero(id) ? "" : FormatId(id); }

}  // namespace tallystick::tally
