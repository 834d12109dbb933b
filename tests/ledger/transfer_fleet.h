#ifndef TALLYSTICK_TESTS_LEDGER_TRANSFER_FLEET_H_
#define TALLYSTICK_TESTS_LEDGER_TRANSFER_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "tests/ledger/ledger_pair.h"

namespace tallystick::ledger {

// Shards of one ledger, each with its log, and what is between them: parcels under way, and answers
// to them. Shards crash one by one, and lose what of their logs is not durable. Nothing happens
// here by itself: whoever drives the fleet says what is next.
//
// What it takes that no point is lost or doubled, and so the rules of who drives real shards:
//   - A parcel is sent only when its Transfer is durable.
//   - An answer leaves only when all is durable that the answering shard did before it.
//   - `open_from` of a parcel is not behind a transfer that is not settled durably: in a crash that
//     one would be open again, and its parcel taken for one that was settled.
//   - A refusal brings points back only when no other copy of the parcel is under way: that one may
//     be accepted. So a shard that crashes has none of its parcels under way when it is back.
class TransferFleet {
 public:
  using Sequence = LedgerPair::Sequence;

  // Member n (from 1) is of shard (n - 1) / `members_of_shard`, as far as there are shards.
  TransferFleet(size_t shards, uint64_t members_of_shard);

  size_t size() const { return shards_.size(); }
  LedgerPair& pair(size_t shard) { return *shards_[shard].pair; }
  size_t ShardOf(const model::Id& member) const;

  // Ends the shard's open block, to which it may come back in a crash.
  void BeginBlock(size_t shard, const BlockTime& time, size_t capacity, bool take_image = false);
  // At least so much room in its open block.
  void NeedRoom(size_t shard, size_t slots);
  // Of the blocks that are ended and not durable, the first `blocks` are, or all that there are.
  void MakeDurable(size_t shard, size_t blocks);
  size_t BlocksNotDurable(size_t shard) const;

  // Those that are durable; without a parcel under way, nor an answer.
  std::vector<model::OpenTransfer> Unsent(size_t shard);
  // A parcel of it is under way. Perhaps not the first.
  void SendParcel(size_t shard, const model::OpenTransfer& transfer);

  size_t parcels() const { return parcels_.size(); }
  // It arrives, and its answer is under way.
  void Deliver(size_t parcel);

  size_t answers() const { return answers_.size(); }
  bool MayLeave(size_t answer) const;
  // It arrives, and settles the transfer if no other will.
  void DeliverAnswer(size_t answer);

  // The shard loses its open block, and of those that are not durable all but the first `kept`.
  // Parcels and answers from and to it are lost, but not answers that may have left.
  void Crash(size_t shard, size_t kept);

  // For each program: what was sent and not received is what is on its way and has not arrived.
  void CheckConservation(const std::vector<uint16_t>& programs);
  // Until nothing is on its way.
  void Complete();
  bool Quiet();

  size_t done() const { return done_; }
  size_t back() const { return back_; }
  size_t replayed() const { return replayed_; }
  size_t crashes() const { return crashes_; }

 private:
  struct Shard {
    std::unique_ptr<LedgerPair> pair;
    BlockTime time;
    size_t durable = 0;                    // remembered
    size_t last = 0;                       // remembered
    std::map<size_t, Sequence> sequences;  // the last of each that is remembered
    std::map<Sequence, size_t> unsettled;  // to which shard; settled ones that are not durable,
    std::map<Sequence, Sequence> settled;  // too, and by what
  };
  struct Parcel {
    size_t from, to;
    model::OpenTransfer transfer;
    LedgerPair::Sent sent;
  };
  struct Answer {
    size_t from, to;  // of the answer
    model::OpenTransfer transfer;
    model::Outcome outcome;
    Sequence behind;  // of what must be durable
  };

  void Remember(Shard& shard);
  void NoteTransfers(size_t shard);
  void ForgetDurable(Shard& shard);

  uint64_t members_of_shard_;
  std::vector<Shard> shards_;
  std::vector<Parcel> parcels_;
  std::vector<Answer> answers_;
  size_t done_ = 0;
  size_t back_ = 0;
  size_t replayed_ = 0;
  size_t crashes_ = 0;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_TRANSFER_FLEET_H_
