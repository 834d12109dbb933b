// A file that a command writes for others: there whole, or not at all.

#ifndef TALLYSTICK_API_TALLY_OUTPUT_FILE_H_
#define TALLYSTICK_API_TALLY_OUTPUT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tallystick::tally {

// AlreadyExists with a sentence: something is there under this name.
absl::Status RequireAbsent(const std::string& path);

// The name that a file has until it is whole.
std::string UnfinishedName(const std::string& path);

// Makes what stands under UnfinishedName(path) durable, and then the file.
absl::Status PublishFile(const std::string& path);

// Written from the front, under UnfinishedName(path) until it is published. A device or a pipe is
// written as it is.
class OutputFile {
 public:
  // AlreadyExists: there is a file of this name; other errors: it cannot be made.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path);
  // Removes what was not published.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // What is to be written is appended here; FlushSome is called every so often.
  std::string& buffer() { return buffer_; }
  // Writes the buffer if it holds more than a megabyte.
  absl::Status FlushSome();
  absl::Status Publish();

 private:
  OutputFile(std::string path, bool in_place, int fd)
      : path_(std::move(path)), in_place_(in_place), fd_(fd) {}
  absl::Status Flush();

  const std::string path_;
  const bool in_place_;
  int fd_;
  bool published_ = false;
  std::string buffer_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_OUTPUT_FILE_H_
