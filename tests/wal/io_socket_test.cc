// Sockets of wal::Io, on every backend for a real host.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "tests/wal/host_backend.h"
#include "wal/io.h"

namespace tallystick::wal {
namespace {

using ::testing::HasSubstr;

// A blocking client, as another program would be.
int Connect(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) {
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    address.copy(where.sun_path, sizeof(where.sun_path) - 1, 5);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
    return fd;
  }
  uint32_t port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  sockaddr_in where = {};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
  return fd;
}

class HostSocket : public HostBackend {
 protected:
  // Both kinds of address, ready to be listened on.
  std::vector<std::string> Addresses() const {
    return {"unix:" + Path("socket"), "tcp:127.0.0.1:0"};
  }

  struct Pair {
    Handle listener = kNoHandle;
    Handle server = kNoHandle;
    int client = -1;
  };
  Pair ConnectedPair(const std::string& address) {
    Pair pair;
    const auto listener = io_->Listen(address);
    EXPECT_TRUE(listener.ok()) << listener.status();
    pair.listener = *listener;
    Request accept(IoOp::kAccept, pair.listener);
    io_->Submit(accept);
    EXPECT_EQ(io_->Poll(0), 0u) << "nobody has connected yet";
    pair.client = Connect(*io_->LocalAddress(pair.listener));
    pair.server = Finish(accept);
    EXPECT_GE(pair.server, 0);
    return pair;
  }
  void Close(const Pair& pair) {
    close(pair.client);
    io_->Close(pair.server);
    io_->Close(pair.listener);
  }
};

INSTANTIATE_TEST_SUITE_P(Io, HostSocket,
                         testing::Values(Backend::kUringDeferred, Backend::kUringCooperative,
                                         Backend::kUringInterrupting, Backend::kPosix),
                         [](const auto& info) { return NameOf(info.param); });

// Sends `total` bytes in pieces of an odd size, each of which must come back before the next; how
// many did.
size_t SendAndCompare(int fd, size_t total) {
  std::vector<std::byte> sent(60'001);
  std::vector<std::byte> received(sent.size());
  size_t done = 0;
  while (done < total) {
    const size_t size = std::min(sent.size(), total - done);
    Fill(sent.data(), size, static_cast<uint32_t>(done));
    if (send(fd, sent.data(), size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) return done;
    if (recv(fd, received.data(), size, MSG_WAITALL) != static_cast<ssize_t>(size)) return done;
    if (std::memcmp(sent.data(), received.data(), size) != 0) return done;
    done += size;
  }
  shutdown(fd, SHUT_WR);
  return done;
}

TEST_P(HostSocket, EchoesAMebibyteInPieces) {
  constexpr size_t kTotal = size_t{1} << 20;
  constexpr uint32_t kBufferBytes = 16'384;
  std::byte* const data = Buffer(kBufferBytes);
  for (const std::string& address : Addresses()) {
    SCOPED_TRACE(address);
    const Pair pair = ConnectedPair(address);
    size_t compared = 0;
    std::thread client([&] { compared = SendAndCompare(pair.client, kTotal); });
    while (true) {
      const int32_t received = Run(Request(IoOp::kReceive, pair.server, data, kBufferBytes));
      EXPECT_GE(received, 0) << std::strerror(-received);
      if (received <= 0) break;
      for (int32_t sent = 0; sent < received;) {
        const auto left = static_cast<uint32_t>(received - sent);
        const int32_t count = Run(Request(IoOp::kSend, pair.server, data + sent, left));
        EXPECT_GT(count, 0);
        if (count <= 0) break;
        sent += count;
      }
    }
    client.join();
    EXPECT_EQ(compared, kTotal);
    Close(pair);
  }
}

TEST_P(HostSocket, SendWaitsForAReaderWhoIsSlow) {
  constexpr uint32_t kSize = 1 << 20;
  constexpr size_t kTotal = size_t{16} << 20;
  std::byte* const data = Buffer(kSize);
  for (const std::string& address : Addresses()) {
    SCOPED_TRACE(address);
    const Pair pair = ConnectedPair(address);
    // Until the kernel's buffers are full.
    size_t sent = 0;
    Request send(IoOp::kSend, pair.server, data, kSize);
    while (true) {
      send.completions = 0;
      io_->Submit(send);
      if (io_->Poll(0) == 0) break;
      ASSERT_GT(send.result, 0);
      sent += static_cast<size_t>(send.result);
      ASSERT_LT(sent, kTotal) << "the socket takes everything";
    }
    EXPECT_FALSE(send.done());
    std::thread reader([&] {
      std::vector<std::byte> received(kSize);
      while (recv(pair.client, received.data(), received.size(), 0) > 0) continue;
    });
    EXPECT_GT(Finish(send), 0);
    io_->Shutdown(pair.server);
    reader.join();
    Close(pair);
  }
}

TEST_P(HostSocket, PeerThatClosesIsSeenAsZeroThenAsAnError) {
  std::byte data[8] = {};
  for (const std::string& address : Addresses()) {
    SCOPED_TRACE(address);
    const Pair pair = ConnectedPair(address);
    Request receive(IoOp::kReceive, pair.server, data, sizeof(data));
    io_->Submit(receive);
    EXPECT_EQ(io_->Poll(0), 0u);
    close(pair.client);
    EXPECT_EQ(Finish(receive), 0);
    // The first may still be taken; no SIGPIPE comes of the second.
    Run(Request(IoOp::kSend, pair.server, data, sizeof(data)));
    EXPECT_EQ(Run(Request(IoOp::kSend, pair.server, data, sizeof(data))), -EPIPE);
    io_->Close(pair.server);
    io_->Close(pair.listener);
  }
}

TEST_P(HostSocket, ShutdownCompletesWhatIsUnderWay) {
  std::byte data[8] = {};
  for (const std::string& address : Addresses()) {
    SCOPED_TRACE(address);
    const Pair pair = ConnectedPair(address);
    Request receive(IoOp::kReceive, pair.server, data, sizeof(data));
    Request accept(IoOp::kAccept, pair.listener);
    io_->Submit(receive);
    io_->Submit(accept);
    EXPECT_EQ(io_->Poll(0), 0u);
    io_->Shutdown(pair.server);
    EXPECT_EQ(Finish(receive), 0);
    io_->Shutdown(pair.listener);
    EXPECT_LT(Finish(accept), 0);
    Close(pair);
  }
}

TEST_P(HostSocket, StaleSocketIsReplacedAndLiveOneIsRefused) {
  const std::string address = "unix:" + Path("socket");
  const Handle first = *io_->Listen(address);
  EXPECT_EQ(*io_->LocalAddress(first), address);
  const absl::Status live = io_->Listen(address).status();
  EXPECT_TRUE(absl::IsAlreadyExists(live)) << live;
  EXPECT_THAT(Message(live), HasSubstr("is another tallyd running on it?"));
  io_->Close(first);
  ASSERT_TRUE(io_->Exists(Path("socket"))) << "what a process that died leaves";
  const auto second = io_->Listen(address);
  ASSERT_TRUE(second.ok()) << second.status();
  close(Connect(address));
  io_->Close(*second);
}

TEST_P(HostSocket, PathThatIsNoSocketIsLeftAlone) {
  io_->Close(OpenNew("file"));
  const absl::Status status = io_->Listen("unix:" + Path("file")).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_TRUE(io_->Exists(Path("file")));
}

TEST_P(HostSocket, TcpPortInUseIsRefused) {
  const Handle first = *io_->Listen("tcp:127.0.0.1:0");
  const std::string address = *io_->LocalAddress(first);
  EXPECT_THAT(address, testing::MatchesRegex("tcp:127\\.0\\.0\\.1:[1-9][0-9]*"));
  const absl::Status status = io_->Listen(address).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_THAT(Message(status), HasSubstr(address));
  io_->Close(first);
}

TEST_P(HostSocket, AddressThatIsNotOneIsRefusedWithASentence) {
  const std::string long_path(200, 'x');
  for (const std::string& address :
       {std::string("tcp:0.0.0.0:0"), std::string("tcp:192.168.1.1:80"),
        std::string("tcp:localhost:80"), std::string("tcp:127.0.0.1"),
        std::string("tcp:127.0.0.1:65536"), std::string("tcp:127.0.0.1:x"),
        std::string("udp:127.0.0.1:80"), std::string("unix:"), "unix:" + long_path,
        std::string()}) {
    const absl::Status status = io_->Listen(address).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << address << ": " << status;
    EXPECT_THAT(Message(status), HasSubstr("\"" + address + "\""));
  }
  EXPECT_TRUE(absl::IsNotFound(io_->Listen("unix:" + Path("none/socket")).status()));
  const Handle file = OpenNew("file");
  EXPECT_FALSE(io_->LocalAddress(file).ok());
  io_->Close(file);
}

}  // namespace
}  // namespace tallystick::wal
