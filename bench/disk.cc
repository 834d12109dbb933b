#include "bench/disk.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "wal/host_io.h"

namespace tallystick::bench {
namespace {

constexpr uint64_t kFileBytes = uint64_t{512} << 20;

}  // namespace

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

Folder::Folder(const std::string& name) {
  const char* parent = std::getenv("TALLYSTICK_BENCH_FOLDER");
  path_ = std::string(parent != nullptr ? parent : ".") + "/" + name + ".XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) Must(absl::ErrnoToStatus(errno, path_));
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

RawWriter::RawWriter(const std::string& path, size_t block, size_t depth)
    : io_(Must(wal::CreateHostIo()).io), block_(block), requests_(depth) {
  wal::Handle file = Must(io_->Open(path, {.write = true, .create = true}));
  const std::vector<std::byte> zeros(size_t{4} << 20);
  for (uint64_t at = 0; at < kFileBytes; at += zeros.size()) {
    Must(io_->WriteAt(file, at, zeros.data(), zeros.size()));
  }
  Must(io_->Sync(file));
  io_->Close(file);
  file_ = Must(io_->Open(path, {.write = true, .direct = true, .dsync = true}));
  for (wal::IoRequest& request : requests_) {
    request.op = wal::IoOp::kWrite;
    request.handle = file_;
    request.data = Must(io_->AllocateBuffer(block)).data;
    std::memset(request.data, 0x5a, block);
    request.size = static_cast<uint32_t>(block);
    request.owner = this;
    request.complete = [](wal::IoRequest& done) {
      auto& self = *static_cast<RawWriter*>(done.owner);
      if (done.result != static_cast<int32_t>(done.size)) {
        Must(absl::DataLossError("a write was short or failed"));
      }
      self.free_.push_back(&done);
    };
    free_.push_back(&request);
  }
}

RawWriter::~RawWriter() {
  Drain();
  io_->Close(file_);
}

void RawWriter::Write(size_t bytes) {
  for (size_t written = 0; written < bytes; written += block_) {
    while (free_.empty()) io_->Poll(-1);
    wal::IoRequest* request = free_.back();
    free_.pop_back();
    if (at_ + block_ > kFileBytes) at_ = 0;
    request->offset = at_;
    at_ += block_;
    io_->Submit(*request);
    io_->Poll(0);
  }
  Drain();
}

void RawWriter::Drain() {
  while (free_.size() < requests_.size()) io_->Poll(-1);
}

}  // namespace tallystick::bench
