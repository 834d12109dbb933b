#include "api/history_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/key_index.h"
#include "wal/key_index_files.h"

namespace tallystick {

HistoryBuilder::HistoryBuilder(wal::Io& io, wal::LogFolders folders,
                               const wal::LogIdentity& identity, uint64_t free_bytes,
                               std::shared_ptr<BuiltIndexes> built)
    : io_(io),
      folders_(std::move(folders)),
      identity_(identity),
      free_bytes_(free_bytes),
      built_(std::move(built)) {}

absl::Status HistoryBuilder::Begin(const wal::SealedSegment& segment) {
  segment_ = segment;
  build_.reset();
  const absl::StatusOr<std::unique_ptr<wal::KeyIndex>> found = wal::KeyIndex::Open(
      io_, folders_.log, segment.number, {.identity = identity_, .last_hash = segment.last_hash});
  // The shard has told of it.
  if (absl::IsFailedPrecondition(found.status())) return absl::OkStatus();
  if (found.ok() && (*found)->Verify(io_).ok()) return absl::OkStatus();
  auto build = HistoryIndexBuild::Begin(io_, folders_, identity_,
                                        {.segment = segment.number,
                                         .offset = segment.bytes,
                                         .next_position = segment.next_position,
                                         .last_hash = segment.last_hash});
  if (!build.ok()) return build.status();
  build_ = *std::move(build);
  return absl::OkStatus();
}

absl::Status HistoryBuilder::CheckSpace() const {
  const absl::StatusOr<uint64_t> found = io_.FreeBytes(folders_.log);
  if (!found.ok() || *found >= free_bytes_) return found.status();
  return absl::ResourceExhaustedError(absl::StrCat(folders_.log, ": the disk has ", *found,
                                                   " bytes left: segments are not indexed ",
                                                   "until ", free_bytes_, " are free"));
}

absl::StatusOr<bool> HistoryBuilder::Step() {
  if (build_ != nullptr) {
    if (absl::Status space = CheckSpace(); !space.ok()) {
      build_.reset();
      return space;
    }
    const absl::StatusOr<bool> done = build_->Step();
    if (!done.ok()) {
      build_.reset();
      return absl::Status(
          done.status().code(),
          absl::StrCat("segment ", segment_.number, " is not indexed: ", done.status().message()));
    }
    if (!*done) return false;
    build_.reset();
  }
  if (absl::Status given = HandOver(); !given.ok()) return given;
  return true;
}

absl::Status HistoryBuilder::HandOver() {
  absl::StatusOr<std::unique_ptr<wal::KeyIndex>> index = wal::KeyIndex::Open(
      io_, folders_.log, segment_.number, {.identity = identity_, .last_hash = segment_.last_hash});
  if (absl::IsFailedPrecondition(index.status())) return absl::OkStatus();
  if (!index.ok()) return absl::UnavailableError(index.status().message());
  for (const auto part : {wal::KeyIndex::Part::kTables, wal::KeyIndex::Part::kFilters}) {
    if (absl::Status loaded = (*index)->Load(io_, part); !loaded.ok()) {
      return absl::UnavailableError(loaded.message());
    }
  }
  built_->Give({.built = *std::move(index)});
  return absl::OkStatus();
}

// What cannot be removed is removed at the next opening.
void HistoryBuilder::Removed(uint64_t segment, uint64_t next_position) {
  built_->Give({.built = nullptr, .removed_segment = segment, .removed_before = next_position});
  const std::string path = wal::KeyIndexPath(folders_.log, segment);
  if (io_.Exists(path)) io_.Remove(path).IgnoreError();
}

}  // namespace tallystick
