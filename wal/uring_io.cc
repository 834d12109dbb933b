#include "wal/uring_io.h"

#include <liburing.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "wal/check.h"

namespace tallystick::wal {
namespace {

// Completions that one Poll delivers at most, so that a caller's loop gets round to its other work.
constexpr size_t kMaxCompletionsPerPoll = 4'096;
constexpr unsigned kReapBatch = 64;
// The wakeup's read; all other completions carry their IoRequest's address.
constexpr uint64_t kWakeupTag = 0;

// Where completions come in crowds, a Poll that waits gathers this many for at most so long: each
// way round the caller's loop, with its wake-up and its block, then does more. A lone request meets
// no crowd.
constexpr unsigned kGatherCompletions = 8;
// On average completed in a Poll; with fewer about, the others would not come in time.
constexpr double kCrowd = kGatherCompletions;
constexpr uint32_t kGatherMicros = 30;
// Linux 6.12: io_uring_enter takes a time within which it waits for more than one completion. The
// names of later headers (include/uapi/linux/io_uring.h).
constexpr unsigned kFeatureMinTimeout = 1U << 15;
struct GetEvents {
  uint64_t signal_mask;
  uint32_t signal_mask_bytes;
  uint32_t min_wait_us;
  uint64_t limit;  // a __kernel_timespec's address; 0: none
};
static_assert(sizeof(GetEvents) == sizeof(io_uring_getevents_arg));

constexpr uint32_t kCompletionEntries = UringIo::kMaxInFlight + 1;
static_assert(std::has_single_bit(kCompletionEntries), "else the kernel rounds it up");

unsigned SetupFlags(UringMode mode) {
  // Disabled until the thread is known that will poll: a ring with a single issuer belongs to the
  // one that enables it.
  constexpr unsigned kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
  switch (mode) {
    case UringMode::kDeferred:
      return kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
             IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    case UringMode::kCooperative:
      return kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN;
    case UringMode::kInterrupting:
      return kAlways;
  }
  return kAlways;
}

absl::Status SetupFailure(int error) {
  switch (error) {
    case ENOSYS:
      return absl::UnimplementedError("this kernel has no io_uring");
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(
          "io_uring is not permitted here (a container's seccomp profile or the sysctl "
          "kernel.io_uring_disabled forbids it)");
    case EINVAL:
      return absl::UnimplementedError(
          "this kernel's io_uring is too old (Linux 5.11 has what is needed)");
    case ENOMEM:
      return absl::ResourceExhaustedError(
          "io_uring cannot get memory (raise the limit of locked memory, ulimit -l)");
    default:
      return absl::ErrnoToStatus(error, "io_uring cannot be set up");
  }
}

}  // namespace

UringIo::UringIo() = default;

absl::StatusOr<std::unique_ptr<UringIo>> UringIo::Create(uint32_t queue_depth, UringMode best) {
  if (queue_depth == 0) return absl::InvalidArgumentError("a queue depth of 0 submits nothing");
  auto io = absl::WrapUnique(new UringIo());
  if (absl::Status status = io->Start(queue_depth, best); !status.ok()) return status;
  return io;
}

absl::Status UringIo::Start(uint32_t queue_depth, UringMode best) {
  if (absl::Status status = wakeup_.Open(); !status.ok()) return status;
  submitted_.reserve(kMaxInFlight);
  registered_.reserve(kMaxRegisteredBuffers);

  auto ring = std::make_unique<io_uring>();
  int error = EINVAL;
  for (UringMode mode : {UringMode::kDeferred, UringMode::kCooperative, UringMode::kInterrupting}) {
    if (mode < best) continue;
    io_uring_params params = {};
    params.flags = SetupFlags(mode);
    params.cq_entries = kCompletionEntries;
    error =
        -io_uring_queue_init_params(std::min(queue_depth, kCompletionEntries), ring.get(), &params);
    mode_ = mode;
    // An older kernel refuses flags that it doesn't know.
    if (error != EINVAL) break;
  }
  if (error != 0) return SetupFailure(error);
  ring_ = std::move(ring);
  if (absl::Status status = CheckFeatures(); !status.ok()) return status;
  // Optional: without it the kernel pins a request's pages each time.
  registers_ = io_uring_register_buffers_sparse(ring_.get(), kMaxRegisteredBuffers) == 0;
  gathers_ = (ring_->features & kFeatureMinTimeout) != 0;
  return absl::OkStatus();
}

absl::Status UringIo::CheckFeatures() {
  const std::pair<unsigned, absl::string_view> features[] = {
      {IORING_FEAT_NODROP, "NODROP"},        // completions are never dropped in silence
      {IORING_FEAT_FAST_POLL, "FAST_POLL"},  // idle sockets hold no kernel thread
      {IORING_FEAT_EXT_ARG, "EXT_ARG"},      // one call submits and waits with a limit
  };
  for (const auto& [bit, name] : features) {
    if ((ring_->features & bit) == 0) {
      return absl::UnimplementedError(absl::StrCat("this kernel's io_uring lacks ", name));
    }
  }
  io_uring_probe* const probe = io_uring_get_probe_ring(ring_.get());
  if (probe == nullptr) return absl::UnimplementedError("this kernel's io_uring cannot be probed");
  absl::Cleanup free_probe = [probe] { io_uring_free_probe(probe); };
  for (int op : {IORING_OP_READ, IORING_OP_WRITE, IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
                 IORING_OP_FSYNC, IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND}) {
    if (!io_uring_opcode_supported(probe, op)) {
      return absl::UnimplementedError(absl::StrCat("this kernel's io_uring lacks operation ", op));
    }
  }
  return absl::OkStatus();
}

UringIo::~UringIo() {
  TALLYSTICK_CHECK(in_flight_ == 0 && submitted_.empty() && "destroyed with requests under way");
  if (ring_ != nullptr) io_uring_queue_exit(ring_.get());
}

absl::StatusOr<IoBuffer> UringIo::AllocateBuffer(size_t size) {
  absl::StatusOr<IoBuffer> buffer = HostControlPlane::AllocateBuffer(size);
  if (!buffer.ok() || !registers_ || registered_.size() == kMaxRegisteredBuffers) return buffer;
  const iovec where = {buffer->data, buffer->size};
  const __u64 no_tag = 0;
  const unsigned index = static_cast<unsigned>(registered_.size());
  // Fails beyond RLIMIT_MEMLOCK, or above 1 GiB.
  if (io_uring_register_buffers_update_tag(ring_.get(), index, &where, &no_tag, 1) == 1) {
    registered_.push_back(*buffer);
  }
  return buffer;
}

void UringIo::Submit(IoRequest& request) { submitted_.push_back(&request); }

size_t UringIo::Poll(int64_t wait_us) {
  TALLYSTICK_CHECK(!polling_ && "Poll was called from a completion");
  polling_ = true;
  if (!enabled_) Enable();
  ArmWakeup();
  FillSubmissionQueue();
  if (wait_us == 0 || !wakeup_armed_ || io_uring_cq_ready(ring_.get()) != 0) {
    Enter(0);
  } else {
    Enter(wakeup_.FallAsleep() ? wait_us : 0);
    wakeup_.StandUp();
  }
  const size_t completed = Reap();
  crowd_ += (static_cast<double>(completed) - crowd_) / 16;
  polling_ = false;
  return completed;
}

void UringIo::Wake() { wakeup_.Signal(); }

void UringIo::Enable() {
  // Not by io_uring_enable_rings: liburing 2.3 declares it and forgets to export it.
  const int error = -io_uring_register(static_cast<unsigned>(ring_->ring_fd),
                                       IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (error != 0) Stop("io_uring cannot be enabled", error);
  enabled_ = true;
}

void UringIo::ArmWakeup() {
  if (wakeup_armed_) return;
  io_uring_sqe* const sqe = io_uring_get_sqe(ring_.get());
  // The queue is still full of what the kernel would not take (EAGAIN); this Poll does not wait.
  if (sqe == nullptr) return;
  io_uring_prep_read(sqe, wakeup_.fd(), &wakeup_value_, sizeof(wakeup_value_), 0);
  io_uring_sqe_set_data64(sqe, kWakeupTag);
  wakeup_armed_ = true;
}

void UringIo::FillSubmissionQueue() {
  size_t taken = 0;
  while (taken < submitted_.size() && in_flight_ < kMaxInFlight) {
    io_uring_sqe* sqe = io_uring_get_sqe(ring_.get());
    if (sqe == nullptr) {
      Enter(0);
      sqe = io_uring_get_sqe(ring_.get());
      // The kernel is short of something that completions set free: reap first.
      if (sqe == nullptr) break;
    }
    IoRequest& request = *submitted_[taken++];
    Prepare(sqe, request);
    io_uring_sqe_set_data(sqe, &request);
    ++in_flight_;
  }
  submitted_.erase(submitted_.begin(), submitted_.begin() + static_cast<ptrdiff_t>(taken));
}

void UringIo::Prepare(io_uring_sqe* sqe, IoRequest& request) const {
  switch (request.op) {
    case IoOp::kRead:
      if (const int index = RegisteredIndex(request); index >= 0) {
        io_uring_prep_read_fixed(sqe, request.handle, request.data, request.size, request.offset,
                                 index);
      } else {
        io_uring_prep_read(sqe, request.handle, request.data, request.size, request.offset);
      }
      return;
    case IoOp::kWrite:
      if (const int index = RegisteredIndex(request); index >= 0) {
        io_uring_prep_write_fixed(sqe, request.handle, request.data, request.size, request.offset,
                                  index);
      } else {
        io_uring_prep_write(sqe, request.handle, request.data, request.size, request.offset);
      }
      if (request.dsync) sqe->rw_flags = RWF_DSYNC;
      return;
    case IoOp::kSync:
      io_uring_prep_fsync(sqe, request.handle, IORING_FSYNC_DATASYNC);
      return;
    case IoOp::kAccept:
      io_uring_prep_accept(sqe, request.handle, nullptr, nullptr, SOCK_CLOEXEC);
      return;
    case IoOp::kReceive:
      io_uring_prep_recv(sqe, request.handle, request.data, request.size, 0);
      // As a rule nothing is there yet: not tried before the first poll. Linux 5.19 knows this, and
      // the modes but the last.
      if (mode_ != UringMode::kInterrupting) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      return;
    case IoOp::kSend:
      io_uring_prep_send(sqe, request.handle, request.data, request.size, MSG_NOSIGNAL);
      return;
  }
}

// Buffers are few and large: a scan of their bounds beats a tree.
int UringIo::RegisteredIndex(const IoRequest& request) const {
  for (size_t index = 0; index < registered_.size(); ++index) {
    const IoBuffer& buffer = registered_[index];
    if (request.data >= buffer.data && request.data + request.size <= buffer.data + buffer.size) {
      return static_cast<int>(index);
    }
  }
  return -1;
}

void UringIo::Enter(int64_t wait_us) {
  int result;
  if (wait_us == 0) {
    // Always with GETEVENTS, without which a ring with deferred work would not do it.
    result = io_uring_submit_and_get_events(ring_.get());
  } else if (gathers_ && crowd_ >= kCrowd) {
    result = SubmitAndGather(wait_us);
  } else if (wait_us < 0) {
    result = io_uring_submit_and_wait(ring_.get(), 1);
  } else {
    __kernel_timespec limit = {wait_us / 1'000'000, wait_us % 1'000'000 * 1'000};
    io_uring_cqe* first = nullptr;
    result = io_uring_submit_and_wait_timeout(ring_.get(), &first, 1, &limit, nullptr);
  }
  // Entries that were not taken stay queued: EAGAIN and EBUSY pass once completions have been
  // reaped.
  const bool passes =
      result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
  if (!passes) Stop("io_uring_enter failed", -result);
  TALLYSTICK_CHECK(!io_uring_cq_has_overflow(ring_.get()) && "kMaxInFlight bounds completions");
}

int UringIo::SubmitAndGather(int64_t wait_us) {
  if (const int result = io_uring_submit_and_get_events(ring_.get()); result < 0) return result;
  // With entries that were not taken, the kernel does not wait.
  if (io_uring_cq_ready(ring_.get()) >= kGatherCompletions || io_uring_sq_ready(ring_.get()) > 0) {
    return 0;
  }
  const __kernel_timespec limit = {wait_us / 1'000'000, wait_us % 1'000'000 * 1'000};
  GetEvents wait = {.signal_mask = 0,
                    .signal_mask_bytes = _NSIG / 8,
                    .min_wait_us = kGatherMicros,
                    .limit = wait_us < 0 ? 0 : reinterpret_cast<uintptr_t>(&limit)};
  return io_uring_enter2(static_cast<unsigned>(ring_->ring_fd), 0, kGatherCompletions,
                         IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                         reinterpret_cast<sigset_t*>(&wait), sizeof(wait));
}

size_t UringIo::Reap() {
  io_uring_cqe* entries[kReapBatch];
  size_t completed = 0;
  while (completed < kMaxCompletionsPerPoll) {
    const unsigned count = io_uring_peek_batch_cqe(ring_.get(), entries, kReapBatch);
    if (count == 0) break;
    for (unsigned index = 0; index < count; ++index) {
      const io_uring_cqe& entry = *entries[index];
      if (io_uring_cqe_get_data64(&entry) == kWakeupTag) {
        if (entry.res < 0 && entry.res != -EINTR) Stop("the wakeup cannot be read", -entry.res);
        wakeup_armed_ = false;
        continue;
      }
      IoRequest& request = *static_cast<IoRequest*>(io_uring_cqe_get_data(&entry));
      request.result = entry.res;
      --in_flight_;
      ++completed;
      request.complete(request);
    }
    io_uring_cq_advance(ring_.get(), count);
  }
  return completed;
}

}  // namespace tallystick::wal
