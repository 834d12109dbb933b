#include "api/reshard_check.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/shard_of.h"
#include "ledger/row_visitor.h"

namespace tallystick {
namespace {

// Before everything: balances are as they stand, nothing is settled aside.
constexpr Instant kAsItStands = std::numeric_limits<Instant>::min();

bool SameLot(const ledger::Lot& a, const ledger::Lot& b) {
  return a.activates_at == b.activates_at && a.expires_at == b.expires_at &&
         a.original == b.original && a.remaining == b.remaining && a.pending == b.pending;
}

// Timeouts at one instant are in the order of positions, which are others in the other ledger.
bool SameHold(const ledger::StateMachine::OpenHold& a, const ledger::StateMachine::OpenHold& b) {
  return a.times_out_at == b.times_out_at && a.points == b.points &&
         std::equal(a.lots.begin(), a.lots.end(), b.lots.begin(), b.lots.end(), SameLot);
}

// Looks each account up in the other ledger.
class Finder : public ledger::RowVisitor {
 public:
  explicit Finder(const Shards& after) : after_(after) {}

  void OnAccount(const ledger::AccountRows& rows) override {
    ++count_;
    if (!status_.ok() || Same(rows)) return;
    const ledger::Account& account = rows.account;
    status_ = absl::InternalError(absl::StrCat("member ", FormatId(account.member), " of program ",
                                               account.program,
                                               " has another balance in the new ledger, which was "
                                               "not made: go on with the old one"));
  }
  void OnReceipt(uint16_t, const Id&, const ledger::Receipt&, const ledger::Returned&,
                 absl::Span<const ledger::Taking>) override {}

  uint64_t count() const { return count_; }
  const absl::Status& status() const { return status_; }

 private:
  bool Same(const ledger::AccountRows& rows) const {
    const ledger::Account& account = rows.account;
    const auto shard = ShardOf(account.member, static_cast<uint16_t>(after_.size()));
    const ledger::StateMachine& machine = *after_[shard];
    const auto balance = machine.BalanceAt(account.program, account.member, kAsItStands);
    if (!balance.has_value() || balance->available - balance->debt != account.available ||
        balance->pending != account.pending || balance->held != rows.held ||
        balance->lifetime_earned != account.lifetime_earned ||
        machine.StatusOf(account.program, account.member) != rows.status) {
      return false;
    }
    const auto holds = machine.HoldsAt(account.program, account.member, kAsItStands);
    // Transfers are compared all together.
    const auto of_member = std::find_if(rows.holds.begin(), rows.holds.end(),
                                        [](const auto& hold) { return !IsZero(hold.to); });
    if (!std::equal(holds.begin(), holds.end(), rows.holds.begin(), of_member, SameHold)) {
      return false;
    }
    const std::vector<ledger::Lot> found =
        machine.LotsAt(account.program, account.member, kAsItStands);
    return std::equal(found.begin(), found.end(), rows.lots.begin(), rows.lots.end(), SameLot);
  }

  const Shards& after_;
  uint64_t count_ = 0;
  absl::Status status_;
};

// What is on its way, in an order that is the same in both ledgers.
class TransferCollector : public ledger::RowVisitor {
 public:
  explicit TransferCollector(const Shards& shards) {
    for (const ledger::StateMachine* machine : shards) machine->VisitRows(*this);
    std::sort(transfers_.begin(), transfers_.end());
  }

  void OnAccount(const ledger::AccountRows& rows) override {
    const ledger::Account& account = rows.account;
    for (const auto& hold : rows.holds) {
      if (IsZero(hold.to)) continue;
      std::string text = absl::StrCat(account.program, " ", FormatId(account.member), " ",
                                      FormatId(hold.to), " ", hold.points);
      for (const ledger::Lot& lot : hold.lots) {
        absl::StrAppend(&text, " ", lot.remaining, "/", lot.original, ":", lot.activates_at, "-",
                        lot.expires_at);
      }
      transfers_.push_back(std::move(text));
    }
  }
  void OnReceipt(uint16_t, const Id&, const ledger::Receipt&, const ledger::Returned&,
                 absl::Span<const ledger::Taking>) override {}

  const std::vector<std::string>& transfers() const { return transfers_; }

 private:
  std::vector<std::string> transfers_;
};

absl::Status CompareTransfers(const Shards& before, const Shards& after) {
  if (TransferCollector(before).transfers() == TransferCollector(after).transfers()) {
    return absl::OkStatus();
  }
  return absl::InternalError(
      "other transfers are on their way in the new ledger, which was not made: go on with the old "
      "one");
}

absl::Status CompareTotals(const Shards& before, const Shards& after) {
  const auto owed = SumTotals(before);
  const auto owes = SumTotals(after);
  for (const auto& [program, totals] : owed) {
    const auto found = owes.find(program);
    if (found == owes.end() || found->second != totals) {
      return absl::InternalError(absl::StrCat("program ", program,
                                              " has other totals in the new ledger, which was not "
                                              "made: go on with the old one"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::map<uint16_t, ledger::Totals> SumTotals(const Shards& shards) {
  std::map<uint16_t, ledger::Totals> sums;
  for (const ledger::StateMachine* machine : shards) {
    for (const uint16_t program : machine->Programs()) sums[program] += *machine->TotalsOf(program);
  }
  return sums;
}

absl::StatusOr<uint64_t> CompareLedgers(const Shards& before, const Shards& after) {
  for (const ledger::StateMachine* machine : after) {
    if (absl::Status s = machine->CheckInvariants(); !s.ok()) return s;
  }
  if (absl::Status s = CompareTotals(before, after); !s.ok()) return s;
  if (absl::Status s = CompareTransfers(before, after); !s.ok()) return s;
  Finder finder(after);
  for (const ledger::StateMachine* machine : before) machine->VisitRows(finder);
  if (!finder.status().ok()) return finder.status();
  return finder.count();
}

}  // namespace tallystick
