// A file that a command writes for others: there whole, or not at all; always a new one, and never
// among the files of the ledger that the command reads.

#ifndef TALLYSTICK_API_TALLY_OUTPUT_FILE_H_
#define TALLYSTICK_API_TALLY_OUTPUT_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/tally/offline_ledger.h"

namespace tallystick::tally {

// InvalidArgument with a sentence: `path` lies among the files of `reading`; null: nothing is read.
absl::Status RequireOutside(const std::string& path, const OfflineLedger* reading);

// What a file is until it is whole: PATH.unfinished, in the hands of one process. What a crash has
// left there is begun anew.
class UnfinishedFile {
 public:
  // Empty. AlreadyExists: something is there under `path`; FailedPrecondition: another process is
  // writing it; InvalidArgument: as of RequireOutside; other errors: it cannot be made.
  static absl::StatusOr<std::unique_ptr<UnfinishedFile>> Create(const std::string& path,
                                                                const OfflineLedger* reading);
  // Removes what was not published.
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  const std::string& name() const { return name_; }
  int fd() const { return fd_; }
  // Makes it durable, and gives it the name `path`. AlreadyExists: something has come there.
  absl::Status Publish();

 private:
  UnfinishedFile(const std::string& path, int fd)
      : path_(path), name_(path + ".unfinished"), fd_(fd) {}

  const std::string path_;
  const std::string name_;
  // Holds the lock for as long as the name is this process's.
  const int fd_;
  bool published_ = false;
};

// Written from the front. A device or a pipe is written as it is.
class OutputFile {
 public:
  // Errors: those of UnfinishedFile.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Create(const std::string& path,
                                                            const OfflineLedger* reading);
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
  OutputFile(std::string path, std::unique_ptr<UnfinishedFile> file, int fd)
      : path_(std::move(path)), file_(std::move(file)), fd_(fd) {}
  absl::Status Flush();

  const std::string path_;
  const std::unique_ptr<UnfinishedFile> file_;  // null: a device or a pipe
  int fd_;                                      // its own, or that of file_
  std::string buffer_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_OUTPUT_FILE_H_
