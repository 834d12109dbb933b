// Finds transactions of any age in the log: along the member's history chain as far back as there
// are segments without an index, and through the indexes before that.

#ifndef TALLYSTICK_API_TRANSACTION_SEARCH_H_
#define TALLYSTICK_API_TRANSACTION_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/history.h"
#include "api/messages.h"
#include "ledger/types.h"
#include "wal/block_fetcher.h"
#include "wal/record_fetcher.h"

namespace tallystick {

// Looked for at once, at most: their index pages and blocks are read together.
inline constexpr size_t kMaxSearchedAtOnce = 64;

struct TransactionSought {
  uint16_t program = 0;
  Id member;
  Id id;
  Position head = 0;                // of the account's history chain; durable
  const Operation* same = nullptr;  // null: the newest of that id; else one with the same bytes

  // What was found. With an error: it is not known.
  absl::Status status;
  bool found = false;
  bool other = false;               // one of that id was found, with other bytes
  std::vector<Position> came_back;  // transfers: as if they had been refused
  MovementAnswer movement;
  Instant time = 0;  // of its block
};

class TransactionSearch {
 public:
  // All outlive the search; the fetchers are its own.
  TransactionSearch(History& history, wal::BlockFetcher& blocks, wal::RecordFetcher& records)
      : history_(history), blocks_(blocks), records_(records) {}

  using Done = std::function<void(std::vector<TransactionSought>&)>;

  // Calls `done` with all of them filled in, at once or from Io::Poll; it may start the next
  // search. REQUIRES: !busy(), and 1 to kMaxSearchedAtOnce.
  void Start(std::vector<TransactionSought> sought, Done done);
  bool busy() const { return done_ != nullptr; }

 private:
  // Of one that is sought.
  struct Progress {
    Position at = 0;  // records before it, and it, are still to be looked at; 0: none
    std::vector<Position> candidates;
    Position next = 0;  // the index may have more below it
  };
  enum class Step : uint8_t { kWalk, kAsk, kGather, kFetch };

  void BeginRound();
  void GoOn();
  // Each goes on as far as it can; false: it waits for the disk.
  bool Walk();
  bool Fetch();
  void Ask();
  void Walked(const absl::StatusOr<wal::BlockView>& block);
  absl::Status TakeChain(size_t i, const wal::BlockView& block);
  void Asked(size_t i, const absl::StatusOr<wal::KeyMatches>& matches);
  void Visit(Position position, const wal::BlockView& block);
  void Fetched(const absl::Status& status);
  bool LostAnIndex() const;
  void Failed(size_t i, const absl::Status& status);
  // False: nothing more can be found.
  bool BeginNext();
  // Looks at a record that may be one that is sought.
  void Look(TransactionSought& sought, const wal::BlockView& block, Position position);
  void Finish();
  static bool IsSettled(const TransactionSought& sought) {
    return sought.found || !sought.status.ok();
  }

  History& history_;
  wal::BlockFetcher& blocks_;
  wal::RecordFetcher& records_;
  std::vector<TransactionSought> sought_;
  std::vector<Progress> progress_;
  Done done_;
  Step step_ = Step::kWalk;
  bool going_on_ = false;
  bool waiting_ = false;  // for what is read of the log
  size_t rounds_ = 0;
  Position covered_until_ = 0;
  uint64_t indexes_lost_ = 0;  // when the round began
  size_t walked_ = 0;          // so many have been walked
  size_t asking_ = 0;
  // Whose candidates are fetched together, and those that come next.
  std::vector<size_t> group_;
  std::vector<std::vector<size_t>> groups_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_TRANSACTION_SEARCH_H_
