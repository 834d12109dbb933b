// Statements: walks an account's history chain back through the log.

#ifndef TALLYSTICK_API_STATEMENT_WALK_H_
#define TALLYSTICK_API_STATEMENT_WALK_H_

#include <cstdint>
#include <functional>

#include "api/request.h"
#include "wal/block_fetcher.h"

namespace tallystick {

// Statements that may wait for one shard; more are refused.
inline constexpr size_t kMaxWaitingStatements = 256;

// Serves statement requests one after the other; each block is read once while it is needed.
class StatementWalk {
 public:
  // `finished` takes each request when its answer or status is set.
  StatementWalk(wal::BlockFetcher& fetcher, std::function<void(ShardRequest&)> finished);

  // From request->head, which is durable, into request->answer. ResourceExhausted when too many
  // wait.
  void Start(ControlRequest* request);
  bool idle() const { return queue_.empty(); }

 private:
  void Advance();
  void Read(absl::StatusOr<wal::BlockView> block);
  // Takes what the block holds of the chain; false: the statement is complete.
  absl::StatusOr<bool> Take(const wal::BlockView& block, StatementAnswer& answer);
  void Finish(absl::Status status);

  wal::BlockFetcher& fetcher_;
  std::function<void(ShardRequest&)> finished_;
  RequestQueue queue_;
  size_t waiting_ = 0;
  bool begun_ = false;      // with the request in front
  bool advancing_ = false;  // a cached block is read inside Fetch
  Position at_ = 0;         // next record to take
  Position head_ = 0;
  bool guessed_ = false;  // at_ comes from the caller: is it a record of the account?
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_STATEMENT_WALK_H_
