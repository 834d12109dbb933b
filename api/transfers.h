// What becomes of the transfers that a shard has sent: brings their parcels to the receivers'
// shards, settles them with what those say, and tells who waits for it.
//
// A parcel leaves when its Transfer is durable; its answer comes when what it says is durable
// there; and the caller is answered when the settlement is durable here. What a crash interrupts is
// resumed at the next start: parcels are sent again, and the receiver takes none twice.

#ifndef TALLYSTICK_API_TRANSFERS_H_
#define TALLYSTICK_API_TRANSFERS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "api/request.h"
#include "ledger/state_machine.h"
#include "ledger/types.h"

namespace tallystick {

// Parcels in one request to another shard at most, and their slots but for those of the last. One
// request is under way to a shard at a time.
inline constexpr size_t kMaxParcels = 1024;
inline constexpr size_t kMaxParcelSlots = 8192;

// Parcels of one shard for another. Made and kept by the sender; in between the receiver's.
struct ParcelsRequest : ShardRequest {
  ParcelsRequest() : ShardRequest(Type::kParcels) {}

  std::vector<Record> slots;    // parcel behind parcel, as StateMachine::WriteParcel writes them
  std::vector<Result> results;  // one each, filled by the receiver
  size_t applied = 0;           // of them
  size_t applied_slots = 0;
  // The sender's block time, and the receiver's: neither shard's goes behind what it is told of.
  Instant stamp = 0;
};

class Transfers {
 public:
  // `send`: hands a request to its shard; false: not now. `answer`: of a part whose last transfer
  // was settled, or that has failed. `machine` outlives it.
  Transfers(const ledger::StateMachine& machine, uint16_t shard, uint16_t shard_count,
            std::function<void(SubmitPart&)> answer);

  void set_send(std::function<bool(ShardRequest*)> send) { send_ = std::move(send); }

  // Takes those that the state machine has applied since the last time, or had at start. Returns
  // how many.
  size_t TakeSent();
  // Operation `index` of the part is the transfer of that position, and on its way: the part waits
  // until it is settled. Its result is the Transfer's, and replaced if it comes back.
  void Await(SubmitPart& part, size_t index, Position position, const Id& to);

  // The next transfer of this shard to itself that is not received yet; null: there is none.
  const ledger::StateMachine::OpenTransfer* NextOwn() const;
  Position own_open_from() const;
  // What was said of it.
  void OwnReceived(const Result& result) { Received(lanes_[shard_], result); }

  // The next that is to be settled; null: there is none.
  const ledger::StateMachine::OpenTransfer* NextToSettle(Outcome* received,
                                                         ledger::Arrival* arrival);
  // It has been, with that result.
  void Settled(const Result& result);

  // Tells those whose settlement is durable, and sends what may go.
  void Step(Position durable, Instant stamp);
  // Something came back since the last Step.
  bool has_answers() const { return has_answers_; }
  // Block time that this shard must not stay behind.
  Instant not_before() const { return not_before_; }
  // Nothing can be settled for now: who waits for it is overloaded, and may ask again.
  void Overload();
  // With room in this shard's log, something can be received or settled.
  bool can_go_on() const;
  // A request of it is at another shard.
  bool under_way() const;
  // Something is still to be settled, now that no shard has stopped for it.
  bool unsettled() const;
  // The shard has stopped.
  void Fail(const absl::Status& failure);

 private:
  struct Entry {
    ledger::StateMachine::OpenTransfer transfer;
    Outcome received = Outcome::Ok;  // what the receiver said
    Position received_at = 0;        // its position there, if it is known
    Result came_back;                // or what the sender is told
    Position settled = 0;            // position of the settlement
    uint32_t waiter = 0;             // the first, + 1
  };
  struct Waiter {
    SubmitPart* part;
    uint32_t index;  // of its operations
    uint32_t next;   // + 1
  };
  // To one shard, in the order of their positions, until their settlement is durable.
  struct Lane {
    std::deque<Entry> entries;
    size_t sent = 0;      // so many have left
    size_t received = 0;  // of so many it is known what became of them
    size_t settled = 0;   // so many are settled
    std::unique_ptr<ParcelsRequest> request;
    bool under_way = false;
    absl::Status failure;  // of the other shard: what has left is settled after the next start
  };

  static void Received(Lane& lane, const Result& result);
  static void ParcelsDone(ShardRequest& request);
  void TakeAnswers(ParcelsRequest& request);
  void SendParcels(Lane& lane, Position durable, Instant stamp);
  // All who wait for it. With a failure: it is not known what became of it.
  void Tell(Entry& entry, const absl::Status& failure);
  // `result`: null: the Transfer's own.
  void Tell(Entry& entry, const absl::Status& failure, const Result* result);
  void FailLane(Lane& lane, const absl::Status& failure);

  const ledger::StateMachine& machine_;
  Position newest_ = 0;
  const uint16_t shard_;
  std::function<void(SubmitPart&)> answer_;
  std::function<bool(ShardRequest*)> send_;
  std::vector<Lane> lanes_;  // by receiving shard
  size_t next_lane_ = 0;     // to settle
  std::vector<Waiter> waiters_;
  std::vector<uint32_t> free_waiters_;
  bool has_answers_ = false;
  Instant not_before_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_TRANSFERS_H_
