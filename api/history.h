// What a shard knows of its sealed segments: the indexes by which records of any age are found, and
// which positions no index covers yet.
//
// Nothing that is told depends on an index being there: what none covers is found along the
// members' history chains.

#ifndef TALLYSTICK_API_HISTORY_H_
#define TALLYSTICK_API_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/built_indexes.h"
#include "ledger/types.h"
#include "wal/archive_writer.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/key_index_set.h"
#include "wal/segment_files.h"

namespace tallystick {

struct HistoryOptions {
  wal::LogFolders folders = wal::LogFolders("");
  wal::LogIdentity identity;
  size_t memory_bytes = 0;  // of tables and filters
  // From the keeper. Null: no indexes are kept nor used.
  std::shared_ptr<BuiltIndexes> built;
  // Why what lies before the log's first segment cannot be read; OK: nothing does, or the archive's
  // limits have removed it.
  absl::Status beginning = absl::OkStatus();
  // Asks the keeper for the index of a segment that is plain no more, or whose index is damaged.
  std::function<void(const wal::SealedSegment&)> build;
  std::function<void(const std::string&)> report;
};

class History {
 public:
  // Removes what a crash has left half written, opens the indexes of the segments before
  // `last_segment`, which is the log's last, and loads what memory allows; asks for those that are
  // missing or of no use. Blocks: some 2 ms for each 64 MiB of log. An error only if the directory
  // or the segments cannot be read.
  static absl::StatusOr<std::unique_ptr<History>> Open(wal::Io& io, HistoryOptions options,
                                                       uint64_t last_segment);

  bool on() const { return options_.built != nullptr; }

  // Takes over what the keeper has built; once a turn.
  void Take();

  wal::KeyIndexSet& indexes() { return indexes_; }
  // Below it, all of the log that is kept is in the indexes.
  Position covered_until() const { return indexes_.CoveredUntil(oldest_); }
  bool Covers(Position position) const { return indexes_.CoveredUntil(position) > position; }
  // From here to `position`, which is covered, all is.
  Position CoveredFrom(Position position) const { return indexes_.CoveredFrom(position); }
  // How many indexes were found to be of no use while they were searched: a search that has failed
  // since one was lost is tried again without it.
  uint64_t indexes_lost() const { return indexes_lost_; }
  // As HistoryOptions::beginning.
  const absl::Status& beginning() const { return options_.beginning; }
  // The index of this position's segment has left out a record there: it is built anew.
  void Doubt(Position position);

 private:
  History(wal::Io& io, HistoryOptions options);
  absl::Status OpenAll(uint64_t last_segment);
  // False: it is to be built.
  bool OpenIndex(const wal::SealedSegment& segment);
  void LoadAll();
  void Lose(const wal::IndexHeader& header, absl::string_view why);
  absl::Status RemoveStrays(uint64_t last_gone, uint64_t last_segment);

  wal::Io& io_;
  const HistoryOptions options_;
  wal::KeyIndexSet indexes_;
  Position oldest_ = 1;  // that is kept
  uint64_t indexes_lost_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_HISTORY_H_
