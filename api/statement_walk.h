// Statements: walks an account's history chain back through the log.
//
// Where segments have indexes, the walk knows ahead which records it will come by, and reads their
// blocks many at a time. The chain alone says what a statement holds: an index that leaves
// something out costs time, and is found out.

#ifndef TALLYSTICK_API_STATEMENT_WALK_H_
#define TALLYSTICK_API_STATEMENT_WALK_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "api/history.h"
#include "api/request.h"
#include "wal/block_fetcher.h"
#include "wal/record_fetcher.h"

namespace tallystick {

// Statements that may wait for one shard; more are refused.
inline constexpr size_t kMaxWaitingStatements = 256;

// Serves statement requests one after the other; each block is read once while it is needed.
class StatementWalk {
 public:
  // `finished` takes each request when its answer or status is set. The fetchers are its own.
  StatementWalk(History& history, wal::BlockFetcher& fetcher, wal::RecordFetcher& records,
                std::function<void(ShardRequest&)> finished);

  // From request->head, which is durable, into request->answer. ResourceExhausted when too many
  // wait.
  void Start(ControlRequest* request);

 private:
  // A record that the walk will come by.
  struct Ahead {
    Position position = 0;
    bool here = false;
    MovementAnswer movement;
    Position previous = 0;
  };

  void Advance();
  void Begin();
  void Read(absl::StatusOr<wal::BlockView> block);
  // Takes what the block holds of the chain; false: the statement is complete.
  absl::StatusOr<bool> Take(const wal::BlockView& block);
  // Takes one record, at at_, and moves on.
  absl::StatusOr<bool> Take(const MovementAnswer& movement, Position previous);
  void Went(absl::StatusOr<bool> more);
  // The record at at_, if it was read ahead.
  const Ahead* Known() const;
  bool MayLookAhead() const;
  void LookAhead();
  void LookedAhead(const absl::StatusOr<wal::KeyMatches>& matches);
  void ReadAhead(uint64_t position, const wal::BlockView& block);
  size_t Limit() const;
  const ControlRequest& request() const {
    return static_cast<const ControlRequest&>(*queue_.front());
  }
  StatementAnswer& answer() const;
  void Finish(absl::Status status);

  History& history_;
  wal::BlockFetcher& fetcher_;
  wal::RecordFetcher& records_;
  std::function<void(ShardRequest&)> finished_;
  RequestQueue queue_;
  size_t waiting_ = 0;
  bool begun_ = false;      // with the request in front
  bool advancing_ = false;  // a cached block is read inside Fetch
  Position at_ = 0;         // next record to take
  Position head_ = 0;
  bool guessed_ = false;  // at_ comes from the caller: is it a record of the account?

  std::vector<Ahead> ahead_;     // positions fall
  bool looking_ahead_ = false;   // until these are here
  bool ahead_failed_ = false;    // the rest of this statement is walked block by block
  Position ahead_complete_ = 0;  // from here on, up to where ahead_ was asked for, it has all
  Position ahead_begin_ = 0;     // where that was
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_STATEMENT_WALK_H_
