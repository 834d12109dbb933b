// Reads the blocks of many positions of a log's indexed segments, plain and archived alike, with
// many reads in flight.

#ifndef TALLYSTICK_WAL_RECORD_FETCHER_H_
#define TALLYSTICK_WAL_RECORD_FETCHER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "wal/io.h"
#include "wal/key_index_set.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

// Blocks read at once, and what they may take of memory together; a single block may take more, and
// one of an archived segment takes two frames besides.
inline constexpr size_t kMaxFetches = 64;
inline constexpr size_t kMaxFetchBytes = size_t{16} << 20;
// Segments kept open. An archived one takes some 200 KiB.
inline constexpr size_t kMaxOpenSegments = 64;

class RecordFetcher {
 public:
  // `indexes` outlives the fetcher.
  RecordFetcher(Io& io, LogFolders folders, KeyIndexSet& indexes);
  ~RecordFetcher();  // REQUIRES: !busy()
  RecordFetcher(const RecordFetcher&) = delete;
  RecordFetcher& operator=(const RecordFetcher&) = delete;

  // The view, verified, is valid inside the call only.
  using Visit = std::function<void(uint64_t position, const BlockView& block)>;
  using Done = std::function<void(absl::Status)>;

  // Calls `visit` once for each position, in whatever order, then `done`; or `done` with the first
  // error. A block that holds several neighbours in the list is read once; of an archived segment
  // its frames are read, and unpacked on this thread (a few hundred microseconds each). All calls
  // come from Io::Poll, or at once if nothing is to be read; `done` may fetch again.
  // DataLoss: a block, an archive or an index is damaged, or a segment lost. NotFound: a position
  // is in no indexed segment, or the archive's limits removed its segment. REQUIRES: positions
  // fall; !busy().
  void Fetch(std::vector<uint64_t> positions, Visit visit, Done done);
  bool busy() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_RECORD_FETCHER_H_
