// The key indexes of one shard: finds a key in all of its segments, and a position's block, with
// many reads in flight.

#ifndef TALLYSTICK_WAL_KEY_INDEX_SET_H_
#define TALLYSTICK_WAL_KEY_INDEX_SET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/key_index.h"

namespace tallystick::wal {

// Pages read at once, of all searches and of one: a device is saturated by as many, and one search
// leaves room for others.
inline constexpr size_t kMaxIndexReads = 64;
inline constexpr size_t kMaxSearchReads = 32;
// Searches under way or waiting; more are refused.
inline constexpr size_t kMaxIndexSearches = 256;
// Index files kept open.
inline constexpr size_t kMaxOpenIndexes = 64;

struct KeyQuery {
  size_t family = 0;
  Id128 key;
  uint64_t before = std::numeric_limits<uint64_t>::max();  // positions below it
  size_t limit = 1;                                        // positions at most, from 1
};

// Positions fall. Some may be of other keys whose hashes begin alike: look at the records.
struct KeyMatches {
  std::vector<uint64_t> positions;
  uint64_t next = 0;  // there may be more below it: ask again with `before`; 0: that was all
};

struct BlockPlace {
  uint64_t segment = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t first_position = 0;
};

class KeyIndexSet {
 public:
  // `memory_bytes`: of tables and filters. Each index takes some 5 KiB besides.
  KeyIndexSet(Io& io, std::string directory, size_t memory_bytes);
  ~KeyIndexSet();  // REQUIRES: !busy()
  KeyIndexSet(const KeyIndexSet&) = delete;
  KeyIndexSet& operator=(const KeyIndexSet&) = delete;

  // Adds a segment's index, or puts it in the place of the one that is there. Parts that it has in
  // memory stay there as long as memory allows: filters are dropped before tables, and those of old
  // segments before those of newer ones. Reads nothing.
  void Add(std::unique_ptr<KeyIndex> index);
  // Its segment is gone. Searches under way still use it.
  void Remove(uint64_t segment);
  // Calls `removed` when an index cannot be read: then it is in this set no more, and searches that
  // need it end with the status, as does Load.
  void set_on_removed(std::function<void(const IndexHeader&, const absl::Status&)> removed) {
    on_removed_ = std::move(removed);
  }
  // Loads parts as far as memory allows: tables before filters, newer segments before older; for
  // starts and offline tools, as it blocks (about 2 ms for each 64 MiB of log). An error, DataLoss
  // if an index is damaged, as with searches: without that index it may be called again.
  absl::Status Load();

  bool Has(uint64_t segment) const;
  // Of the segment that holds a position, if it is in this set.
  std::optional<IndexHeader> HeaderAt(uint64_t position) const;
  // All positions from `position` on, and below this one, are in segments of this set.
  uint64_t CoveredUntil(uint64_t position) const;
  // All positions from this one to `position` are. REQUIRES: that one is.
  uint64_t CoveredFrom(uint64_t position) const;
  size_t size() const { return indexes_.size(); }
  size_t memory_bytes() const { return memory_bytes_; }

  using FindCallback = std::function<void(absl::StatusOr<KeyMatches>)>;
  using LocateCallback = std::function<void(absl::StatusOr<BlockPlace>)>;

  // Calls back with the newest positions of the key in the segments of this set; others are the
  // caller's. Of an index whose filter says that the key is not there nothing is read; of others a
  // page, and a second and third where memory does not have the tables and the filter. Calls back
  // at once if nothing is to be read, else from Io::Poll; the callback may search again.
  // DataLoss: an index is damaged, says which. ResourceExhausted: too many searches.
  void Find(const KeyQuery& query, FindCallback callback);
  // Calls back with the block that holds a position. NotFound: it is in no segment of this set.
  void Locate(uint64_t position, LocateCallback callback);

  // A search is under way. Who may wait: while (busy()) io.Poll(-1).
  bool busy() const;

 private:
  struct Search;
  struct Reads;

  using Indexes = std::vector<std::shared_ptr<KeyIndex>>;

  // The first that is not of an older segment.
  Indexes::iterator At(uint64_t segment);
  // The one of the segment that holds the position, or the end.
  Indexes::const_iterator Holding(uint64_t position) const;
  void Pump();
  absl::StatusOr<bool> GoOn(const std::shared_ptr<Search>& search);
  absl::Status OpenParts(Search& search);
  // It is of no use.
  absl::Status GiveUp(const KeyIndex& index, absl::Status failure);
  void Finish(const std::shared_ptr<Search>& search, const absl::Status& status);

  const size_t most_memory_bytes_;
  Io& io_;
  Indexes indexes_;  // by segment
  size_t memory_bytes_ = 0;
  std::function<void(const IndexHeader&, const absl::Status&)> on_removed_;
  std::unique_ptr<Reads> reads_;
  std::vector<std::shared_ptr<Search>> searches_;  // the oldest first
  bool pumping_ = false;
  bool pump_again_ = false;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_SET_H_
