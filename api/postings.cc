#include "api/postings.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "ledger/row_visitor.h"

namespace tallystick {
namespace {

using Sum = PostingSums::Sum;

constexpr std::array<absl::string_view, kPostingAccountCount> kNames = {
    "pending",  "available",  "debt",     "issued",      "redeemed", "expired", "clawed_back",
    "adjusted", "reinstated", "forgiven", "written_off", "held",     "sent",    "received"};

// Where the points of a kind without details come from or go to; nothing: they stay the member's.
std::optional<PostingAccount> ProgramAccountOf(Kind kind) {
  switch (kind) {
    case Kind::Accrue:
    case Kind::Purchase:
      return PostingAccount::kIssued;
    case Kind::Redeem:
    case Kind::Capture:
      return PostingAccount::kRedeemed;
    case Kind::ReverseRedemption:
      return PostingAccount::kReinstated;
    case Kind::Return:
    case Kind::Cancel:
      return PostingAccount::kClawedBack;
    case Kind::Adjust:
      return PostingAccount::kAdjusted;
    case Kind::Expiry:
      return PostingAccount::kExpired;
    case Kind::Transfer:
    case Kind::TransferBack:
      return PostingAccount::kSent;
    case Kind::TransferIn:
      return PostingAccount::kReceived;
    default:
      return std::nullopt;
  }
}

bool IsTicked(const Record& record) { return (record.result.flags() & kTicked) != 0; }

absl::Status Wrong(Position position, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("postings of position ", position, ": ", what,
                                          "; check the log with tally log verify"));
}

// False: the amount is none that a ledger can hold.
bool AddLine(PostingAccount account, Sum amount, PostedRecord* posted) {
  if (amount == 0) return true;
  if (amount < std::numeric_limits<Points>::min() || amount > std::numeric_limits<Points>::max()) {
    return false;
  }
  posted->line[posted->line_count++] = {account, static_cast<Points>(amount)};
  return true;
}

// The program's lines of a record that says in a detail slot what its points came from and went to.
bool AddDetails(Kind kind, const Record& slot, PostedRecord* posted, Points* written_off) {
  switch (kind) {
    case Kind::Capture: {
      const auto detail = DetailIn<CaptureDetail>(slot);
      return AddLine(PostingAccount::kRedeemed, detail.captured, posted) &&
             AddLine(PostingAccount::kForgiven, -Sum{detail.forgiven}, posted);
    }
    case Kind::ReverseRedemption: {
      const auto detail = DetailIn<ReversalDetail>(slot);
      *written_off = -detail.repaid;
      return AddLine(PostingAccount::kReinstated, -Sum{detail.reinstated}, posted) &&
             AddLine(PostingAccount::kClawedBack, detail.repaid, posted) &&
             AddLine(PostingAccount::kExpired, detail.forfeited, posted);
    }
    case Kind::Close: {
      const auto detail = DetailIn<CloseDetail>(slot);
      return AddLine(PostingAccount::kExpired, Sum{detail.pending} + detail.available, posted) &&
             AddLine(PostingAccount::kForgiven, -Sum{detail.forgiven}, posted);
    }
    default:
      return false;
  }
}

}  // namespace

absl::string_view PostingAccountName(PostingAccount account) {
  return kNames[static_cast<size_t>(account)];
}

void PostingSums::Add(const PostedRecord& posted) {
  if ((posted.record->result.flags() & kEnrolled) != 0) ++members;
  for (const PostingLine& line : posted.lines()) of(line.account) += line.amount;
}

void PostingSums::Add(const PostingSums& other) {
  members += other.members;
  for (size_t i = 0; i < amount.size(); ++i) amount[i] += other.amount[i];
}

PostingSums::Sum PostingSums::Balance() const {
  Sum sum = 0;
  for (size_t i = 0; i < amount.size(); ++i) {
    if (!IsMemo(static_cast<PostingAccount>(i))) sum += amount[i];
  }
  return sum;
}

bool IsNegated(PostingAccount account) {
  switch (account) {
    case PostingAccount::kDebt:
    case PostingAccount::kIssued:
    case PostingAccount::kAdjusted:
    case PostingAccount::kReinstated:
    case PostingAccount::kForgiven:
    case PostingAccount::kReceived:
      return true;
    default:
      return false;
  }
}

PostingSums SumsOf(const ledger::Totals& totals) {
  PostingSums sums;
  sums.members = totals.members;
  sums.amount = {totals.pending,    totals.available, totals.debt,        totals.issued,
                 totals.redeemed,   totals.expired,   totals.clawed_back, totals.adjusted,
                 totals.reinstated, totals.forgiven,  totals.written_off, totals.held,
                 totals.sent,       totals.received};
  for (size_t i = 0; i < sums.amount.size(); ++i) {
    if (IsNegated(static_cast<PostingAccount>(i))) sums.amount[i] = -sums.amount[i];
  }
  return sums;
}

struct Poster::Block {
  const ledger::BlockTime& time;
  Position first_position;
  absl::Span<const Record> slots;
  // The last operation, and what may be an expiry of what it made or gave back.
  const Operation* operation = nullptr;
  size_t behind_operation = 0;

  Position position(size_t index) const { return first_position + index; }
  bool IsDerivedAt(size_t index) const { return IsDerived(slots[index].operation.kind()); }
  // An expiry of what the operation right before it made or gave back, which was past already: no
  // settling, for all else that was past had happened before the operation.
  bool IsAtOnce(size_t index, Instant log_time) const {
    const Operation& op = slots[index].operation;
    return operation != nullptr && index == behind_operation && op.kind() == Kind::Expiry &&
           op.member() == operation->member() && op.program() == operation->program() &&
           op.occurred_at() <= log_time;
  }
};

// The log time that a record brings, as docs/semantics.md says.
Instant Poster::TimeOf(const ledger::BlockTime& time, const Record& record) const {
  if (!time.import_clock) return std::max(log_time_, time.stamp);
  const Kind kind = record.operation.kind();
  if (IsDerived(kind) || kind == Kind::ProgramPut) return log_time_;
  return std::max(log_time_, std::min(record.operation.occurred_at(), time.stamp));
}

void Poster::Begin(const ledger::StateMachine& machine) {
  struct Balances : ledger::RowVisitor {
    explicit Balances(Accounts& to) : accounts(to) {}
    void OnAccount(const ledger::AccountRows& rows) override {
      const ledger::Account& account = rows.account;
      accounts[{account.member, account.program}] = {.pending = account.pending,
                                                     .available = account.available,
                                                     .held = rows.held,
                                                     .last_position = account.last_position};
    }
    void OnReceipt(uint16_t, const Id&, const ledger::Receipt&, const ledger::Returned&,
                   absl::Span<const ledger::Taking>) override {}
    Accounts& accounts;
  };
  Balances balances(accounts_);
  machine.VisitRows(balances);
  for (const uint16_t id : machine.Programs()) sums_[id] = SumsOf(*machine.TotalsOf(id));
  log_time_ = machine.log_time();
}

absl::Status Poster::Post(const ledger::BlockTime& time, Position first_position,
                          absl::Span<const Record> slots, std::vector<PostedRecord>* posted) {
  posted->clear();
  Block block{time, first_position, slots};
  size_t next = 0;
  while (next < slots.size()) {
    if (block.IsDerivedAt(next) && block.IsAtOnce(next, log_time_)) {
      if (absl::Status s = PostOne(block, next++, posted); !s.ok()) return s;
      block.behind_operation = next;
      continue;
    }
    if (absl::Status s = PostGroup(block, &next, posted); !s.ok()) return s;
    const PostedRecord& last = posted->back();
    block.operation = IsDerived(last.record->operation.kind()) ? nullptr : &last.record->operation;
    block.behind_operation = next;
  }
  return absl::OkStatus();
}

absl::Status Poster::PostGroup(const Block& block, size_t* next,
                               std::vector<PostedRecord>* posted) {
  size_t cause = *next;
  while (cause < block.slots.size() && block.IsDerivedAt(cause) && !IsTicked(block.slots[cause])) {
    ++cause;
  }
  if (cause == block.slots.size()) {
    return Wrong(block.position(*next), "nothing behind it says why it was settled");
  }
  log_time_ = TimeOf(block.time, block.slots[cause]);
  while (*next <= cause) {
    if (absl::Status s = PostOne(block, *next, posted); !s.ok()) return s;
    *next += posted->back().slots;
  }
  return absl::OkStatus();
}

absl::Status Poster::PostOne(const Block& block, size_t index, std::vector<PostedRecord>* posted) {
  const Record& record = block.slots[index];
  PostedRecord& out = posted->emplace_back();
  out.position = block.position(index);
  out.log_time = log_time_;
  out.record = &record;
  out.slots = 1 + (IsDerived(record.operation.kind()) ? 0 : record.result.details());
  if (out.slots > block.slots.size() - index) {
    return Wrong(out.position, "its details reach beyond its block");
  }
  if (record.operation.kind() == Kind::ProgramPut || record.operation.kind() == Kind::Tick) {
    return absl::OkStatus();
  }
  return PostMember(block, index, &out);
}

absl::Status Poster::PostMember(const Block& block, size_t index, PostedRecord* posted) {
  const Operation& op = posted->record->operation;
  const Result& result = posted->record->result;
  Account& account = accounts_[{op.member(), op.program()}];
  if (account.last_position != result.position()) {
    return Wrong(posted->position,
                 absl::StrCat("its member's record before it is said to be at position ",
                              result.position(), ", and is at ", account.last_position));
  }
  const auto debt = [](Points available) { return std::max<Sum>(-Sum{available}, 0); };
  const auto points = [](Points available) { return std::max<Points>(available, 0); };
  const Sum moved =
      Sum{result.pending()} - account.pending + result.available() - account.available;
  const Sum held = MovesHeld(op.kind()) ? Sum{result.points()} - moved : 0;
  bool fits = AddLine(PostingAccount::kPending, Sum{result.pending()} - account.pending, posted);
  fits &= AddLine(PostingAccount::kAvailable,
                  Sum{points(result.available())} - points(account.available), posted);
  fits &= AddLine(PostingAccount::kHeld, held, posted);
  fits &=
      AddLine(PostingAccount::kDebt, debt(account.available) - debt(result.available()), posted);
  Points written_off = 0;
  if ((result.flags() & kDetailed) != 0 && posted->slots > 1) {
    fits &= AddDetails(op.kind(), block.slots[index + 1], posted, &written_off);
  } else if (const auto program = ProgramAccountOf(op.kind())) {
    fits &= AddLine(*program, -Sum{result.points()}, posted);
  }
  Sum sum = 0;
  for (const PostingLine& line : posted->lines()) sum += line.amount;
  if (!fits || sum != 0 || held + account.held < 0) {
    return Wrong(posted->position, "its member's balances moved by something else than its points");
  }
  if ((result.flags() & kWrittenOff) != 0 && posted->slots > 1) {
    written_off = DetailIn<ReturnDetail>(block.slots[index + 1]).written_off;
  }
  AddLine(PostingAccount::kWrittenOff, written_off, posted);
  account = {result.pending(), result.available(), static_cast<Points>(account.held + held),
             posted->position};
  sums_[op.program()].Add(*posted);
  return absl::OkStatus();
}

}  // namespace tallystick
