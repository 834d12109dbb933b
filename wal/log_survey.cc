#include "wal/log_survey.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/log_scan.h"
#include "wal/segment_catalog.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {
namespace {

class Surveyor {
 public:
  Surveyor(Io& io, const LogFolders& folders, const LogIdentity& identity,
           const std::function<void(const BlockView&, size_t)>& on_block)
      : io_(io),
        folders_(folders),
        identity_(identity),
        on_block_(on_block),
        window_(io, folders, kMaxBlockBytes) {}

  absl::StatusOr<LogSurvey> Run();

 private:
  absl::Status LoadSegments();
  absl::Status ReadOn();
  void ScanBehindEnd();
  bool FindNext(BlockView* block);
  bool FindNextIn(uint64_t number, uint64_t from, BlockView* block);
  void Take(const BlockView& block);
  void AddDamage(LogDamage damage);
  LogDamage DamageHere(std::string cause) const;

  Io& io_;
  const LogFolders& folders_;
  const LogIdentity& identity_;
  const std::function<void(const BlockView&, size_t)>& on_block_;
  SegmentWindow window_;
  std::vector<uint64_t> segments_;
  // Where segments end because a later epoch went on from there, by segment.
  std::map<uint64_t, uint64_t> ends_;
  LogSurvey survey_;
  bool begun_ = false;  // survey_.end is behind a block
  // What the reader says of the place where it cannot go on.
  absl::Status fault_;
  bool scanned_ = false;
};

absl::StatusOr<LogSurvey> Surveyor::Run() {
  if (absl::Status s = LoadSegments(); !s.ok()) return s;
  while (true) {
    if (absl::Status s = ReadOn(); !s.ok()) return s;
    if (!scanned_) ScanBehindEnd();
    const uint64_t position = survey_.end.next_position;
    const bool only_judged_by_witnesses = absl::IsOutOfRange(fault_);
    if (only_judged_by_witnesses && survey_.durable_before <= position) {
      if (survey_.torn_bytes > 0) survey_.torn_cause = std::string(fault_.message());
      return std::move(survey_);
    }
    if (survey_.damages.size() == kMaxLogDamages) {
      survey_.complete = false;
      return std::move(survey_);
    }
    LogDamage damage = DamageHere(std::string(fault_.message()));
    BlockView next;
    if (!FindNext(&next) || next.header->first_position >= survey_.durable_before) {
      damage.last_position = std::max(position, survey_.durable_before) - 1;
      AddDamage(std::move(damage));
      survey_.torn_bytes = 0;
      return std::move(survey_);
    }
    damage.last_position = next.header->first_position - 1;
    damage.next_segment = next.segment;
    damage.next_offset = next.offset;
    AddDamage(std::move(damage));
    Take(next);
  }
}

// The start block of the highest epoch comes last and rules. One that cannot be read says nothing.
absl::Status Surveyor::LoadSegments() {
  const absl::StatusOr<SegmentCatalog> catalog = SegmentCatalog::Load(io_, folders_, identity_);
  if (!catalog.ok()) return catalog.status();
  if (!catalog->segments().empty() && catalog->segments().front().has_start) {
    survey_.gone_segment = catalog->segments().front().info.previous_segment;
  }
  for (const SegmentCatalog::Segment& segment : catalog->segments()) {
    segments_.push_back(segment.number);
    const StartInfo& info = segment.info;
    if (segment.has_start &&
        (info.reason == StartReason::kReopened || info.reason == StartReason::kCut)) {
      ends_[info.previous_segment] = info.previous_end;
    }
  }
  return absl::OkStatus();
}

// From where the survey stands, as far as blocks follow.
absl::Status Surveyor::ReadOn() {
  auto reader = LogReader::OpenForSurvey(
      io_, folders_, identity_, begun_ ? std::optional<LogPlace>(survey_.end) : std::nullopt);
  if (!reader.ok()) return reader.status();
  if (!begun_) survey_.first_position = survey_.end.next_position = (*reader)->first_position();
  BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) {
      fault_ = more.status();
      return absl::OkStatus();
    }
    Take(block);
  }
}

void Surveyor::Take(const BlockView& block) {
  begun_ = true;
  survey_.end = PlaceBehind(block);
  survey_.durable_before = std::max(survey_.durable_before, block.header->durable_before);
  on_block_(block, survey_.damages.size());
}

// What is known of durability, and what lies about, behind the first place that is no block: as the
// reader asks it before it decides.
void Surveyor::ScanBehindEnd() {
  scanned_ = true;
  ScanResult scan;
  for (const uint64_t number : segments_) {
    if (number < survey_.end.segment) continue;
    const uint64_t from = number == survey_.end.segment ? survey_.end.offset : 0;
    const absl::Status scanned = ScanSegment(window_, identity_, number, from, scan);
    // A segment that cannot be read may hold anything.
    if (!scanned.ok() && absl::IsOutOfRange(fault_)) fault_ = scanned;
  }
  survey_.durable_before = std::max(survey_.durable_before, scan.durable_before);
  survey_.torn_bytes = scan.leftover_bytes;
}

// The next block that is sound by itself, and not of positions that were passed.
bool Surveyor::FindNext(BlockView* block) {
  for (const uint64_t number : segments_) {
    if (number < survey_.end.segment) continue;
    const uint64_t from = number == survey_.end.segment ? survey_.end.offset : 0;
    if (FindNextIn(number, from, block)) return true;
  }
  return false;
}

bool Surveyor::FindNextIn(uint64_t number, uint64_t from, BlockView* block) {
  if (!window_.Open(number).ok()) return false;
  const auto named = ends_.find(number);
  const uint64_t end = named == ends_.end() ? UINT64_MAX : named->second;
  for (uint64_t at = from; at < std::min(end, window_.size_bytes()); at += kSectorBytes) {
    absl::StatusOr<absl::Span<const std::byte>> bytes = window_.Read(at, kSectorBytes);
    // Of an archive, other frames may be sound.
    if (!bytes.ok() && window_.archived()) continue;
    if (!bytes.ok()) return false;
    if (bytes->size() < sizeof(BlockHeader)) return false;
    const BlockHeader header = *reinterpret_cast<const BlockHeader*>(bytes->data());
    if (HeaderFault(header) != nullptr || header.segment != number ||
        !BelongsTo(header, identity_) || header.first_position < survey_.end.next_position) {
      continue;
    }
    bytes = window_.Read(at, header.bytes);
    if (!bytes.ok() && window_.archived()) continue;
    if (!bytes.ok()) return false;
    if (bytes->size() < header.bytes || !BodyMatches(header, bytes->data())) continue;
    block->header = reinterpret_cast<const BlockHeader*>(bytes->data());
    block->slots = absl::MakeConstSpan(
        reinterpret_cast<const Slot*>(bytes->data() + sizeof(BlockHeader)), header.count);
    block->segment = number;
    block->offset = at;
    return true;
  }
  return false;
}

LogDamage Surveyor::DamageHere(std::string cause) const {
  return {.segment = survey_.end.segment,
          .offset = survey_.end.offset,
          .first_position = survey_.end.next_position,
          .last_position = survey_.end.next_position - 1,
          .cause = std::move(cause)};
}

// A block that is missing at the end of a segment may have been a later one's.
void Surveyor::AddDamage(LogDamage damage) {
  const uint64_t following = damage.segment + 1;
  if (damage.next_segment > damage.segment &&
      !std::binary_search(segments_.begin(), segments_.end(), following)) {
    absl::StrAppend(&damage.cause, ", and ", FileName(following, FileKind::kSegment),
                    " is missing");
  }
  if (damage.next_segment == following && damage.next_offset > 0) {
    absl::StrAppend(&damage.cause, ", and ", FileName(following, FileKind::kSegment),
                    " does not begin with a sound start block");
  }
  survey_.damages.push_back(std::move(damage));
}

}  // namespace

LogPlace PlaceBehind(const BlockView& block) {
  return {.segment = block.segment,
          .offset = block.offset + block.header->bytes,
          .last_offset = block.offset,
          .next_position = block.header->first_position + block.header->count,
          .timestamp_us = block.header->timestamp_us,
          .last_hash = HeaderHash(*block.header),
          .epoch = block.header->epoch};
}

absl::StatusOr<LogSurvey> SurveyLog(
    Io& io, const LogFolders& folders, const LogIdentity& identity,
    const std::function<void(const BlockView& block, size_t damages)>& on_block) {
  return Surveyor(io, folders, identity, on_block).Run();
}

}  // namespace tallystick::wal
