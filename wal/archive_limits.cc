#include "wal/archive_limits.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "wal/archive_file.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

constexpr int64_t kDayUs = int64_t{24} * 3600 * 1'000'000;

std::string Text(int64_t us) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixMicros(us), absl::UTCTimeZone());
}

}  // namespace

ArchiveTrimmer::ArchiveTrimmer(Io& io, std::string directory, const ArchiveLimits& limits,
                               std::function<void(const std::string&)> report,
                               std::function<void(uint64_t, uint64_t)> removed)
    : io_(io),
      directory_(std::move(directory)),
      limits_(limits),
      report_(std::move(report)),
      removed_(std::move(removed)) {}

absl::Status ArchiveTrimmer::Look() {
  if (!limits_.any()) return absl::OkStatus();
  const absl::StatusOr<std::vector<uint64_t>> segments = ListArchives(io_, directory_);
  if (!segments.ok()) return segments.status();
  for (const uint64_t segment : *segments) {
    if (segment > last_seen_) unread_.push_back(segment);
  }
  if (!segments->empty()) last_seen_ = std::max(last_seen_, segments->back());
  return absl::OkStatus();
}

// One that is damaged goes when what follows it does: the archive has no hole.
absl::Status ArchiveTrimmer::ReadHeads() {
  for (size_t i = 0; i < kHeadsAtOnce && !unread_.empty(); ++i) {
    const uint64_t segment = unread_.front();
    const absl::StatusOr<ArchiveHead> head =
        ReadArchiveHead(io_, FilePath(directory_, segment, FileKind::kArchive), segment);
    if (!head.ok() && !absl::IsDataLoss(head.status())) return head.status();
    unread_.pop_front();
    if (!head.ok()) {
      report_(std::string(head.status().message()));
      archives_.push_back({.segment = segment, .damaged = true});
      continue;
    }
    archives_.push_back({.segment = segment,
                         .damaged = false,
                         .first_position = head->first_position,
                         .next_position = head->next_position,
                         .first_timestamp_us = head->first_timestamp_us,
                         .last_timestamp_us = head->last_timestamp_us,
                         .archived_us = head->archived_us,
                         .file_bytes = head->file_bytes});
    bytes_ += head->file_bytes;
  }
  return absl::OkStatus();
}

std::string ArchiveTrimmer::Reason(const Entry& oldest) const {
  if (limits_.keep_us != 0 && io_.WallMicros() - oldest.archived_us > limits_.keep_us) {
    return absl::StrCat("it was archived more than ", limits_.keep_us / kDayUs, " days ago");
  }
  if (limits_.keep_bytes != 0 && bytes_ > limits_.keep_bytes) {
    return absl::StrCat("the archive's ", bytes_, " bytes are more than the ", limits_.keep_bytes,
                        " that this shard may keep");
  }
  return "";
}

absl::StatusOr<bool> ArchiveTrimmer::Step(uint64_t first_needed) {
  if (!limits_.any()) return false;
  if (!unread_.empty()) {
    if (absl::Status read = ReadHeads(); !read.ok()) return read;
    return true;
  }
  if (archives_.empty() || archives_.front().segment >= first_needed) return false;
  const auto sound = std::find_if(archives_.begin(), archives_.end(),
                                  [](const Entry& entry) { return !entry.damaged; });
  if (sound == archives_.end()) return false;
  const std::string reason = Reason(*sound);
  if (reason.empty()) return false;
  Entry oldest = archives_.front();
  if (oldest.damaged) oldest.next_position = sound->first_position;
  const std::string path = FilePath(directory_, oldest.segment, FileKind::kArchive);
  if (io_.Exists(path)) {
    const std::string what =
        oldest.damaged
            ? absl::StrCat("which is damaged, with positions before ", oldest.next_position)
            : absl::StrCat("with positions ", oldest.first_position, " to ",
                           oldest.next_position - 1, " of ", Text(oldest.first_timestamp_us),
                           " to ", Text(oldest.last_timestamp_us));
    report_(absl::StrCat("removes segment ", oldest.segment, " from the archive, ", what, ": ",
                         reason, " (", path, ")"));
    absl::Status removed = MarkGone(io_, directory_, oldest.segment);
    if (removed.ok()) removed = io_.Remove(path);
    if (!removed.ok()) return removed;
  }
  bytes_ -= oldest.file_bytes;
  archives_.pop_front();
  removed_(oldest.segment, oldest.next_position);
  return true;
}

}  // namespace tallystick::wal
