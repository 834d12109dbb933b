// Answers what asks for transactions of any age: reads of one, and operations that the state
// machine has refused as too old.
//
// Such an operation is refused because no receipt is kept any more that could say whether it was
// accepted long ago. The log says it: the same bytes under the same id, and the answer is the
// original result, replayed; other bytes, and it is a conflict; neither, and it stays refused.
// Where the log cannot be read, it is NotLookedUp, lest somebody book it once more in another way.
// Nothing is applied, so its order among other operations is of no consequence.

#ifndef TALLYSTICK_API_TRANSACTION_LOOKUPS_H_
#define TALLYSTICK_API_TRANSACTION_LOOKUPS_H_

#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "api/request.h"
#include "api/transaction_search.h"

namespace tallystick {

// Of one shard, waiting and under way: reads, and operations; more are refused, the latter as
// Overloaded. Four full requests take a second or two.
inline constexpr size_t kMaxWaitingTransactions = 256;
inline constexpr size_t kMaxWaitingTooOld = 4 * kMaxRequestOperations;

class TransactionLookups {
 public:
  // `search` is its own. `finished` takes each request when its answer or status is set. `report`
  // gets a sentence where the history could not be read.
  TransactionLookups(TransactionSearch& search, std::function<void(ShardRequest&)> finished,
                     std::function<void(const std::string&)> report)
      : search_(search), finished_(std::move(finished)), report_(std::move(report)) {}

  // Of request->member, program and transaction, from request->head, which is durable.
  // ResourceExhausted when too many wait.
  void Start(ControlRequest* request);
  // Those of part->too_old. REQUIRES: there are some, and HasRoom.
  void Start(SubmitPart* part);
  bool HasRoom(size_t too_old) const { return too_old_waiting_ + too_old <= kMaxWaitingTooOld; }

  // Once a turn: begins the next search, if none is under way. True: there is more to do now.
  bool Step();

  // Answers all with it, now and from now on.
  void Fail(const absl::Status& failure);

 private:
  // A request, of which so much is being looked up or has been.
  struct Job {
    ShardRequest* request = nullptr;
    size_t begun = 0;
    size_t under_way = 0;
  };
  // Searched now.
  struct Place {
    Job* job;
    size_t number;  // in part->too_old
  };

  static size_t SizeOf(const ShardRequest& request);
  static TransactionSought SoughtBy(const ShardRequest& request, size_t number);
  void Finish(std::list<Job>::iterator job);
  void Found(std::vector<TransactionSought>& sought);
  void Answer(ControlRequest& request, const TransactionSought& sought) const;
  void Answer(SubmitPart& part, size_t number, const TransactionSought& sought);

  TransactionSearch& search_;
  const std::function<void(ShardRequest&)> finished_;
  const std::function<void(const std::string&)> report_;
  std::list<Job> jobs_;  // those for whom nothing has been looked up for the longest come first
  std::vector<Place> places_;
  absl::Status failure_;
  size_t reads_waiting_ = 0;
  size_t too_old_waiting_ = 0;
  bool told_failure_ = false;  // since the last search that could read all
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_TRANSACTION_LOOKUPS_H_
