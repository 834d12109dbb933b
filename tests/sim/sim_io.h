// An Io for tests: one thread, a disk in memory, clocks that obey, and every fault on request.
//
// All that is random follows from the seed. Requests complete in random order, in random turns of
// Poll. What an Io promises to be durable is; everything else may be lost, torn or kept by Crash.

#ifndef TALLYSTICK_TESTS_SIM_SIM_IO_H_
#define TALLYSTICK_TESTS_SIM_SIM_IO_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/sim_disk.h"
#include "wal/io.h"

namespace tallystick::sim {

struct SimOptions {
  uint64_t seed = 1;
  uint32_t short_write_percent = 0;  // of the asynchronous writes
  uint32_t short_read_percent = 0;   // of the asynchronous reads
  uint32_t late_percent = 50;        // of the requests that could complete in a turn and do not
};

// Where in an operation the power goes.
enum class CrashPoint : uint8_t { kBefore, kMiddle, kAfter };

class SimIo : public wal::Io {
 public:
  explicit SimIo(const SimOptions& options);
  ~SimIo() override;

  // ---- faults ----
  // Each operation that changes the disk is a boundary: a write (of either plane, a shortened one
  // counts too), a sync, a new length, a creation, a renaming, a removal. Counted from 1.
  uint64_t boundaries() const { return boundaries_; }
  // Cuts the power at that boundary. From then on everything fails, until Crash().
  void CrashAt(uint64_t boundary, CrashPoint point);
  bool powered() const { return powered_; }
  // Cuts the power, unless it is off already, and switches on again. Handles and locks are gone;
  // requests under way complete with ECANCELED at the next Poll.
  void Crash();
  // The process dies, the machine lives: what was written is still seen, synced or not. Of the
  // writes under way any may still land.
  void KillProcess();
  // The nth read, write or sync from now, on files whose path ends so, fails; nothing of it is
  // done.
  void FailRead(uint64_t nth, int error, const std::string& path_suffix = "");
  void FailWrite(uint64_t nth, int error, const std::string& path_suffix = "");
  void FailSync(uint64_t nth, int error, const std::string& path_suffix = "");
  void SetDiskBytes(uint64_t bytes) { disk_.SetLimitBytes(bytes); }

  // What a file holds, to read, cut and flip. It must exist.
  std::vector<std::byte>& Contents(const std::string& path);
  // Puts a file there, durable.
  void AddFile(const std::string& path, std::vector<std::byte> content);

  void AdvanceMicros(int64_t us);  // both clocks
  void SetWallMicros(int64_t us) { wall_us_ = us; }
  size_t pending() const { return pending_.size(); }
  bool TakeWake();  // whether Wake was called since the last time

  // ---- Io ----
  absl::string_view name() const override { return "sim"; }
  int64_t WallMicros() override { return wall_us_; }
  int64_t MonotonicMicros() override { return monotonic_us_; }
  absl::StatusOr<wal::Handle> Open(const std::string& path,
                                   const wal::OpenOptions& options) override;
  void Close(wal::Handle handle) override;
  absl::StatusOr<uint64_t> Size(wal::Handle handle) override;
  absl::Status Resize(wal::Handle handle, uint64_t size) override;
  absl::StatusOr<size_t> ReadAt(wal::Handle handle, uint64_t offset, std::byte* data,
                                size_t size) override;
  absl::Status WriteAt(wal::Handle handle, uint64_t offset, const std::byte* data,
                       size_t size) override;
  absl::Status Sync(wal::Handle handle) override;
  absl::Status MakeDirectory(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  bool Exists(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status SyncDirectory(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;
  absl::StatusOr<wal::Handle> Lock(const std::string& path) override;
  absl::StatusOr<wal::IoBuffer> AllocateBuffer(size_t size) override;
  absl::StatusOr<wal::Handle> Listen(const std::string& address) override;  // Unimplemented
  absl::StatusOr<std::string> LocalAddress(wal::Handle listener) override;  // Unimplemented
  void Shutdown(wal::Handle) override {}
  void Submit(wal::IoRequest& request) override;
  // Never waits; a caller who would have waited gets at least one completion if there can be one.
  size_t Poll(int64_t wait_us) override;
  void Wake() override { woken_ = true; }

 private:
  struct OpenFile {
    std::shared_ptr<SimFile> file;
    wal::OpenOptions options;
  };
  struct Pending {
    wal::IoRequest* request;
    uint64_t id;
    uint64_t sequence;  // the disk's, when it was submitted
  };
  struct Fault {
    uint64_t countdown = 0;  // 0: none
    int error = 0;
    std::string path_suffix;

    int Strike(const std::string& path);  // the error, or 0
  };
  enum class Step : uint8_t { kDo, kNothing, kTear, kDoAndDie };

  Step Cross();
  void CutPower();
  void EndProcess();
  absl::Status PowerOff(const std::string& path) const;
  OpenFile* Get(wal::Handle handle);
  int32_t Read(OpenFile& open, uint64_t offset, std::byte* data, size_t size);
  int32_t Write(OpenFile& open, uint64_t offset, const std::byte* data, size_t size, bool dsync);
  int32_t SyncFile(OpenFile& open, uint64_t sequence);
  int32_t Execute(const Pending& pending);
  size_t Complete(uint64_t id);

  const SimOptions options_;
  SimDisk disk_;
  std::map<wal::Handle, OpenFile> open_;
  std::map<wal::Handle, std::string> locks_;
  wal::Handle next_handle_ = 1;
  std::vector<Pending> pending_;
  std::vector<wal::IoRequest*> orphans_;  // of processes that are no more
  uint64_t next_id_ = 1;
  struct Freed {
    void operator()(std::byte* data) const;
  };
  std::vector<std::unique_ptr<std::byte[], Freed>> buffers_;

  bool powered_ = true;
  uint64_t boundaries_ = 0;
  uint64_t crash_at_ = 0;
  CrashPoint crash_point_ = CrashPoint::kBefore;
  Fault read_fault_;
  Fault write_fault_;
  Fault sync_fault_;
  int64_t wall_us_ = 1'700'000'000'000'000;
  int64_t monotonic_us_ = 1'000'000;
  bool woken_ = false;
};

}  // namespace tallystick::sim

#endif  // TALLYSTICK_TESTS_SIM_SIM_IO_H_
