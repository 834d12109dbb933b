// A ledger in a folder of its own, and a server for it, to be stopped and started.

#ifndef TALLYSTICK_TESTS_API_SERVED_LEDGER_H_
#define TALLYSTICK_TESTS_API_SERVED_LEDGER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "api/embedded.h"
#include "api/server.h"
#include "tests/api/raw_socket.h"

namespace tallystick {

// As LedgerOptions::make_io.
using MakeIo = std::function<absl::StatusOr<std::unique_ptr<wal::Io>>(uint16_t index)>;
MakeIo PosixBackend();

struct ServedOptions {
  uint16_t shards = 2;
  ServerOptions server = {};
  bool tcp = false;
  MakeIo make_io = nullptr;  // absent: the host's best
};

class ServedLedger {
 public:
  static constexpr uint16_t kProgram = 1;

  // Opens, puts the program kProgram (a point for each minor unit, members enrol themselves), and
  // serves.
  explicit ServedLedger(const ServedOptions& options = {});
  ~ServedLedger();

  void StartServer();
  void StopServer();

  Ledger& ledger() { return *ledger_; }
  Server& server() { return *server_; }
  const std::string& address() const { return address_; }

  // An operation that the ledger accepts, dated now. Amounts are points.
  Operation Accrue(uint64_t id, uint64_t member, int64_t amount) const;

  // A connection without and with its greeting.
  RawSocket Connect() const { return RawSocket::Connect(address_); }
  RawSocket Greet() const;
  std::unique_ptr<Client> NewClient(int64_t reconnect_ms = 10'000) const;
  // Until that many are open; fails after 10 s.
  void WaitForConnections(uint32_t count) const;

 private:
  const std::filesystem::path directory_;
  const ServerOptions server_options_;
  std::string listen_;
  std::string address_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Server> server_;
  Instant now_ = 0;
};

// What an Error frame says; fails when `frame` is another.
struct ReadError {
  uint64_t request = 0;
  protocol::ErrorCode code = protocol::ErrorCode::refused;
  std::string message;
};
ReadError AsError(const protocol::Frame* frame);
// The results in a Results frame; fails when `frame` is another.
std::vector<Result> AsResults(const protocol::Frame* frame);

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_SERVED_LEDGER_H_
