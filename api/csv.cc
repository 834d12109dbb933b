#include "api/csv.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace tallystick {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

int CsvReader::At(size_t offset) {
  if (next_ + offset >= buffer_.size()) {
    if (at_end_) return -1;
    const size_t kept = buffer_.size();
    buffer_.resize(kept + kReadBytes);
    in_.read(buffer_.data() + kept, static_cast<std::streamsize>(kReadBytes));
    const auto count = static_cast<size_t>(in_.gcount());
    buffer_.resize(kept + count);
    bytes_read_ += static_cast<int64_t>(count);
    at_end_ = count < kReadBytes;
    if (next_ + offset >= buffer_.size()) return -1;
  }
  return static_cast<unsigned char>(buffer_[next_ + offset]);
}

CsvFault CsvReader::FindExtents(size_t* row_bytes, bool* newline) {
  extents_.clear();
  size_t begin = 0;
  bool quoted = false;     // the field began with a quote
  bool in_quotes = false;  // ... which is not closed yet
  for (size_t i = 0;; ++i) {
    const int c = At(i);
    if (in_quotes) {
      if (c < 0 || i >= kMaxRowBytes) return CsvFault::kUnclosedQuote;
      if (c == '"') {
        if (At(i + 1) == '"') {
          ++i;
        } else {
          in_quotes = false;
        }
      }
    } else if (c == '"' && i == begin) {
      quoted = in_quotes = true;
    } else if (c == ',') {
      extents_.push_back({begin, i, quoted});
      begin = i + 1;
      quoted = false;
    } else if (c < 0 || c == '\n') {
      const size_t end = c == '\n' && i > begin && At(i - 1) == '\r' ? i - 1 : i;
      if (!extents_.empty() || end > 0) extents_.push_back({begin, end, quoted});
      *newline = c == '\n';
      *row_bytes = i + (*newline ? 1 : 0);
      return CsvFault::kNone;
    } else if (i >= kMaxRowBytes) {
      return CsvFault::kTooLong;
    }
  }
}

absl::string_view CsvReader::Unquoted(const Extent& extent) {
  char* const data = buffer_.data() + next_;
  if (!extent.quoted) return {data + extent.begin, extent.end - extent.begin};
  char* out = data + extent.begin;
  bool in_quotes = true;
  for (size_t i = extent.begin + 1; i < extent.end; ++i) {
    if (in_quotes && data[i] == '"') {
      if (i + 1 < extent.end && data[i + 1] == '"') {
        ++i;
      } else {
        in_quotes = false;
        continue;
      }
    }
    *out++ = data[i];
  }
  return {data + extent.begin, static_cast<size_t>(out - (data + extent.begin))};
}

bool CsvReader::GiveUpLine() {
  ++line_;
  while (At(0) >= 0) {
    const size_t newline = buffer_.find('\n', next_);
    if (newline != std::string::npos) {
      next_ = newline + 1;
      return true;
    }
    buffer_.clear();
    next_ = 0;
  }
  return false;
}

bool CsvReader::Next(CsvRow* row) {
  if (!started_) {
    started_ = true;
    At(kByteOrderMark.size() - 1);
    if (absl::string_view(buffer_).substr(0, kByteOrderMark.size()) == kByteOrderMark) {
      next_ = kByteOrderMark.size();
    }
  }
  // What lies before the row is not needed any more; moved rarely, as a whole.
  if (next_ >= kReadBytes) {
    buffer_.erase(0, next_);
    next_ = 0;
  }
  row->fields.clear();
  row->line = line_;
  if (At(0) < 0) return false;

  size_t row_bytes = 0;
  row->fault = FindExtents(&row_bytes, &row->ends_with_newline);
  if (row->fault != CsvFault::kNone) {
    row->ends_with_newline = GiveUpLine();
    return true;
  }
  line_ += std::count(buffer_.begin() + static_cast<std::ptrdiff_t>(next_),
                      buffer_.begin() + static_cast<std::ptrdiff_t>(next_ + row_bytes), '\n');
  for (const Extent& extent : extents_) row->fields.push_back(Unquoted(extent));
  next_ += row_bytes;
  return true;
}

std::string CsvLine(std::initializer_list<absl::string_view> fields) {
  std::string line;
  bool first = true;
  for (const absl::string_view field : fields) {
    if (!first) line.push_back(',');
    first = false;
    if (field.find_first_of(",\"\r\n") == absl::string_view::npos) {
      absl::StrAppend(&line, field);
      continue;
    }
    absl::StrAppend(&line, "\"", absl::StrReplaceAll(field, {{"\"", "\"\""}}), "\"");
  }
  line.push_back('\n');
  return line;
}

}  // namespace tallystick
