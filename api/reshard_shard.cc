#include "api/reshard_shard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/ids.h"
#include "api/outcomes.h"
#include "api/replay_block.h"

namespace tallystick {
namespace {

// So many slots make a block: the disk's full rate.
constexpr size_t kBlockSlots = 2048;
// What an operation may take beyond what it took: the state machine asks for as much.
constexpr size_t kSpareSlots = 3;

bool HasDerived(absl::Span<const Record> slots) { return IsDerived(slots[0].operation.kind()); }

// Whether an operation of the unit is dated behind its log time: a block's stamp is what had held
// it back.
bool DatedBehind(const LoggedUnit& unit, Instant end) {
  for (size_t i = 0; i < unit.slots.size(); i += SlotsOf(unit.slots[i])) {
    const Operation& operation = unit.slots[i].operation;
    if (!IsDerived(operation.kind()) && operation.occurred_at() > end) return true;
  }
  return false;
}

// All but places in the log: those of the member's previous record and of a derived record's lot.
bool SameRecord(Record a, Record b) {
  for (Record* record : {&a, &b}) {
    record->result.mutate_position(0);
    if (IsDerived(record->operation.kind())) record->operation.mutable_related() = Id();
  }
  return std::memcmp(&a, &b, sizeof(Record)) == 0;
}

}  // namespace

ReshardShard::ReshardShard(wal::Io& io, std::unique_ptr<wal::LogWriter> writer,
                           ReshardTransfers& transfers)
    : io_(io),
      writer_(std::move(writer)),
      transfers_(transfers),
      machine_(ledger::Limits{}, RandomId().low()) {}

absl::StatusOr<std::unique_ptr<ReshardShard>> ReshardShard::Create(wal::Io& io,
                                                                   const std::string& directory,
                                                                   const wal::LogIdentity& identity,
                                                                   uint64_t segment_bytes,
                                                                   ReshardTransfers& transfers) {
  wal::LogWriterOptions options;
  options.directory = directory;
  options.identity = identity;
  options.segment_bytes = segment_bytes;
  options.blocks_in_flight = 2;
  options.spare_segments = 1;
  auto writer = wal::LogWriter::Open(io, options, wal::LogTail());
  if (!writer.ok()) return writer.status();
  return std::unique_ptr<ReshardShard>(new ReshardShard(io, *std::move(writer), transfers));
}

absl::Status ReshardShard::Add(const LoggedUnit& unit, uint16_t from) {
  const bool gives_time = unit.type == LoggedUnit::Type::kOperations && !unit.late;
  if (unit.import_clock && !gives_time) {
    if (absl::Status s = Raise(unit.time, unit.slots[0].operation.member()); !s.ok()) return s;
  }
  if (time_ > unit.time) {
    ++delayed_;
    longest_delay_ = std::max(longest_delay_, time_ - unit.time);
  }
  const Instant end = std::max(time_, unit.end_time);
  const bool dated_behind =
      unit.import_clock && unit.type == LoggedUnit::Type::kOperations && DatedBehind(unit, end);
  if (absl::Status s = MakeRoom(unit.import_clock, end, dated_behind, unit.slots.size()); !s.ok()) {
    return s;
  }
  waiting_.push_back({unit.type, slots_.size(), unit.slots.size(), from, unit.position});
  slots_.insert(slots_.end(), unit.slots.begin(), unit.slots.end());
  return absl::OkStatus();
}

absl::Status ReshardShard::Raise(Instant to, const Id& id) {
  if (time_ >= to) return absl::OkStatus();
  if (absl::Status s = MakeRoom(/*import_clock=*/true, to, /*dated_behind=*/false, 1); !s.ok()) {
    return s;
  }
  // A put has no member to name it by.
  const Id tick = IsZero(id) ? Id(static_cast<uint64_t>(to), 1) : id;
  waiting_.push_back({LoggedUnit::Type::kTick, slots_.size(), 1, 0, 0});
  slots_.push_back({Operation(tick, Id(), Id(), 0, to, 0, 0, 0, 0, Kind::Tick, 0, 0), Result()});
  return absl::OkStatus();
}

// So that what waits, and a unit of so many slots that ends at `end`, fit into one block.
absl::Status ReshardShard::MakeRoom(bool import_clock, Instant end, bool dated_behind,
                                    size_t slots) {
  const bool same_stamp = end == stamp_;
  const bool fits = import_clock == import_clock_ && slots_.size() + slots <= kBlockSlots &&
                    (same_stamp || (import_clock && !stamp_is_final_));
  if (!waiting_.empty() && !fits) {
    if (absl::Status s = Flush(); !s.ok()) return s;
  }
  if (waiting_.empty()) stamp_is_final_ = false;
  import_clock_ = import_clock;
  stamp_ = end;
  stamp_is_final_ = stamp_is_final_ || dated_behind;
  time_ = end;
  return absl::OkStatus();
}

absl::Status ReshardShard::Flush() {
  for (const Waiting& unit : waiting_) {
    const size_t room = RoomFor(unit);
    if (block_open_ && sink_.room() < room) SealBlock();
    if (!block_open_) {
      if (absl::Status s = OpenBlock(room); !s.ok()) return s;
    }
    if (absl::Status s = Apply(unit); !s.ok()) return s;
  }
  if (block_open_) SealBlock();
  waiting_.clear();
  slots_.clear();
  return writer_->failure();
}

// What the state machine asks for. Only an account that has something due may need more than it
// took, and one that receives or gets something back.
size_t ReshardShard::RoomFor(const Waiting& unit) const {
  const absl::Span<const Record> slots = SlotsOfUnit(unit);
  const size_t room = unit.count + kSpareSlots;
  const Operation& first = slots[0].operation;
  if (!HasDerived(slots) && !IsBetweenShards(first.kind())) return room;
  const auto balance = machine_.BalanceAt(first.program(), first.member(), 0);
  return room + 2 * (size_t{balance.has_value() ? balance->lot_count : 0} + unit.count);
}

absl::Status ReshardShard::OpenBlock(size_t least) {
  const size_t most = writer_->max_block_slots();
  const size_t slots = std::min(most, std::max(least, slots_.size() + kSpareSlots));
  writer_->Tick(io_.MonotonicMicros());
  while (!writer_->CanOpenBlock(slots)) {
    if (!writer_->failure().ok()) return writer_->failure();
    absl::Status space = writer_->space_status();
    if (!space.ok() && !absl::IsUnavailable(space)) return space;
    io_.Poll(writer_->Tick(io_.MonotonicMicros()));
  }
  const wal::OpenedBlock block = writer_->OpenBlock(slots);
  sink_ = {reinterpret_cast<Record*>(block.slots.data()), block.slots.size(), 0,
           block.first_position};
  block_open_ = true;
  machine_.BeginBlock({stamp_, import_clock_});
  return absl::OkStatus();
}

void ReshardShard::SealBlock() {
  block_open_ = false;
  if (sink_.used == 0) return writer_->AbandonBlock();
  wal::BlockAttributes attributes;
  attributes.timestamp_us = stamp_;
  attributes.engine_version = ledger::kEngineVersion;
  attributes.flags = import_clock_ ? kBlockImportClock : 0;
  records_ += sink_.used;
  writer_->SealBlock(sink_.used, attributes);
  io_.Poll(0);
}

absl::Status ReshardShard::Apply(const Waiting& unit) {
  const size_t begin = sink_.used;
  absl::Status status;
  if (unit.type == LoggedUnit::Type::kProgram) {
    status = Put(unit);
  } else if (unit.type == LoggedUnit::Type::kSettling) {
    const Operation& due = slots_[unit.begin].operation;
    if (!machine_.SettleAccount(due.program(), due.member(), sink_)) {
      status = Differs(unit, "the account does not exist");
    }
  } else {
    status = ApplyOperations(unit);
  }
  if (!status.ok() || unit.type == LoggedUnit::Type::kTick) return status;
  return Compare(unit, begin);
}

absl::Status ReshardShard::ApplyOperations(const Waiting& unit) {
  const absl::Span<const Record> slots = SlotsOfUnit(unit);
  for (size_t i = 0; i < slots.size(); i += SlotsOf(slots[i])) {
    if (IsDerived(slots[i].operation.kind())) continue;
    Result result;
    const OldTransfer place{unit.from, unit.position + i};
    if (!ApplyOne(slots.subspan(i, SlotsOf(slots[i])), place, result)) {
      return Differs(unit, "it takes more records than a block has room for");
    }
    if (result.outcome() != Outcome::Ok) {
      return Differs(unit, absl::StrCat("it is refused, ", OutcomeName(result.outcome())));
    }
    if ((result.flags() & kReplayed) != 0) return Differs(unit, "its id is known already");
  }
  return absl::OkStatus();
}

bool ReshardShard::ApplyOne(absl::Span<const Record> slots, const OldTransfer& place,
                            Result& result) {
  const Operation& op = slots[0].operation;
  switch (op.kind()) {
    case Kind::TransferIn:
      return machine_.Receive(slots, result, sink_);
    case Kind::TransferDone:
      return machine_.Finish({op.user_data(), op.program(), op.member(), op.related()}, Outcome::Ok,
                             result, sink_, {op.category(), 0});
    case Kind::TransferBack:
      return machine_.Finish({op.user_data(), op.program(), op.member(), op.related()},
                             static_cast<Outcome>(op.category()), result, sink_);
    default:
      break;
  }
  if (!machine_.ApplyRecorded(op, result, sink_)) return false;
  const bool is_sent = op.kind() == Kind::Transfer && result.outcome() == Outcome::Ok;
  if (is_sent) transfers_.Written(place, result.position());
  return true;
}

absl::Status ReshardShard::Put(const Waiting& unit) {
  const absl::Span<const Record> slots = SlotsOfUnit(unit);
  const Operation& put = slots[0].operation;
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(slots.data() + 1),
                                        static_cast<size_t>(put.amount()));
  const Result result = machine_.PutProgram(put, bytes, sink_);
  if (result.outcome() == Outcome::Ok && (result.flags() & kReplayed) == 0) return absl::OkStatus();
  return Differs(unit, "another version of the program has its number");
}

absl::Status ReshardShard::Compare(const Waiting& unit, size_t begin) const {
  const absl::Span<const Record> then = SlotsOfUnit(unit);
  if (sink_.used - begin != then.size()) {
    return Differs(unit, absl::StrCat(sink_.used - begin, " records instead of ", then.size()));
  }
  size_t details = 0;
  for (size_t i = 0; i < then.size(); ++i) {
    const Record& now = sink_.slots[begin + i];
    const bool same =
        details > 0 ? std::memcmp(&now, &then[i], sizeof(Record)) == 0 : SameRecord(now, then[i]);
    if (!same) {
      return Differs(unit,
                     absl::StrCat(details > 0 ? "its details differ" : "points or balances differ",
                                  " in record ", i + 1, " of ", then.size()));
    }
    details = details > 0 ? details - 1 : SlotsOf(then[i]) - 1;
  }
  return absl::OkStatus();
}

absl::Status ReshardShard::Differs(const Waiting& unit, absl::string_view how) const {
  return absl::DataLossError(absl::StrCat(
      "shard ", unit.from, ", position ", unit.position,
      ": what is recorded there comes to something else in the new ledger: ", how,
      delayed_ == 0 ? ""
                    : "; shards whose clocks differed where a program was put cannot always be "
                      "brought into one order",
      ". No new ledger was made, the old one is unchanged: go on with it"));
}

absl::Status ReshardShard::Finish() {
  if (absl::Status s = Flush(); !s.ok()) return s;
  return writer_->Stop();
}

}  // namespace tallystick
