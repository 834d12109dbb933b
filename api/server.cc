#include "api/server.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/connection.h"
#include "api/dispatcher.h"
#include "api/worker.h"
#include "wal/io.h"

namespace tallystick {
namespace {

// Connections beyond the limit that are being told so; more are closed without a word.
constexpr uint32_t kMaxRefusals = 64;
// How often a thread that waits makes idle workers look at the time.
constexpr auto kWakeInterval = std::chrono::milliseconds(50);

class Port;

// What the ports of a server share with each other and with the thread that starts and stops them.
// Tasks that are posted to workers keep it alive.
struct Shared : std::enable_shared_from_this<Shared> {
  explicit Shared(ServerOptions the_options) : options(std::move(the_options)) {}

  const ServerOptions options;
  std::vector<std::unique_ptr<Port>> ports;  // of worker 0, which listens, first
  std::atomic<uint32_t> connections{0};      // from their accept on
  std::atomic<bool> accept_paused{false};

  std::mutex mutex;
  std::condition_variable changed;
  uint32_t tasks_done = 0;  // of those that are waited for
  uint32_t ports_stopped = 0;
  std::atomic<bool> workers_end{false};  // the ledger is being closed
  absl::Status listening;
  std::string address;
  ServerInfo info;

  // Changes something that is waited for.
  template <typename Change>
  void Update(Change change) {
    const std::lock_guard<std::mutex> lock(mutex);
    change();
    changed.notify_all();
  }
  // Runs `task` on the port's thread.
  template <typename Task>
  void Post(Port& port, Task task);
};

// A worker's connections, and on worker 0 the listener.
class Port final : public Service {
 public:
  Port(Worker& worker, Shared& shared)
      : shared_(shared),
        io_(worker.io()),
        context_{.worker = worker,
                 .server = shared.options.name,
                 .builder = flatbuffers::FlatBufferBuilder(),
                 .ready = {}} {
    accept_.op = wal::IoOp::kAccept;
    accept_.complete = &OnAccepted;
    accept_.owner = this;
  }

  Worker& worker() { return context_.worker; }

  absl::Status Listen(const std::string& address);
  void Accept();
  void ResumeAccepting();
  void Adopt(wal::Handle socket);

  void BeginStop();

  void Turn() override;
  void Stop() override;
  bool Stopped() const override {
    return stopping_ && connections_.empty() && listener_ == wal::kNoHandle;
  }

 private:
  static void OnAccepted(wal::IoRequest& request);
  void HandOver(wal::Handle socket);
  void PauseAccepting();
  Connection& Add(wal::Handle socket);
  void CloseListener();
  void ConnectionEnded();
  void ReportStopped();

  Shared& shared_;
  wal::Io& io_;
  ConnectionContext context_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  wal::Handle listener_ = wal::kNoHandle;
  std::string path_;  // of a Unix socket, removed at the end
  wal::IoRequest accept_;
  bool accepting_ = false;
  size_t next_port_ = 0;  // that gets a connection
  bool stopping_ = false;
  bool reported_ = false;
  int64_t deadline_us_ = 0;
};

template <typename Task>
void Shared::Post(Port& port, Task task) {
  port.worker().Post([self = shared_from_this(), &port, task] { task(port); });
}

absl::Status Port::Listen(const std::string& address) {
  const absl::StatusOr<wal::Handle> listener = io_.Listen(address);
  if (!listener.ok()) return listener.status();
  const absl::StatusOr<std::string> bound = io_.LocalAddress(*listener);
  if (!bound.ok()) {
    io_.Close(*listener);
    return bound.status();
  }
  listener_ = *listener;
  shared_.address = *bound;
  absl::string_view path = *bound;
  if (absl::ConsumePrefix(&path, "unix:")) path_ = std::string(path);
  shared_.info = context_.worker.dispatcher().info();
  shared_.info.server = context_.server;
  return absl::OkStatus();
}

void Port::Accept() {
  accept_.handle = listener_;
  accepting_ = true;
  io_.Submit(accept_);
}

void Port::OnAccepted(wal::IoRequest& request) {
  auto& self = *static_cast<Port*>(request.owner);
  self.accepting_ = false;
  if (request.result >= 0) self.HandOver(request.result);
  if (self.stopping_) {
    self.CloseListener();
  } else if (request.result == -EMFILE || request.result == -ENFILE || request.result == -ENOBUFS ||
             request.result == -ENOMEM) {
    self.PauseAccepting();
  } else {
    self.Accept();  // other errors are of one peer that is gone again
  }
}

// Out of descriptors or memory: accepting goes on when a connection has ended.
void Port::PauseAccepting() {
  shared_.accept_paused = true;
  if (shared_.connections == 0) ResumeAccepting();
}

void Port::ResumeAccepting() {
  if (shared_.accept_paused.exchange(false) && !stopping_) Accept();
}

void Port::HandOver(wal::Handle socket) {
  const uint32_t others = shared_.connections.fetch_add(1);
  if (others >= shared_.options.max_connections + kMaxRefusals) {
    io_.Close(socket);
    return ConnectionEnded();
  }
  if (others >= shared_.options.max_connections) {
    return Add(socket).Refuse(absl::StrCat("the server has ", shared_.options.max_connections,
                                           " connections, its limit; try again later"));
  }
  Port& port = *shared_.ports[next_port_++ % shared_.ports.size()];
  if (&port == this) return Adopt(socket);
  shared_.Post(port, [socket](Port& its) { its.Adopt(socket); });
}

void Port::Adopt(wal::Handle socket) {
  if (!stopping_) return Add(socket).Start();
  io_.Close(socket);
  ConnectionEnded();
}

Connection& Port::Add(wal::Handle socket) {
  auto connection = std::make_unique<Connection>(context_, socket);
  Connection& added = *connection;
  connections_.emplace(&added, std::move(connection));
  return added;
}

void Port::Turn() {
  if (stopping_ && io_.MonotonicMicros() >= deadline_us_) {
    for (auto& [connection, owned] : connections_) connection->Abort();
  }
  // A connection that answers at once, or is aborted, comes back behind.
  for (size_t index = 0; index < context_.ready.size(); ++index) context_.ready[index]->Turn();
  for (Connection* connection : context_.ready) {
    // It may be listed twice.
    const auto found = connections_.find(connection);
    if (found == connections_.end() || !found->second->finished()) continue;
    connections_.erase(found);
    ConnectionEnded();
  }
  context_.ready.clear();
  ReportStopped();
}

void Port::Stop() {
  shared_.Update([&] { shared_.workers_end = true; });
  BeginStop();
}

void Port::BeginStop() {
  if (stopping_) return;
  stopping_ = true;
  deadline_us_ = io_.MonotonicMicros() + shared_.options.stop_ms * 1000;
  if (listener_ != wal::kNoHandle) {
    // First, so that a server that takes over the path doesn't lose its own socket.
    if (!path_.empty()) io_.Remove(path_).IgnoreError();
    if (accepting_) {
      io_.Shutdown(listener_);
    } else {
      CloseListener();
    }
  }
  for (auto& [connection, owned] : connections_) connection->End();
  ReportStopped();
}

void Port::CloseListener() {
  io_.Close(listener_);
  listener_ = wal::kNoHandle;
}

void Port::ConnectionEnded() {
  shared_.Update([&] { --shared_.connections; });
  if (!shared_.accept_paused) return;
  shared_.Post(*shared_.ports[0], [](Port& listening) { listening.ResumeAccepting(); });
}

void Port::ReportStopped() {
  if (reported_ || !Stopped()) return;
  reported_ = true;
  shared_.Update([&] { ++shared_.ports_stopped; });
}

}  // namespace

struct Server::State {
  // Returns when `done`, which is called under the lock.
  template <typename Done>
  void WaitUntil(Done done);
  // Runs `task` on the threads of the first `count` ports, and waits until it has run.
  void Run(size_t count, const std::function<void(Port&)>& task);

  std::shared_ptr<Shared> shared;
  bool stopped = false;
};

template <typename Done>
void Server::State::WaitUntil(Done done) {
  std::unique_lock<std::mutex> lock(shared->mutex);
  while (!done()) {
    if (shared->options.step) {
      lock.unlock();
      shared->options.step();
      lock.lock();
    } else if (!shared->changed.wait_for(lock, kWakeInterval, done)) {
      lock.unlock();
      for (auto& port : shared->ports) shared->Post(*port, [](Port&) {});
      lock.lock();
    }
  }
}

void Server::State::Run(size_t count, const std::function<void(Port&)>& task) {
  shared->Update([&] { shared->tasks_done = 0; });
  for (size_t index = 0; index < count; ++index) {
    shared->Post(*shared->ports[index], [this, task](Port& port) {
      task(port);
      shared->Update([&] { ++shared->tasks_done; });
    });
  }
  WaitUntil([&] { return shared->tasks_done == count; });
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Ledger& ledger, const std::string& address,
                                                      ServerOptions options) {
  auto state = std::make_unique<State>();
  state->shared = std::make_shared<Shared>(std::move(options));
  Shared& shared = *state->shared;
  for (uint16_t index = 0; index < ledger.worker_count(); ++index) {
    shared.ports.push_back(std::make_unique<Port>(ledger.worker(index), shared));
  }
  state->Run(1, [&](Port& port) { shared.listening = port.Listen(address); });
  if (!shared.listening.ok()) return shared.listening;
  state->Run(shared.ports.size(), [](Port& port) { port.worker().AddService(&port); });
  state->Run(1, [](Port& port) { port.Accept(); });
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { Stop(); }

std::string Server::address() const { return state_->shared->address; }

const ServerInfo& Server::info() const { return state_->shared->info; }

uint32_t Server::connections() const { return state_->shared->connections; }

void Server::Stop() {
  if (std::exchange(state_->stopped, true)) return;
  Shared& shared = *state_->shared;
  const size_t count = shared.ports.size();
  if (!shared.workers_end) {
    for (auto& port : shared.ports) shared.Post(*port, [](Port& its) { its.BeginStop(); });
  }
  state_->WaitUntil([&] { return shared.ports_stopped == count && shared.connections == 0; });
  if (shared.workers_end) return;
  state_->Run(count, [](Port& port) { port.worker().RemoveService(&port); });
}

}  // namespace tallystick
