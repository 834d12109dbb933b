// A client's socket: connects without blocking, sends several frames at once, and
// receives them in place.

#ifndef TALLYSTICK_API_CLIENT_LINK_H_
#define TALLYSTICK_API_CLIENT_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/frame.h"

namespace tallystick {

class ClientLink {
 public:
  // InvalidArgument: not an address. Connects to nothing yet.
  static absl::StatusOr<std::unique_ptr<ClientLink>> Create(const std::string& address);
  ~ClientLink();

  // Begins to connect anew. A failure names the address; another attempt may follow.
  absl::Status Connect();
  // Whether Connect has come to an end. A failure as Connect's.
  absl::StatusOr<bool> Connected();
  void Close();
  bool is_connecting() const { return connecting_; }
  int descriptor() const { return fd_; }  // negative: closed

  // Sends of `frames` what the socket takes now, at most kMaxGather of them; returns how many
  // bytes.
  static constexpr size_t kMaxGather = 64;
  absl::StatusOr<size_t> Send(absl::Span<const absl::Span<const std::byte>> frames);

  // Receives what is there. False: nothing was. Unavailable: the peer has closed, or is gone.
  absl::StatusOr<bool> Receive();
  // The next whole frame that was received; null: none. Valid until the next Receive or Close.
  // An error is the peer's fault: it doesn't follow the protocol.
  absl::StatusOr<const protocol::Frame*> Next();

  // Waits until there is something to receive (or to send, if `to_send`; or Connect has ended), at
  // most `wait_ms` (< 0: without limit).
  void Wait(int64_t wait_ms, bool to_send) const;

 private:
  struct Address;
  explicit ClientLink(std::unique_ptr<Address> address);

  std::unique_ptr<Address> address_;
  int fd_ = -1;
  bool connecting_ = false;
  std::unique_ptr<std::byte[]> received_;
  size_t filled_ = 0;
  size_t taken_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_CLIENT_LINK_H_
