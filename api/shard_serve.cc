// Serving: requests in order, into blocks, and answers when they are durable.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/shard.h"
#include "ledger/check.h"

namespace tallystick {
namespace {

// Accounts and cascades of the schedule in one turn: some hundred microseconds.
constexpr uint32_t kTickBudget = 1024;
// Without work for so long, a shard is not busy.
constexpr int64_t kQuietUs = 2000;

}  // namespace

void Shard::Enqueue(ShardRequest* request) {
  ++unanswered_;
  if (request->type == ShardRequest::Type::kSubmit) {
    auto& part = static_cast<SubmitPart&>(*request);
    waiting_operations_ += part.operations.size();
    // It goes behind what waits all the same: it neither overtakes its stream nor refuses what was
    // sent before it.
    part.too_many = waiting_operations_ > kMaxQueuedOperations;
  }
  waiting_.Push(request);
}

// Pages of an index may be on their way for a search that has its answer.
bool Shard::idle() const {
  const bool settles = failure_.ok() && RoomWillCome();
  return unanswered_ == 0 && !history_->indexes().busy() && !transfers_->under_way() &&
         !(settles && transfers_->unsettled());
}

int64_t Shard::Step() {
  CheckClock();
  if (failure_.ok() && !writer_->failure().ok()) {
    failure_ = absl::UnavailableError(
        absl::StrCat("shard ", number(), " has stopped: ", writer_->failure().message()));
  }
  if (!failure_.ok()) {
    FailAll();
    return -1;
  }
  history_->Take();
  int64_t wait_us = writer_->Tick(io_.MonotonicMicros());
  ReportSpace();
  AnswerDurable();
  ServeQueue();
  ServeOwnTransfers();
  if (block_open_) SealBlock();
  AnswerDurable();
  transfers_->Step(writer_->durable_position(), stamp_);
  const int64_t now_us = io_.MonotonicMicros();
  if (writer_->blocks_in_flight() > 0 || !waiting_.empty()) busy_until_us_ = now_us + kQuietUs;
  const int64_t snapshot_us = snapshots_->Step(now_us, now_us < busy_until_us_);
  TellProgress();
  const int64_t changes_us = changes_->Step(writer_->durable_position(), now_us);
  const int64_t lookups_us = lookups_->Step() ? 0 : -1;
  for (const int64_t other_us : {snapshot_us, changes_us, lookups_us}) {
    if (other_us >= 0) wait_us = wait_us < 0 ? other_us : std::min(wait_us, other_us);
  }
  if (wait_us == 0 || !waiting_owed_.empty()) return 0;
  const bool works = DueNow() || !waiting_.empty() || transfers_->can_go_on();
  if (works && writer_->CanOpenBlock(MostSlots())) return 0;
  const Instant due = machine_->NextDue();
  if (options_.clock != ClockMode::kWall || due <= clock_ || due == kNever) return wait_us;
  return wait_us < 0 ? due - clock_ : std::min(wait_us, due - clock_);
}

void Shard::TellProgress() {
  const uint64_t sealed_before = writer_->sealed_before();
  const Position snapshot = snapshots_->published();
  if (sealed_before == told_sealed_before_ && snapshot == told_snapshot_) return;
  told_sealed_before_ = sealed_before;
  told_snapshot_ = snapshot;
  if (options_.on_progress) options_.on_progress(sealed_before);
}

void Shard::ReportSpace() {
  if (out_of_space_ == !RoomWillCome()) return;
  out_of_space_ = !out_of_space_;
  if (!options_.report) return;
  options_.report(out_of_space_
                      ? absl::StrCat("shard ", number(), ": ", writer_->space_status().message(),
                                     ". Until then, writes are refused as Overloaded once the "
                                     "segment in use is full; reads go on")
                      : absl::StrCat("shard ", number(), ": there is room for the log again"));
}

void Shard::AnswerDurable() {
  const Position durable = writer_->durable_position();
  while (!held_.empty() && held_.front()->seen < durable) {
    ShardRequest* request = held_.Pop();
    if (request->type == ShardRequest::Type::kStatement) {
      statements_->Start(static_cast<ControlRequest*>(request));
    } else if (request->type == ShardRequest::Type::kTransaction &&
               static_cast<ControlRequest*>(request)->head != 0) {
      lookups_->Start(static_cast<ControlRequest*>(request));
    } else if (request->type == ShardRequest::Type::kSubmit) {
      auto& part = static_cast<SubmitPart&>(*request);
      part.passed = true;
      if (part.transfers == 0) FinishSubmit(part);
    } else {
      Answer(*request);
    }
  }
}

void Shard::FinishSubmit(SubmitPart& part) {
  if (part.transfers_overloaded > 0 && part.call->stream != nullptr) {
    part.overloads += part.transfers_overloaded;
    part.call->stream->shards_[number()].refused += part.transfers_overloaded;
  }
  if (!part.status.ok() || !LookUpTooOld(part)) Answer(part);
}

// A chain is refused as a whole, and so not looked up. Ticks have no member, and no record whose
// account does not exist.
void Shard::NoteTooOld(SubmitPart& part, size_t index) {
  if (!history_->on()) return;
  const auto linked = [&part](size_t i) { return (part.operations[i].flags() & kLinked) != 0; };
  if (linked(index) || (index > 0 && linked(index - 1))) return;
  const Operation& operation = part.operations[index];
  const Position head = machine_->LastPosition(operation.program(), operation.member());
  if (head != 0) part.too_old.push_back({static_cast<uint32_t>(index), head});
}

// More than may wait are overloaded; they may be sent again at any time, as they change nothing.
bool Shard::LookUpTooOld(SubmitPart& part) {
  if (part.too_old.empty()) return false;
  if (lookups_->HasRoom(part.too_old.size())) {
    lookups_->Start(&part);
    return true;
  }
  for (const SubmitPart::TooOld& too_old : part.too_old) {
    part.results[too_old.index] = Result();
    part.results[too_old.index].mutate_outcome(Outcome::Overloaded);
  }
  if (part.call->stream != nullptr) {
    const auto overloads = static_cast<uint32_t>(part.too_old.size());
    part.overloads += overloads;
    part.call->stream->shards_[number()].refused += overloads;
  }
  return false;
}

void Shard::FailAll() {
  if (block_open_) {
    writer_->AbandonBlock();
    block_open_ = false;
  }
  transfers_->Fail(failure_);
  for (RequestQueue* queue : {&held_, &waiting_totals_, &waiting_owed_, &waiting_}) {
    while (!queue->empty()) {
      ShardRequest* request = queue->Pop();
      request->status = failure_;
      Answer(*request);
    }
  }
  waiting_operations_ = 0;
  snapshots_->Fail(failure_);
  changes_->Fail(failure_);
  lookups_->Fail(failure_);
}

void Shard::Hold(ShardRequest* request) {
  request->seen = LastPosition();
  held_.Push(request);
}

void Shard::ServeQueue() {
  if (DueNow()) SettleDue();
  SettleTransfers();
  // What is due does not take the requests' room.
  if (block_open_ && sink_.used >= kBlockTargetSlots / 2) SealBlock();
  settled_slots_ = block_open_ ? sink_.used : 0;
  // Totals are of accounts that are settled.
  while (!waiting_totals_.empty() && TotalsAreSettled()) {
    ShardRequest* request = waiting_totals_.Pop();
    Serve(*request);
    Hold(request);
  }
  CountOwed();
  while (!waiting_.empty()) {
    if (waiting_.front()->type == ShardRequest::Type::kOwed) {
      waiting_owed_.Push(waiting_.Pop());
      continue;
    }
    if (waiting_.front()->type == ShardRequest::Type::kTotals && !TotalsAreSettled()) {
      waiting_totals_.Push(waiting_.Pop());
      continue;
    }
    if (waiting_.front()->type == ShardRequest::Type::kSnapshot) {
      snapshots_->Take(static_cast<ControlRequest*>(waiting_.Pop()));
      continue;
    }
    if (waiting_.front()->type == ShardRequest::Type::kRecords) {
      changes_->Start(static_cast<ControlRequest*>(waiting_.Pop()), writer_->durable_position(),
                      io_.MonotonicMicros());
      continue;
    }
    if (!Serve(*waiting_.front())) break;
    ShardRequest* request = waiting_.Pop();
    if (request->type == ShardRequest::Type::kSubmit) {
      waiting_operations_ -= static_cast<SubmitPart*>(request)->operations.size();
    }
    Hold(request);
    // A full block ends the turn: its write begins, and what has become durable is answered, before
    // the next is filled.
    if (block_open_ && sink_.used >= kBlockTargetSlots) break;
  }
}

bool Shard::Serve(ShardRequest& request) {
  switch (request.type) {
    case ShardRequest::Type::kSubmit:
      return ServeSubmit(static_cast<SubmitPart&>(request));
    case ShardRequest::Type::kPutProgram:
      return ServePut(static_cast<ControlRequest&>(request));
    case ShardRequest::Type::kInstallProgram:
      return Install(static_cast<ControlRequest&>(request));
    case ShardRequest::Type::kTotals:
      ServeTotals(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kShards:
      ServeShard(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kGetProgram:
      ServeProgram(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kBalance:
      ServeBalance(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kLots:
      ServeLots(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kStatement:
      ServeStatement(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kTransaction:
      ServeTransaction(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kParcels:
      return ServeParcels(static_cast<ParcelsRequest&>(request));
    case ShardRequest::Type::kDryRun:
      ServeDryRun(static_cast<ControlRequest&>(request));
      return true;
    case ShardRequest::Type::kOwed:      // CountOwed's
    case ShardRequest::Type::kSnapshot:  // the snapshotter's
    case ShardRequest::Type::kRecords:   // the change stream's
      return true;
  }
  return true;
}

bool Shard::Overtaken(const SubmitPart& part) const {
  const Stream* stream = part.call->stream;
  return stream != nullptr && stream->shards_[number()].refused != part.overloads_known;
}

// Refuses all that was not applied yet.
void Shard::Overload(SubmitPart& part) {
  for (size_t i = part.applied; i < part.operations.size(); ++i) {
    part.results[i] = Result();
    part.results[i].mutate_outcome(Outcome::Overloaded);
  }
  NoteAnswered(part, part.operations.size() - part.applied);
  part.applied = part.operations.size();
}

// The state machine refuses by itself when its tables are full.
void Shard::NoteAnswered(SubmitPart& part, size_t answered) {
  uint32_t overloads = 0;
  for (size_t i = part.applied; i < part.applied + answered; ++i) {
    const Outcome outcome = part.results[i].outcome();
    if (outcome == Outcome::Overloaded) ++overloads;
    if (outcome == Outcome::TooOld) NoteTooOld(part, i);
    if ((part.results[i].flags() & kInTransit) != 0) [[unlikely]]
      NoteTransfer(part, i);
  }
  if (part.call->stream == nullptr) return;
  part.overloads += overloads;
  part.call->stream->shards_[number()].refused += overloads;
}

bool Shard::ServeSubmit(SubmitPart& part) {
  if (part.applied == 0 && (part.too_many || Overtaken(part))) Overload(part);
  size_t wanted = kBlockTargetSlots;
  while (part.applied < part.operations.size()) {
    ledger::RecordSink* sink = Sink(wanted);
    if (sink == nullptr) {
      if (RoomWillCome()) return false;
      Overload(part);
      break;
    }
    const size_t applied =
        machine_->Apply(part.operations.subspan(part.applied), part.results + part.applied, *sink);
    NoteAnswered(part, applied);
    part.applied += applied;
    if (part.applied == part.operations.size()) break;
    // The next one did not fit. Behind other operations it waits for the next turn's block.
    if (sink->used > settled_slots_) return false;
    // Into a fresh block, as large as blocks are if need be.
    if (sink->used == 0) {
      if (wanted >= MostSlots()) {  // only in a log whose segments are smaller than a block may be
        Overload(part);
        break;
      }
      wanted = MostSlots();
    }
    SealBlock();
  }
  return true;
}

void Shard::NoteTransfer(SubmitPart& part, size_t index) {
  Result& result = part.results[index];
  result.mutate_flags(result.flags() & static_cast<uint8_t>(~kInTransit));
  const Operation& operation = part.operations[index];
  transfers_->Await(part, index, result.position(), operation.related());
}

// ---- transfers ----

bool Shard::ServeParcels(ParcelsRequest& request) {
  NotBefore(request.stamp);
  // Looked ahead by slots, of which most parcels take three.
  constexpr size_t kAhead = 18;
  while (request.applied < request.results.size()) {
    const Record& first = request.slots[request.applied_slots];
    const size_t slots = SlotsOf(first);
    for (int step = 0; step < 3; ++step) {
      const size_t ahead = request.applied_slots + kAhead * static_cast<size_t>(3 - step);
      const bool there = ahead < request.slots.size();
      if (there) machine_->FetchReceiver(request.slots[ahead].operation, step);
    }
    Result& result = request.results[request.applied];
    const Written written = Write([&](ledger::RecordSink& sink) {
      return machine_->Receive({&first, slots}, result, sink);
    });
    if (written == Written::kNotNow && RoomWillCome()) return false;
    if (written != Written::kYes) {
      result = Result();
      result.mutate_outcome(Outcome::Overloaded);
    }
    ++request.applied;
    request.applied_slots += slots;
  }
  request.stamp = std::max(request.stamp, stamp_);
  return true;
}

void Shard::ServeOwnTransfers() {
  while (const ledger::StateMachine::OpenTransfer* transfer = transfers_->NextOwn()) {
    parcel_.clear();
    machine_->WriteParcel(*transfer, number(), transfers_->own_open_from(), parcel_);
    Result result;
    const Written written =
        Write([&](ledger::RecordSink& sink) { return machine_->Receive(parcel_, result, sink); });
    if (written == Written::kNotNow) {
      if (!RoomWillCome()) transfers_->Overload();
      return;
    }
    if (written == Written::kNever) result.mutate_outcome(Outcome::Overloaded);
    transfers_->OwnReceived(result);
  }
  SettleTransfers();
}

void Shard::SettleTransfers() {
  NotBefore(transfers_->not_before());
  Outcome received;
  ledger::Arrival arrival;
  while (const ledger::StateMachine::OpenTransfer* transfer =
             transfers_->NextToSettle(&received, &arrival)) {
    Result result;
    const Written written = Write([&](ledger::RecordSink& sink) {
      return machine_->Finish(*transfer, received, result, sink, arrival);
    });
    if (written == Written::kNever) {
      failure_ = absl::FailedPreconditionError(absl::StrCat(
          "shard ", number(),
          " has stopped: a transfer's settlement takes more records than a "
          "block of this log has room for: start it again with segments of 4 MiB or more"));
    }
    if (written == Written::kNotNow && !RoomWillCome()) transfers_->Overload();
    if (written != Written::kYes) return;
    transfers_->Settled(result);
  }
}

Shard::Written Shard::Write(absl::FunctionRef<bool(ledger::RecordSink&)> apply) {
  size_t wanted = kBlockTargetSlots;
  while (true) {
    ledger::RecordSink* sink = Sink(wanted);
    if (sink == nullptr) return Written::kNotNow;
    if (apply(*sink)) return Written::kYes;
    if (sink->used == 0) {
      if (wanted >= MostSlots()) return Written::kNever;
      wanted = MostSlots();
    }
    SealBlock();
  }
}

void Shard::NotBefore(Instant stamp) {
  if (stamp <= stamp_) return;
  if (block_open_) SealBlock();
  stamp_ = stamp;
}

// The largest block. With segments as large as blocks may be, any operation, chain or tick fits
// into it.
size_t Shard::MostSlots() const { return writer_->max_block_slots(); }

// Whether a block can be opened before long by itself: writes are in flight, or the next segment is
// being prepared. A full disk is the operator's to cure.
bool Shard::RoomWillCome() const {
  const absl::Status space = writer_->space_status();
  return space.ok() || absl::IsUnavailable(space);
}

ledger::RecordSink* Shard::Sink(size_t slots) {
  slots = std::min(slots, MostSlots());
  if (block_open_ && sink_.room() >= std::min<size_t>(slots, 1) && sink_.capacity >= slots) {
    return &sink_;
  }
  if (block_open_) SealBlock();
  if (!writer_->CanOpenBlock(slots)) return nullptr;
  const wal::OpenedBlock block = writer_->OpenBlock(slots);
  sink_ = {reinterpret_cast<Record*>(block.slots.data()), block.slots.size(), 0,
           block.first_position};
  block_open_ = true;
  stamp_ = std::max(stamp_, clock_);
  machine_->BeginBlock({stamp_, options_.clock == ClockMode::kImport});
  return &sink_;
}

void Shard::SealBlock() {
  block_open_ = false;
  settled_slots_ = 0;
  if (sink_.used == 0) {
    writer_->AbandonBlock();
    return;
  }
  wal::BlockAttributes attributes;
  attributes.timestamp_us = stamp_;
  attributes.engine_version = ledger::kEngineVersion;
  attributes.flags = options_.clock == ClockMode::kImport ? kBlockImportClock : 0;
  records_since_digest_ += sink_.used;
  // A digest walks all rows: as often as it costs no more than a few rows a record.
  const ledger::StateMachine::Sizes sizes = machine_->sizes();
  if (options_.digests && records_since_digest_ * 4 >= sizes.accounts + sizes.receipts) {
    attributes.flags |= kBlockDigest;
    attributes.digest = machine_->Digest();
    records_since_digest_ = 0;
  }
  writer_->SealBlock(sink_.used, attributes);
  snapshots_->NoteSealed(sink_.used);
}

// ---- what is due ----

Instant Shard::Now() {
  return options_.clock == ClockMode::kWall ? std::max(machine_->log_time(), clock_)
                                            : machine_->log_time();
}

bool Shard::DueNow() { return machine_->NextDue() <= Now(); }

// On a full disk they are what they are.
bool Shard::TotalsAreSettled() { return !DueNow() || !RoomWillCome(); }

bool Shard::SettleDue() {
  ledger::RecordSink* sink = Sink(kBlockTargetSlots);
  if (sink == nullptr) return false;
  size_t needed = 0;
  machine_->SettleDue(kTickBudget, *sink, &needed);
  if (needed == 0) return true;
  // An account with more lots than the rest of the block holds.
  if (needed > MostSlots()) {
    failure_ = absl::FailedPreconditionError(
        absl::StrCat("shard ", number(), " has stopped: what is due of one member takes ", needed,
                     " records, and a block of this log at most ", MostSlots(),
                     ": start it again with segments of 4 MiB or more"));
    return false;
  }
  if (sink->used > 0) SealBlock();
  sink = Sink(needed);
  if (sink != nullptr) machine_->SettleDue(kTickBudget, *sink);
  return sink != nullptr;
}

}  // namespace tallystick
