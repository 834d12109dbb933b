// The disk under a benchmark: a temporary folder, and bare writes to it, the limit of any log.

#ifndef TALLYSTICK_BENCH_DISK_H_
#define TALLYSTICK_BENCH_DISK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::bench {

// Ends the benchmark with the status' sentence when it is not OK.
void Must(const absl::Status& status);
template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  Must(value.status());
  return *std::move(value);
}

// In the working directory, or in TALLYSTICK_BENCH_FOLDER; removed with all that is in it.
class Folder {
 public:
  explicit Folder(const std::string& name);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string Path(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Writes of `block` bytes one behind the other, `depth` of them in flight, each durable when it
// completes, over a file that was written before: what a log could reach if it cost nothing.
class RawWriter {
 public:
  RawWriter(const std::string& path, size_t block, size_t depth);
  ~RawWriter();
  // Returns when all is durable.
  void Write(size_t bytes);

 private:
  void Drain();

  std::unique_ptr<wal::Io> io_;
  const size_t block_;
  wal::Handle file_;
  std::vector<wal::IoRequest> requests_;
  std::vector<wal::IoRequest*> free_;
  uint64_t at_ = 0;
};

}  // namespace tallystick::bench

#endif  // TALLYSTICK_BENCH_DISK_H_
