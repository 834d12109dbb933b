#include "wal/segment_catalog.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "wal/archive_file.h"
#include "wal/block.h"

namespace tallystick::wal {
namespace {

using Segment = SegmentCatalog::Segment;

// All that are there, ascending.
std::vector<Segment> Merge(const std::vector<uint64_t>& plain,
                           const std::vector<uint64_t>& packed) {
  std::vector<Segment> segments;
  auto next = packed.begin();
  const auto add = [&](uint64_t number, bool is_plain, bool is_packed) {
    segments.emplace_back();
    segments.back().number = number;
    segments.back().plain = is_plain;
    segments.back().packed = is_packed;
  };
  for (const uint64_t number : plain) {
    for (; next != packed.end() && *next < number; ++next) add(*next, false, true);
    const bool both = next != packed.end() && *next == number;
    add(number, true, both);
    if (both) ++next;
  }
  for (; next != packed.end(); ++next) add(*next, false, true);
  return segments;
}

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

// It rules even if a block can be read at that place: whoever wrote that start block had found
// none, and has cut it.
const SegmentCatalog::Segment* SegmentCatalog::Continuation(const LogPlace& at) const {
  const Segment* best = nullptr;
  const auto [begin, end] = continuations_.equal_range(at.segment);
  for (auto it = begin; it != end; ++it) {
    const Segment& next = segments_[it->second];
    if (next.number <= at.segment || next.info.previous_end != at.offset ||
        next.start.first_position != at.next_position || next.start.previous_hash != at.last_hash) {
      continue;
    }
    bool allowed = false;
    switch (next.info.reason) {
      case StartReason::kCreated:
        allowed = at.segment == 0;
        break;
      case StartReason::kRollover:
        allowed = at.segment != 0 && next.start.epoch == at.epoch && next.number == at.segment + 1;
        break;
      case StartReason::kReopened:
      case StartReason::kCut:
        allowed = at.segment != 0 && next.start.epoch > at.epoch;
        break;
    }
    if (allowed && (best == nullptr || next.start.epoch > best->start.epoch)) best = &next;
  }
  return best;
}

absl::StatusOr<SegmentCatalog> SegmentCatalog::Load(Io& io, const LogFolders& folders,
                                                    std::optional<LogIdentity> identity) {
  SegmentCatalog catalog(io, folders);
  catalog.identity_known_ = identity.has_value();
  if (identity.has_value()) catalog.identity_ = *identity;
  if (absl::Status loaded = catalog.LoadAll(); !loaded.ok()) return loaded;
  return catalog;
}

absl::Status SegmentCatalog::LoadAll() {
  const absl::StatusOr<LogFiles> files = ListLogFiles(*io_, folders_.log);
  if (!files.ok()) return files.status();
  // Behind the others: what goes into the archive meanwhile is in one of the lists.
  const absl::StatusOr<std::vector<uint64_t>> archives = ListArchives(*io_, folders_.archive);
  if (!archives.ok()) return archives.status();
  highest_segment_ = files->HighestSegment();
  if (!files->segments.empty()) highest_plain_ = files->segments.back();
  SegmentWindow first_sector(*io_, folders_, kSectorBytes);
  segments_ = Merge(files->segments, *archives);
  for (size_t i = 0; i < segments_.size(); ++i) {
    Segment& loaded = segments_[i];
    absl::Status status = loaded.plain ? LoadStart(first_sector, loaded) : absl::OkStatus();
    if (status.ok() && !loaded.has_start && loaded.packed) status = LoadArchivedStart(loaded);
    if (!status.ok()) return status;
    if (loaded.has_start) continuations_.emplace(loaded.info.previous_segment, i);
  }
  return absl::OkStatus();
}

const Segment* SegmentCatalog::Before(const Segment& segment) const {
  const uint64_t number = segment.info.previous_segment;
  const Segment* before = number < segment.number ? Find(number) : nullptr;
  if (before == nullptr || before->plain) return before;
  const bool fits = before->size_bytes == segment.info.previous_end &&
                    before->next_position == segment.start.first_position &&
                    before->last_hash == segment.start.previous_hash;
  return fits ? before : nullptr;
}

absl::Status SegmentCatalog::CheckBeginning(const Segment& oldest) const {
  const uint64_t number = oldest.info.previous_segment;
  if (oldest.start.first_position == 1) return absl::OkStatus();
  const auto there =
      std::find_if(segments_.begin(), segments_.end(),
                   [number](const Segment& segment) { return segment.number == number; });
  const std::string path = FilePath(folders_.archive, number, FileKind::kArchive);
  if (there != segments_.end() && there->has_start && !there->plain) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not what ", PathOf(oldest.number),
                     " goes on from: the archive is that of another copy of the ledger, or was "
                     "one's in between. "
                     "Give this one an archive directory of its own, with its own segments"));
  }
  if (there != segments_.end()) {
    if (!there->damage.ok()) return there->damage;
    return absl::DataLossError(
        absl::StrCat(PathOf(number), " does not begin with a sound start block"));
  }
  const absl::StatusOr<uint64_t> gone = LastGone(*io_, folders_);
  if (!gone.ok()) return gone.status();
  if (*gone >= number) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      "segments up to ", number, ", with the positions before ", oldest.start.first_position,
      ", are neither in ", folders_.log, " nor in ", folders_.archive,
      ", and no limit removed them. Is the archive's disk mounted? Put them back; if they are lost "
      "for good, an empty file ",
      FilePath(folders_.archive, number, FileKind::kGone), " says so"));
}

std::string SegmentCatalog::PathOf(uint64_t number) const {
  for (const Segment& known : segments_) {
    if (known.number == number && !known.plain && known.packed) {
      return FilePath(folders_.archive, number, FileKind::kArchive);
    }
  }
  return FilePath(folders_.log, number, FileKind::kSegment);
}

absl::Status SegmentCatalog::TakeIdentity(const BlockHeader& header, const std::string& path) {
  if (!identity_known_) {
    identity_known_ = true;
    identity_ = {
        .ledger_id = header.ledger_id, .shard = header.shard, .shard_count = header.shard_count};
  }
  return CheckIdentity(header, identity_, path);
}

absl::Status SegmentCatalog::LoadStart(SegmentWindow& first_sector, Segment& segment) {
  absl::Status opened = first_sector.OpenPlain(segment.number);
  if (absl::IsNotFound(opened)) {  // it has gone into the archive meanwhile
    segment.plain = false;
    segment.packed = true;
    return absl::OkStatus();
  }
  if (!opened.ok()) return opened;
  segment.size_bytes = first_sector.size_bytes();
  absl::StatusOr<absl::Span<const std::byte>> bytes = first_sector.Read(0, kSectorBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return absl::OkStatus();
  const auto& header = *reinterpret_cast<const BlockHeader*>(bytes->data());
  if (!IsHeader(header)) return absl::OkStatus();
  absl::Status identity = TakeIdentity(header, first_sector.path());
  if (!identity.ok()) return identity;
  if (!IsStartOf(segment.number, bytes->data(), bytes->size())) return absl::OkStatus();
  segment.has_start = true;
  segment.start = header;
  std::memcpy(&segment.info, bytes->data() + sizeof(BlockHeader), sizeof(StartInfo));
  return absl::OkStatus();
}

// An archive that is damaged is like a segment without a start: whether that matters is seen when
// the chain comes to it.
absl::Status SegmentCatalog::LoadArchivedStart(Segment& segment) {
  const std::string path = FilePath(folders_.archive, segment.number, FileKind::kArchive);
  const absl::StatusOr<ArchiveHead> head = ReadArchiveHead(*io_, path, segment.number);
  if (absl::IsDataLoss(head.status())) {
    segment.damage = head.status();
    return absl::OkStatus();
  }
  if (absl::IsNotFound(head.status())) return absl::OkStatus();  // removed meanwhile
  if (!head.ok()) return head.status();
  std::memcpy(&segment.start, head->start, sizeof(BlockHeader));
  std::memcpy(&segment.info, head->start + sizeof(BlockHeader), sizeof(StartInfo));
  segment.plain = false;
  segment.has_start = true;
  segment.size_bytes = head->segment_bytes;
  segment.next_position = head->next_position;
  segment.last_hash = head->last_hash;
  return TakeIdentity(segment.start, path);
}

const SegmentCatalog::Segment* SegmentCatalog::Find(uint64_t number) const {
  const auto found = std::lower_bound(
      segments_.begin(), segments_.end(), number,
      [](const Segment& segment, uint64_t wanted) { return segment.number < wanted; });
  return found != segments_.end() && found->number == number && found->has_start ? &*found
                                                                                 : nullptr;
}

}  // namespace tallystick::wal
