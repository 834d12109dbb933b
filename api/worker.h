// One thread's event loop: its Io, its shards, its mailboxes to and from the other workers, and
// whatever else lives on it (a server's connections).

#ifndef TALLYSTICK_API_WORKER_H_
#define TALLYSTICK_API_WORKER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "wal/io.h"

namespace tallystick {

class Dispatcher;

// Something that lives on a worker's loop beside its shards.
class Service {
 public:
  virtual ~Service() = default;
  // On the worker's thread. Once a turn, after completions and shards: send what has been gathered.
  virtual void Turn() = 0;
  // The worker is about to end: stop taking requests, and finish. Called once.
  virtual void Stop() = 0;
  // Nothing of it is under way any more. Asked after Stop.
  virtual bool Stopped() const = 0;
};

class Worker {
 public:
  virtual ~Worker() = default;
  virtual uint16_t index() const = 0;
  virtual wal::Io& io() = 0;
  virtual Dispatcher& dispatcher() = 0;
  // From any thread: runs `task` on the worker's thread, soon.
  virtual void Post(std::function<void()> task) = 0;
  // On the worker's thread (through Post). The service outlives its last Turn.
  virtual void AddService(Service* service) = 0;
  virtual void RemoveService(Service* service) = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_WORKER_H_
