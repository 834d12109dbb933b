#include "api/client_link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tallystick {
namespace {

// The longest frame, and enough behind it to take many short ones in one call.
constexpr size_t kReceiveBytes = kMaxFrameBytes + (size_t{256} << 10);
// Several of a large Submit's pieces; the kernel grants what net.core.wmem_max allows.
constexpr int kSendBufferBytes = 1 << 20;

}  // namespace

struct ClientLink::Address {
  std::string text;
  union {
    sockaddr any;
    sockaddr_un local;
    sockaddr_in tcp;
  } where = {};
  socklen_t size = 0;

  absl::Status ParseUnix(absl::string_view path);
  absl::Status ParseTcp(absl::string_view host_and_port);
  absl::Status Invalid(absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat("cannot connect to \"", text, "\": ", why));
  }
  absl::Status Failure(int error) const {
    const bool relative = where.any.sa_family == AF_UNIX && where.local.sun_path[0] != '/';
    return absl::UnavailableError(absl::StrCat(
        "cannot connect to ", text, ": ", std::strerror(error),
        error == ENOENT && relative ? " in the current folder, where this path begins" : "",
        "; is tallyd running?"));
  }
};

absl::Status ClientLink::Address::ParseUnix(absl::string_view path) {
  if (path.empty()) return Invalid("the path is missing; write unix:PATH");
  if (path.find('\0') != path.npos) return Invalid("a path has no zero bytes");
  if (path.size() >= sizeof(where.local.sun_path)) {
    return Invalid(
        absl::StrCat("a socket's path has at most ", sizeof(where.local.sun_path) - 1, " bytes"));
  }
  where.local.sun_family = AF_UNIX;
  std::memcpy(where.local.sun_path, path.data(), path.size());
  size = sizeof(where.local);
  return absl::OkStatus();
}

absl::Status ClientLink::Address::ParseTcp(absl::string_view host_and_port) {
  const size_t colon = host_and_port.rfind(':');
  uint32_t port = 0;
  if (colon == host_and_port.npos || !absl::SimpleAtoi(host_and_port.substr(colon + 1), &port) ||
      port == 0 || port > UINT16_MAX) {
    return Invalid("write tcp:127.0.0.1:PORT");
  }
  const std::string host(host_and_port.substr(0, colon));
  where.tcp.sin_family = AF_INET;
  where.tcp.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &where.tcp.sin_addr) != 1) {
    return Invalid("write tcp:127.0.0.1:PORT");
  }
  size = sizeof(where.tcp);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ClientLink>> ClientLink::Create(const std::string& address) {
  auto parsed = std::make_unique<Address>();
  parsed->text = address;
  absl::string_view rest = address;
  absl::Status status;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    status = parsed->ParseUnix(rest);
  } else if (absl::ConsumePrefix(&rest, "tcp:")) {
    status = parsed->ParseTcp(rest);
  } else {
    status = parsed->Invalid("write unix:PATH or tcp:127.0.0.1:PORT");
  }
  if (!status.ok()) return status;
  return std::unique_ptr<ClientLink>(new ClientLink(std::move(parsed)));
}

// The buffer is left uninitialised on purpose.
ClientLink::ClientLink(std::unique_ptr<Address> address)
    : address_(std::move(address)), received_(new std::byte[kReceiveBytes]) {}

ClientLink::~ClientLink() { Close(); }

absl::Status ClientLink::Connect() {
  Close();
  const int family = address_->where.any.sa_family;
  fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return address_->Failure(errno);
  // Both only make it faster.
  setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  const int on = 1;
  if (family == AF_INET) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd_, &address_->where.any, address_->size) == 0) return absl::OkStatus();
  if (errno == EINPROGRESS) {
    connecting_ = true;
    return absl::OkStatus();
  }
  const int error = errno;  // EAGAIN too: a Unix listener's backlog is full
  Close();
  return address_->Failure(error);
}

absl::StatusOr<bool> ClientLink::Connected() {
  if (!connecting_) return true;
  pollfd ready = {fd_, POLLOUT, 0};
  if (poll(&ready, 1, 0) <= 0) return false;
  int error = 0;
  socklen_t size = sizeof(error);
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    Close();
    return address_->Failure(error);
  }
  connecting_ = false;
  return true;
}

void ClientLink::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  connecting_ = false;
  filled_ = 0;
  taken_ = 0;
}

absl::StatusOr<size_t> ClientLink::Send(absl::Span<const absl::Span<const std::byte>> frames) {
  iovec pieces[kMaxGather];
  const size_t count = std::min(frames.size(), kMaxGather);
  for (size_t index = 0; index < count; ++index) {
    pieces[index] = {const_cast<std::byte*>(frames[index].data()), frames[index].size()};
  }
  msghdr message = {};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return size_t{0};
  return absl::UnavailableError(
      absl::StrCat("the connection to ", address_->text, " is lost: ", std::strerror(errno)));
}

absl::StatusOr<bool> ClientLink::Receive() {
  if (taken_ != 0) {
    std::memmove(received_.get(), received_.get() + taken_, filled_ - taken_);
    filled_ -= taken_;
    taken_ = 0;
  }
  const ssize_t count = recv(fd_, received_.get() + filled_, kReceiveBytes - filled_, MSG_DONTWAIT);
  if (count > 0) {
    filled_ += static_cast<size_t>(count);
    return true;
  }
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
  return absl::UnavailableError(
      absl::StrCat("the connection to ", address_->text,
                   " is lost: ", count == 0 ? "the server has closed it" : std::strerror(errno)));
}

absl::StatusOr<const protocol::Frame*> ClientLink::Next() {
  const absl::StatusOr<ReceivedFrame> next =
      ReadFrame(absl::MakeConstSpan(received_.get() + taken_, filled_ - taken_));
  if (!next.ok()) {
    return absl::Status(next.status().code(),
                        absl::StrCat("what answers at ", address_->text,
                                     " does not speak the protocol: ", next.status().message()));
  }
  if (next->frame != nullptr) taken_ += next->bytes;
  return next->frame;
}

void ClientLink::Wait(int64_t wait_ms, bool to_send) const {
  const short events = static_cast<short>(POLLIN | (to_send || connecting_ ? POLLOUT : 0));
  pollfd ready = {fd_, events, 0};  // poll(2) passes over a negative descriptor
  poll(&ready, 1, wait_ms < 0 ? -1 : static_cast<int>(std::min<int64_t>(wait_ms, INT_MAX)));
}

}  // namespace tallystick
