#include "wal/log_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/log_scan.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {
namespace {

struct Segment {
  uint64_t number = 0;
  uint64_t size_bytes = 0;
  // A sound start block, and what it says.
  bool has_start = false;
  BlockHeader start{};
  StartInfo info{};
};

std::string Hex(const Id128& id) {
  return absl::StrCat(absl::Hex(id.high, absl::kZeroPad16), absl::Hex(id.low, absl::kZeroPad16));
}

// OK, or whose log the block is of. REQUIRES: IsHeader(header).
absl::Status CheckIdentity(const BlockHeader& header, const LogIdentity& expected,
                           const std::string& path) {
  if (header.format_version != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format version ", header.format_version, "; this program reads ",
                     kFormatVersion, ": use the program that wrote it"));
  }
  if (header.ledger_id != expected.ledger_id) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": belongs to ledger ", Hex(header.ledger_id), ", not to ", Hex(expected.ledger_id)));
  }
  if (header.shard != expected.shard || header.shard_count != expected.shard_count) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": belongs to shard ", header.shard, " of ", header.shard_count,
                     ", not to shard ", expected.shard, " of ", expected.shard_count));
  }
  return absl::OkStatus();
}

}  // namespace

struct LogReader::State {
  State(Io& io_in, std::string directory_in) : io(io_in), directory(std::move(directory_in)) {}

  absl::Status LoadSegments();
  absl::Status LoadStart(SegmentWindow& first_sector, Segment& segment);
  absl::Status GoTo(const LogPlace& from);
  const Segment* Find(uint64_t number) const;
  const Segment* Continuation() const;
  absl::Status EnterSegment(const Segment& segment);
  absl::Status CheckPassedOver(uint64_t from, uint64_t to);
  absl::StatusOr<bool> CheckNext(BlockView* block);
  std::string HeaderMismatch(const BlockHeader& header) const;
  void Accept(const BlockView& block);
  absl::Status Finish();
  void ExplainNextSegment();
  absl::Status Damaged(const ScanResult& scan, const std::string& cause) const;

  Io& io;
  const std::string directory;
  std::vector<Segment> segments;                  // ascending
  std::multimap<uint64_t, size_t> continuations;  // previous segment -> index in `segments`
  bool identity_known = false;
  LogTail tail;
  std::unique_ptr<SegmentWindow> window;

  // Where the next block must be.
  uint64_t segment = 0;
  uint64_t segment_bytes = 0;
  uint64_t offset = 0;
  uint32_t epoch = 0;
  std::string fault;       // of what was found there instead
  bool shortened = false;  // the file ends inside a block whose header is sound

  bool ended = false;
  absl::Status end_status;
  uint64_t bytes_total = 0;
};

absl::Status LogReader::State::LoadSegments() {
  absl::StatusOr<LogFiles> files = ListLogFiles(io, directory);
  if (!files.ok()) return files.status();
  tail.highest_segment = files->HighestSegment();
  SegmentWindow first_sector(io, kSectorBytes);
  uint64_t largest = kSectorBytes;
  segments.reserve(files->segments.size());
  for (const uint64_t number : files->segments) {
    Segment loaded;
    loaded.number = number;
    absl::Status status = LoadStart(first_sector, loaded);
    if (!status.ok()) return status;
    if (loaded.has_start) continuations.emplace(loaded.info.previous_segment, segments.size());
    bytes_total += loaded.size_bytes;
    largest = std::max(largest, loaded.size_bytes);
    segments.push_back(loaded);
  }
  window = std::make_unique<SegmentWindow>(io, std::min<uint64_t>(kMaxBlockBytes, largest));
  return absl::OkStatus();
}

absl::Status LogReader::State::LoadStart(SegmentWindow& first_sector, Segment& segment) {
  const std::string path = FilePath(directory, segment.number, FileKind::kSegment);
  absl::Status opened = first_sector.Open(path);
  if (!opened.ok()) return opened;
  segment.size_bytes = first_sector.size_bytes();
  absl::StatusOr<absl::Span<const std::byte>> bytes = first_sector.Read(0, kSectorBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return absl::OkStatus();
  const auto& header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  if (!IsHeader(header)) return absl::OkStatus();
  if (!identity_known) {
    identity_known = true;
    tail.identity = {
        .ledger_id = header.ledger_id, .shard = header.shard, .shard_count = header.shard_count};
  }
  absl::Status identity = CheckIdentity(header, tail.identity, path);
  if (!identity.ok()) return identity;
  if (HeaderFault(header) != nullptr || header.type != BlockType::kStart ||
      header.segment != segment.number || bytes->size() < header.bytes ||
      !BodyMatches(header, bytes->data())) {
    return absl::OkStatus();
  }
  segment.has_start = true;
  segment.start = header;
  std::memcpy(&segment.info, bytes->data() + sizeof(BlockHeader), sizeof(StartInfo));
  return absl::OkStatus();
}

// The segment of that number if it has a sound start.
const Segment* LogReader::State::Find(uint64_t number) const {
  const auto found = std::lower_bound(
      segments.begin(), segments.end(), number,
      [](const Segment& segment, uint64_t wanted) { return segment.number < wanted; });
  return found != segments.end() && found->number == number && found->has_start ? &*found : nullptr;
}

// Stands behind the block that `from` names, if it is there.
absl::Status LogReader::State::GoTo(const LogPlace& from) {
  const std::string path = FilePath(directory, from.segment, FileKind::kSegment);
  const auto missing = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": offset ", from.last_offset, ": ", what,
                                            ", where the block before position ",
                                            from.next_position, " should be"));
  };
  const Segment* here = Find(from.segment);
  if (here == nullptr) return missing("there is no such segment");
  if (absl::Status opened = window->Open(path); !opened.ok()) return opened;
  absl::StatusOr<absl::Span<const std::byte>> bytes =
      window->Read(from.last_offset / kSectorBytes * kSectorBytes, sizeof(BlockHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return missing("the segment ends");
  const BlockHeader header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  if (HeaderFault(header) != nullptr || HeaderHash(header) != from.last_hash ||
      from.last_offset + header.bytes != from.offset || header.segment != from.segment ||
      header.first_position + header.count != from.next_position) {
    return missing("another block is");
  }
  segment = from.segment;
  segment_bytes = window->size_bytes();
  offset = from.offset;
  epoch = header.epoch;
  tail.epoch = header.epoch;
  tail.segment = segment;
  tail.offset = offset;
  tail.next_position = from.next_position;
  tail.timestamp_us = header.timestamp_us;
  tail.durable_before = from.next_position;
  tail.last_hash = from.last_hash;

  std::vector<const Segment*> chain = {here};
  while (const Segment* before = Find(chain.back()->info.previous_segment)) {
    if (before->number >= chain.back()->number) break;
    chain.push_back(before);
  }
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    tail.index.Add((*it)->number, 0, (*it)->start.first_position);
  }
  if (from.last_offset > 0) tail.index.Add(segment, from.last_offset, header.first_position);
  return absl::OkStatus();
}

// The segment whose start block says that it goes on exactly where we stand. It rules even if a
// block can be read here: whoever wrote that start block had found none, and has cut it.
const Segment* LogReader::State::Continuation() const {
  const Segment* best = nullptr;
  const auto [begin, end] = continuations.equal_range(segment);
  for (auto it = begin; it != end; ++it) {
    const Segment& next = segments[it->second];
    if (next.number <= segment || next.info.previous_end != offset ||
        next.start.first_position != tail.next_position ||
        next.start.previous_hash != tail.last_hash) {
      continue;
    }
    bool allowed = false;
    switch (next.info.reason) {
      case StartReason::kCreated:
        allowed = segment == 0;
        break;
      case StartReason::kRollover:
        allowed = segment != 0 && next.start.epoch == epoch && next.number == segment + 1;
        break;
      case StartReason::kReopened:
      case StartReason::kCut:
        allowed = segment != 0 && next.start.epoch > epoch;
        break;
    }
    if (allowed && (best == nullptr || next.start.epoch > best->start.epoch)) best = &next;
  }
  return best;
}

absl::Status LogReader::State::EnterSegment(const Segment& next) {
  absl::Status passed = CheckPassedOver(segment, next.number);
  if (!passed.ok()) return passed;
  absl::Status opened = window->Open(FilePath(directory, next.number, FileKind::kSegment));
  if (!opened.ok()) return opened;
  segment = next.number;
  segment_bytes = std::min(next.size_bytes, window->size_bytes());
  offset = 0;
  epoch = next.start.epoch;
  return absl::OkStatus();
}

// Segments that the chain leaves out hold nothing that was durable.
absl::Status LogReader::State::CheckPassedOver(uint64_t from, uint64_t to) {
  ScanResult scan;
  for (const Segment& between : segments) {
    if (between.number <= from || between.number >= to) continue;
    absl::Status status = ScanSegment(*window, directory, tail.identity, between.number, 0, scan);
    if (!status.ok()) return status;
  }
  if (scan.durable_before <= tail.next_position) return absl::OkStatus();
  return Damaged(scan, absl::StrCat("two segments go on from here, and ",
                                    FileName(to, FileKind::kSegment), " passes over the other"));
}

std::string LogReader::State::HeaderMismatch(const BlockHeader& header) const {
  if (const char* wrong = HeaderFault(header)) return wrong;
  if (!BelongsTo(header, tail.identity)) return "the block is of another ledger or shard";
  if (header.segment != segment) {
    return absl::StrCat("the block was written for segment ", header.segment);
  }
  if (header.epoch != epoch) {
    return absl::StrCat("the block is of epoch ", header.epoch, " in a segment of ", epoch);
  }
  if ((header.type == BlockType::kStart) != (offset == 0)) {
    return offset == 0 ? "the segment does not begin with a start block"
                       : "a start block in the middle of a segment";
  }
  if (header.first_position != tail.next_position) {
    return absl::StrCat("the block begins at position ", header.first_position, " instead of ",
                        tail.next_position);
  }
  if (header.previous_hash != tail.last_hash) return "the hash of the previous block is another";
  if (header.timestamp_us < tail.timestamp_us) return "time goes back";
  return "";
}

// Whether a valid block is where it must be; else `fault` says what is wrong with what is there.
absl::StatusOr<bool> LogReader::State::CheckNext(BlockView* block) {
  if (segment == 0) {
    fault = "no segment begins the log";
    return false;
  }
  if (offset >= segment_bytes || segment_bytes - offset < sizeof(BlockHeader)) {
    fault = "the segment ends here";
    return false;
  }
  absl::StatusOr<absl::Span<const std::byte>> bytes = window->Read(offset, sizeof(BlockHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) {
    fault = "the segment ends here";
    return false;
  }
  const BlockHeader header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  fault = HeaderMismatch(header);
  if (!fault.empty()) return false;
  if (header.bytes > segment_bytes - offset) {
    fault = "the segment ends inside the block";
    shortened = true;
    return false;
  }
  if (bytes->size() < header.bytes) {
    bytes = window->Read(offset, header.bytes);
    if (!bytes.ok()) return bytes.status();
  }
  if (bytes->size() < header.bytes || !BodyMatches(header, bytes->data())) {
    fault = "the body's checksum is wrong";
    return false;
  }
  block->header = reinterpret_cast<const BlockHeader*>(bytes->data());
  block->slots = absl::MakeConstSpan(
      reinterpret_cast<const Slot*>(bytes->data() + sizeof(BlockHeader)), header.count);
  block->segment = segment;
  block->offset = offset;
  return true;
}

void LogReader::State::Accept(const BlockView& block) {
  const BlockHeader& header = *block.header;
  tail.index.Add(segment, offset, header.first_position);
  offset += header.bytes;
  tail.epoch = header.epoch;
  tail.segment = segment;
  tail.offset = offset;
  tail.next_position += header.count;
  tail.timestamp_us = header.timestamp_us;
  tail.durable_before = header.durable_before;
  tail.last_hash = HeaderHash(header);
}

// No valid block is next. Decides between the end of the log and damage.
absl::Status LogReader::State::Finish() {
  ScanResult scan;
  for (const Segment& behind : segments) {
    if (behind.number < tail.segment) continue;
    const uint64_t from = behind.number == tail.segment ? tail.offset : 0;
    absl::Status status = ScanSegment(*window, directory, tail.identity, behind.number, from, scan);
    if (!status.ok()) return status;
  }
  if (scan.durable_before > tail.next_position) {
    if (scan.witness_segment != tail.segment) ExplainNextSegment();
    return Damaged(scan, fault);
  }
  if (shortened) {
    return absl::DataLossError(absl::StrCat(
        FilePath(directory, tail.segment, FileKind::kSegment), ": offset ", tail.offset,
        ": the segment ends inside the block of position ", tail.next_position,
        ". No crash shortens a segment: something else did, and blocks that were acknowledged may "
        "be "
        "missing behind. Nothing was changed. Restore the segment from a copy"));
  }
  tail.torn = scan.leftover_bytes > 0;
  tail.cut_bytes = scan.leftover_bytes;
  if (tail.torn) tail.cut_reason = fault;
  return absl::OkStatus();
}

// The missing block may have been the next segment's first.
void LogReader::State::ExplainNextSegment() {
  const std::string next_name = FileName(tail.segment + 1, FileKind::kSegment);
  const auto next = std::find_if(segments.begin(), segments.end(), [this](const Segment& other) {
    return other.number > tail.segment;
  });
  if (next == segments.end()) return;
  if (next->number != tail.segment + 1) {
    absl::StrAppend(&fault, ", and ", next_name, " is missing");
  } else if (!next->has_start) {
    absl::StrAppend(&fault, ", and ", next_name, " does not begin with a sound start block");
  } else {
    absl::StrAppend(&fault, ", and ", next_name, " goes on from segment ",
                    next->info.previous_segment, ", offset ", next->info.previous_end);
  }
}

absl::Status LogReader::State::Damaged(const ScanResult& scan, const std::string& cause) const {
  const std::string place =
      tail.segment == 0 ? absl::StrCat(directory, ": its first segment, offset 0")
                        : absl::StrCat(FilePath(directory, tail.segment, FileKind::kSegment),
                                       ": offset ", tail.offset);
  return absl::DataLossError(absl::StrCat(
      place, ": the block of position ", tail.next_position, " is damaged: ", cause,
      "; the block in ", FileName(scan.witness_segment, FileKind::kSegment), " at offset ",
      scan.witness_offset, " knows that every position below ", scan.durable_before,
      " was durable. Nothing was changed. Restore the segment from a copy"));
}

LogReader::LogReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LogReader::~LogReader() = default;

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::Open(Io& io, const std::string& directory,
                                                           std::optional<LogIdentity> identity) {
  if (!io.Exists(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": there is no such directory"));
  }
  auto state = std::make_unique<State>(io, directory);
  state->identity_known = identity.has_value();
  if (identity.has_value()) state->tail.identity = *identity;
  absl::Status loaded = state->LoadSegments();
  if (!loaded.ok()) return loaded;
  return std::unique_ptr<LogReader>(new LogReader(std::move(state)));
}

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::OpenAt(Io& io, const std::string& directory,
                                                             const LogIdentity& identity,
                                                             const LogPlace& from) {
  absl::StatusOr<std::unique_ptr<LogReader>> reader = Open(io, directory, identity);
  if (!reader.ok()) return reader;
  if (absl::Status found = (*reader)->state_->GoTo(from); !found.ok()) return found;
  return reader;
}

absl::StatusOr<bool> LogReader::Next(BlockView* block) {
  State& s = *state_;
  if (s.ended) {
    if (!s.end_status.ok()) return s.end_status;
    return false;
  }
  if (const Segment* next = s.Continuation()) s.end_status = s.EnterSegment(*next);
  if (s.end_status.ok()) {
    absl::StatusOr<bool> valid = s.CheckNext(block);
    if (valid.ok() && *valid) {
      s.Accept(*block);
      return true;
    }
    s.end_status = valid.ok() ? s.Finish() : valid.status();
  }
  s.ended = true;
  if (!s.end_status.ok()) return s.end_status;
  return false;
}

const LogTail& LogReader::tail() const {
  TALLYSTICK_CHECK(state_->ended && state_->end_status.ok());
  return state_->tail;
}

LogTail LogReader::TakeTail() {
  TALLYSTICK_CHECK(state_->ended && state_->end_status.ok());
  return std::move(state_->tail);
}

uint64_t LogReader::bytes_read() const { return state_->window->bytes_read(); }
uint64_t LogReader::bytes_total() const { return state_->bytes_total; }

}  // namespace tallystick::wal
