#include "api/tally/books.h"

#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/replay_block.h"
#include "wal/checksum.h"

namespace tallystick::tally {
namespace {

// Balances as they stand in the log: nothing is due before it.
constexpr Instant kAsRecorded = std::numeric_limits<Instant>::min();

absl::Status Unequal(uint16_t shard, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(
      "shard ", shard, ": ", what,
      ": the books don't balance. Nothing was written; keep the log, and report it as a defect"));
}

absl::Status CheckAccounts(const ShardBooks& books) {
  std::map<uint16_t, PostingSums> sums;
  for (const auto& [key, account] : books.poster.accounts()) {
    const auto balance = books.machine.BalanceAt(key.program, key.member, kAsRecorded);
    const bool equal = balance.has_value() && balance->pending == account.pending &&
                       balance->available - balance->debt == account.available &&
                       balance->held == account.held &&
                       books.machine.LastPosition(key.program, key.member) == account.last_position;
    if (!equal) {
      return Unequal(books.shard,
                     absl::StrCat("postings of member ", FormatId(key.member), " of program ",
                                  key.program, " do not sum up to its balances"));
    }
    PostingSums& sum = sums[key.program];
    ++sum.members;
    sum.of(PostingAccount::kPending) += balance->pending;
    sum.of(PostingAccount::kAvailable) += balance->available;
    sum.of(PostingAccount::kHeld) += balance->held;
    sum.of(PostingAccount::kDebt) -= balance->debt;
  }
  for (const uint16_t id : books.machine.Programs()) {
    const PostingSums expected = SumsOf(*books.machine.TotalsOf(id));
    const auto found = books.poster.sums().find(id);
    const PostingSums posted = found == books.poster.sums().end() ? PostingSums() : found->second;
    if (posted != expected || posted.Balance() != 0) {
      return Unequal(books.shard,
                     absl::StrCat("postings of program ", id, " do not sum up to its totals"));
    }
    const PostingSums& members = sums[id];
    bool equal = members.members == expected.members;
    for (const PostingAccount account : kMemberAccounts) {
      equal = equal && members.of(account) == expected.of(account);
    }
    if (!equal) {
      return Unequal(books.shard, absl::StrCat("balances of the members of program ", id,
                                               " do not sum up to its totals"));
    }
  }
  return absl::OkStatus();
}

// One shard's log, replayed and posted.
class Shard {
 public:
  Shard(uint16_t number, std::string path, ReplayStart& start)
      : number_(number),
        path_(std::move(path)),
        machine_(std::move(start.machine)),
        position_(start.position()),
        last_hash_(start.last_hash) {}

  absl::Status Begin(const BooksReader& reader) {
    if (position_ == 0) return absl::OkStatus();
    poster_.Begin(*machine_);
    return reader.on_opening == nullptr ? absl::OkStatus() : reader.on_opening(Books());
  }

  absl::Status Read(const wal::BlockView& block, const BooksReader& reader) {
    position_ = block.header->first_position + block.header->count - 1;
    last_hash_ = wal::Hash128(block.header, sizeof(*block.header));
    if (reader.on_block != nullptr) {
      if (absl::Status s = reader.on_block(number_, block); !s.ok()) return s;
    }
    if (block.header->type != wal::BlockType::kRecords) return absl::OkStatus();
    const ledger::BlockTime time{block.header->timestamp_us,
                                 (block.header->flags & kBlockImportClock) != 0,
                                 block.header->engine_version};
    const absl::Span<const Record> slots(reinterpret_cast<const Record*>(block.slots.data()),
                                         block.slots.size());
    absl::Status status = poster_.Post(time, block.header->first_position, slots, &posted_);
    if (!status.ok()) return At(block, status);
    return ReadDays(block, reader);
  }

  // Behind the last block.
  absl::Status End(const BooksReader& reader) {
    if (day_.has_value() && reader.on_day != nullptr) {
      if (absl::Status s = reader.on_day(number_, *day_, *machine_); !s.ok()) return s;
    }
    const ShardBooks books = Books();
    if (absl::Status s = CheckAccounts(books); !s.ok()) return s;
    return reader.on_shard == nullptr ? absl::OkStatus() : reader.on_shard(books);
  }

 private:
  ShardBooks Books() const { return {number_, position_, last_hash_, poster_, *machine_}; }

  absl::Status At(const wal::BlockView& block, const absl::Status& status) const {
    return absl::Status(status.code(), absl::StrCat(path_, ": segment ", block.segment, " offset ",
                                                    block.offset, ": ", status.message()));
  }

  // The records of one day after those of another: under the import clock a block may hold years.
  absl::Status ReadDays(const wal::BlockView& block, const BooksReader& reader) {
    size_t begin = 0;
    while (begin < posted_.size()) {
      const int64_t day = UtcDay(posted_[begin].log_time);
      size_t end = begin + 1;
      while (end < posted_.size() && UtcDay(posted_[end].log_time) == day) ++end;
      if (day_.has_value() && *day_ != day && reader.on_day != nullptr) {
        if (absl::Status s = reader.on_day(number_, *day_, *machine_); !s.ok()) return s;
      }
      day_ = day;
      if (absl::Status s = Replay(block, begin, end); !s.ok()) return s;
      for (size_t i = begin; i < end && reader.on_record != nullptr; ++i) {
        if (absl::Status s = reader.on_record(number_, posted_[i]); !s.ok()) return s;
      }
      begin = end;
    }
    if (poster_.log_time() == machine_->log_time()) return absl::OkStatus();
    return At(block, absl::DataLossError("the postings have another log time than the ledger"));
  }

  // Of the block's records those from posted_[begin] to before posted_[end], as if they were a
  // block.
  absl::Status Replay(const wal::BlockView& block, size_t begin, size_t end) {
    const size_t first = posted_[begin].position - block.header->first_position;
    const size_t last =
        posted_[end - 1].position - block.header->first_position + posted_[end - 1].slots;
    wal::BlockHeader header = *block.header;
    header.first_position += first;
    header.count = static_cast<uint32_t>(last - first);
    if (end < posted_.size()) header.flags &= ~kBlockDigest;
    const wal::BlockView part{&header, block.slots.subspan(first, last - first), block.segment,
                              block.offset};
    return ReplayBlock(part, path_, *machine_);
  }

  const uint16_t number_;
  const std::string path_;
  const std::unique_ptr<ledger::StateMachine> machine_;
  Poster poster_;
  std::vector<PostedRecord> posted_;
  std::optional<int64_t> day_;  // of the records so far
  Position position_;
  wal::Id128 last_hash_;
};

}  // namespace

absl::Status ReadBooks(OfflineLedger& ledger, const BooksReader& reader) {
  std::unique_ptr<Shard> shard;
  const auto end = [&] { return shard == nullptr ? absl::OkStatus() : shard->End(reader); };
  LedgerReplay replay;
  replay.on_begin = [&](uint16_t number, ReplayStart& start) {
    if (absl::Status s = end(); !s.ok()) return s;
    shard = std::make_unique<Shard>(number, ledger.ShardPath(number), start);
    return shard->Begin(reader);
  };
  replay.on_block = [&](uint16_t, const wal::BlockView& block, Position) {
    return shard->Read(block, reader);
  };
  const auto logs = ReplayLedgerTo(ledger, LogPoint(), replay);
  return logs.ok() ? end() : logs.status();
}

absl::StatusOr<int64_t> Narrow(PostingSums::Sum sum, absl::string_view what) {
  if (sum >= std::numeric_limits<int64_t>::min() && sum <= std::numeric_limits<int64_t>::max()) {
    return static_cast<int64_t>(sum);
  }
  return absl::OutOfRangeError(absl::StrCat(
      what, " of all shards together does not fit 64 bits: sum up the postings of each shard"));
}

absl::StatusOr<ledger::Totals> TotalsOf(const PostingSums& sums) {
  ledger::Totals totals;
  totals.members = sums.members;
  const std::pair<PostingAccount, Points*> fields[] = {
      {PostingAccount::kPending, &totals.pending},
      {PostingAccount::kAvailable, &totals.available},
      {PostingAccount::kHeld, &totals.held},
      {PostingAccount::kDebt, &totals.debt},
      {PostingAccount::kIssued, &totals.issued},
      {PostingAccount::kRedeemed, &totals.redeemed},
      {PostingAccount::kExpired, &totals.expired},
      {PostingAccount::kClawedBack, &totals.clawed_back},
      {PostingAccount::kAdjusted, &totals.adjusted},
      {PostingAccount::kReinstated, &totals.reinstated},
      {PostingAccount::kForgiven, &totals.forgiven},
      {PostingAccount::kWrittenOff, &totals.written_off},
      {PostingAccount::kSent, &totals.sent},
      {PostingAccount::kReceived, &totals.received}};
  for (const auto& [account, field] : fields) {
    const auto points = Narrow(IsNegated(account) ? -sums.of(account) : sums.of(account),
                               PostingAccountName(account));
    if (!points.ok()) return points.status();
    *field = *points;
  }
  return totals;
}

}  // namespace tallystick::tally
