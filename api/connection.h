// One client's connection, on its worker's loop.
//
//   receive ─▶ frames in place ─▶ Dispatcher ─▶ replies gathered ─▶ one send a turn
//
// Operations are used where they were received, so a receive buffer is reused only when all calls
// into it have come back. Whatever a client does, a connection holds no more than the limits below:
// at a limit it stops reading, and the socket holds the client back.
//
//   kGreeting ─▶ kOpen ─▶ kClosing ─▶ kGone ─▶ kFinished
//
//   kClosing: takes no more requests; those under way are answered, the last words said.
//   kGone:    shut down; waits for what is under way. Reached at once when the peer is unreachable.

#ifndef TALLYSTICK_API_CONNECTION_H_
#define TALLYSTICK_API_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/dispatcher.h"
#include "api/frame.h"
#include "api/worker.h"
#include "flatbuffers/flatbuffers.h"
#include "wal/io.h"

namespace tallystick {

// A whole frame, and enough behind it for small ones that follow to share a receive.
inline constexpr size_t kReceiveBufferBytes = kMaxFrameBytes + (size_t{64} << 10);
// One is received into while the shards work on the others. Bounds the bytes of unanswered
// requests.
inline constexpr size_t kReceiveBuffers = 3;
// Unanswered requests: callers that pipeline single operations still fill a block.
inline constexpr size_t kMaxRequestsInFlight = 1024;
// Replies that are due or not yet sent; room for the largest is kept before a request is taken.
inline constexpr size_t kMaxReplyBytes = size_t{4} << 20;

class Connection;

// What the connections of one worker share.
struct ConnectionContext {
  Worker& worker;
  std::string server;  // name and version, told to clients
  flatbuffers::FlatBufferBuilder builder;
  std::vector<Connection*> ready;  // those that want a Turn; each at most once until it gets it
};

class Connection {
 public:
  // Takes over `socket`. Does nothing before Start or Refuse.
  Connection(ConnectionContext& context, wal::Handle socket);
  ~Connection();  // REQUIRES: finished()

  void Start();
  // Says why, and closes.
  void Refuse(const std::string& why);
  // Sends what has been gathered; takes requests that had to wait.
  void Turn();
  // Takes no more requests; answers those under way, and closes.
  void End();
  // Doesn't wait for the peer any longer.
  void Abort();
  bool finished() const { return state_ == State::kFinished; }

 private:
  enum class State : uint8_t { kGreeting, kOpen, kClosing, kGone, kFinished };
  struct ReceiveBuffer;
  struct Call;

  // ---- receiving ----
  static void OnReceived(wal::IoRequest& request);
  void TakeFrames();
  bool MakeRoom();
  void Receive();

  // ---- requests ----
  void Handle(const protocol::Frame& frame);
  void Greet(const protocol::Frame& frame);
  void Submit(const protocol::Frame& frame);
  void ReadRequest(const protocol::Frame& frame);
  void PutProgram(const protocol::Frame& frame);
  bool HasRoomFor(const protocol::Frame& frame) const;
  Call& BeginCall(uint64_t request, size_t reply_bytes);
  void EndCall(Call& call);

  // ---- replies ----
  // An Error that is sent once all requests are answered.
  struct LastWords {
    uint64_t request;
    protocol::ErrorCode code;
    std::string message;
  };
  static void OnSubmitDone(SubmitCall& submit);
  template <typename Answer>
  Dispatcher::Done<Answer> Answers(Call& call);
  void AppendBuilt(uint64_t request);
  // An error of one request.
  void RefuseRequest(uint64_t request, const std::string& message,
                     protocol::Missing missing = protocol::Missing::none);
  // The dispatcher's: the request's failure, or the connection's end.
  void NotServed(uint64_t request, const absl::Status& status);
  // The last frame says why the connection ends.
  void EndWith(LastWords last_words);
  void Fault(const std::string& message) { EndWith({0, protocol::ErrorCode::fault, message}); }

  // ---- sending and ending ----
  static void OnSent(wal::IoRequest& request);
  void Send();
  void HangUp();
  void Touch();
  bool takes_requests() const { return state_ == State::kGreeting || state_ == State::kOpen; }

  ConnectionContext& context_;
  wal::Io& io_;
  const wal::Handle socket_;
  State state_ = State::kGreeting;
  bool touched_ = false;  // in context_.ready
  bool stalled_ = false;  // at a limit: the next Turn tries again
  bool receiving_ = false;
  bool sending_ = false;
  Stream stream_;

  std::unique_ptr<ReceiveBuffer[]> buffers_;
  ReceiveBuffer* current_ = nullptr;  // received into
  ReceivedFrame next_;  // the first of what is received and not taken, as far as known
  wal::IoRequest receive_;

  std::vector<std::unique_ptr<Call>> calls_;  // at most kMaxRequestsInFlight
  std::vector<Call*> free_calls_;
  size_t in_flight_ = 0;
  size_t reply_bytes_due_ = 0;  // of requests under way, at most

  FrameBuffer gathered_;
  FrameBuffer outgoing_;  // the kernel's while sending_
  size_t sent_ = 0;
  wal::IoRequest send_;

  std::optional<LastWords> last_words_;
  bool last_words_due_ = false;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_CONNECTION_H_
