// Reads CSV (RFC 4180) as it comes out of real systems: streaming, whatever the bytes.
//
// Fields may be quoted, and then hold commas, line ends and doubled quotes. A quote inside an
// unquoted field, and what follows a closing quote, is taken literally. Lines end with LF or CRLF.
// A UTF-8 byte order mark is left out. Bytes are passed on as they are: whether they are UTF-8 is
// for the user of a field to ask.
//
// A quote that is never closed must not swallow the file: its line alone is given up, and reading
// goes on with the line after it.

#ifndef TALLYSTICK_API_CSV_H_
#define TALLYSTICK_API_CSV_H_

#include <cstdint>
#include <initializer_list>
#include <istream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tallystick {

enum class CsvFault : uint8_t {
  kNone,
  kUnclosedQuote,
  kTooLong,  // more than kMaxRowBytes
};

struct CsvRow {
  int64_t line = 0;                       // physical line on which the row starts, from 1
  std::vector<absl::string_view> fields;  // valid until the next call; empty for a blank line
  CsvFault fault = CsvFault::kNone;       // with one: no fields, and the row is this one line
  bool ends_with_newline = true;          // false: the file ends behind the row
};

class CsvReader {
 public:
  // Longest row: what one must be able to hold, and how far an unclosed quote is searched for its
  // end.
  static constexpr size_t kMaxRowBytes = size_t{1} << 20;

  // `in` outlives the reader.
  explicit CsvReader(std::istream& in) : in_(in) {}

  // False at the end of the file.
  bool Next(CsvRow* row);

  int64_t bytes_read() const { return bytes_read_; }

 private:
  struct Extent {
    size_t begin;
    size_t end;
    bool quoted;
  };

  // The byte at next_ + offset, reading on as needed; −1 at the end of the file.
  int At(size_t offset);
  // Finds the fields of the row at next_ and how many bytes it takes.
  CsvFault FindExtents(size_t* row_bytes, bool* newline);
  // Takes away quotes, in place.
  absl::string_view Unquoted(const Extent& extent);
  // Goes on behind the line at next_, keeping nothing of it. True: a newline ends it.
  bool GiveUpLine();

  std::istream& in_;
  std::string buffer_;
  size_t next_ = 0;  // start of the next row in buffer_
  int64_t line_ = 1;
  int64_t bytes_read_ = 0;
  bool started_ = false;
  bool at_end_ = false;
  std::vector<Extent> extents_;
};

// One line with its newline; fields are quoted where they have to be.
std::string CsvLine(std::initializer_list<absl::string_view> fields);

}  // namespace tallystick

#endif  // TALLYSTICK_API_CSV_H_
