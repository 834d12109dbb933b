// Double entry: what each record of a log moves between accounts. docs/postings.md is the page.
//
// A member has four accounts (pending, available, held, debt), a program one for each of its
// totals. The lines of a record sum to zero, and the sum of all lines is what the ledger owes. An
// account's sign is that of points which the ledger owes or has disposed of; issued, adjusted,
// reinstated, forgiven and debt therefore are negative sums.

#ifndef TALLYSTICK_API_POSTINGS_H_
#define TALLYSTICK_API_POSTINGS_H_

#include <array>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ledger/state_machine.h"
#include "ledger/totals.h"
#include "ledger/types.h"

namespace tallystick {

// Stable numbers and names.
enum class PostingAccount : uint8_t {
  kPending = 0,
  kAvailable = 1,
  kDebt = 2,
  kIssued = 3,
  kRedeemed = 4,
  kExpired = 5,
  kClawedBack = 6,
  kAdjusted = 7,
  kReinstated = 8,
  kForgiven = 9,
  kWrittenOff = 10,  // memo: taken from nobody, so outside the sum
  kHeld = 11,
  kSent = 12,  // to other members; what of it nobody has received is in transit
  kReceived = 13,
};
inline constexpr size_t kPostingAccountCount = 14;

// "clawed_back", as exports carry it.
absl::string_view PostingAccountName(PostingAccount account);
// Those of a member.
inline constexpr PostingAccount kMemberAccounts[] = {PostingAccount::kPending,
                                                     PostingAccount::kAvailable,
                                                     PostingAccount::kHeld, PostingAccount::kDebt};
inline bool IsMemo(PostingAccount account) { return account == PostingAccount::kWrittenOff; }
// Whether the account's sum is the total of its name with the other sign.
bool IsNegated(PostingAccount account);

struct PostingLine {
  PostingAccount account = PostingAccount::kPending;
  Points amount = 0;  // never 0 in a posted record
};

// A record with its lines: those of the member, then the program's, then the memo.
struct PostedRecord {
  static constexpr size_t kMaxLines = 8;

  Position position = 0;
  Instant log_time = 0;
  const Record* record = nullptr;  // in the block
  size_t slots = 1;                // the record and its details
  std::array<PostingLine, kMaxLines> line = {};
  uint32_t line_count = 0;  // 0: it moved nothing

  absl::Span<const PostingLine> lines() const { return {line.data(), line_count}; }
};

// Sums of lines by account; wide, so that no number of shards overflows them.
struct PostingSums {
  using Sum = ledger::Totals::Sum;

  int64_t members = 0;  // enrolled
  std::array<Sum, kPostingAccountCount> amount = {};

  Sum& of(PostingAccount account) { return amount[static_cast<size_t>(account)]; }
  Sum of(PostingAccount account) const { return amount[static_cast<size_t>(account)]; }
  void Add(const PostedRecord& posted);
  void Add(const PostingSums& other);
  // Zero, memos aside, wherever points are conserved.
  Sum Balance() const;
  friend bool operator==(const PostingSums&, const PostingSums&) = default;
};

// The sums that a program's totals stand for.
PostingSums SumsOf(const ledger::Totals& totals);

// Translates one shard's log, block by block. The split between a member's accounts
// is the difference of its balances in this record and the one before it in its history, so it
// keeps 56 bytes a member.
class Poster {
 public:
  struct AccountKey {
    Id member;
    uint16_t program;
    friend bool operator==(const AccountKey&, const AccountKey&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const AccountKey& key) {
      return H::combine(std::move(h), key.member.low(), key.member.high(), key.program);
    }
  };
  struct Account {
    Points pending = 0;
    Points available = 0;  // negative: a debt
    Points held = 0;
    Position last_position = 0;
  };
  using Accounts = absl::flat_hash_map<AccountKey, Account>;

  // Begins with the balances and totals of a state, in place of an empty one: the log's first
  // blocks are gone. REQUIRES: nothing was posted.
  void Begin(const ledger::StateMachine& machine);

  // The records of a block in order, into `posted` in place of what it held. DataLoss: a record
  // does not follow from those before it, or moves what it does not say; names its position.
  absl::Status Post(const ledger::BlockTime& time, Position first_position,
                    absl::Span<const Record> slots, std::vector<PostedRecord>* posted);

  // Behind the last record; sums by program.
  const Accounts& accounts() const { return accounts_; }
  const std::map<uint16_t, PostingSums>& sums() const { return sums_; }
  Instant log_time() const { return log_time_; }

 private:
  struct Block;
  Instant TimeOf(const ledger::BlockTime& time, const Record& record) const;
  // The records that share a log time: a settling with what caused it, or one operation.
  absl::Status PostGroup(const Block& block, size_t* next, std::vector<PostedRecord>* posted);
  absl::Status PostOne(const Block& block, size_t index, std::vector<PostedRecord>* posted);
  absl::Status PostMember(const Block& block, size_t index, PostedRecord* posted);

  Accounts accounts_;
  std::map<uint16_t, PostingSums> sums_;
  Instant log_time_ = 0;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_POSTINGS_H_
