// Key indexes on a real disk: what building one costs, and what it takes to find a transaction or
// all records of a member in a history of many segments of 64 MiB, records included.
//
// Files lie in a temporary folder of the working directory, or of TALLYSTICK_BENCH_FOLDER; they are
// read past the page cache. TALLYSTICK_BENCH_SEGMENTS: how many segments (20; each takes 75 MB).
// TALLYSTICK_BENCH_ARCHIVED=1: they lie in the archive.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "api/history_keys.h"
#include "bench/disk.h"
#include "bench/stopwatch.h"
#include "wal/archive_writer.h"
#include "wal/block.h"
#include "wal/host_io.h"
#include "wal/key_index_set.h"
#include "wal/record_fetcher.h"
#include "wal/segment_files.h"

namespace tallystick::bench {
namespace {

constexpr wal::LogIdentity kIdentity = {.ledger_id = {.low = 1, .high = 2}};
constexpr uint64_t kSegmentBytes = uint64_t{64} << 20;
constexpr size_t kBlockSlots = 511;  // 64 KiB
constexpr uint64_t kMembers = 1'000'000;
// One member has every so many-th record: five in a segment.
constexpr uint64_t kRegularEvery = 100'000;
constexpr uint64_t kRegular = kMembers + 1;

// Different for different values, and as good as random.
uint64_t Mixed(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}
Id TransactionAt(Position position) { return Id(Mixed(position), Mixed(~position)); }
uint64_t MemberAt(Position position) {
  return position % kRegularEvery == 0 ? kRegular : Mixed(position * 3) % kMembers;
}

// A log of sealed segments, and their indexes.
class History {
 public:
  static History& Get() {
    static History history;
    return history;
  }

  wal::Io& io() { return *io_; }
  const std::string& directory() const { return directory_; }
  Position end() const { return next_position_; }
  const std::vector<wal::SegmentEnd>& segments() const { return segments_; }
  // A position that holds a record: not a segment's first, which is its start block's.
  Position RecordPosition(uint64_t random) const {
    const size_t segment = random % segments_.size();
    const Position first = segment == 0 ? 1 : segments_[segment - 1].next_position;
    return first + 1 + Mixed(random) % (segments_[segment].next_position - first - 1);
  }

  // With memory for nothing, for tables, or for tables and filters.
  std::unique_ptr<wal::KeyIndexSet> Open(int64_t memory) {
    size_t bytes = 0;
    std::vector<std::unique_ptr<wal::KeyIndex>> indexes;
    for (const wal::SegmentEnd& end : segments_) {
      indexes.push_back(Must(wal::KeyIndex::Open(
          *io_, directory_, end.segment, {.identity = kIdentity, .last_hash = end.last_hash})));
      if (memory > 0) bytes += indexes.back()->SizeBytes(wal::KeyIndex::Part::kTables);
      if (memory > 1) bytes += indexes.back()->SizeBytes(wal::KeyIndex::Part::kFilters);
    }
    auto set = std::make_unique<wal::KeyIndexSet>(*io_, directory_, bytes);
    for (auto& index : indexes) set->Add(std::move(index));
    Must(set->Load());
    return set;
  }

 private:
  static constexpr std::align_val_t kAlignment{wal::kSectorBytes};
  struct Free {
    void operator()(std::byte* data) const { operator delete[](data, kAlignment); }
  };

  History()
      : folder_("index_bench"), io_(Must(wal::CreateHostIo()).io), directory_(folder_.Path("log")) {
    Must(io_->MakeDirectory(directory_));
    const char* wanted = std::getenv("TALLYSTICK_BENCH_SEGMENTS");
    const uint64_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20;
    buffer_.reset(static_cast<std::byte*>(operator new[](kSegmentBytes, kAlignment)));
    for (uint64_t segment = 1; segment <= count; ++segment) {
      WriteSegment(segment);
      Must(BuildHistoryIndex(*io_, directory_, kIdentity, segments_.back()).status());
      if (std::getenv("TALLYSTICK_BENCH_ARCHIVED") != nullptr) Archive(segments_.back());
    }
    buffer_.reset();
  }

  void WriteSegment(uint64_t segment) {
    uint64_t offset = 0;
    wal::BlockHeader* last = nullptr;
    for (size_t slots = 1; offset + wal::BlockBytes(slots) <= kSegmentBytes; slots = kBlockSlots) {
      last = FillBlock(segment, offset, slots);
      offset += last->bytes;
    }
    const std::string path = wal::FilePath(directory_, segment, wal::FileKind::kSegment);
    const wal::Handle file = Must(io_->Open(path, {.write = true, .create = true, .direct = true}));
    Must(io_->WriteAt(file, 0, buffer_.get(), offset));
    io_->Close(file);
    segments_.push_back({.segment = segment,
                         .offset = offset,
                         .next_position = next_position_,
                         .last_hash = last_hash_});
  }

  void Archive(const wal::SegmentEnd& end) {
    const auto writer = Must(wal::ArchiveWriter::Begin(*io_, directory_, kIdentity,
                                                       {.number = end.segment,
                                                        .bytes = end.offset,
                                                        .next_position = end.next_position,
                                                        .last_hash = end.last_hash}));
    while (!Must(writer->Step())) {
    }
    Must(io_->Remove(wal::FilePath(directory_, end.segment, wal::FileKind::kSegment)));
  }

  wal::BlockHeader* FillBlock(uint64_t segment, uint64_t offset, size_t slots) {
    auto* header = new (buffer_.get() + offset) wal::BlockHeader{};
    header->type = offset == 0 ? wal::BlockType::kStart : wal::BlockType::kRecords;
    header->ledger_id = kIdentity.ledger_id;
    header->shard_count = kIdentity.shard_count;
    header->epoch = 1;
    header->segment = segment;
    header->first_position = next_position_;
    header->count = static_cast<uint32_t>(slots);
    header->durable_before = next_position_;
    header->previous_hash = last_hash_;
    auto* records = reinterpret_cast<Record*>(header + 1);
    for (size_t i = 0; i < slots; ++i) {
      const Position at = next_position_ + i;
      new (&records[i]) Record{};
      if (offset == 0) continue;
      records[i].operation = Operation(TransactionAt(at), Id(MemberAt(at), 0), Id(), 5, 0, 0, 0, 1,
                                       0, Kind::Accrue, 0, 0);
    }
    wal::FinishBlock(reinterpret_cast<std::byte*>(header));
    next_position_ += slots;
    last_hash_ = wal::HeaderHash(*header);
    return header;
  }

  const Folder folder_;
  const std::unique_ptr<wal::Io> io_;
  const std::string directory_;
  std::unique_ptr<std::byte[], Free> buffer_;
  std::vector<wal::SegmentEnd> segments_;
  Position next_position_ = 1;
  wal::Id128 last_hash_;
};

// Slowest of a hundred and of all, in microseconds, beside the mean.
void ReportTail(benchmark::State& state, std::vector<double>& seconds) {
  std::sort(seconds.begin(), seconds.end());
  if (seconds.empty()) return;
  state.counters["p99_us"] = seconds[seconds.size() * 99 / 100] * 1e6;
  state.counters["max_us"] = seconds.back() * 1e6;
}

void Build(benchmark::State& state) {
  History& history = History::Get();
  size_t next = 0;
  uint64_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const wal::SegmentEnd& end = history.segments()[next++ % history.segments().size()];
    bytes = Must(BuildHistoryIndex(history.io(), history.directory(), kIdentity, end));
  }
  const auto records =
      static_cast<int64_t>(kSegmentBytes / wal::BlockBytes(kBlockSlots) * kBlockSlots);
  state.SetItemsProcessed(state.iterations() * records);
  state.counters["bytes_per_record"] = static_cast<double>(bytes) / static_cast<double>(records);
}

// Positions of a key, and their blocks; returns how many records are of the key.
size_t FindRecords(History& history, wal::KeyIndexSet& set, wal::RecordFetcher& fetcher,
                   const wal::KeyQuery& query) {
  std::vector<uint64_t> positions;
  set.Find(query, [&positions](absl::StatusOr<wal::KeyMatches> found) {
    positions = Must(std::move(found)).positions;
  });
  while (set.busy()) history.io().Poll(-1);
  size_t count = 0;
  fetcher.Fetch(
      std::move(positions),
      [&](Position at, const wal::BlockView& block) {
        const auto& record =
            reinterpret_cast<const Record&>(block.slots[at - block.header->first_position]);
        const Id& id =
            query.family == kMemberKeys ? record.operation.member() : record.operation.id();
        count += HistoryKey(id) == query.key ? 1 : 0;
      },
      [](const absl::Status& status) { Must(status); });
  while (fetcher.busy()) history.io().Poll(-1);
  return count;
}

void FindTransaction(benchmark::State& state, bool known) {
  History& history = History::Get();
  const std::unique_ptr<wal::KeyIndexSet> set = history.Open(state.range(0));
  wal::RecordFetcher fetcher(history.io(), history.directory(), *set);
  std::vector<double> seconds;
  uint64_t number = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Position at = history.RecordPosition(Mixed(++number)) + (known ? 0 : history.end());
    const wal::KeyQuery query{
        .family = kTransactionKeys, .key = HistoryKey(TransactionAt(at)), .limit = 8};
    const Stopwatch watch;
    const size_t found = FindRecords(history, *set, fetcher, query);
    seconds.push_back(watch.Seconds());
    if (found != (known ? 1u : 0u)) {
      Must(absl::InternalError("a transaction was not found, or one that is not there"));
    }
  }
  state.counters["index_mib"] = static_cast<double>(set->memory_bytes() >> 20);
  ReportTail(state, seconds);
}

void FindMember(benchmark::State& state) {
  History& history = History::Get();
  const std::unique_ptr<wal::KeyIndexSet> set = history.Open(state.range(0));
  wal::RecordFetcher fetcher(history.io(), history.directory(), *set);
  std::vector<double> seconds;
  size_t found = 0;
  for ([[maybe_unused]] auto _ : state) {
    const Stopwatch watch;
    found = FindRecords(history, *set, fetcher,
                        {.family = kMemberKeys, .key = {kRegular, 0}, .limit = 1'000});
    seconds.push_back(watch.Seconds());
  }
  state.counters["records"] = static_cast<double>(found);
  ReportTail(state, seconds);
}

BENCHMARK(Build)->Unit(benchmark::kMillisecond)->UseRealTime();
// 0: nothing in memory, 1: tables, 2: tables and filters.
BENCHMARK_CAPTURE(FindTransaction, known, true)
    ->DenseRange(0, 2)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(FindTransaction, unknown, false)
    ->DenseRange(0, 2)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK(FindMember)->DenseRange(0, 2)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace tallystick::bench

BENCHMARK_MAIN();
