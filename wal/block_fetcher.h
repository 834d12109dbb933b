// Reads single blocks of a log that is being written, asynchronously: for statements and
// other walks along the history chain.

#ifndef TALLYSTICK_WAL_BLOCK_FETCHER_H_
#define TALLYSTICK_WAL_BLOCK_FETCHER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/log_index.h"
#include "wal/log_reader.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

class BlockFetcher {
 public:
  // Keeps the last `cache_blocks` blocks that it read. `index` outlives the fetcher,
  // and learns where the blocks lie that it passes.
  BlockFetcher(Io& io, const LogFolders& folders, LogIndex& index, size_t cache_blocks);
  ~BlockFetcher();  // REQUIRES: !busy()

  using Callback = std::function<void(absl::StatusOr<BlockView>)>;

  // Calls back with the whole, verified block that holds `position`: at once if it is at hand, else
  // from Io::Poll. The view is valid inside the callback only. One fetch at a time; the callback
  // may start the next. REQUIRES: position is durable; !busy().
  // DataLoss: the block is damaged, or its segment lost. NotFound: the archive's limits removed it;
  // says with which position the log begins.
  void Fetch(uint64_t position, Callback callback);
  bool busy() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_BLOCK_FETCHER_H_
