#include "wal/wakeup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

namespace tallystick::wal {

Wakeup::~Wakeup() {
  if (fd_ >= 0) close(fd_);
}

absl::Status Wakeup::Open() {
  fd_ = eventfd(0, EFD_CLOEXEC);
  if (fd_ < 0) return absl::ErrnoToStatus(errno, "cannot create an eventfd");
  return absl::OkStatus();
}

bool Wakeup::FallAsleep() {
  State expected = State::kAwake;
  return state_.compare_exchange_strong(expected, State::kAsleep);
}

// An exchange and not a store: it reads the signaller's exchange, and so what was written before
// it.
void Wakeup::StandUp() { state_.exchange(State::kAwake); }

void Wakeup::Signal() {
  if (state_.exchange(State::kSignalled) != State::kAsleep) return;
  const uint64_t one = 1;
  // Fails only when the counter would overflow, and then it is readable already.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
}

}  // namespace tallystick::wal
