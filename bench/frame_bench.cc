// The protocol's hot path: building and reading the frames of operations and results.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "api/frame.h"
#include "ledger/types.h"

namespace tallystick::bench {
namespace {

void CountOperations(benchmark::State& state, size_t frame_bytes) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(frame_bytes));
}

std::vector<uint64_t> Words(size_t bytes) { return std::vector<uint64_t>(bytes / 8 + 1); }

void Read(benchmark::State& state, absl::Span<const std::byte> frame) {
  for ([[maybe_unused]] auto _ : state) {
    const auto read = ReadFrame(frame);
    if (!read.ok() || read->frame == nullptr) std::abort();
    benchmark::DoNotOptimize(read->frame);
  }
  CountOperations(state, frame.size());
}

void BuildSubmit(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const size_t bytes = SubmitFrameBytes(count);
  std::vector<uint64_t> words = Words(bytes);
  auto* frame = reinterpret_cast<std::byte*>(words.data());
  const std::vector<Operation> operations(count);
  uint64_t request = 0;
  for ([[maybe_unused]] auto _ : state) {
    const absl::Span<Operation> place = BeginSubmit(frame, ++request, 0, count);
    std::memcpy(static_cast<void*>(place.data()), operations.data(), count * sizeof(Operation));
    SealFrame(frame, bytes);
    benchmark::ClobberMemory();
  }
  CountOperations(state, bytes);
}

void ReadSubmit(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const size_t bytes = SubmitFrameBytes(count);
  std::vector<uint64_t> words = Words(bytes);
  auto* frame = reinterpret_cast<std::byte*>(words.data());
  BeginSubmit(frame, 1, 0, count);
  SealFrame(frame, bytes);
  Read(state, {frame, bytes});
}

void ReadResults(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  const size_t bytes = ResultsFrameBytes(count);
  std::vector<uint64_t> words = Words(bytes);
  auto* frame = reinterpret_cast<std::byte*>(words.data());
  BeginResults(frame, 1, count);
  SealFrame(frame, bytes);
  Read(state, {frame, bytes});
}

BENCHMARK(BuildSubmit)->Arg(1)->Arg(1000)->Arg(8192);
BENCHMARK(ReadSubmit)->Arg(1)->Arg(1000)->Arg(8192);
BENCHMARK(ReadResults)->Arg(1)->Arg(1000)->Arg(8192);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
