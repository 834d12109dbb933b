#include "api/history.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "wal/key_index_files.h"
#include "wal/segment_catalog.h"

namespace tallystick {

History::History(wal::Io& io, HistoryOptions options)
    : io_(io),
      options_(std::move(options)),
      indexes_(io, options_.folders.log, options_.memory_bytes) {
  indexes_.set_on_removed([this](const wal::IndexHeader& header, const absl::Status& why) {
    Lose(header, why.message());
  });
}

absl::StatusOr<std::unique_ptr<History>> History::Open(wal::Io& io, HistoryOptions options,
                                                       uint64_t last_segment) {
  std::unique_ptr<History> history(new History(io, std::move(options)));
  if (!history->on()) return history;
  if (absl::Status opened = history->OpenAll(last_segment); !opened.ok()) return opened;
  return history;
}

// Each segment's start block says where the one before it ends.
absl::Status History::OpenAll(uint64_t last_segment) {
  absl::Status removed = wal::RemoveUnfinishedKeyIndexes(io_, options_.folders.log);
  if (!removed.ok()) options_.report(std::string(removed.message()));
  const absl::StatusOr<wal::SegmentCatalog> catalog =
      wal::SegmentCatalog::Load(io_, options_.folders, options_.identity);
  if (!catalog.ok()) return catalog.status();
  const absl::StatusOr<uint64_t> gone = wal::LastGone(io_, options_.folders);
  if (!gone.ok()) return gone.status();
  // One whose segment is missing is kept: the segment may come back.
  if (absl::Status s = RemoveStrays(*gone, last_segment); !s.ok()) return s;
  const wal::SegmentCatalog::Segment* at = catalog->Find(last_segment);
  while (at != nullptr) {
    oldest_ = at->start.first_position;
    const wal::SegmentCatalog::Segment* before = catalog->Before(*at);
    if (before == nullptr) break;
    const wal::SealedSegment sealed = {.number = before->number,
                                       .bytes = at->info.previous_end,
                                       .next_position = at->start.first_position,
                                       .last_hash = at->start.previous_hash};
    // The keeper comes to all plain ones by itself.
    if (!OpenIndex(sealed) && !before->plain) options_.build(sealed);
    at = before;
  }
  LoadAll();
  return absl::OkStatus();
}

absl::Status History::RemoveStrays(uint64_t last_gone, uint64_t last_segment) {
  const absl::StatusOr<std::vector<uint64_t>> found =
      wal::ListKeyIndexes(io_, options_.folders.log);
  if (!found.ok()) return found.status();
  for (const uint64_t segment : *found) {
    if (segment > last_gone && segment <= last_segment) continue;
    const std::string path = wal::KeyIndexPath(options_.folders.log, segment);
    const absl::Status removed = io_.Remove(path);
    options_.report(removed.ok()
                        ? absl::StrCat("removed ", path, ", the index of a segment that is no more")
                        : std::string(removed.message()));
  }
  return absl::OkStatus();
}

bool History::OpenIndex(const wal::SealedSegment& segment) {
  absl::StatusOr<std::unique_ptr<wal::KeyIndex>> index =
      wal::KeyIndex::Open(io_, options_.folders.log, segment.number,
                          {.identity = options_.identity, .last_hash = segment.last_hash});
  if (index.ok()) {
    indexes_.Add(*std::move(index));
    return true;
  }
  const bool is_newer = absl::IsFailedPrecondition(index.status());
  if (!absl::IsNotFound(index.status())) {
    options_.report(absl::StrCat(index.status().message(), is_newer
                                                               ? ": it is left alone, and not used"
                                                               : ". It is built anew"));
  }
  return is_newer;
}

// One that is damaged is lost, and the others are gone on with.
void History::LoadAll() {
  for (bool again = true; again;) {
    const uint64_t lost = indexes_lost_;
    const absl::Status loaded = indexes_.Load();
    again = lost != indexes_lost_;
    if (!loaded.ok() && !again) options_.report(std::string(loaded.message()));
  }
}

void History::Take() {
  if (!on()) return;
  for (BuiltIndexes::Change& change : options_.built->Take()) {
    if (change.built == nullptr) {
      indexes_.Remove(change.removed_segment);
      oldest_ = std::max<Position>(oldest_, change.removed_before);
    } else if (!indexes_.Has(change.built->header().segment)) {
      indexes_.Add(std::move(change.built));
    }
  }
}

void History::Lose(const wal::IndexHeader& header, absl::string_view why) {
  ++indexes_lost_;
  options_.report(absl::StrCat("an index cannot be used, and is built anew: ", why));
  options_.build({.number = header.segment,
                  .bytes = header.end_offset,
                  .next_position = header.next_position,
                  .last_hash = header.last_hash});
}

// A file that is sound would be handed over as it is.
void History::Doubt(Position position) {
  const std::optional<wal::IndexHeader> header = indexes_.HeaderAt(position);
  if (!header.has_value()) return;
  const std::string path = wal::KeyIndexPath(options_.folders.log, header->segment);
  if (absl::Status removed = io_.Remove(path); !removed.ok()) {
    options_.report(std::string(removed.message()));
  }
  indexes_.Remove(header->segment);
  Lose(*header, absl::StrCat(path, ": it does not know the record of position ", position));
}

}  // namespace tallystick
