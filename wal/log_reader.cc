#include "wal/log_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "wal/archive_file.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/log_scan.h"
#include "wal/segment_catalog.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {
namespace {

using Segment = SegmentCatalog::Segment;

}  // namespace

struct LogReader::State {
  State(Io& io_in, SegmentCatalog catalog_in) : io(io_in), catalog(std::move(catalog_in)) {
    tail.identity = catalog.identity();
    tail.highest_segment = catalog.highest_segment();
    uint64_t largest = kSectorBytes;
    for (const Segment& each : catalog.segments()) {
      bytes_total += each.size_bytes;
      largest = std::max(largest, each.size_bytes);
    }
    window = std::make_unique<SegmentWindow>(io, catalog.folders(),
                                             std::min<uint64_t>(kMaxBlockBytes, largest));
  }

  std::string PathOf(uint64_t number) const { return catalog.PathOf(number); }
  absl::Status GoTo(const LogPlace& from);
  void GoToOldest();
  const Segment* Continuation() const;
  absl::Status OpenWindow(const Segment& of);
  absl::Status EnterSegment(const Segment& segment);
  absl::Status CheckPassedOver(uint64_t from, uint64_t to);
  absl::StatusOr<bool> CheckNext(BlockView* block);
  bool TurnToArchive();
  std::string HeaderMismatch(const BlockHeader& header) const;
  void Accept(const BlockView& block);
  absl::Status Finish();
  absl::Status CheckBeginning() const;
  absl::Status CheckNotBehindArchive() const;
  void ExplainNextSegment();
  absl::Status Damaged(const ScanResult& scan, const std::string& cause) const;

  Io& io;
  const SegmentCatalog catalog;
  bool survey = false;
  LogTail tail;
  uint64_t first_position = 1;
  absl::Status beginning;
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

// The segment that goes on exactly where we stand.
const Segment* LogReader::State::Continuation() const {
  return catalog.Continuation({.segment = segment,
                               .offset = offset,
                               .next_position = tail.next_position,
                               .last_hash = tail.last_hash,
                               .epoch = epoch});
}

// Stands behind the block that `from` names, if it is there.
absl::Status LogReader::State::GoTo(const LogPlace& from) {
  const std::string path = PathOf(from.segment);
  const auto missing = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(path, ": offset ", from.last_offset, ": ", what,
                                            ", where the block before position ",
                                            from.next_position, " should be"));
  };
  const Segment* here = catalog.Find(from.segment);
  if (here == nullptr && !survey) return missing("there is no such segment");
  absl::Status opened = here == nullptr ? window->Open(from.segment) : OpenWindow(*here);
  if (!opened.ok()) return opened;
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
  first_position = from.next_position;
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

  if (here == nullptr) return absl::OkStatus();
  std::vector<const Segment*> chain = {here};
  while (const Segment* before = catalog.Before(*chain.back())) chain.push_back(before);
  beginning = catalog.CheckBeginning(*chain.back());
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    tail.index.Add((*it)->number, 0, (*it)->start.first_position);
  }
  if (from.last_offset > 0) tail.index.Add(segment, from.last_offset, header.first_position);
  return absl::OkStatus();
}

// Stands where the start block of the oldest segment says that it goes on.
void LogReader::State::GoToOldest() {
  if (catalog.segments().empty() || !catalog.segments().front().has_start) return;
  const Segment& oldest = catalog.segments().front();
  segment = oldest.info.previous_segment;
  offset = oldest.info.previous_end;
  epoch = oldest.start.epoch - (oldest.info.reason == StartReason::kRollover ? 0 : 1);
  first_position = oldest.start.first_position;
  tail.next_position = first_position;
  tail.last_hash = oldest.start.previous_hash;
}

absl::Status LogReader::State::OpenWindow(const Segment& of) {
  return of.plain ? window->Open(of.number) : window->OpenArchive(of.number);
}

absl::Status LogReader::State::EnterSegment(const Segment& next) {
  if (segment != 0 && segment == catalog.highest_plain() &&
      !catalog.folders().archive_is_within()) {
    if (absl::Status s = CheckNotBehindArchive(); !s.ok()) return s;
  }
  absl::Status passed = CheckPassedOver(segment, next.number);
  if (!passed.ok()) return passed;
  absl::Status opened = OpenWindow(next);
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
  for (const Segment& between : catalog.segments()) {
    if (between.number <= from || between.number >= to) continue;
    absl::Status status = ScanSegment(*window, tail.identity, between.number, 0, scan);
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

// A plain segment that is damaged, or was given up while it was read, goes on in its archive. The
// last one is not archived by its own log.
bool LogReader::State::TurnToArchive() {
  if (segment == 0 || segment == catalog.highest_plain() || window->archived()) return false;
  if (!io.Exists(FilePath(catalog.folders().archive, segment, FileKind::kArchive))) return false;
  if (!window->OpenArchive(segment).ok()) return false;
  segment_bytes = window->size_bytes();
  shortened = false;
  return true;
}

// Says so when the first segments are gone.
absl::Status LogReader::State::CheckBeginning() const {
  if (tail.segment != 0 || first_position > 1 || catalog.segments().empty()) {
    return absl::OkStatus();
  }
  const Segment& oldest = catalog.segments().front();
  if (!oldest.damage.ok()) return oldest.damage;
  if (!oldest.has_start || oldest.start.first_position == 1) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      catalog.folders().log, ": the log begins at position ", oldest.start.first_position,
      ", with ", PathOf(oldest.number),
      ": the segments before it were removed as the archive's limits say, or are "
      "lost. It can be read from a snapshot on; to read all of it, put the older segments back"));
}

// A copy of the ledger that is behind another one, and has that one's archive.
absl::Status LogReader::State::CheckNotBehindArchive() const {
  const uint64_t plain = catalog.highest_plain();
  if (plain == 0 || tail.segment > plain) return absl::OkStatus();
  uint64_t ahead = catalog.segments().back().number;
  if (ahead == plain) {
    if (tail.segment != plain || !catalog.segments().back().packed) return absl::OkStatus();
    const absl::StatusOr<ArchiveHead> head =
        ReadArchiveHead(io, FilePath(catalog.folders().archive, plain, FileKind::kArchive), plain);
    if (!head.ok() || head->segment_bytes <= tail.offset) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      FilePath(catalog.folders().archive, ahead, FileKind::kArchive), " is ahead of the log in ",
      catalog.folders().log, ", which ends with position ", tail.next_position - 1,
      ". Either the end of the log is lost, then restore it from a copy; or the archive is that of "
      "another copy of the ledger, which went on, then give this one an archive directory of its "
      "own, with the segments up to here"));
}

// No valid block is next. Decides between the end of the log and damage.
absl::Status LogReader::State::Finish() {
  if (absl::Status begins = CheckBeginning(); !begins.ok()) return begins;
  if (absl::Status s = CheckNotBehindArchive(); !s.ok()) {
    return survey ? absl::DataLossError(s.message()) : s;
  }
  if (survey) return shortened ? absl::DataLossError(fault) : absl::OutOfRangeError(fault);
  ScanResult scan;
  for (const Segment& behind : catalog.segments()) {
    if (behind.number < tail.segment) continue;
    if (behind.number > tail.segment && !behind.damage.ok()) return behind.damage;
    const uint64_t from = behind.number == tail.segment ? tail.offset : 0;
    absl::Status status = ScanSegment(*window, tail.identity, behind.number, from, scan);
    if (!status.ok()) return status;
  }
  if (scan.durable_before > tail.next_position) {
    if (scan.witness_segment != tail.segment) ExplainNextSegment();
    return Damaged(scan, fault);
  }
  if (shortened) {
    return absl::DataLossError(absl::StrCat(
        PathOf(tail.segment), ": offset ", tail.offset,
        ": the segment ends inside the block of position ", tail.next_position,
        ". No crash shortens a segment: something else did, and blocks that were acknowledged may "
        "be missing behind. Nothing was changed. Restore the segment from a copy"));
  }
  tail.highest_segment = std::max(tail.highest_segment, tail.segment);
  tail.torn = scan.leftover_bytes > 0;
  tail.cut_bytes = scan.leftover_bytes;
  if (tail.torn) tail.cut_reason = fault;
  return absl::OkStatus();
}

// The missing block may have been the next segment's first.
void LogReader::State::ExplainNextSegment() {
  const std::string next_name = FileName(tail.segment + 1, FileKind::kSegment);
  const std::vector<Segment>& segments = catalog.segments();
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
      tail.segment == 0 ? absl::StrCat(catalog.folders().log, ": its first segment, offset 0")
                        : absl::StrCat(PathOf(tail.segment), ": offset ", tail.offset);
  return absl::DataLossError(absl::StrCat(
      place, ": the block of position ", tail.next_position, " is damaged: ", cause,
      "; the block in ", FileName(scan.witness_segment, FileKind::kSegment), " at offset ",
      scan.witness_offset, " knows that every position below ", scan.durable_before,
      " was durable. Nothing was changed. Restore the segment from a copy"));
}

LogReader::LogReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
LogReader::~LogReader() = default;

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::Open(Io& io, const LogFolders& folders,
                                                           std::optional<LogIdentity> identity) {
  if (!io.Exists(folders.log)) {
    return absl::NotFoundError(absl::StrCat(folders.log, ": there is no such directory"));
  }
  absl::StatusOr<SegmentCatalog> catalog = SegmentCatalog::Load(io, folders, identity);
  if (!catalog.ok()) return catalog.status();
  return std::unique_ptr<LogReader>(
      new LogReader(std::make_unique<State>(io, *std::move(catalog))));
}

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::OpenOldest(
    Io& io, const LogFolders& folders, const std::optional<LogIdentity>& identity) {
  absl::StatusOr<std::unique_ptr<LogReader>> reader = Open(io, folders, identity);
  if (reader.ok()) (*reader)->state_->GoToOldest();
  return reader;
}

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::OpenAt(Io& io, const LogFolders& folders,
                                                             const LogIdentity& identity,
                                                             const LogPlace& from) {
  absl::StatusOr<std::unique_ptr<LogReader>> reader = Open(io, folders, identity);
  if (!reader.ok()) return reader;
  if (absl::Status found = (*reader)->state_->GoTo(from); !found.ok()) return found;
  return reader;
}

absl::StatusOr<std::unique_ptr<LogReader>> LogReader::OpenForSurvey(
    Io& io, const LogFolders& folders, const LogIdentity& identity,
    const std::optional<LogPlace>& from) {
  absl::StatusOr<std::unique_ptr<LogReader>> reader = Open(io, folders, identity);
  if (!reader.ok()) return reader;
  (*reader)->state_->survey = true;
  if (!from.has_value()) {
    (*reader)->state_->GoToOldest();
    return reader;
  }
  if (absl::Status found = (*reader)->state_->GoTo(*from); !found.ok()) return found;
  return reader;
}

const absl::Status& LogReader::beginning() const { return state_->beginning; }

uint64_t LogReader::first_position() const { return state_->first_position; }

absl::StatusOr<bool> LogReader::Next(BlockView* block) {
  State& s = *state_;
  if (s.ended) {
    if (!s.end_status.ok()) return s.end_status;
    return false;
  }
  if (const Segment* next = s.Continuation()) s.end_status = s.EnterSegment(*next);
  if (s.end_status.ok()) {
    absl::StatusOr<bool> valid = s.CheckNext(block);
    if (!valid.value_or(false) && s.TurnToArchive()) valid = s.CheckNext(block);
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
