// Listening sockets: "unix:PATH" and "tcp:127.0.0.1:PORT".

#ifndef TALLYSTICK_WAL_LISTENER_H_
#define TALLYSTICK_WAL_LISTENER_H_

#include <string>

#include "absl/status/statusor.h"

namespace tallystick::wal {

// A blocking listening socket, close-on-exec. TCP connections that it accepts send without delay
// (TCP_NODELAY).
//
// A stale socket file is replaced; of two processes that replace it at the same moment the later
// one wins, so take the lock of what is being served first. InvalidArgument: not an address, or one
// that other machines can reach. AlreadyExists: somebody listens there, or the path is not a
// socket.
absl::StatusOr<int> OpenListener(const std::string& address);

// What `listener` is bound to, in the same notation.
absl::StatusOr<std::string> BoundAddress(int listener);

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_LISTENER_H_
