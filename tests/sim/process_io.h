// What one process sees of the simulated machine.
//
// The workers of a ledger share its disk and its clocks. After the process has died, nothing that
// it still does reaches the disk.

#ifndef TALLYSTICK_TESTS_SIM_PROCESS_IO_H_
#define TALLYSTICK_TESTS_SIM_PROCESS_IO_H_

#include <string>
#include <vector>

#include "tests/sim/sim_io.h"
#include "wal/io.h"

namespace tallystick::sim {

struct Process {
  bool dead = false;
  int64_t asked_wait_us = 0;  // by the last Poll
};

class ProcessIo : public wal::Io {
 public:
  ProcessIo(SimIo& machine, Process& process) : machine_(machine), process_(process) {}

  absl::string_view name() const override { return machine_.name(); }
  int64_t WallMicros() override { return machine_.WallMicros(); }
  int64_t MonotonicMicros() override { return machine_.MonotonicMicros(); }

  absl::StatusOr<wal::Handle> Open(const std::string& path,
                                   const wal::OpenOptions& options) override {
    if (process_.dead) return Dead();
    return machine_.Open(path, options);
  }
  absl::Status MakeDirectory(const std::string& path) override {
    return process_.dead ? Dead() : machine_.MakeDirectory(path);
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    if (process_.dead) return Dead();
    return machine_.List(path);
  }
  bool Exists(const std::string& path) override { return !process_.dead && machine_.Exists(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return process_.dead ? Dead() : machine_.Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override {
    return process_.dead ? Dead() : machine_.Remove(path);
  }
  absl::Status SyncDirectory(const std::string& path) override {
    return process_.dead ? Dead() : machine_.SyncDirectory(path);
  }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    if (process_.dead) return Dead();
    return machine_.FreeBytes(path);
  }
  absl::StatusOr<wal::Handle> Lock(const std::string& path) override {
    if (process_.dead) return Dead();
    return machine_.Lock(path);
  }

  // The machine knows no handle of a process that has died.
  void Close(wal::Handle handle) override { machine_.Close(handle); }
  absl::StatusOr<uint64_t> Size(wal::Handle handle) override { return machine_.Size(handle); }
  absl::Status Resize(wal::Handle handle, uint64_t size) override {
    return machine_.Resize(handle, size);
  }
  absl::StatusOr<size_t> ReadAt(wal::Handle handle, uint64_t offset, std::byte* data,
                                size_t size) override {
    return machine_.ReadAt(handle, offset, data, size);
  }
  absl::Status WriteAt(wal::Handle handle, uint64_t offset, const std::byte* data,
                       size_t size) override {
    return machine_.WriteAt(handle, offset, data, size);
  }
  absl::Status Sync(wal::Handle handle) override { return machine_.Sync(handle); }
  absl::StatusOr<wal::IoBuffer> AllocateBuffer(size_t size) override {
    return machine_.AllocateBuffer(size);
  }
  absl::StatusOr<wal::Handle> Listen(const std::string& address) override {
    return machine_.Listen(address);
  }
  absl::StatusOr<std::string> LocalAddress(wal::Handle listener) override {
    return machine_.LocalAddress(listener);
  }
  void Shutdown(wal::Handle socket) override { machine_.Shutdown(socket); }
  void Submit(wal::IoRequest& request) override { machine_.Submit(request); }
  size_t Poll(int64_t wait_us) override {
    process_.asked_wait_us = wait_us;
    return machine_.Poll(wait_us);
  }
  void Wake() override { machine_.Wake(); }

 private:
  static absl::Status Dead() { return absl::UnavailableError("the process has died"); }

  SimIo& machine_;
  Process& process_;
};

}  // namespace tallystick::sim

#endif  // TALLYSTICK_TESTS_SIM_PROCESS_IO_H_
