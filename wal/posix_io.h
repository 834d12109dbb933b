// Io for hosts that forbid io_uring: files with blocking calls, sockets with poll(2).

#ifndef TALLYSTICK_WAL_POSIX_IO_H_
#define TALLYSTICK_WAL_POSIX_IO_H_

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/host_control_plane.h"
#include "wal/wakeup.h"

namespace tallystick::wal {

// A file request runs inside Poll and holds up all others for as long as the disk takes, so that
// nothing is ever in flight at the disk but one request.
class PosixIo final : public HostControlPlane {
 public:
  static absl::StatusOr<std::unique_ptr<PosixIo>> Create();
  // REQUIRES: no request is under way.
  ~PosixIo() override;

  absl::string_view name() const override { return "posix"; }

  absl::StatusOr<Handle> Listen(const std::string& address) override;

  void Submit(IoRequest& request) override;
  size_t Poll(int64_t wait_us) override;
  void Wake() override;

 private:
  PosixIo() = default;

  // Runs what has been submitted, in order; what would block joins waiting_. Returns how many
  // completed.
  size_t RunSubmitted();
  // Waits until a waiting request can go on, and runs those that can. Returns how many completed.
  size_t RunReady(int64_t wait_us);

  Wakeup wakeup_;
  bool polling_ = false;
  std::vector<IoRequest*> submitted_;
  std::vector<IoRequest*> running_;  // RunSubmitted's share of submitted_; completions submit anew
  std::vector<IoRequest*> waiting_;  // on sockets
  std::vector<pollfd> poll_set_;     // the wakeup, then those of waiting_
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_POSIX_IO_H_
