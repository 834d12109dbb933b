#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_KINDS_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_KINDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "tests/model/naive_account.h"
#include "tests/model/naive_program.h"
#include "tests/model/naive_types.h"

namespace tallystick::model {

// What has moved in a program since its beginning.
struct Movements {
  int64_t issued = 0;
  int64_t redeemed = 0;
  int64_t expired = 0;
  int64_t forfeited = 0;   // part of expired
  int64_t closed_out = 0;  // part of expired
  int64_t clawed_back = 0;
  int64_t cancelled = 0;  // part of clawed_back
  int64_t written_off = 0;
  int64_t adjusted = 0;
  int64_t adjusted_up = 0;  // the positive adjustments alone
  int64_t reinstated = 0;
  int64_t forgiven = 0;
  int64_t sent = 0;  // what came back was not
  int64_t received = 0;

  __int128 EverCredited() const {
    return static_cast<__int128>(issued) + adjusted_up + reinstated + received;
  }
};

// Whether a total would pass the largest number.
bool Overflows(__int128 total);

struct Receipt {
  Operation operation;
  Result result;
  Instant key_time = 0;
  size_t version_index = 0;  // in the program's history
  int64_t granted = 0;
  int64_t returned = 0;         // R: what was returned of it
  int64_t claimed = 0;          // by those returns, written-off points included
  int64_t written_off = 0;      // by those returns, and not yet repaid
  std::vector<Taking> takings;  // of what was redeemed
  int64_t reversed = 0;         // of it, the latest takings first
};

struct Member {
  Account account;
  std::map<Id, Receipt> receipts;
};

// That an account's lots were joined: how many had points before, and then.
struct Joining {
  size_t before = 0;
  size_t after = 0;
  bool operator==(const Joining&) const = default;
};

// Joins the lots of an account, settled to t, if that is due before an operation that may add so
// many.
std::optional<Joining> JoinBeforeAdding(size_t added, Account& account,
                                        const std::map<Id, Receipt>& receipts,
                                        const ProgramHistory& history, Instant t);

// An operation that has passed the common checks, with a copy of what it may change: the ledger
// keeps the copy when the kind's rules accept it. The account is settled to t.
struct Attempt {
  const Operation& operation;
  const ProgramHistory& history;
  const std::map<Id, Receipt>& receipts;  // the member's, before
  Instant t;
  uint64_t sequence;
  size_t version_index;  // the version in force for the operation
  size_t transits_of_shard;
  Account account;
  Movements movements;
  std::map<Id, Receipt> changed_receipts = {};
  int64_t granted = 0;
  std::vector<Taking> takings = {};  // of what is redeemed
  bool written_off = false;
  bool detailed = false;
  std::vector<int64_t> details = {};
  std::optional<Joining> joining = {};

  const Program& version() const { return history.version(version_index); }

  // The member's receipt of this id if it still serves, to be changed; else null.
  Receipt* LiveReceipt(const Id& id);

  // The same for the receipt of the operation that made the lot.
  Receipt* LiveReceiptOfLot(uint64_t origin);

  void AddDetail(const std::vector<int64_t>& amounts);

  // What each operation that may add lots does first. TooManyLots if even then the account has no
  // room for them, else kOk.
  Outcome MakeRoomForLots(size_t added);
};

// The BadRequest checks, in order; kNone when all pass.
Field BadField(const Operation& operation);

// The receipt of this id if it still serves at t, else null.
const Receipt* FindLiveReceipt(const std::map<Id, Receipt>& receipts, const Id& id,
                               const ProgramHistory& history, Instant t);

// BelowMinimum or BelowStep if the version does not let so many points be redeemed, else kOk.
Outcome CheckRedeemable(const Program& version, int64_t points);

// The rules of the kind. On an outcome other than kOk the attempt is to be thrown away.
Outcome RunKind(Attempt& attempt);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_KINDS_H_
