#include "wal/host_io.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/posix_io.h"
#include "wal/uring_io.h"

namespace tallystick::wal {

absl::StatusOr<HostIo> CreateHostIo() {
  absl::StatusOr<std::unique_ptr<UringIo>> uring = UringIo::Create();
  if (uring.ok()) return HostIo{*std::move(uring), ""};
  absl::StatusOr<std::unique_ptr<PosixIo>> posix = PosixIo::Create();
  if (!posix.ok()) return posix.status();
  return HostIo{*std::move(posix),
                absl::StrCat(uring.status().message(), ": using slower blocking I/O")};
}

}  // namespace tallystick::wal
