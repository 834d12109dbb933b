// The Io of the host that the program runs on.

#ifndef TALLYSTICK_WAL_HOST_IO_H_
#define TALLYSTICK_WAL_HOST_IO_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "wal/io.h"

namespace tallystick::wal {

struct HostIo {
  std::unique_ptr<Io> io;
  // Empty with io_uring; else a sentence for the operator: why it is not used, and what that costs.
  std::string degraded;
};

// io_uring when the kernel grants it, else blocking I/O. May be used on another thread than the one
// that made it.
absl::StatusOr<HostIo> CreateHostIo();

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_HOST_IO_H_
