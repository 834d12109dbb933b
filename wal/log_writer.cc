#include "wal/log_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/log_takeover.h"
#include "wal/segment_files.h"
#include "wal/spare_segments.h"
#include "wal/write_queue.h"

namespace tallystick::wal {
namespace {

// Every block of records leaves this much of its segment, so that a witness always has room.
constexpr uint64_t kWitnessBytes = kSectorBytes;
static_assert(BlockBytes(1) == kSectorBytes, "start and witness blocks take one sector");

size_t MaxBlockBytes(const LogWriterOptions& options) {
  return std::min<uint64_t>(kMaxBlockBytes, options.segment_bytes - BlockBytes(1) - kWitnessBytes);
}

// At most one open and `blocks_in_flight` sealed blocks of records hold a large buffer.
size_t LargeBuffers(const LogWriterOptions& options) { return options.blocks_in_flight + 1; }

// At most one start block goes before each block of records, one before those that follow, and a
// witness comes only when nothing is under way.
size_t SmallBuffers(const LogWriterOptions& options) { return LargeBuffers(options) + 2; }

absl::Status CheckOptions(const LogWriterOptions& options, const LogTail& tail) {
  if (options.segment_bytes % kSectorBytes != 0 || options.segment_bytes < kMinSegmentBytes ||
      options.segment_bytes > kMaxSegmentBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.directory, ": segments of ", options.segment_bytes, " bytes: choose a multiple of ",
        kSectorBytes, ", at least ", kMinSegmentBytes, " and at most ", kMaxSegmentBytes));
  }
  if (options.blocks_in_flight < 1 || options.blocks_in_flight > kMaxBlocksInFlight ||
      options.spare_segments < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.directory, ": ", options.blocks_in_flight, " blocks in flight and ",
                     options.spare_segments, " spare segments: choose 1 to ", kMaxBlocksInFlight,
                     " blocks and at least 1 spare"));
  }
  if (tail.segment != 0 && (tail.identity.ledger_id != options.identity.ledger_id ||
                            tail.identity.shard != options.identity.shard ||
                            tail.identity.shard_count != options.identity.shard_count)) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.directory, ": the log that was read is another ledger's or shard's"));
  }
  const uint64_t behind = tail.highest_segment - std::min(tail.highest_segment, tail.segment);
  if (behind >= std::numeric_limits<uint32_t>::max() - tail.epoch ||
      tail.highest_segment == std::numeric_limits<uint64_t>::max()) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.directory, ": no number is left behind segment ",
                     absl::Hex(tail.highest_segment, absl::kZeroPad16),
                     ": move its file away if it is not the log's"));
  }
  return absl::OkStatus();
}

}  // namespace

struct LogWriter::State {
  State(Io& io_in, const LogWriterOptions& options_in, LogTail tail)
      : io(io_in),
        options(options_in),
        queue(
            io, options, LargeBuffers(options) + SmallBuffers(options), tail.next_position,
            [](void* owner, std::byte* data) { static_cast<State*>(owner)->Release(data); }, this),
        index(std::move(tail.index)),
        // Each segment number behind the tail stands for at most one opening that did not get far
        // enough to be read: no epoch is given twice.
        epoch(static_cast<uint32_t>(tail.epoch + (tail.highest_segment + 1 - tail.segment))),
        segment(tail.highest_segment),
        next_position(tail.next_position),
        last_timestamp_us(tail.timestamp_us),
        last_hash(tail.last_hash),
        last_durable_before(tail.next_position) {}

  ~State() {
    if (spares != nullptr) spares->Stop();
    while (queue.busy() || (spares != nullptr && spares->busy())) io.Poll(-1);
    if (lock != kNoHandle) io.Close(lock);
  }

  absl::Status AllocateBuffers();
  void BeginSegment(const StartInfo& info);
  void Append(std::byte* block, BlockType type, size_t count, const BlockAttributes& attributes);
  void AppendWitness();
  void Release(std::byte* data);
  bool FitsSegment(size_t slots) const;
  bool NeedsWitness() const;
  void WaitUntilDurable();

  Io& io;
  const LogWriterOptions options;
  Handle lock = kNoHandle;
  std::unique_ptr<SpareSegments> spares;
  WriteQueue queue;
  LogIndex index;

  IoBuffer small;
  std::vector<std::byte*> free_small;
  std::vector<std::byte*> free_large;

  uint32_t epoch;
  uint64_t segment;
  uint64_t offset = 0;          // of the next block
  uint64_t last_offset = 0;     // of the last
  uint64_t begin_position = 0;  // of the segment
  uint64_t sealed_before = 0;
  uint64_t next_position;
  int64_t last_timestamp_us;
  Id128 last_hash;
  uint64_t last_durable_before;  // of the last block
  uint64_t records_end = 0;      // behind the last block of records of this epoch

  std::byte* open_block = nullptr;
  size_t open_slots = 0;
  bool stopped = false;
  bool active = false;  // a block was sealed since the last Tick
  int64_t idle_since_us = 0;
};

absl::Status LogWriter::State::AllocateBuffers() {
  absl::StatusOr<IoBuffer> starts = io.AllocateBuffer(SmallBuffers(options) * kSectorBytes);
  if (!starts.ok()) return starts.status();
  small = *starts;
  free_small.reserve(SmallBuffers(options));
  free_large.reserve(LargeBuffers(options));
  for (size_t i = 0; i < SmallBuffers(options); ++i) {
    free_small.push_back(small.data + i * kSectorBytes);
  }
  for (size_t i = 0; i < LargeBuffers(options); ++i) {
    absl::StatusOr<IoBuffer> large = io.AllocateBuffer(MaxBlockBytes(options));
    if (!large.ok()) return large.status();
    free_large.push_back(large->data);
  }
  return absl::OkStatus();
}

void LogWriter::State::Release(std::byte* data) {
  const bool is_small = data >= small.data && data < small.data + small.size;
  (is_small ? free_small : free_large).push_back(data);
}

// Turns to the next segment and appends its start block.
void LogWriter::State::BeginSegment(const StartInfo& info) {
  absl::StatusOr<Handle> handle =
      spares->Take(FilePath(options.directory, segment + 1, FileKind::kSegment));
  if (!handle.ok()) return queue.Fail(handle.status());
  queue.BeginSegment(*handle, ++segment);
  offset = 0;
  begin_position = next_position;
  TALLYSTICK_CHECK(!free_small.empty());
  std::byte* const block = free_small.back();
  free_small.pop_back();
  std::memcpy(block + sizeof(BlockHeader), &info, sizeof(info));
  Append(block, BlockType::kStart, 1, {.timestamp_us = last_timestamp_us});
}

void LogWriter::State::AppendWitness() {
  TALLYSTICK_CHECK(!free_small.empty());
  std::byte* const block = free_small.back();
  free_small.pop_back();
  std::memset(block + sizeof(BlockHeader), 0, sizeof(Slot));
  Append(block, BlockType::kWitness, 1, {.timestamp_us = last_timestamp_us});
}

void LogWriter::State::Append(std::byte* block, BlockType type, size_t count,
                              const BlockAttributes& attributes) {
  if (!queue.failure().ok()) {
    next_position += count;  // which never becomes durable
    return;
  }
  auto& header = *reinterpret_cast<BlockHeader*>(block);
  header.type = type;
  header.flags = attributes.flags;
  header.ledger_id = options.identity.ledger_id;
  header.shard = options.identity.shard;
  header.shard_count = options.identity.shard_count;
  header.epoch = epoch;
  header.segment = segment;
  header.first_position = next_position;
  header.count = static_cast<uint32_t>(count);
  header.timestamp_us = attributes.timestamp_us;
  header.durable_before = queue.durable_position();
  header.previous_hash = last_hash;
  header.digest = attributes.digest;
  header.engine_version = attributes.engine_version;
  FinishBlock(block);
  TALLYSTICK_CHECK(offset + header.bytes <= options.segment_bytes);

  last_offset = offset;
  index.Add(segment, offset, next_position);
  next_position += count;
  last_timestamp_us = attributes.timestamp_us;
  last_hash = HeaderHash(header);
  last_durable_before = header.durable_before;
  if (type == BlockType::kRecords) records_end = next_position;
  active = true;
  queue.Push(
      {.data = block, .size_bytes = header.bytes, .offset = offset, .end_position = next_position});
  offset += header.bytes;
}

bool LogWriter::State::FitsSegment(size_t slots) const {
  return BlockBytes(slots) + kWitnessBytes <= options.segment_bytes - offset;
}

// Whether the last block of records is one that no other block knows to be durable.
bool LogWriter::State::NeedsWitness() const {
  return records_end > last_durable_before && queue.size() == 0 && queue.failure().ok();
}

void LogWriter::State::WaitUntilDurable() {
  while (queue.size() > 0 && queue.failure().ok()) io.Poll(-1);
}

LogWriter::LogWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
LogWriter::~LogWriter() = default;

absl::StatusOr<std::unique_ptr<LogWriter>> LogWriter::Open(Io& io, const LogWriterOptions& options,
                                                           LogTail tail) {
  absl::Status status = CheckOptions(options, tail);
  if (!status.ok()) return status;
  StartInfo info{};
  info.reason = tail.segment == 0 ? StartReason::kCreated
                : tail.torn       ? StartReason::kCut
                                  : StartReason::kReopened;
  info.previous_segment = tail.segment;
  info.previous_end = tail.offset;

  absl::StatusOr<Handle> lock = LockLog(io, options.directory);
  if (!lock.ok()) return lock.status();
  status = TakeOverLog(io, options.directory, tail);
  auto state = std::make_unique<State>(io, options, std::move(tail));
  state->lock = *lock;
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<SpareSegments>> spares =
      SpareSegments::Open(io, {.directory = options.directory,
                               .segment_bytes = options.segment_bytes,
                               .count = options.spare_segments,
                               .dsync = options.durability == Durability::kOpenDsync,
                               .reserve_bytes = options.reserve_bytes});
  if (!spares.ok()) return spares.status();
  state->spares = *std::move(spares);
  status = state->AllocateBuffers();
  if (!status.ok()) return status;
  state->BeginSegment(info);
  state->WaitUntilDurable();
  if (!state->queue.failure().ok()) return state->queue.failure();
  return std::unique_ptr<LogWriter>(new LogWriter(std::move(state)));
}

size_t LogWriter::max_block_slots() const { return SlotsThatFit(MaxBlockBytes(options())); }

bool LogWriter::CanOpenBlock(size_t slots) const {
  const State& s = *state_;
  TALLYSTICK_CHECK(slots >= 1 && slots <= max_block_slots() && s.open_block == nullptr);
  if (s.stopped || !s.queue.failure().ok() || s.free_large.empty()) return false;
  return s.FitsSegment(slots) || (s.spares->available() && !s.free_small.empty());
}

absl::Status LogWriter::space_status() const { return state_->spares->status(); }

OpenedBlock LogWriter::OpenBlock(size_t slots) {
  State& s = *state_;
  TALLYSTICK_CHECK(CanOpenBlock(slots));
  if (!s.FitsSegment(slots)) {
    StartInfo info{};
    info.reason = StartReason::kRollover;
    info.previous_segment = s.segment;
    info.previous_end = s.offset;
    s.BeginSegment(info);
  }
  s.open_block = s.free_large.back();
  s.free_large.pop_back();
  s.open_slots = slots;
  if (s.FitsSegment(slots)) {
    const uint64_t room = s.options.segment_bytes - s.offset - kWitnessBytes;
    s.open_slots = SlotsThatFit(std::min<uint64_t>(room, MaxBlockBytes(s.options)));
  }
  return {.first_position = s.next_position,
          .slots = absl::MakeSpan(reinterpret_cast<Slot*>(s.open_block + sizeof(BlockHeader)),
                                  s.open_slots)};
}

void LogWriter::SealBlock(size_t count, const BlockAttributes& attributes) {
  State& s = *state_;
  TALLYSTICK_CHECK(s.open_block != nullptr && count >= 1 && count <= s.open_slots);
  TALLYSTICK_CHECK(attributes.timestamp_us >= s.last_timestamp_us);
  s.Append(std::exchange(s.open_block, nullptr), BlockType::kRecords, count, attributes);
}

void LogWriter::AbandonBlock() {
  TALLYSTICK_CHECK(state_->open_block != nullptr);
  state_->Release(std::exchange(state_->open_block, nullptr));
}

uint64_t LogWriter::durable_position() const { return state_->queue.durable_position(); }
uint64_t LogWriter::next_position() const { return state_->next_position; }
uint32_t LogWriter::blocks_in_flight() const { return static_cast<uint32_t>(state_->queue.size()); }
int64_t LogWriter::last_timestamp_us() const { return state_->last_timestamp_us; }
LogPlace LogWriter::place() const {
  const State& s = *state_;
  TALLYSTICK_CHECK(s.open_block == nullptr);
  return {.segment = s.segment,
          .offset = s.offset,
          .last_offset = s.last_offset,
          .next_position = s.next_position,
          .timestamp_us = s.last_timestamp_us,
          .last_hash = s.last_hash,
          .epoch = s.epoch};
}
const absl::Status& LogWriter::failure() const { return state_->queue.failure(); }

uint64_t LogWriter::sealed_before() const { return state_->sealed_before; }

int64_t LogWriter::Tick(int64_t monotonic_us) {
  State& s = *state_;
  if (s.stopped || !s.queue.failure().ok()) return -1;
  if (s.queue.durable_position() > s.begin_position) s.sealed_before = s.segment;
  const int64_t spares_us = s.spares->Tick(monotonic_us, s.offset);
  const bool idle = !std::exchange(s.active, false) && s.open_block == nullptr;
  if (!idle || !s.NeedsWitness()) {
    s.idle_since_us = monotonic_us;
    if (!s.NeedsWitness()) return spares_us;
  }
  const int64_t witness_us = s.idle_since_us + s.options.witness_after_us - monotonic_us;
  if (witness_us > 0) {
    return spares_us < 0 ? witness_us : std::min(spares_us, witness_us);
  }
  s.AppendWitness();
  return spares_us;
}

absl::Status LogWriter::Stop() {
  State& s = *state_;
  TALLYSTICK_CHECK(s.open_block == nullptr);
  s.spares->Stop();
  s.WaitUntilDurable();
  if (!s.stopped && s.NeedsWitness()) {
    s.AppendWitness();
    s.WaitUntilDurable();
  }
  s.stopped = true;
  return s.queue.failure();
}

const LogIndex& LogWriter::index() const { return state_->index; }
LogIndex& LogWriter::index() { return state_->index; }
const LogWriterOptions& LogWriter::options() const { return state_->options; }

}  // namespace tallystick::wal
