// A socket that says what a test wants it to, to a server or as one.

#ifndef TALLYSTICK_TESTS_API_RAW_SOCKET_H_
#define TALLYSTICK_TESTS_API_RAW_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "api/frame.h"

namespace tallystick {

// Blocking; gives up after 10 s, which fails the test that waits.
class RawSocket {
 public:
  explicit RawSocket(int fd) : fd_(fd) {}
  RawSocket(RawSocket&& other) noexcept;
  RawSocket& operator=(RawSocket&& other) noexcept;
  ~RawSocket();

  // "unix:PATH" or "tcp:127.0.0.1:PORT".
  static RawSocket Connect(const std::string& address);

  // False: the peer is gone.
  bool Send(absl::Span<const std::byte> bytes);
  bool Send(const FrameBuffer& frame) { return Send({frame.data(), frame.size()}); }
  // As much as the peer takes without reading on; returns how much that was.
  size_t SendUntilFull(const FrameBuffer& frame);
  // The next frame, valid until the next call; null: the peer has closed.
  const protocol::Frame* ReadFrame();
  // Whether nothing but the end follows.
  bool AtEnd();
  void FinishSending();  // half-close
  void Close();
  int fd() const { return fd_; }

 private:
  bool Fill(size_t size);

  int fd_;
  std::vector<uint64_t> words_;
  size_t filled_ = 0;
  size_t taken_ = 0;
};

// Listens on a Unix socket.
class RawListener {
 public:
  explicit RawListener(const std::string& path);
  ~RawListener();
  std::string address() const { return "unix:" + path_; }
  RawSocket Accept();

 private:
  std::string path_;
  int fd_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_RAW_SOCKET_H_
