// What Unix sockets allow on this machine, without a ledger behind them: the limits of many small
// callers, of a lone one, and of a stream.

#include <benchmark/benchmark.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "api/frame.h"
#include "ledger/types.h"
#include "wal/check.h"
#include "wal/uring_io.h"

namespace tallystick::bench {
namespace {

// Both ends of a connection.
struct Pair {
  int client = -1;
  int server = -1;

  Pair() {
    int ends[2];
    TALLYSTICK_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    client = ends[0];
    server = ends[1];
  }
  ~Pair() {
    close(client);
    close(server);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
};

// Answers each request of `request_bytes` with `reply_bytes`, as a server on this project's own Io.
class Echo {
 public:
  Echo(const std::vector<std::unique_ptr<Pair>>& pairs, size_t request_bytes, size_t reply_bytes)
      : request_bytes_(request_bytes), reply_bytes_(reply_bytes) {
    for (const auto& pair : pairs) sockets_.push_back(pair->server);
    thread_ = std::thread([this] { Run(); });
  }
  // After the clients have shut their ends down.
  ~Echo() { thread_.join(); }

 private:
  struct Line {
    Echo* echo;
    wal::IoRequest receive;
    wal::IoRequest send;
    std::vector<std::byte> bytes;
  };

  void Run() {
    auto io = wal::UringIo::Create(256);
    TALLYSTICK_CHECK(io.ok());
    io_ = io->get();
    std::vector<Line> lines(sockets_.size());
    open_ = lines.size();
    for (size_t i = 0; i < lines.size(); ++i) {
      Line& line = lines[i];
      line.echo = this;
      line.bytes.resize(std::max(request_bytes_, reply_bytes_));
      line.receive.op = wal::IoOp::kReceive;
      line.send.op = wal::IoOp::kSend;
      for (wal::IoRequest* request : {&line.receive, &line.send}) {
        request->handle = sockets_[i];
        request->data = line.bytes.data();
        request->owner = &line;
      }
      line.receive.size = static_cast<uint32_t>(request_bytes_);
      line.send.size = static_cast<uint32_t>(reply_bytes_);
      line.receive.complete = [](wal::IoRequest& request) {
        Line& its = *static_cast<Line*>(request.owner);
        if (request.result <= 0) {
          --its.echo->open_;
        } else {
          its.echo->io_->Submit(its.send);
        }
      };
      line.send.complete = [](wal::IoRequest& request) {
        Line& its = *static_cast<Line*>(request.owner);
        its.echo->io_->Submit(its.receive);
      };
      io_->Submit(line.receive);
    }
    while (open_ != 0) io_->Poll(-1);
  }

  const size_t request_bytes_;
  const size_t reply_bytes_;
  std::vector<int> sockets_;
  std::thread thread_;
  wal::Io* io_ = nullptr;
  size_t open_ = 0;
};

// Callers that each wait for an answer before they ask again; one thread is all of them.
void Callers(benchmark::State& state) {
  const size_t request_bytes = SubmitFrameBytes(1);
  const size_t reply_bytes = ResultsFrameBytes(1);
  std::vector<std::unique_ptr<Pair>> pairs;
  std::vector<pollfd> ready;
  for (int64_t i = 0; i < state.range(0); ++i) {
    pairs.push_back(std::make_unique<Pair>());
    ready.push_back({pairs.back()->client, POLLIN, 0});
  }
  std::vector<std::byte> bytes(std::max(request_bytes, reply_bytes));
  int64_t answered = 0;
  {
    const Echo echo(pairs, request_bytes, reply_bytes);
    const auto ask = [&](int socket) {
      TALLYSTICK_CHECK(send(socket, bytes.data(), request_bytes, 0) ==
                       static_cast<ssize_t>(request_bytes));
    };
    for (const pollfd& one : ready) ask(one.fd);
    for ([[maybe_unused]] auto _ : state) {
      TALLYSTICK_CHECK(poll(ready.data(), ready.size(), -1) > 0);
      for (const pollfd& one : ready) {
        if (one.revents == 0) continue;
        TALLYSTICK_CHECK(recv(one.fd, bytes.data(), reply_bytes, 0) ==
                         static_cast<ssize_t>(reply_bytes));
        ask(one.fd);
        ++answered;
      }
    }
    for (const pollfd& one : ready) shutdown(one.fd, SHUT_WR);
  }
  state.SetItemsProcessed(answered);
}

// One direction, in pieces.
void Stream(benchmark::State& state) {
  const auto piece = static_cast<size_t>(state.range(0));
  const Pair pair;
  std::thread reader([&] {
    std::vector<std::byte> bytes(size_t{1} << 20);
    while (recv(pair.server, bytes.data(), bytes.size(), 0) > 0) {
    }
  });
  const std::vector<std::byte> bytes(piece);
  for ([[maybe_unused]] auto _ : state) {
    TALLYSTICK_CHECK(send(pair.client, bytes.data(), piece, 0) == static_cast<ssize_t>(piece));
  }
  state.SetBytesProcessed(static_cast<int64_t>(piece) * state.iterations());
  shutdown(pair.client, SHUT_WR);
  reader.join();
}

BENCHMARK(Callers)->Arg(1)->Arg(64)->UseRealTime();
BENCHMARK(Stream)->Arg(64 << 10)->UseRealTime();

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
