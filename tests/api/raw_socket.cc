#include "tests/api/raw_socket.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace tallystick {
namespace {

constexpr int kPatienceMs = 10'000;

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  EXPECT_LT(path.size(), sizeof(where.sun_path));
  std::memcpy(where.sun_path, path.data(), path.size());
  return where;
}

bool WaitToRead(int fd) {
  pollfd ready = {fd, POLLIN, 0};
  return poll(&ready, 1, kPatienceMs) == 1;
}

}  // namespace

RawSocket::RawSocket(RawSocket&& other) noexcept : fd_(-1) { *this = std::move(other); }

RawSocket& RawSocket::operator=(RawSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(words_, other.words_);
  std::swap(filled_, other.filled_);
  std::swap(taken_, other.taken_);
  return *this;
}

RawSocket::~RawSocket() { Close(); }

RawSocket RawSocket::Connect(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) {
    RawSocket connected(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un where = UnixAddress(address.substr(5));
    EXPECT_EQ(connect(connected.fd_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0)
        << address << ": " << std::strerror(errno);
    return connected;
  }
  RawSocket connected(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  EXPECT_EQ(connect(connected.fd_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0)
      << address << ": " << std::strerror(errno);
  return connected;
}

bool RawSocket::Send(absl::Span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

size_t RawSocket::SendUntilFull(const FrameBuffer& frame) {
  size_t total = 0;
  size_t offset = 0;
  pollfd ready = {fd_, POLLOUT, 0};
  // A peer that still reads makes room well within this time.
  while (poll(&ready, 1, 300) == 1) {
    const ssize_t sent =
        send(fd_, frame.data() + offset, frame.size() - offset, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) break;
    total += static_cast<size_t>(sent);
    offset = (offset + static_cast<size_t>(sent)) % frame.size();
  }
  return total;
}

const protocol::Frame* RawSocket::ReadFrame() {
  absl::StatusOr<ReceivedFrame> received = ReceivedFrame{};
  received->bytes = kFrameHeaderBytes;
  // Whole frames stay where they are; the next one begins at the front of the buffer.
  if (taken_ != 0) {
    std::memmove(words_.data(), reinterpret_cast<std::byte*>(words_.data()) + taken_,
                 filled_ - taken_);
    filled_ -= taken_;
    taken_ = 0;
  }
  do {
    if (!Fill(received->bytes)) return nullptr;
    received = tallystick::ReadFrame({reinterpret_cast<std::byte*>(words_.data()), filled_});
    EXPECT_TRUE(received.ok()) << received.status();
    if (!received.ok()) return nullptr;
  } while (received->frame == nullptr);
  taken_ = received->bytes;
  return received->frame;
}

// Until `size` bytes are there.
bool RawSocket::Fill(size_t size) {
  words_.resize(std::max(words_.size(), size / sizeof(uint64_t) + 1));
  while (filled_ < size) {
    if (!WaitToRead(fd_)) {
      ADD_FAILURE() << "nothing came within " << kPatienceMs << " ms";
      return false;
    }
    const ssize_t count =
        recv(fd_, reinterpret_cast<std::byte*>(words_.data()) + filled_, size - filled_, 0);
    if (count <= 0) return false;
    filled_ += static_cast<size_t>(count);
  }
  return true;
}

bool RawSocket::AtEnd() {
  std::byte byte;
  return filled_ == taken_ && WaitToRead(fd_) && recv(fd_, &byte, 1, 0) <= 0;
}

void RawSocket::FinishSending() { shutdown(fd_, SHUT_WR); }

void RawSocket::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

RawListener::RawListener(const std::string& path)
    : path_(path), fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  unlink(path.c_str());
  const sockaddr_un where = UnixAddress(path);
  EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  EXPECT_EQ(listen(fd_, 16), 0);
}

RawListener::~RawListener() {
  close(fd_);
  unlink(path_.c_str());
}

RawSocket RawListener::Accept() {
  EXPECT_TRUE(WaitToRead(fd_)) << "nobody connects";
  return RawSocket(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
}

}  // namespace tallystick
