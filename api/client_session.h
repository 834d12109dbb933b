// The client's side of the protocol: requests and their answers, over one connection after
// another.
//
//   kDown ─▶ kConnecting ─▶ kGreeting ─▶ kOpen        any ─▶ kFailed, for good
//     ▲            │             │          │
//     └────────────┴─────────────┴──────────┘ the connection broke, and reconnect_ms is not over
//
// Requests keep their frames until they are answered, and are sent in the order of their numbers; a
// new connection begins at the first unanswered one.

#ifndef TALLYSTICK_API_CLIENT_SESSION_H_
#define TALLYSTICK_API_CLIENT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/client.h"
#include "api/client_link.h"
#include "api/frame.h"
#include "api/messages.h"
#include "flatbuffers/flatbuffers.h"
#include "ledger/types.h"

namespace tallystick {

class ClientSession {
 public:
  using ResultsCallback = Client::ResultsCallback;
  // The frame is valid inside the callback only.
  using ReplyCallback = std::function<void(absl::StatusOr<const protocol::Frame*>)>;

  ClientSession(const std::string& address, const ClientOptions& options,
                std::unique_ptr<ClientLink> link);

  void Submit(absl::Span<const Operation> operations, ResultsCallback done);
  // Queues the request that `build(builder, number)` makes. One that cannot be sent is answered at
  // once.
  void Ask(const std::function<void(flatbuffers::FlatBufferBuilder&, uint64_t)>& build,
           ReplyCallback done);
  // As Client::Poll.
  absl::Status Poll(int64_t wait_ms);
  // Not OK inside a callback, which would wait for itself, and after the failure.
  absl::Status MayBlock() const;

  // Whether a server has answered the hello, on this connection or an earlier one.
  bool greeted() const { return greeted_; }
  const absl::Status& failure() const { return failure_; }
  const ServerInfo& server() const { return server_; }
  int64_t reconnects() const { return reconnects_; }
  size_t requests_in_flight() const { return unanswered_ + refused_.size(); }
  // As Client's.
  int descriptor() const { return link_->descriptor(); }
  bool wants_to_send() const {
    return link_->is_connecting() || (phase_ == Phase::kOpen && next_ < first_ + requests_.size());
  }

 private:
  enum class Phase : uint8_t { kDown, kConnecting, kGreeting, kOpen, kFailed };
  struct Request {
    FrameBuffer frame;
    size_t operations = 0;  // 0: not a Submit
    ResultsCallback results;
    ReplyCallback reply;
    bool answered = false;
  };

  Request& Add(size_t operations);

  // ---- driving ----
  void Advance(int64_t now_ms);
  void SayHello();
  void Flush();
  void CountSent(size_t bytes);
  void Receive();
  int64_t WaitMs(int64_t now_ms, int64_t end_ms) const;
  // No connection, and nobody to need one.
  bool idle() const { return phase_ == Phase::kDown && requests_.empty() && greeted_; }
  bool NothingToWaitFor(int64_t end_ms) const;

  // ---- what the server says ----
  void Take(const protocol::Frame& frame);
  void TakeGreeting(const protocol::Frame& frame);
  void TakeReply(const protocol::Frame& frame);
  void TakeError(const protocol::Frame& frame);
  bool IsUnderWay(uint64_t number) const;
  void Answer(uint64_t number, absl::StatusOr<const protocol::Frame*> answer);
  void Deliver(Request& request, absl::StatusOr<const protocol::Frame*> answer);
  void DeliverRefused();

  // ---- the connection's ends ----
  void ForgetOverloads();
  void Break(const absl::Status& why);
  void Fail(const absl::Status& why);

  const std::string name_;  // "the server at unix:/run/tallyd"
  const ClientOptions options_;
  const std::unique_ptr<ClientLink> link_;
  Phase phase_ = Phase::kDown;
  absl::Status failure_;
  bool greeted_ = false;  // at least once
  ServerInfo server_;
  int64_t reconnects_ = 0;
  flatbuffers::FlatBufferBuilder builder_;

  // Since when no request has been answered for want of a connection; absent: all is well.
  std::optional<int64_t> down_since_ms_;
  int64_t next_attempt_ms_ = 0;
  int64_t back_off_ms_;
  std::string last_words_;  // of a server that could not serve, since then

  std::deque<Request> requests_;  // from the first unanswered one
  uint64_t first_ = 1;            // its number
  uint64_t next_ = 1;             // number of the next to be sent
  size_t next_sent_ = 0;          // bytes of it
  size_t unanswered_ = 0;
  size_t in_flight_bytes_ = 0;
  uint32_t overloads_seen_ = 0;
  std::vector<FrameBuffer> spare_frames_;
  std::deque<std::pair<ResultsCallback, absl::Status>> refused_;  // to be told in the next Poll
  bool in_callback_ = false;
  size_t delivered_ = 0;  // by this Poll
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_CLIENT_SESSION_H_
