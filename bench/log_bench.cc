// What the log costs: checksums and hashes of memory, and appending blocks to a real file beside
// bare writes of the same size, as durable, to the same disk in the same run.
//
// Files lie in a temporary folder of the working directory, or of TALLYSTICK_BENCH_FOLDER.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "wal/checksum.h"
#include "wal/host_io.h"
#include "wal/log_writer.h"

namespace tallystick::bench {
namespace {

using wal::IoRequest;

constexpr size_t kSlotBytes = sizeof(wal::Slot);
constexpr uint64_t kFileBytes = uint64_t{512} << 20;
// Bytes written in one iteration.
constexpr size_t kPortionBytes = size_t{64} << 20;

template <typename Value>
Value Must(absl::StatusOr<Value> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::abort();
}
void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

class Folder {
 public:
  Folder() {
    const char* parent = std::getenv("TALLYSTICK_BENCH_FOLDER");
    path_ = std::string(parent != nullptr ? parent : ".") + "/log_bench.XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) Must(absl::ErrnoToStatus(errno, path_));
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Path(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Writes of `block` bytes one behind the other, `depth` of them in flight, each durable when it
// completes, over a file that was written before: what a log could reach if it cost nothing.
class RawWriter {
 public:
  RawWriter(const std::string& path, size_t block, size_t depth)
      : io_(Must(wal::CreateHostIo()).io), block_(block), requests_(depth) {
    wal::Handle file = Must(io_->Open(path, {.write = true, .create = true}));
    const std::vector<std::byte> zeros(size_t{4} << 20);
    for (uint64_t at = 0; at < kFileBytes; at += zeros.size()) {
      Must(io_->WriteAt(file, at, zeros.data(), zeros.size()));
    }
    Must(io_->Sync(file));
    io_->Close(file);
    file_ = Must(io_->Open(path, {.write = true, .direct = true, .dsync = true}));
    for (IoRequest& request : requests_) {
      request.op = wal::IoOp::kWrite;
      request.handle = file_;
      request.data = Must(io_->AllocateBuffer(block)).data;
      std::memset(request.data, 0x5a, block);
      request.size = static_cast<uint32_t>(block);
      request.owner = this;
      request.complete = [](IoRequest& done) {
        auto& self = *static_cast<RawWriter*>(done.owner);
        if (done.result != static_cast<int32_t>(done.size)) {
          Must(absl::DataLossError("a write was short or failed"));
        }
        self.free_.push_back(&done);
      };
      free_.push_back(&request);
    }
  }
  ~RawWriter() {
    Drain();
    io_->Close(file_);
  }

  void Write(size_t bytes) {
    for (size_t written = 0; written < bytes; written += block_) {
      while (free_.empty()) io_->Poll(-1);
      IoRequest* request = free_.back();
      free_.pop_back();
      if (at_ + block_ > kFileBytes) at_ = 0;
      request->offset = at_;
      at_ += block_;
      io_->Submit(*request);
      io_->Poll(0);
    }
    Drain();
  }

 private:
  void Drain() {
    while (free_.size() < requests_.size()) io_->Poll(-1);
  }

  std::unique_ptr<wal::Io> io_;
  const size_t block_;
  wal::Handle file_;
  std::vector<IoRequest> requests_;
  std::vector<IoRequest*> free_;
  uint64_t at_ = 0;
};

void RawWrites(benchmark::State& state) {
  const Folder folder;
  // A block has a header as large as a slot.
  RawWriter writer(folder.Path("raw"), (static_cast<size_t>(state.range(0)) + 1) * kSlotBytes,
                   static_cast<size_t>(state.range(1)));
  for ([[maybe_unused]] auto _ : state) writer.Write(kPortionBytes);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPortionBytes));
}

// Blocks are filled by copying, sealed, and written; positions count as they become durable.
void LogAppend(benchmark::State& state) {
  const auto slots = static_cast<size_t>(state.range(0));
  const Folder folder;
  const std::unique_ptr<wal::Io> io = Must(wal::CreateHostIo()).io;
  wal::LogWriterOptions options;
  options.directory = folder.Path("log");
  options.identity = {{1, 2}, 0, 1};
  options.blocks_in_flight = static_cast<uint32_t>(state.range(1));
  options.spare_segments = 4;
  const std::unique_ptr<wal::LogWriter> writer =
      Must(wal::LogWriter::Open(*io, options, wal::LogTail()));
  const std::vector<wal::Slot> records(slots);
  int64_t stamp = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (size_t appended = 0; appended < kPortionBytes; appended += slots * kSlotBytes) {
      while (!writer->CanOpenBlock(slots)) {
        Must(writer->failure());
        writer->Tick(io->MonotonicMicros());
        io->Poll(1'000);
      }
      const wal::OpenedBlock block = writer->OpenBlock(slots);
      std::memcpy(static_cast<void*>(block.slots.data()), records.data(), slots * kSlotBytes);
      writer->SealBlock(slots, {.timestamp_us = ++stamp});
      io->Poll(0);
    }
    while (writer->durable_position() < writer->next_position()) io->Poll(-1);
  }
  Must(writer->Stop());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPortionBytes));
}

void Crc(benchmark::State& state) {
  const std::vector<std::byte> data(static_cast<size_t>(state.range(0)), std::byte{7});
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(wal::Crc32c(data.data(), data.size()));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void Hash(benchmark::State& state) {
  const std::vector<std::byte> data(static_cast<size_t>(state.range(0)), std::byte{7});
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(wal::Hash128(data.data(), data.size()));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

BENCHMARK(RawWrites)->Args({511, 4})->Args({2047, 4})->Args({2047, 8})->UseRealTime();
BENCHMARK(LogAppend)->Args({511, 4})->Args({2047, 4})->Args({2047, 8})->UseRealTime();
BENCHMARK(Crc)->Arg(120)->Arg(4096)->Arg(256 << 10);
BENCHMARK(Hash)->Arg(128);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
