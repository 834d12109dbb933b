#include "api/tally/books.h"

#include <algorithm>
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
    if (reader.from.has_value()) {
      const Instant log_time = machine_->log_time();
      absl::Status reaches = reader.from->CheckBeginning(number_, position_, log_time);
      if (!reaches.ok()) return reaches;
      until_from_.emplace(*reader.from, number_, log_time);
    }
    if (position_ == 0) return absl::OkStatus();
    poster_.Begin(*machine_);
    const bool tells = reader.on_opening != nullptr && !until_from_.has_value();
    return tells ? reader.on_opening(Books()) : absl::OkStatus();
  }

  // `last`: of its positions, the last that is to be read.
  absl::Status Read(const wal::BlockView& block, Position last, const BooksReader& reader) {
    const Position first = block.header->first_position;
    if (last < first && block.header->count > 0) return absl::OkStatus();
    if (reader.on_block != nullptr && !until_from_.has_value()) {
      if (absl::Status s = reader.on_block(number_, block); !s.ok()) return s;
    }
    last_hash_ = wal::Hash128(block.header, sizeof(*block.header));
    if (block.header->type != wal::BlockType::kRecords) {
      position_ = std::max(position_, last);
      return absl::OkStatus();
    }
    if (!until_from_.has_value()) return ReadBehindFrom(block, last, reader);
    const Position from = until_from_->LastIn(block);
    if (from > last) {
      return absl::InvalidArgumentError(absl::StrCat("shard ", number_, ": position ", last,
                                                     ", where the reading is to end, is before the "
                                                     "point from which it is to be told"));
    }
    absl::StatusOr<size_t> read = ReadTo(block, from);
    if (!read.ok()) return read.status();
    position_ = first + *read - 1;
    if (*read == block.slots.size()) return absl::OkStatus();
    if (absl::Status s = TellFrom(reader); !s.ok()) return s;
    wal::BlockHeader header = *block.header;
    return ReadBehindFrom(Part(block, *read, block.slots.size(), header), last, reader);
  }

  // Behind the last block.
  absl::Status End(const BooksReader& reader) {
    if (until_from_.has_value()) {
      if (absl::Status s = TellFrom(reader); !s.ok()) return s;
    }
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

  absl::Status TellFrom(const BooksReader& reader) {
    until_from_.reset();
    if (absl::Status s = CheckAccounts(Books()); !s.ok()) return s;
    return reader.on_from == nullptr ? absl::OkStatus() : reader.on_from(Books());
  }

  absl::Status Post(const wal::BlockView& block) {
    const ledger::BlockTime time{block.header->timestamp_us,
                                 (block.header->flags & kBlockImportClock) != 0,
                                 block.header->engine_version};
    const absl::Status status =
        poster_.Post(time, block.header->first_position, RecordsOf(block), &posted_);
    return status.ok() ? status : At(block, status);
  }

  // All of it that belongs to the point whose last position in it is `last`, and says nothing of
  // it. Returns how many slots that are: what follows from its last operation belongs to it too.
  absl::StatusOr<size_t> ReadTo(const wal::BlockView& block, Position last) {
    if (last < block.header->first_position) return 0;
    if (absl::Status s = ReplayBlock(block, path_, *machine_, last); !s.ok()) return s;
    const size_t read = SlotsReplayed(block, last);
    if (read == 0) return 0;
    wal::BlockHeader header = *block.header;
    if (absl::Status s = Post(Part(block, 0, read, header)); !s.ok()) return s;
    return read;
  }

  // A record that was left out has moved no account.
  size_t SlotsReplayed(const wal::BlockView& block, Position last) const {
    const absl::Span<const Record> slots = RecordsOf(block);
    size_t i = 0;
    while (i < slots.size()) {
      const Operation& operation = slots[i].operation;
      const Position position = block.header->first_position + i;
      const bool of_no_member =
          operation.kind() == Kind::Tick || operation.kind() == Kind::ProgramPut;
      const Position reached =
          of_no_member ? last : machine_->LastPosition(operation.program(), operation.member());
      if (position > reached) break;
      i += SlotsOf(slots[i]);
    }
    return i;
  }

  absl::Status ReadBehindFrom(const wal::BlockView& block, Position last,
                              const BooksReader& reader) {
    const Position first = block.header->first_position;
    if (last < first) return absl::OkStatus();
    const bool whole = last >= first + block.header->count - 1;
    const Poster before = whole ? Poster() : poster_;
    if (absl::Status s = Post(block); !s.ok()) return s;
    if (whole) {
      position_ = first + block.header->count - 1;
      return ReadDays(block, posted_.size(), reader);
    }
    // Whole days, and of the last one what belongs to the point.
    size_t end = 0;
    while (end < posted_.size() && posted_[end].position <= last) ++end;
    size_t begin = end;
    while (begin > 0 && UtcDay(posted_[begin - 1].log_time) == UtcDay(posted_[end - 1].log_time)) {
      --begin;
    }
    if (absl::Status s = ReadDays(block, begin, reader); !s.ok()) return s;
    const size_t rest = end == 0 ? 0 : posted_[begin].position - first;
    wal::BlockHeader header = *block.header;
    const wal::BlockView part = Part(block, rest, block.slots.size(), header);
    if (absl::Status s = BeginDay(UtcDay(posted_[begin].log_time), reader); !s.ok()) return s;
    if (absl::Status s = ReplayBlock(part, path_, *machine_, last); !s.ok()) return s;
    const size_t read = rest + SlotsReplayed(part, last);
    for (size_t i = begin; i < posted_.size() && posted_[i].position < first + read; ++i) {
      if (absl::Status s = Tell(posted_[i], reader); !s.ok()) return s;
    }
    position_ = first + read - 1;
    // The books of those records alone.
    poster_ = before;
    header = *block.header;
    return read == 0 ? absl::OkStatus() : Post(Part(block, 0, read, header));
  }

  absl::Status Tell(const PostedRecord& posted, const BooksReader& reader) const {
    return reader.on_record == nullptr ? absl::OkStatus() : reader.on_record(number_, posted);
  }

  // Ends the day before it, if that is another one.
  absl::Status BeginDay(int64_t day, const BooksReader& reader) {
    const bool ends = day_.has_value() && *day_ != day && reader.on_day != nullptr;
    absl::Status status = ends ? reader.on_day(number_, *day_, *machine_) : absl::OkStatus();
    day_ = day;
    return status;
  }

  static absl::Span<const Record> RecordsOf(const wal::BlockView& block) {
    return {reinterpret_cast<const Record*>(block.slots.data()), block.slots.size()};
  }

  // Its slots from `begin` to before `end` as if they were a block. `header`: a copy of the
  // block's.
  static wal::BlockView Part(const wal::BlockView& block, size_t begin, size_t end,
                             wal::BlockHeader& header) {
    header.first_position += begin;
    header.count = static_cast<uint32_t>(end - begin);
    if (end < block.slots.size()) header.flags &= ~kBlockDigest;
    return {&header, block.slots.subspan(begin, end - begin), block.segment, block.offset};
  }

  // Of what was posted, before `all`.
  // The records of one day after those of another: under the import clock a block may hold years.
  absl::Status ReadDays(const wal::BlockView& block, size_t all, const BooksReader& reader) {
    size_t begin = 0;
    while (begin < all) {
      const int64_t day = UtcDay(posted_[begin].log_time);
      size_t end = begin + 1;
      while (end < all && UtcDay(posted_[end].log_time) == day) ++end;
      if (absl::Status s = BeginDay(day, reader); !s.ok()) return s;
      if (absl::Status s = Replay(block, begin, end); !s.ok()) return s;
      for (size_t i = begin; i < end; ++i) {
        if (absl::Status s = Tell(posted_[i], reader); !s.ok()) return s;
      }
      begin = end;
    }
    if (all < posted_.size()) return absl::OkStatus();
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
    return ReplayBlock(Part(block, first, last, header), path_, *machine_);
  }

  const uint16_t number_;
  const std::string path_;
  const std::unique_ptr<ledger::StateMachine> machine_;
  Poster poster_;
  std::vector<PostedRecord> posted_;
  std::optional<int64_t> day_;  // of the records so far
  std::optional<PointFollower> until_from_;
  Position position_;
  wal::Id128 last_hash_;
};

}  // namespace

namespace {

// Points of different kinds are compared where they come in a log.
absl::Status CheckOrder(const LogPoint& from, const LogPoint& to, uint16_t shard_count) {
  if (absl::Status s = from.Check(shard_count); !s.ok()) return s;
  if (absl::Status s = to.Check(shard_count); !s.ok()) return s;
  bool backwards = from.time().has_value() && to.time().has_value() && *from.time() > *to.time();
  for (uint16_t shard = 0; shard < shard_count && !from.time().has_value(); ++shard) {
    backwards = backwards || from.PositionOf(shard) > to.PositionOf(shard);
  }
  if (!backwards) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the point to begin with is behind the one to end with: exchange them");
}

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
  replay.on_block = [&](uint16_t, const wal::BlockView& block, Position last) {
    return shard->Read(block, last, reader);
  };
  if (reader.from.has_value()) {
    if (absl::Status s = CheckOrder(*reader.from, reader.to, ledger.shard_count()); !s.ok()) {
      return s;
    }
  }
  const auto logs = ReplayLedgerTo(ledger, reader.to, replay);
  if (!logs.ok()) return logs.status();
  if (reader.from.has_value()) {
    std::map<uint16_t, Position> ends;
    for (const ShardLog& log : *logs) ends[log.shard] = log.tail.next_position - 1;
    if (absl::Status s = reader.from->CheckEnds(ends); !s.ok()) return s;
  }
  return end();
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
