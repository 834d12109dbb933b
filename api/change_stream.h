// The durable records of one shard's log, to any number of readers that ask on from a position.
//
// A reader asks for what lies behind what it has, and waits for it if there is none: between two
// questions the shard keeps nothing of it, so that a slow one holds nobody up and any may go on
// where it stopped, after a restart of either side too.

#ifndef TALLYSTICK_API_CHANGE_STREAM_H_
#define TALLYSTICK_API_CHANGE_STREAM_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/request.h"
#include "wal/block_fetcher.h"

namespace tallystick {

// Questions that may wait in one shard; more are refused. Each holds up to an answer.
inline constexpr size_t kMaxWaitingReaders = 64;

class ChangeStream {
 public:
  // `finished` takes each request when its answer or status is set.
  ChangeStream(wal::BlockFetcher& fetcher, std::function<void(ShardRequest&)> finished);

  // Takes a question: request->before is the first position wanted, request->wait_ms how long it
  // waits. `end`: the positions below it are durable. ResourceExhausted when too many wait;
  // OutOfRange: the log has not come so far.
  void Start(ControlRequest* request, Position end, int64_t now_us);

  // One turn: begins to read for the reader that has waited longest of those for whom there is
  // something, and answers those who have waited long enough. Returns how many microseconds may
  // pass until the next; negative: until something happens.
  int64_t Step(Position end, int64_t now_us);

  // Answers all with it, now and from now on.
  void Fail(const absl::Status& failure);

 private:
  struct Reader {
    ControlRequest* request;
    int64_t until_us;
    Position next;
  };
  // Reads on for the reader in front, until it has an answer or all that there is.
  void Read();
  void Arrived(absl::StatusOr<wal::BlockView> block);
  // False: that was the last block for now.
  bool Take(const wal::BlockView& block);
  void Finish(std::vector<Reader>::iterator reader, absl::Status status);

  wal::BlockFetcher& fetcher_;
  std::function<void(ShardRequest&)> finished_;
  absl::Status failure_;
  std::vector<Reader> readers_;
  bool reading_ = false;  // for the one in front
  bool inside_read_ = false;
  Position end_ = 1;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_CHANGE_STREAM_H_
