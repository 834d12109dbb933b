// Serves a ledger on a Unix or TCP socket, on the ledger's own worker threads: one listens, all
// have connections.

#ifndef TALLYSTICK_API_SERVER_H_
#define TALLYSTICK_API_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "api/embedded.h"
#include "api/messages.h"

namespace tallystick {

// Each takes a descriptor, and receive buffers of some megabytes when it is busy.
inline constexpr uint32_t kMaxConnections = 1024;

struct ServerOptions {
  std::string name = "tallyd";  // and version; told to clients
  uint32_t max_connections = kMaxConnections;
  // How long Stop waits for clients to take their answers before it cuts them off.
  int64_t stop_ms = 2'000;
  // For a ledger in manual mode: called again and again while Start and Stop wait; drives the
  // ledger.
  std::function<void()> step = nullptr;
};

class Server {
 public:
  // Accepts connections from here on. `address`: "unix:PATH" or "tcp:127.0.0.1:PORT" (0: any port).
  // The ledger outlives the server, and is closed after Stop.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Ledger& ledger, const std::string& address,
                                                       ServerOptions options = {});
  ~Server();  // stops

  // Where it listens, with the real port.
  std::string address() const;
  // What clients are told in answer to a hello, as of the start.
  const ServerInfo& info() const;
  // Open connections, those that are being refused or closed included.
  uint32_t connections() const;

  // Accepts no more, answers what is under way, and closes. Not from a worker's thread. Idempotent.
  void Stop();

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_SERVER_H_
