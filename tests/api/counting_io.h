// An Io that counts the turns of its event loop.

#ifndef TALLYSTICK_TESTS_API_COUNTING_IO_H_
#define TALLYSTICK_TESTS_API_COUNTING_IO_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wal/io.h"

namespace tallystick {

class CountingIo : public wal::Io {
 public:
  CountingIo(std::unique_ptr<wal::Io> io, std::atomic<uint64_t>& polls)
      : io_(std::move(io)), polls_(polls) {}

  absl::string_view name() const override { return io_->name(); }
  int64_t WallMicros() override { return io_->WallMicros(); }
  int64_t MonotonicMicros() override { return io_->MonotonicMicros(); }
  absl::StatusOr<wal::Handle> Open(const std::string& path,
                                   const wal::OpenOptions& options) override {
    return io_->Open(path, options);
  }
  void Close(wal::Handle handle) override { io_->Close(handle); }
  absl::StatusOr<uint64_t> Size(wal::Handle handle) override { return io_->Size(handle); }
  absl::Status Resize(wal::Handle handle, uint64_t size) override {
    return io_->Resize(handle, size);
  }
  absl::StatusOr<size_t> ReadAt(wal::Handle handle, uint64_t offset, std::byte* data,
                                size_t size) override {
    return io_->ReadAt(handle, offset, data, size);
  }
  absl::Status WriteAt(wal::Handle handle, uint64_t offset, const std::byte* data,
                       size_t size) override {
    return io_->WriteAt(handle, offset, data, size);
  }
  absl::Status Sync(wal::Handle handle) override { return io_->Sync(handle); }
  absl::Status MakeDirectory(const std::string& path) override { return io_->MakeDirectory(path); }
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    return io_->List(path);
  }
  bool Exists(const std::string& path) override { return io_->Exists(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return io_->Rename(from, to);
  }
  absl::Status Remove(const std::string& path) override { return io_->Remove(path); }
  absl::Status SyncDirectory(const std::string& path) override { return io_->SyncDirectory(path); }
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override {
    return io_->FreeBytes(path);
  }
  absl::StatusOr<wal::Handle> Lock(const std::string& path) override { return io_->Lock(path); }
  absl::StatusOr<wal::IoBuffer> AllocateBuffer(size_t size) override {
    return io_->AllocateBuffer(size);
  }
  absl::StatusOr<wal::Handle> Listen(const std::string& address) override {
    return io_->Listen(address);
  }
  absl::StatusOr<std::string> LocalAddress(wal::Handle listener) override {
    return io_->LocalAddress(listener);
  }
  void Shutdown(wal::Handle socket) override { io_->Shutdown(socket); }
  void Submit(wal::IoRequest& request) override { io_->Submit(request); }
  size_t Poll(int64_t wait_us) override {
    polls_.fetch_add(1, std::memory_order_relaxed);
    return io_->Poll(wait_us);
  }
  void Wake() override { io_->Wake(); }

 private:
  const std::unique_ptr<wal::Io> io_;
  std::atomic<uint64_t>& polls_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_COUNTING_IO_H_
