// Ends the wait of an event loop from another thread, with a system call only when the loop really
// sleeps.

#ifndef TALLYSTICK_WAL_WAKEUP_H_
#define TALLYSTICK_WAL_WAKEUP_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"

namespace tallystick::wal {

// The loop, before it waits for fd() among other things:
//
//   if (wakeup.FallAsleep()) { wait; } else { look without waiting; }
//   wakeup.StandUp();
//
// What a thread wrote before Signal() is visible to the loop after the StandUp() that answers it. A
// signal that comes while the loop is awake is kept for its next FallAsleep().
class Wakeup {
 public:
  Wakeup() = default;
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Before all else, once.
  absl::Status Open();
  // An eventfd: readable after a signal to a sleeping loop, which reads its 8 bytes. It blocks,
  // because io_uring answers EAGAIN for a descriptor that doesn't, instead of waiting.
  int fd() const { return fd_; }

  // False: somebody has signalled, do not wait.
  bool FallAsleep();
  void StandUp();
  // From any thread.
  void Signal();

 private:
  enum class State : uint8_t { kAwake, kAsleep, kSignalled };

  int fd_ = -1;
  std::atomic<State> state_{State::kAwake};
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_WAKEUP_H_
