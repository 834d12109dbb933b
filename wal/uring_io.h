// Io through io_uring: all requests in flight at once, one system call a Poll.

#ifndef TALLYSTICK_WAL_URING_IO_H_
#define TALLYSTICK_WAL_URING_IO_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/host_control_plane.h"
#include "wal/wakeup.h"

struct io_uring;
struct io_uring_sqe;

namespace tallystick::wal {

// When the kernel does the second half of its work on a request.
enum class UringMode : uint8_t {
  kDeferred,     // inside Poll, never else (DEFER_TASKRUN, Linux 6.1)
  kCooperative,  // at the thread's next system call (COOP_TASKRUN, Linux 5.19)
  kInterrupting  // at once (Linux 5.11)
};

// The thread that polls first is the one that the ring belongs to; until then it may be handed from
// thread to thread.
class UringIo final : public HostControlPlane {
 public:
  // Requests handed to the kernel in one portion; more of them only cost more system calls.
  static constexpr uint32_t kDefaultQueueDepth = 256;
  // Requests in the kernel's hands at once, and with the wakeup's the size of the completion queue
  // (16 bytes each), which can therefore not overflow. More wait inside until others complete; so
  // this must be above the number of connections, each of which keeps a receive waiting.
  static constexpr uint32_t kMaxInFlight = 16'383;
  // Buffers beyond them work as well, but are pinned anew for each request.
  static constexpr uint32_t kMaxRegisteredBuffers = 1'024;

  // Uses the best mode that the kernel grants, from `best` on.
  // Unimplemented, PermissionDenied: this kernel has no io_uring that suffices, or forbids it; the
  // message says which.
  static absl::StatusOr<std::unique_ptr<UringIo>> Create(uint32_t queue_depth = kDefaultQueueDepth,
                                                         UringMode best = UringMode::kDeferred);
  // REQUIRES: no request is under way.
  ~UringIo() override;

  absl::string_view name() const override { return "io_uring"; }
  UringMode mode() const { return mode_; }
  size_t registered_buffers() const { return registered_.size(); }

  // Registers what it allocates, unless the limit of locked memory is in the way.
  absl::StatusOr<IoBuffer> AllocateBuffer(size_t size) override;

  void Submit(IoRequest& request) override;
  size_t Poll(int64_t wait_us) override;
  void Wake() override;

 private:
  UringIo();

  absl::Status Start(uint32_t queue_depth, UringMode best);
  absl::Status CheckFeatures();
  void Enable();
  void ArmWakeup();
  void FillSubmissionQueue();
  void Prepare(io_uring_sqe* sqe, IoRequest& request) const;
  int RegisteredIndex(const IoRequest& request) const;
  // Submits, and waits for a completion: 0 not at all, negative without limit.
  void Enter(int64_t wait_us);
  // The same, for several completions if they come soon. Returns as io_uring_enter does.
  int SubmitAndGather(int64_t wait_us);
  size_t Reap();

  std::unique_ptr<io_uring> ring_;  // null until Start has succeeded
  UringMode mode_ = UringMode::kDeferred;
  bool enabled_ = false;
  bool polling_ = false;
  Wakeup wakeup_;
  bool wakeup_armed_ = false;
  uint64_t wakeup_value_ = 0;          // the kernel writes here
  uint32_t in_flight_ = 0;             // without the wakeup's read
  std::vector<IoRequest*> submitted_;  // not yet in the submission queue
  std::vector<IoBuffer> registered_;   // by index in the kernel's table
  bool registers_ = false;
  bool gathers_ = false;  // the kernel can
  double crowd_ = 0;      // completions a Poll, of late
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_URING_IO_H_
