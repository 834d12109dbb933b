// The log against the books and the naive ledger.

#include <gtest/gtest.h>

#include <algorithm>

#include "api/ledger_files.h"
#include "api/replay_block.h"
#include "ledger/program_generated.h"
#include "tests/sim/books.h"
#include "wal/log_reader.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tallystick::sim {
namespace {

model::Operation FromOperation(const Operation& op) {
  return {.id = FromId(op.id()),
          .member = FromId(op.member()),
          .related = FromId(op.related()),
          .amount = op.amount(),
          .occurred_at = op.occurred_at(),
          .expires_at = op.expires_at(),
          .user_data = op.user_data(),
          .program = op.program(),
          .category = op.category(),
          .kind = static_cast<uint8_t>(op.kind()),
          .flags = op.flags(),
          .reserved = op.reserved()};
}

// Programs of the simulation are of the zone UTC.
model::Program FromProgram(const Program& source) {
  model::Program program;
  program.id = static_cast<uint16_t>(source.id());
  program.earn = {source.earn()->points(), source.earn()->per_spend(),
                  static_cast<model::Rounding>(source.earn()->rounding()),
                  source.earn()->minimum_spend()};
  if (source.pending() != nullptr) program.pending_days = source.pending()->days();
  if (const Expiry* expiry = source.expiry(); expiry != nullptr) {
    program.expiry = {expiry->after() == ExpiryBase::earning ? model::ExpiryAfter::kEarning
                                                             : model::ExpiryAfter::kActivation,
                      expiry->days(), expiry->months(),
                      static_cast<model::RoundUp>(expiry->round_up_to())};
  }
  if (source.redeem() != nullptr) {
    program.redeem_minimum = source.redeem()->minimum();
    program.redeem_step = source.redeem()->step();
  }
  program.debt_floor = source.debt_floor();
  program.retention_days = source.retention_days();
  program.return_days = source.return_days();
  program.implicit_enrolment = source.implicit_enrolment();
  program.unknown_original = static_cast<model::UnknownOriginal>(source.unknown_original());
  program.effective_at = source.effective_us();
  return program;
}

AccountKey KeyOf(const Operation& operation) {
  return {operation.program(), FromId(operation.member())};
}

}  // namespace

Audit::Audit(Books& books, wal::Io& io, const std::string& directory, uint16_t shard_count)
    : books_(books) {
  for (auto& [place, reading] : books_.readings_) reading.found = false;
  for (uint16_t shard = 0; shard < shard_count; ++shard) {
    SCOPED_TRACE(testing::Message() << "shard " << shard);
    shards_.push_back(std::make_unique<Shard>());
    ReadShard(io, ShardDirectory(directory, shard), shard);
    shards_.back()->ledger.CheckConservation();
    EXPECT_EQ(shards_.back()->versions, shards_.front()->versions);
  }
  for (const auto& [program, version] : books_.versions()) {
    EXPECT_GE(shards_.front()->versions[program], version) << "a program that was put is lost";
  }
  for (const auto& [place, reading] : books_.readings_) {
    EXPECT_TRUE(reading.found) << "a balance was read at position " << reading.answer.position
                               << ", which is not in the log";
  }
  CheckMovements();
}

void Audit::CheckMovements() {
  for (const auto& [place, operation] : books_.movements_) {
    const auto& [program, member, position] = place;
    const auto& history = histories_[{program, member}];
    const auto at = std::find_if(history.begin(), history.end(),
                                 [p = position](const auto& entry) { return entry.first == p; });
    ASSERT_NE(at, history.end()) << "a statement showed position " << position;
    EXPECT_TRUE(SameBytes(at->second.operation, operation));
  }
}

void Audit::ReadShard(wal::Io& io, const std::string& directory, uint16_t shard) {
  absl::StatusOr<std::unique_ptr<wal::LogReader>> reader =
      wal::LogReader::Open(io, directory, std::nullopt);
  ASSERT_TRUE(reader.ok()) << reader.status();
  wal::BlockView block;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    if (block.header->type != wal::BlockType::kRecords) continue;
    const auto* first = reinterpret_cast<const Record*>(block.slots.data());
    const std::vector<Record> records(first, first + block.slots.size());
    const uint64_t facts[] = {
        block.header->first_position, static_cast<uint64_t>(block.header->timestamp_us),
        block.header->digest, XXH3_64bits(records.data(), records.size() * sizeof(Record))};
    block_hashes_.push_back(XXH3_64bits(facts, sizeof(facts)));
    shards_[shard]->import_clock = (block.header->flags & kBlockImportClock) != 0;
    FoldBlock(*shards_[shard], shard, block.header->timestamp_us, block.header->first_position,
              records);
  }
}

void Audit::FoldBlock(Shard& shard, uint16_t number, Instant stamp, Position first,
                      const std::vector<Record>& records) {
  shard.ledger.BeginBlock(stamp, shard.import_clock);
  std::vector<std::pair<Position, Record>> chain;
  for (size_t i = 0; i < records.size(); ++i) {
    const Record& record = records[i];
    const Position position = first + i;
    if (record.operation.kind() == Kind::ProgramPut) {
      FoldProgram(shard, stamp, &record);
      i += record.result.details();
      continue;
    }
    if (record.operation.kind() != Kind::Tick) Note(number, position, record);
    if (IsBetweenShards(record.operation.kind())) {
      FoldBetweenShards(shard, position, &record);
      i += record.result.details();
    } else if (!IsDerived(record.operation.kind())) {
      i += record.result.details();
      chain.emplace_back(position, record);
      if ((record.operation.flags() & kLinked) != 0) continue;
      FoldOperations(shard, chain);
      chain.clear();
    }
    if (chain.empty()) CheckReadings(shard, position, record.operation);
  }
  EXPECT_TRUE(chain.empty()) << "half a chain ends the block before " << first + records.size();
}

void Audit::FoldProgram(Shard& shard, Instant stamp, const Record* put) {
  const auto& program = *flatbuffers::GetRoot<Program>(put + 1);
  const Instant log_time = shard.ledger.log_time();
  shard.ledger.PutProgram(FromProgram(program),
                          shard.import_clock ? log_time : std::max(log_time, stamp));
  EXPECT_EQ(program.version(), ++shard.versions[static_cast<uint16_t>(program.id())]);
}

void Audit::FoldOperations(Shard& shard, const std::vector<std::pair<Position, Record>>& chain) {
  std::vector<model::Operation> operations;
  operations.reserve(chain.size());
  for (const auto& [position, record] : chain) {
    operations.push_back(FromOperation(record.operation));
  }
  const std::vector<model::Result> results = shard.ledger.Apply(operations);
  for (size_t i = 0; i < chain.size(); ++i) {
    const Result& logged = chain[i].second.result;
    SCOPED_TRACE(testing::Message() << "position " << chain[i].first);
    EXPECT_EQ(static_cast<int>(results[i].outcome), static_cast<int>(logged.outcome()));
    EXPECT_FALSE(results[i].replayed) << "applied twice";
    EXPECT_EQ(results[i].points, logged.points());
    if (chain[i].second.operation.kind() == Kind::Tick) continue;
    if (results[i].in_transit) {
      shard.open[chain[i].first] = shard.ledger.OpenTransfers().back();
    }
    EXPECT_EQ(results[i].available, logged.available());
    EXPECT_EQ(results[i].pending, logged.pending());
  }
}

void Audit::FoldBetweenShards(Shard& shard, Position position, const Record* record) {
  SCOPED_TRACE(testing::Message() << "position " << position);
  const Operation& op = record->operation;
  model::Result result;
  if (op.kind() == Kind::TransferIn) {
    const auto detail = DetailIn<TransferDetail>(record[1]);
    model::Parcel parcel;
    parcel.operation = FromOperation(op);
    parcel.shard = detail.shard;
    parcel.sequence = detail.position;
    parcel.open_from = detail.open_from;
    for (size_t i = 2; i <= record->result.details(); ++i) {
      const auto lot = DetailIn<TransferLot>(record[i]);
      parcel.lots.push_back({lot.points, lot.activates_at, lot.expires_at});
    }
    result = shard.ledger.Receive(parcel);
    EXPECT_FALSE(result.replayed) << "received twice";
    // What was sent says the same, wherever it is.
    received_[{detail.shard, detail.position}] = op.amount();
  } else {
    const auto open = shard.open.find(op.user_data());
    ASSERT_NE(open, shard.open.end()) << "settles what is not on its way";
    const bool done = op.kind() == Kind::TransferDone;
    result = shard.ledger.Finish(
        open->second, done ? model::Outcome::kOk : static_cast<model::Outcome>(op.category()));
    shard.open.erase(open);
  }
  EXPECT_EQ(result.outcome, model::Outcome::kOk);
  EXPECT_EQ(result.points, record->result.points());
  EXPECT_EQ(result.available, record->result.available());
  EXPECT_EQ(result.pending, record->result.pending());
}

// A member's record: on one shard only, of an operation that somebody sent, and as it was answered.
void Audit::Note(uint16_t number, Position position, const Record& record) {
  const AccountKey account = KeyOf(record.operation);
  EXPECT_EQ(homes_.emplace(account, number).first->second, number);
  histories_[account].emplace_back(position, record);
  const Kind kind = record.operation.kind();
  if (kind == Kind::TransferDone || kind == Kind::TransferBack) {
    settled_[{number, record.operation.user_data()}] =
        kind == Kind::TransferDone ? record.operation.amount() : 0;
  }
  if (IsDerived(kind) || IsBetweenShards(kind)) return;
  const auto it = books_.by_id_.find(FromId(record.operation.id()));
  ASSERT_NE(it, books_.by_id_.end()) << "nobody sent what is at position " << position;
  const Sent& sent = books_.sent_[it->second];
  EXPECT_TRUE(SameBytes(sent.operation, record.operation));
  // A transfer that came back may be there again.
  const auto [found, first] = found_.emplace(it->second, position);
  if (kind == Kind::Transfer) {
    found->second = position;
    sends_[it->second].push_back({number, position});
  } else {
    EXPECT_TRUE(first) << "in the log twice, the second time at position " << position;
  }
  if (!sent.answer.has_value() || (kind == Kind::Transfer && !sent.accepted())) return;
  if (kind == Kind::Transfer && sent.answer->position() != position) return;
  EXPECT_EQ(sent.answer->outcome(), Outcome::Ok) << "refused, but in the log at " << position;
  EXPECT_EQ(sent.answer->position(), position);
  EXPECT_EQ(sent.answer->points(), record.result.points());
  EXPECT_EQ(sent.answer->available(), record.result.available());
  EXPECT_EQ(sent.answer->pending(), record.result.pending());
}

void Audit::CheckReadings(const Shard& shard, Position position, const Operation& operation) {
  const auto [account_program, member] = KeyOf(operation);
  const auto range = books_.readings_.equal_range({account_program, member, position});
  for (auto it = range.first; it != range.second; ++it) {
    it->second.found = true;
    const BalanceAnswer& answer = it->second.answer;
    const auto balance = shard.ledger.BalanceAt(account_program, member, answer.as_of);
    ASSERT_TRUE(balance.has_value());
    EXPECT_EQ(answer.pending, balance->pending) << "read at position " << position;
    EXPECT_EQ(answer.available, balance->available) << "read at position " << position;
    EXPECT_EQ(answer.held, balance->held) << "read at position " << position;
    EXPECT_EQ(answer.debt, balance->debt) << "read at position " << position;
  }
}

void Audit::ExpectComplete() const {
  for (size_t i = 0; i < books_.sent_.size(); ++i) {
    const Sent& sent = books_.sent_[i];
    ASSERT_TRUE(sent.answer.has_value()) << "operation " << i << " was never answered";
    if (sent.operation.kind() == Kind::Transfer) {
      ExpectSentOnce(i);
      continue;
    }
    EXPECT_EQ(found_.count(i), sent.accepted() ? 1 : 0)
        << "operation " << i << " with outcome " << static_cast<int>(sent.answer->outcome());
  }
}

// Of all times that it is in the log, one has arrived if it was accepted, else none; the others
// came back.
void Audit::ExpectSentOnce(size_t index) const {
  const Sent& sent = books_.sent_[index];
  size_t arrived = 0;
  const auto sends = sends_.find(index);
  if (sends != sends_.end()) {
    for (const auto& place : sends->second) {
      const auto settled = settled_.find(place);
      ASSERT_NE(settled, settled_.end()) << "operation " << index << " is on its way for ever";
      const auto received = received_.find(place);
      EXPECT_EQ(received == received_.end() ? 0 : received->second, settled->second);
      if (settled->second == 0) continue;
      ++arrived;
      EXPECT_EQ(sent.answer->position(), place.second);
    }
  }
  EXPECT_EQ(arrived, sent.accepted() ? 1 : 0)
      << "operation " << index << " with outcome " << static_cast<int>(sent.answer->outcome());
}

const model::NaiveLedger* Audit::LedgerOf(uint16_t program, const model::Id& member) const {
  const auto home = homes_.find({program, member});
  return home == homes_.end() ? nullptr : &shards_[home->second]->ledger;
}

void Audit::Expect(uint16_t program, const model::Id& member, const BalanceAnswer& answer) const {
  const model::NaiveLedger* ledger = LedgerOf(program, member);
  ASSERT_EQ(ledger != nullptr, answer.outcome == Outcome::Ok);
  if (ledger == nullptr) return;
  const auto balance = ledger->BalanceAt(program, member, answer.as_of);
  EXPECT_EQ(answer.pending, balance->pending);
  EXPECT_EQ(answer.available, balance->available);
  EXPECT_EQ(answer.held, balance->held);
  EXPECT_EQ(answer.debt, balance->debt);
  EXPECT_EQ(answer.lifetime_earned, balance->lifetime_earned);
  EXPECT_EQ(answer.position, histories_.at({program, member}).back().first);
}

void Audit::Expect(uint16_t program, const model::Id& member, const LotsAnswer& answer) const {
  const model::NaiveLedger* ledger = LedgerOf(program, member);
  ASSERT_EQ(ledger != nullptr, answer.outcome == Outcome::Ok);
  if (ledger == nullptr) return;
  const std::vector<model::Lot> lots = ledger->LotsAt(program, member, answer.as_of);
  ASSERT_EQ(answer.lots.size(), lots.size());
  for (size_t i = 0; i < lots.size(); ++i) {
    EXPECT_EQ(answer.lots[i].remaining, lots[i].remaining);
    EXPECT_EQ(answer.lots[i].original, lots[i].original);
    EXPECT_EQ(answer.lots[i].expires_at, lots[i].expires_at);
  }
}

void Audit::Expect(uint16_t program, const TotalsAnswer& answer) {
  ASSERT_EQ(answer.outcome, Outcome::Ok);
  ASSERT_EQ(answer.shards.size(), shards_.size());
  TotalsAnswer sum;
  for (size_t i = 0; i < shards_.size(); ++i) {
    model::NaiveLedger& ledger = shards_[i]->ledger;
    ledger.BeginBlock(answer.shards[i].time, shards_[i]->import_clock);
    ledger.SettleAll();
    const model::Totals totals = ledger.TotalsOf(program);
    sum.members += totals.members;
    sum.issued += totals.issued;
    sum.redeemed += totals.redeemed;
    sum.expired += totals.expired;
    sum.clawed_back += totals.clawed_back;
    sum.written_off += totals.written_off;
    sum.adjusted += totals.adjusted;
    sum.reinstated += totals.reinstated;
    sum.forgiven += totals.forgiven;
    sum.held += totals.held;
    sum.pending += totals.pending;
    sum.available += totals.available;
    sum.debt += totals.debt;
    sum.sent += totals.sent;
    sum.received += totals.received;
  }
  EXPECT_EQ(answer.members, sum.members);
  EXPECT_EQ(answer.issued, sum.issued);
  EXPECT_EQ(answer.redeemed, sum.redeemed);
  EXPECT_EQ(answer.expired, sum.expired);
  EXPECT_EQ(answer.clawed_back, sum.clawed_back);
  EXPECT_EQ(answer.written_off, sum.written_off);
  EXPECT_EQ(answer.adjusted, sum.adjusted);
  EXPECT_EQ(answer.reinstated, sum.reinstated);
  EXPECT_EQ(answer.forgiven, sum.forgiven);
  EXPECT_EQ(answer.held, sum.held);
  EXPECT_EQ(answer.pending, sum.pending);
  EXPECT_EQ(answer.available, sum.available);
  EXPECT_EQ(answer.debt, sum.debt);
  EXPECT_EQ(answer.sent, sum.sent);
  EXPECT_EQ(answer.received, sum.received);
  EXPECT_EQ(answer.sent, answer.received) << "something is on its way for ever";
}

void Audit::Expect(uint16_t program, const model::Id& member,
                   const std::vector<MovementAnswer>& movements) const {
  const auto it = histories_.find({program, member});
  const size_t count = it == histories_.end() ? 0 : it->second.size();
  ASSERT_EQ(movements.size(), count);
  for (size_t i = 0; i < count; ++i) {
    const auto& [position, record] = it->second[count - 1 - i];
    EXPECT_EQ(movements[i].result.position(), position);
    EXPECT_TRUE(SameBytes(movements[i].operation, record.operation));
    EXPECT_EQ(movements[i].result.points(), record.result.points());
    EXPECT_EQ(movements[i].result.available(), record.result.available());
  }
}

}  // namespace tallystick::sim
