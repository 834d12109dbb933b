#include "wal/posix_io.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "wal/check.h"

namespace tallystick::wal {
namespace {

// Requests under way before a vector grows.
constexpr size_t kUsualRequests = 1024;

ssize_t Write(const IoRequest& request) {
  const iovec data = {request.data, request.size};
  return pwritev2(request.handle, &data, 1, static_cast<off_t>(request.offset),
                  request.dsync ? RWF_DSYNC : 0);
}

ssize_t Attempt(const IoRequest& request) {
  switch (request.op) {
    case IoOp::kRead:
      return pread(request.handle, request.data, request.size, static_cast<off_t>(request.offset));
    case IoOp::kWrite:
      return Write(request);
    case IoOp::kSync:
      return fdatasync(request.handle);
    case IoOp::kAccept:
      return accept4(request.handle, nullptr, nullptr, SOCK_CLOEXEC);
    case IoOp::kReceive:
      return recv(request.handle, request.data, request.size, MSG_DONTWAIT);
    case IoOp::kSend:
      return send(request.handle, request.data, request.size, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  errno = EINVAL;
  return -1;
}

bool IsOnSocket(IoOp op) {
  return op == IoOp::kAccept || op == IoOp::kReceive || op == IoOp::kSend;
}

void Complete(IoRequest& request, ssize_t result) {
  request.result = static_cast<int32_t>(result);
  request.complete(request);
}

// False: it would block. Else the request has completed.
bool Run(IoRequest& request) {
  ssize_t result;
  do {
    result = Attempt(request);
  } while (result < 0 && errno == EINTR);
  if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && IsOnSocket(request.op)) {
    return false;
  }
  Complete(request, result < 0 ? -errno : result);
  return true;
}

// As Run, for a request whose poll(2) said `events`.
bool RunOn(short events, IoRequest& request) {
  if (events == 0) return false;
  if (Run(request)) return true;
  if ((events & POLLHUP) == 0) return false;
  // A Unix listener that was shut down: a non-blocking accept(2) says EAGAIN for ever, a blocking
  // one EINVAL.
  Complete(request, -EINVAL);
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PosixIo>> PosixIo::Create() {
  auto io = absl::WrapUnique(new PosixIo());
  if (absl::Status status = io->wakeup_.Open(); !status.ok()) return status;
  io->submitted_.reserve(kUsualRequests);
  io->running_.reserve(kUsualRequests);
  io->waiting_.reserve(kUsualRequests);
  io->poll_set_.reserve(kUsualRequests + 1);
  return io;
}

PosixIo::~PosixIo() {
  TALLYSTICK_CHECK(submitted_.empty() && waiting_.empty() && "destroyed with requests under way");
}

// accept(2) has no MSG_DONTWAIT, and a connection can be gone between poll(2) and accept(2).
absl::StatusOr<Handle> PosixIo::Listen(const std::string& address) {
  absl::StatusOr<Handle> listener = HostControlPlane::Listen(address);
  if (!listener.ok()) return listener;
  if (fcntl(*listener, F_SETFL, fcntl(*listener, F_GETFL) | O_NONBLOCK) != 0) {
    const int error = errno;
    Close(*listener);
    return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", address));
  }
  return listener;
}

void PosixIo::Submit(IoRequest& request) { submitted_.push_back(&request); }

size_t PosixIo::Poll(int64_t wait_us) {
  TALLYSTICK_CHECK(!polling_ && "Poll was called from a completion");
  polling_ = true;
  size_t completed = RunSubmitted();
  if (completed != 0 || wait_us == 0) {
    completed += RunReady(0);
  } else {
    completed += RunReady(wakeup_.FallAsleep() ? wait_us : 0);
    wakeup_.StandUp();
  }
  polling_ = false;
  return completed;
}

void PosixIo::Wake() { wakeup_.Signal(); }

size_t PosixIo::RunSubmitted() {
  size_t completed = 0;
  running_.swap(submitted_);
  for (IoRequest* request : running_) {
    if (Run(*request)) {
      ++completed;
    } else {
      waiting_.push_back(request);
    }
  }
  running_.clear();
  return completed;
}

size_t PosixIo::RunReady(int64_t wait_us) {
  if (waiting_.empty() && wait_us == 0) return 0;
  poll_set_.clear();
  poll_set_.push_back({wakeup_.fd(), POLLIN, 0});
  for (const IoRequest* request : waiting_) {
    const short event = request->op == IoOp::kSend ? POLLOUT : POLLIN;
    poll_set_.push_back({request->handle, event, 0});
  }
  const timespec timeout = {wait_us / 1'000'000, wait_us % 1'000'000 * 1'000};
  const int ready =
      ppoll(poll_set_.data(), poll_set_.size(), wait_us < 0 ? nullptr : &timeout, nullptr);
  if (ready < 0 && errno != EINTR && errno != ENOMEM) Stop("poll(2) failed", errno);
  if (ready <= 0) return 0;

  if (poll_set_[0].revents != 0) {
    uint64_t signals = 0;
    [[maybe_unused]] const ssize_t count = read(wakeup_.fd(), &signals, sizeof(signals));
  }
  // Completions may submit, which leaves waiting_ alone.
  size_t kept = 0;
  for (size_t index = 0; index < waiting_.size(); ++index) {
    IoRequest* const request = waiting_[index];
    if (!RunOn(poll_set_[index + 1].revents, *request)) waiting_[kept++] = request;
  }
  const size_t completed = waiting_.size() - kept;
  waiting_.resize(kept);
  return completed;
}

}  // namespace tallystick::wal
