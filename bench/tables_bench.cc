// The tables of which the state machine is made, each by itself: how much of an operation is
// theirs.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "api/tally/random.h"
#include "bench/stopwatch.h"
#include "ledger/lots.h"
#include "ledger/receipts.h"
#include "ledger/schedule.h"

namespace tallystick::bench {
namespace {

using ledger::kNoRow;

constexpr size_t kChunk = 64'000;
// Keys whose places are fetched before they are looked at.
constexpr size_t kAhead = 16;

void Count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kChunk));
}

std::vector<uint64_t> Hashes(size_t count) {
  tally::Random random(1);
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes) hash = random.Next();
  return hashes;
}

void Fill(ledger::HashIndex& index, const std::vector<uint64_t>& hashes) {
  for (size_t row = 0; row < hashes.size(); ++row) {
    index.Insert(hashes[row], static_cast<uint32_t>(row));
  }
}

void IndexFind(benchmark::State& state) {
  const std::vector<uint64_t> hashes = Hashes(static_cast<size_t>(state.range(0)));
  ledger::HashIndex index;
  Fill(index, hashes);
  tally::Random random(2);
  std::vector<uint64_t> wanted(kChunk + kAhead);
  for ([[maybe_unused]] auto _ : state) {
    for (uint64_t& hash : wanted) hash = hashes[random.Below(hashes.size())];
    const Stopwatch watch;
    uint64_t found = 0;
    for (size_t i = 0; i < kChunk; ++i) {
      benchmark::DoNotOptimize(index.Approach(wanted[i + kAhead]));
      found += index.Find(wanted[i], [](uint32_t) { return true; }) != kNoRow ? 1 : 0;
    }
    state.SetIterationTime(watch.Seconds());
    if (found != kChunk) state.SkipWithError("a key was not found");
  }
  Count(state);
  state.counters["bytes_per_key"] =
      static_cast<double>(index.bytes()) / static_cast<double>(hashes.size());
}

// The oldest key leaves for each that comes.
void IndexReplace(benchmark::State& state) {
  std::vector<uint64_t> hashes = Hashes(static_cast<size_t>(state.range(0)));
  ledger::HashIndex index;
  Fill(index, hashes);
  tally::Random random(2);
  std::vector<uint64_t> coming(kChunk + kAhead);
  size_t oldest = 0;
  for ([[maybe_unused]] auto _ : state) {
    for (uint64_t& hash : coming) hash = random.Next();
    const Stopwatch watch;
    for (size_t i = 0; i < kChunk; ++i) {
      benchmark::DoNotOptimize(index.Approach(coming[i + kAhead]));
      benchmark::DoNotOptimize(index.Approach(hashes[(oldest + kAhead) % hashes.size()]));
      index.Erase(hashes[oldest], static_cast<uint32_t>(oldest));
      index.Insert(coming[i], static_cast<uint32_t>(oldest));
      hashes[oldest] = coming[i];
      oldest = (oldest + 1) % hashes.size();
    }
    state.SetIterationTime(watch.Seconds());
  }
  Count(state);
}

// A receipt arrives, the oldest leaves.
void ReceiptsPass(benchmark::State& state) {
  ledger::Receipts receipts(1u << 30, 0, 0);
  ledger::ReceiptQueue queue;
  tally::Random random(1);
  uint64_t position = 0;
  const auto append = [&](const Id& id) {
    const uint32_t row = receipts.Append(queue, receipts.Hash(1, id), ++position);
    ledger::Receipt& receipt = receipts[row];
    receipt = {};
    receipt.id = id;
    receipt.position = position;
    receipt.account = 1;
    receipt.link = kNoRow;
  };
  const auto draw = [&] {
    const uint64_t low = random.Next();
    return Id(low, random.Next());
  };
  for (int64_t i = 0; i < state.range(0); ++i) append(draw());
  std::vector<Id> coming(kChunk + kAhead);
  for ([[maybe_unused]] auto _ : state) {
    for (Id& id : coming) id = draw();
    const Stopwatch watch;
    for (size_t i = 0; i < kChunk; ++i) {
      receipts.Approach(receipts.Hash(1, coming[i + kAhead]));
      const auto front = ledger::Receipts::FirstPlace(queue);
      if (const ledger::Receipt* later = receipts.Behind(queue, front, kAhead); later != nullptr) {
        receipts.Approach(receipts.Hash(1, later->id));
      }
      append(coming[i]);
      receipts.PopFront(queue);
    }
    state.SetIterationTime(watch.Seconds());
  }
  Count(state);
  state.counters["bytes_per_receipt"] =
      static_cast<double>(receipts.bytes()) / static_cast<double>(receipts.size());
}

// A lot of a random account is appended, the account's first one leaves.
void LotsPass(benchmark::State& state) {
  const auto accounts_count = static_cast<uint64_t>(state.range(0));
  ledger::Lots lots(1u << 30, nullptr);
  std::vector<ledger::Account> accounts(accounts_count, ledger::Account{});
  Position position = 0;
  const auto append = [&](ledger::Account& account) {
    const uint32_t row = lots.Allocate();
    ledger::Lot& lot = lots[row];
    lot.position = lot.activates_at = ++position;
    lot.expires_at = static_cast<Instant>(position) + 1'000'000'000;
    lot.original = lot.remaining = 1;
    lot.receipt = kNoRow;
    lot.pending = false;
    lots.Link(account, row);
  };
  for (ledger::Account& account : accounts) {
    for (int i = 0; i < 3; ++i) append(account);
  }
  tally::Random random(1);
  std::vector<uint64_t> drawn(kChunk + 2 * kAhead);
  for ([[maybe_unused]] auto _ : state) {
    for (uint64_t& number : drawn) number = random.Below(accounts_count);
    const Stopwatch watch;
    for (size_t i = 0; i < kChunk; ++i) {
      ledger::Prefetch(&accounts[drawn[i + 2 * kAhead]].available_lots);
      lots.Prefetch(accounts[drawn[i + kAhead]].available_lots.last);
      ledger::Account& account = accounts[drawn[i]];
      const uint32_t first = lots.First(account.available_lots);
      lots.Unlink(account, first);
      lots.Free(first);
      append(account);
    }
    state.SetIterationTime(watch.Seconds());
  }
  Count(state);
}

// Every account that comes due is due again later.
void SchedulePass(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  constexpr Instant kSpan = 365 * kMicrosPerDay;
  ledger::Schedule schedule;
  std::vector<ledger::ScheduleLink> rows(count);
  std::vector<Instant> due(count);
  const auto links = [&](uint32_t row) -> ledger::ScheduleLink& { return rows[row]; };
  const auto due_of = [&](uint32_t row) { return due[row]; };
  tally::Random random(1);
  for (uint32_t row = 0; row < count; ++row) {
    due[row] = static_cast<Instant>(random.Below(kSpan));
    schedule.Add(row, due[row], links);
  }
  Instant now = 0;
  int64_t taken = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Stopwatch watch;
    for (int64_t goal = taken + static_cast<int64_t>(kChunk); taken < goal;) {
      uint32_t budget = 1024;
      const uint32_t row = schedule.TakeDue(now, &budget, links, due_of);
      if (row == kNoRow) {
        now += kSpan / count;
        continue;
      }
      due[row] = now + kSpan;
      schedule.Add(row, due[row], links);
      ++taken;
    }
    state.SetIterationTime(watch.Seconds());
  }
  Count(state);
}

void Sizes(benchmark::internal::Benchmark* bench) {
  bench->UseManualTime();
  for (const int64_t size : {1'000'000, 10'000'000}) bench->Arg(size);
}
BENCHMARK(IndexFind)->Apply(Sizes);
BENCHMARK(IndexReplace)->Apply(Sizes);
BENCHMARK(ReceiptsPass)->Apply(Sizes);
BENCHMARK(LotsPass)->Apply(Sizes);
BENCHMARK(SchedulePass)->Apply(Sizes);

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
