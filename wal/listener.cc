#include "wal/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tallystick::wal {
namespace {

// Connections that the kernel holds until they are accepted; the kernel lowers it to
// net.core.somaxconn.
constexpr int kBacklog = 4096;
constexpr uint32_t kLoopbackNet = 127;

template <typename Address>
const sockaddr* AsSockaddr(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

absl::Status InvalidAddress(const std::string& address, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("cannot listen on \"", address, "\": ", why));
}

absl::Status ListenFailure(int error, const std::string& address) {
  const std::string what = absl::StrCat("cannot listen on ", address);
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        absl::StrCat(what, ": the address is in use; is another tallyd running on it?"));
  }
  return absl::ErrnoToStatus(error, what);
}

absl::StatusOr<sockaddr_un> ParseUnix(const std::string& address, absl::string_view path) {
  sockaddr_un parsed = {};
  parsed.sun_family = AF_UNIX;
  if (path.empty()) return InvalidAddress(address, "the path is missing");
  if (path.find('\0') != path.npos) return InvalidAddress(address, "a path has no zero bytes");
  if (path.size() >= sizeof(parsed.sun_path)) {
    return InvalidAddress(address,
                          absl::StrCat("the path is longer than the ", sizeof(parsed.sun_path) - 1,
                                       " bytes that a socket's may have; use a shorter one"));
  }
  std::memcpy(parsed.sun_path, path.data(), path.size());
  return parsed;
}

absl::StatusOr<sockaddr_in> ParseTcp(const std::string& address, absl::string_view host_and_port) {
  const size_t colon = host_and_port.rfind(':');
  if (colon == host_and_port.npos) return InvalidAddress(address, "write tcp:127.0.0.1:PORT");
  const std::string host(host_and_port.substr(0, colon));
  uint32_t port = 0;
  if (!absl::SimpleAtoi(host_and_port.substr(colon + 1), &port) || port > UINT16_MAX) {
    return InvalidAddress(address, "the port is a number from 0 (any) to 65535");
  }
  sockaddr_in parsed = {};
  parsed.sin_family = AF_INET;
  parsed.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &parsed.sin_addr) != 1) {
    return InvalidAddress(address, "write tcp:127.0.0.1:PORT");
  }
  if (ntohl(parsed.sin_addr.s_addr) >> 24 != kLoopbackNet) {
    return InvalidAddress(address,
                          "other machines could reach it, unencrypted; use tcp:127.0.0.1:PORT");
  }
  return parsed;
}

// Removes the socket file of a process that is gone.
absl::Status RemoveStaleSocket(const std::string& address, const sockaddr_un& where) {
  struct stat file;
  if (lstat(where.sun_path, &file) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ListenFailure(errno, address);
  }
  if (!S_ISSOCK(file.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat(
        "cannot listen on ", address, ": the path exists and is not a socket; choose another"));
  }
  // A probe that must not block: a full backlog answers EAGAIN, and means a live listener too.
  const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return ListenFailure(errno, address);
  const int error = connect(probe, AsSockaddr(where), sizeof(where)) == 0 ? 0 : errno;
  close(probe);
  if (error == EACCES || error == EPERM) return ListenFailure(error, address);
  if (error != ECONNREFUSED) return ListenFailure(EADDRINUSE, address);
  if (unlink(where.sun_path) != 0 && errno != ENOENT) return ListenFailure(errno, address);
  return absl::OkStatus();
}

template <typename Address>
absl::StatusOr<int> BindAndListen(const std::string& address, const Address& where) {
  const int fd = socket(AsSockaddr(where)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return ListenFailure(errno, address);
  absl::Cleanup close_on_failure = [fd] { close(fd); };
  if (AsSockaddr(where)->sa_family == AF_INET) {
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
      return ListenFailure(errno, address);
    }
  }
  if (bind(fd, AsSockaddr(where), sizeof(where)) != 0 || listen(fd, kBacklog) != 0) {
    return ListenFailure(errno, address);
  }
  std::move(close_on_failure).Cancel();
  return fd;
}

}  // namespace

absl::StatusOr<int> OpenListener(const std::string& address) {
  absl::string_view rest = address;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    const absl::StatusOr<sockaddr_un> where = ParseUnix(address, rest);
    if (!where.ok()) return where.status();
    if (absl::Status status = RemoveStaleSocket(address, *where); !status.ok()) return status;
    return BindAndListen(address, *where);
  }
  if (absl::ConsumePrefix(&rest, "tcp:")) {
    const absl::StatusOr<sockaddr_in> where = ParseTcp(address, rest);
    if (!where.ok()) return where.status();
    return BindAndListen(address, *where);
  }
  return InvalidAddress(address, "write unix:PATH or tcp:127.0.0.1:PORT");
}

absl::StatusOr<std::string> BoundAddress(int listener) {
  union {
    sockaddr any;
    sockaddr_in tcp;
    sockaddr_un local;
  } bound = {};
  socklen_t size = sizeof(bound);
  if (getsockname(listener, &bound.any, &size) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot tell the address of handle ", listener));
  }
  if (bound.any.sa_family == AF_UNIX) return absl::StrCat("unix:", bound.local.sun_path);
  char host[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &bound.tcp.sin_addr, host, sizeof(host));
  return absl::StrCat("tcp:", host, ":", ntohs(bound.tcp.sin_port));
}

}  // namespace tallystick::wal
