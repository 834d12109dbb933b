// What the log costs: checksums and hashes of memory, and appending blocks to a real file beside
// bare writes of the same size, as durable, to the same disk in the same run.
//
// Files lie in a temporary folder of the working directory, or of TALLYSTICK_BENCH_FOLDER.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "bench/disk.h"
#include "wal/checksum.h"
#include "wal/host_io.h"
#include "wal/log_writer.h"

namespace tallystick::bench {
namespace {

constexpr size_t kSlotBytes = sizeof(wal::Slot);
// Bytes written in one iteration.
constexpr size_t kPortionBytes = size_t{64} << 20;

void RawWrites(benchmark::State& state) {
  const Folder folder("log_bench");
  // A block has a header as large as a slot.
  RawWriter writer(folder.Path("raw"), (static_cast<size_t>(state.range(0)) + 1) * kSlotBytes,
                   static_cast<size_t>(state.range(1)));
  for ([[maybe_unused]] auto _ : state) writer.Write(kPortionBytes);
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPortionBytes));
}

// Blocks are filled by copying, sealed, and written; positions count as they become durable.
void LogAppend(benchmark::State& state) {
  const auto slots = static_cast<size_t>(state.range(0));
  const Folder folder("log_bench");
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
