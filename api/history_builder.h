// Builds the key index of each sealed segment of one shard, on the keeper's thread, and hands it
// over to the shard.

#ifndef TALLYSTICK_API_HISTORY_BUILDER_H_
#define TALLYSTICK_API_HISTORY_BUILDER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/built_indexes.h"
#include "api/history_keys.h"
#include "wal/io.h"
#include "wal/segment_files.h"
#include "wal/segment_keeper.h"

namespace tallystick {

class HistoryBuilder : public wal::SegmentTask {
 public:
  // `io`: the keeper's. `built`: its shard's. `free_bytes`: how much of
  // the disk must be free for building: so that the log's growth meanwhile, and the index, leave
  // what is kept for archiving and repair.
  HistoryBuilder(wal::Io& io, wal::LogFolders folders, const wal::LogIdentity& identity,
                 uint64_t free_bytes, std::shared_ptr<BuiltIndexes> built);

  // A sound index that is there already is handed over as it is. One of a newer format is left
  // alone.
  absl::Status Begin(const wal::SealedSegment& segment) override;
  absl::StatusOr<bool> Step() override;
  void Abandon() override { build_.reset(); }
  // Removes the segment's index.
  void Removed(uint64_t segment, uint64_t next_position) override;

 private:
  absl::Status CheckSpace() const;
  absl::Status HandOver();

  wal::Io& io_;
  const wal::LogFolders folders_;
  const wal::LogIdentity identity_;
  const uint64_t free_bytes_;
  const std::shared_ptr<BuiltIndexes> built_;
  wal::SealedSegment segment_;
  std::unique_ptr<HistoryIndexBuild> build_;  // null: nothing is to be built
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_HISTORY_BUILDER_H_
