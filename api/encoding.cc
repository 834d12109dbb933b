#include "api/encoding.h"

#include <algorithm>

#include "api/frame.h"

namespace tallystick {
namespace {

using flatbuffers::Offset;

// Programs and other byte vectors are used in place by those who read them aligned.
constexpr size_t kBytesAlignment = 8;

template <typename Body>
void Finish(Builder& builder, uint64_t request, Offset<Body> body) {
  constexpr protocol::Body kType = protocol::BodyTraits<Body>::enum_value;
  protocol::FinishFrameBuffer(builder,
                              protocol::CreateFrame(builder, request, kType, body.Union()));
}

Offset<flatbuffers::String> Write(Builder& builder, absl::string_view text) {
  return builder.CreateString(text.data(), text.size());
}

Offset<flatbuffers::Vector<uint8_t>> Write(Builder& builder, absl::Span<const uint8_t> bytes) {
  builder.ForceVectorAlignment(bytes.size(), 1, kBytesAlignment);
  return builder.CreateVector(bytes.data(), bytes.size());
}

// One struct of the protocol for each element, made by `convert` where it belongs.
template <typename Struct, typename Element, typename Convert>
Offset<flatbuffers::Vector<const Struct*>> Write(Builder& builder,
                                                 const std::vector<Element>& elements,
                                                 Convert convert) {
  return builder.CreateVectorOfStructs<Struct>(
      elements.size(), [&](size_t index, Struct* out) { *out = convert(elements[index]); });
}

template <typename Element, typename Struct, typename Convert>
std::vector<Element> Read(const flatbuffers::Vector<const Struct*>* structs, Convert convert) {
  std::vector<Element> elements;
  if (structs == nullptr) return elements;
  elements.reserve(structs->size());
  for (const Struct* one : *structs) elements.push_back(convert(*one));
  return elements;
}

}  // namespace

void BuildHello(Builder& builder, uint64_t request, absl::string_view client) {
  builder.Clear();
  const auto name = Write(builder, client);
  Finish(builder, request, protocol::CreateHello(builder, kProtocolVersion, name));
}

void BuildProgramPut(Builder& builder, uint64_t request, const Id& id,
                     absl::Span<const uint8_t> program) {
  builder.Clear();
  const auto bytes = Write(builder, program);
  Finish(builder, request, protocol::CreateProgramPut(builder, &id, bytes));
}

void BuildProgramGet(Builder& builder, uint64_t request, uint16_t program) {
  builder.Clear();
  Finish(builder, request, protocol::CreateProgramGet(builder, program));
}

void BuildBalanceGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                     Instant as_of) {
  builder.Clear();
  Finish(builder, request, protocol::CreateBalanceGet(builder, program, &member, as_of));
}

void BuildScheduleGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                      Instant as_of) {
  builder.Clear();
  Finish(builder, request, protocol::CreateScheduleGet(builder, program, &member, as_of));
}

void BuildLotsGet(Builder& builder, uint64_t request, uint16_t program, const Id& member) {
  builder.Clear();
  Finish(builder, request, protocol::CreateLotsGet(builder, program, &member));
}

void BuildStatementGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                       Position before, uint32_t limit) {
  builder.Clear();
  Finish(builder, request, protocol::CreateStatementGet(builder, program, &member, before, limit));
}

void BuildTransactionGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                         const Id& id) {
  builder.Clear();
  Finish(builder, request, protocol::CreateTransactionGet(builder, program, &member, &id));
}

void BuildTotalsGet(Builder& builder, uint64_t request, uint16_t program) {
  builder.Clear();
  Finish(builder, request, protocol::CreateTotalsGet(builder, program));
}

void BuildOwedGet(Builder& builder, uint64_t request, uint16_t program, Instant as_of) {
  builder.Clear();
  Finish(builder, request, protocol::CreateOwedGet(builder, program, as_of));
}

void BuildShardsGet(Builder& builder, uint64_t request) {
  builder.Clear();
  Finish(builder, request, protocol::CreateShardsGet(builder));
}

void BuildSnapshotTake(Builder& builder, uint64_t request) {
  builder.Clear();
  Finish(builder, request, protocol::CreateSnapshotTake(builder));
}

void BuildRecordsGet(Builder& builder, uint64_t request, uint16_t shard, Position from,
                     uint32_t wait_ms) {
  builder.Clear();
  Finish(builder, request, protocol::CreateRecordsGet(builder, shard, from, wait_ms));
}

void BuildDryRun(Builder& builder, uint64_t request, absl::Span<const Operation> operations) {
  builder.Clear();
  const auto written = builder.CreateVectorOfStructs(operations.data(), operations.size());
  Finish(builder, request, protocol::CreateDryRun(builder, written));
}

void BuildTickTo(Builder& builder, uint64_t request, const Id& id, Instant to) {
  builder.Clear();
  Finish(builder, request, protocol::CreateTickTo(builder, &id, to));
}

void BuildReply(Builder& builder, uint64_t request, const ServerInfo& info) {
  builder.Clear();
  const auto durability = Write(builder, info.durability);
  const auto server = Write(builder, info.server);
  Finish(builder, request,
         protocol::CreateHelloReply(builder, info.protocol_version, &info.ledger, info.shard_count,
                                    static_cast<protocol::Clock>(info.clock), info.time, durability,
                                    info.max_operations, server));
}

void BuildReply(Builder& builder, uint64_t request, const ProgramPutAnswer& answer) {
  builder.Clear();
  const auto field = Write(builder, answer.field);
  const auto message = Write(builder, answer.message);
  Finish(builder, request,
         protocol::CreateProgramPutReply(builder, answer.outcome, field, message, answer.version));
}

void BuildReply(Builder& builder, uint64_t request, const std::vector<uint8_t>& program) {
  builder.Clear();
  const auto bytes = Write(builder, absl::MakeConstSpan(program));
  const Outcome outcome = program.empty() ? Outcome::UnknownProgram : Outcome::Ok;
  Finish(builder, request, protocol::CreateProgramReply(builder, outcome, bytes));
}

namespace {

protocol::Event ToEvent(const BalanceEvent& event) { return {event.at, event.points, event.kind}; }

BalanceEvent FromEvent(const protocol::Event& event) {
  return {.at = event.at(), .points = event.points(), .kind = event.kind()};
}

}  // namespace

void BuildReply(Builder& builder, uint64_t request, const BalanceAnswer& answer) {
  builder.Clear();
  const auto events = Write<protocol::Event>(builder, answer.events, &ToEvent);
  Finish(builder, request,
         protocol::CreateBalanceReply(builder, answer.outcome, answer.as_of, answer.position,
                                      answer.pending, answer.available, answer.held, answer.debt,
                                      answer.lifetime_earned, events,
                                      static_cast<protocol::AccountStatus>(answer.status)));
}

namespace {

protocol::Lot ToLot(const LotAnswer& lot) {
  return {lot.position, lot.original, lot.remaining, lot.activates_at, lot.expires_at};
}

LotAnswer FromLot(const protocol::Lot& lot) {
  return {.position = lot.position(),
          .original = lot.original(),
          .remaining = lot.remaining(),
          .activates_at = lot.activates_at(),
          .expires_at = lot.expires_at()};
}

}  // namespace

void BuildReply(Builder& builder, uint64_t request, const LotsAnswer& answer) {
  builder.Clear();
  const auto lots = Write<protocol::Lot>(builder, answer.lots, &ToLot);
  std::vector<LotAnswer> all_held;
  for (const HoldAnswer& hold : answer.holds) {
    all_held.insert(all_held.end(), hold.lots.begin(), hold.lots.end());
  }
  const auto held_lots = Write<protocol::Lot>(builder, all_held, &ToLot);
  const auto holds = Write<protocol::OpenHold>(builder, answer.holds, [](const HoldAnswer& hold) {
    return protocol::OpenHold(hold.position, hold.times_out_at, hold.points,
                              static_cast<uint32_t>(hold.lots.size()));
  });
  Finish(builder, request,
         protocol::CreateLotsReply(builder, answer.outcome, answer.as_of, lots, holds, held_lots));
}

namespace {

protocol::Movement ToMovement(const MovementAnswer& movement) {
  return {movement.operation, movement.result, movement.detail.written_off};
}

// A server that tells no details tells what was written off.
MovementAnswer FromMovement(const protocol::Movement& movement) {
  MovementAnswer answer{movement.operation(), movement.result(), {}};
  answer.detail.written_off = movement.written_off();
  return answer;
}

protocol::MovementDetail ToDetail(Position position, const MovementDetail& d) {
  return {position,   d.claim,      d.from_pending, d.from_available, d.to_debt, d.written_off,
          d.captured, d.given_back, d.forgiven,     d.reinstated,     d.repaid,  d.forfeited};
}

MovementDetail FromDetail(const protocol::MovementDetail& d) {
  return {.claim = d.claim(),
          .from_pending = d.from_pending(),
          .from_available = d.from_available(),
          .to_debt = d.to_debt(),
          .written_off = d.written_off(),
          .captured = d.captured(),
          .given_back = d.given_back(),
          .forgiven = d.forgiven(),
          .reinstated = d.reinstated(),
          .repaid = d.repaid(),
          .forfeited = d.forfeited()};
}

using MovementDetails = flatbuffers::Vector<const protocol::MovementDetail*>;

Offset<MovementDetails> WriteDetails(Builder& builder,
                                     const std::vector<MovementAnswer>& movements) {
  std::vector<protocol::MovementDetail> details;
  for (const MovementAnswer& movement : movements) {
    const MovementDetail& d = movement.detail;
    if (d == MovementDetail()) continue;
    details.push_back(ToDetail(movement.result.position(), d));
  }
  return builder.CreateVectorOfStructs(details);
}

// Both are in one order; a detail of another movement is nobody's.
void ReadDetails(const MovementDetails* details, std::vector<MovementAnswer>& movements) {
  if (details == nullptr) return;
  uint32_t next = 0;
  for (MovementAnswer& movement : movements) {
    if (next == details->size()) return;
    const protocol::MovementDetail& d = *details->Get(next);
    if (d.position() != movement.result.position()) continue;
    movement.detail = FromDetail(d);
    ++next;
  }
}

}  // namespace

void BuildReply(Builder& builder, uint64_t request, const StatementAnswer& answer) {
  builder.Clear();
  const auto movements = Write<protocol::Movement>(builder, answer.movements, &ToMovement);
  const auto details = WriteDetails(builder, answer.movements);
  Finish(builder, request,
         protocol::CreateStatementReply(builder, answer.outcome, movements, answer.next, details));
}

void BuildReply(Builder& builder, uint64_t request, const TransactionAnswer& answer) {
  builder.Clear();
  std::vector<MovementAnswer> movement;
  if (answer.outcome == Outcome::Ok) movement.push_back(answer.movement);
  const auto written = Write<protocol::Movement>(builder, movement, &ToMovement);
  const auto details = WriteDetails(builder, movement);
  Finish(builder, request,
         protocol::CreateTransactionReply(builder, answer.outcome, written, answer.time, details));
}

void BuildReply(Builder& builder, uint64_t request, const TotalsAnswer& answer) {
  builder.Clear();
  const auto shards = Write<protocol::ShardPosition>(
      builder, answer.shards,
      [](const ShardTime& shard) { return protocol::ShardPosition(shard.position, shard.time); });
  Finish(builder, request,
         protocol::CreateTotalsReply(
             builder, answer.outcome, shards, answer.members, answer.issued, answer.redeemed,
             answer.expired, answer.clawed_back, answer.written_off, answer.adjusted,
             answer.reinstated, answer.forgiven, answer.pending, answer.available, answer.held,
             answer.debt, answer.forfeited, answer.closed_out, answer.sent, answer.received));
}

namespace {

protocol::OwedMonth ToOwedMonth(const OwedMonth& month) {
  return {month.month, month.pending, month.available, month.held};
}

OwedMonth FromOwedMonth(const protocol::OwedMonth& month) {
  return {.month = month.month(),
          .pending = month.pending(),
          .available = month.available(),
          .held = month.held()};
}

}  // namespace

void BuildReply(Builder& builder, uint64_t request, const OwedAnswer& answer) {
  builder.Clear();
  const auto zone = Write(builder, answer.time_zone);
  const auto shards = Write<protocol::ShardPosition>(
      builder, answer.shards,
      [](const ShardTime& shard) { return protocol::ShardPosition(shard.position, shard.time); });
  const auto months = Write<protocol::OwedMonth>(builder, answer.months, &ToOwedMonth);
  const protocol::OwedMonth later = ToOwedMonth(answer.later);
  const protocol::OwedMonth never = ToOwedMonth(answer.never);
  Finish(builder, request,
         protocol::CreateOwedReply(
             builder, answer.outcome, answer.as_of, zone, shards, answer.members, answer.pending,
             answer.available, answer.held, answer.debt, answer.counted_debt, months, &later,
             &never, answer.expired, answer.forfeited, answer.closed_out, answer.in_transit));
}

void BuildReply(Builder& builder, uint64_t request, const ShardsAnswer& answer) {
  builder.Clear();
  const auto shards = Write<protocol::Shard>(builder, answer.shards, [](const ShardState& shard) {
    return protocol::Shard(shard.position, shard.time, shard.segment, shard.accounts,
                           shard.receipts, shard.memory_bytes);
  });
  Finish(builder, request, protocol::CreateShardsReply(builder, shards));
}

void BuildReply(Builder& builder, uint64_t request, const SnapshotsAnswer& answer) {
  builder.Clear();
  std::vector<Offset<flatbuffers::String>> sentences;
  for (const SnapshotState& shard : answer.shards) {
    sentences.push_back(
        Write(builder, absl::string_view(shard.failure).substr(0, kMaxSnapshotFailure)));
  }
  const auto failures = builder.CreateVector(sentences);
  const auto shards =
      Write<protocol::ShardSnapshot>(builder, answer.shards, [](const SnapshotState& shard) {
        return protocol::ShardSnapshot(shard.position, shard.size_bytes, shard.took_us,
                                       shard.memory_bytes);
      });
  Finish(builder, request, protocol::CreateSnapshotReply(builder, shards, failures));
}

void BuildReply(Builder& builder, uint64_t request, const RecordsAnswer& answer) {
  builder.Clear();
  const auto runs = Write<protocol::RecordRun>(builder, answer.runs, [](const RecordRun& run) {
    return protocol::RecordRun(run.first, run.time, run.count);
  });
  const auto slots = Write<protocol::LogSlot>(builder, answer.slots, [](const Record& slot) {
    return protocol::LogSlot(slot.operation, slot.result);
  });
  Finish(builder, request,
         protocol::CreateRecordsReply(builder, runs, slots, answer.next, answer.end));
}

void BuildReply(Builder& builder, uint64_t request, const DryRunAnswer& answer) {
  builder.Clear();
  const auto steps = Write<protocol::DryRunStep>(builder, answer.steps, [](const DryRunStep& step) {
    return protocol::DryRunStep(step.result, step.activates_at, step.expires_at, step.times_out_at);
  });
  const auto details = Write<protocol::MovementDetail>(
      builder, answer.steps, [](const DryRunStep& step) { return ToDetail(0, step.detail); });
  const auto events = Write<protocol::Event>(builder, answer.events, &ToEvent);
  Finish(
      builder, request,
      protocol::CreateDryRunReply(builder, answer.time, steps, details, events, answer.event_count,
                                  answer.pending, answer.available, answer.held, answer.debt,
                                  static_cast<protocol::AccountStatus>(answer.status)));
}

void BuildReply(Builder& builder, uint64_t request, const TickAnswer& answer) {
  builder.Clear();
  Finish(builder, request, protocol::CreateTickReply(builder, answer.outcome, answer.time));
}

void BuildError(Builder& builder, uint64_t request, protocol::ErrorCode code,
                absl::string_view message, protocol::Missing missing) {
  builder.Clear();
  const auto text = Write(builder, message);
  Finish(builder, request, protocol::CreateError(builder, code, text, missing));
}

std::string Text(const flatbuffers::String* text) {
  return text == nullptr ? std::string() : text->str();
}

ServerInfo Decode(const protocol::HelloReply& reply) {
  ServerInfo info;
  info.protocol_version = reply.version();
  if (reply.ledger() != nullptr) info.ledger = *reply.ledger();
  info.shard_count = reply.shard_count();
  info.clock = static_cast<ClockMode>(reply.clock());
  info.time = reply.time();
  info.durability = Text(reply.durability());
  info.max_operations = reply.max_operations();
  info.server = Text(reply.server());
  return info;
}

ProgramPutAnswer Decode(const protocol::ProgramPutReply& reply) {
  return {.outcome = reply.outcome(),
          .field = Text(reply.field()),
          .message = Text(reply.message()),
          .version = reply.version()};
}

std::vector<uint8_t> Decode(const protocol::ProgramReply& reply) {
  if (reply.program() == nullptr) return {};
  return {reply.program()->begin(), reply.program()->end()};
}

BalanceAnswer Decode(const protocol::BalanceReply& reply) {
  BalanceAnswer answer;
  answer.outcome = reply.outcome();
  answer.as_of = reply.as_of();
  answer.position = reply.position();
  answer.pending = reply.pending();
  answer.available = reply.available();
  answer.held = reply.held();
  answer.debt = reply.debt();
  answer.lifetime_earned = reply.lifetime_earned();
  answer.events = Read<BalanceEvent>(reply.events(), &FromEvent);
  answer.status = static_cast<ledger::AccountStatus>(reply.status());
  return answer;
}

LotsAnswer Decode(const protocol::LotsReply& reply) {
  LotsAnswer answer;
  answer.outcome = reply.outcome();
  answer.as_of = reply.as_of();
  answer.lots = Read<LotAnswer>(reply.lots(), &FromLot);
  const auto held = Read<LotAnswer>(reply.held_lots(), &FromLot);
  answer.holds = Read<HoldAnswer>(
      reply.holds(), [&, begin = held.begin()](const protocol::OpenHold& hold) mutable {
        const auto end = begin + std::min<ptrdiff_t>(hold.lots(), std::distance(begin, held.end()));
        HoldAnswer open{.position = hold.position(),
                        .times_out_at = hold.times_out_at(),
                        .points = hold.points(),
                        .lots = {begin, end}};
        begin = end;
        return open;
      });
  return answer;
}

StatementAnswer Decode(const protocol::StatementReply& reply) {
  StatementAnswer answer;
  answer.outcome = reply.outcome();
  answer.next = reply.next();
  answer.movements = Read<MovementAnswer>(reply.movements(), &FromMovement);
  ReadDetails(reply.details(), answer.movements);
  return answer;
}

TransactionAnswer Decode(const protocol::TransactionReply& reply) {
  TransactionAnswer answer;
  answer.outcome = reply.outcome();
  auto movement = Read<MovementAnswer>(reply.movement(), &FromMovement);
  ReadDetails(reply.details(), movement);
  if (!movement.empty()) answer.movement = movement[0];
  answer.time = reply.time();
  return answer;
}

TotalsAnswer Decode(const protocol::TotalsReply& reply) {
  TotalsAnswer answer;
  answer.outcome = reply.outcome();
  answer.shards = Read<ShardTime>(reply.shards(), [](const protocol::ShardPosition& shard) {
    return ShardTime{.position = shard.position(), .time = shard.time()};
  });
  answer.members = reply.members();
  answer.issued = reply.issued();
  answer.redeemed = reply.redeemed();
  answer.expired = reply.expired();
  answer.clawed_back = reply.clawed_back();
  answer.written_off = reply.written_off();
  answer.adjusted = reply.adjusted();
  answer.reinstated = reply.reinstated();
  answer.forgiven = reply.forgiven();
  answer.pending = reply.pending();
  answer.available = reply.available();
  answer.held = reply.held();
  answer.debt = reply.debt();
  answer.forfeited = reply.forfeited();
  answer.closed_out = reply.closed_out();
  answer.sent = reply.sent();
  answer.received = reply.received();
  return answer;
}

OwedAnswer Decode(const protocol::OwedReply& reply) {
  OwedAnswer answer;
  answer.outcome = reply.outcome();
  answer.as_of = reply.as_of();
  answer.time_zone = Text(reply.time_zone());
  answer.shards = Read<ShardTime>(reply.shards(), [](const protocol::ShardPosition& shard) {
    return ShardTime{.position = shard.position(), .time = shard.time()};
  });
  answer.members = reply.members();
  answer.pending = reply.pending();
  answer.available = reply.available();
  answer.held = reply.held();
  answer.debt = reply.debt();
  answer.counted_debt = reply.counted_debt();
  answer.months = Read<OwedMonth>(reply.months(), &FromOwedMonth);
  if (reply.later() != nullptr) answer.later = FromOwedMonth(*reply.later());
  if (reply.never() != nullptr) answer.never = FromOwedMonth(*reply.never());
  answer.expired = reply.expired();
  answer.forfeited = reply.forfeited();
  answer.closed_out = reply.closed_out();
  answer.in_transit = reply.in_transit();
  return answer;
}

ShardsAnswer Decode(const protocol::ShardsReply& reply) {
  return {.shards = Read<ShardState>(reply.shards(), [](const protocol::Shard& shard) {
            return ShardState{.position = shard.position(),
                              .time = shard.time(),
                              .segment = shard.segment(),
                              .accounts = shard.accounts(),
                              .receipts = shard.receipts(),
                              .memory_bytes = shard.memory_bytes()};
          })};
}

SnapshotsAnswer Decode(const protocol::SnapshotReply& reply) {
  SnapshotsAnswer answer = {
      .shards = Read<SnapshotState>(reply.shards(), [](const protocol::ShardSnapshot& shard) {
        return SnapshotState{.position = shard.position(),
                             .size_bytes = shard.size_bytes(),
                             .took_us = shard.took_us(),
                             .memory_bytes = shard.memory_bytes(),
                             .failure = ""};
      })};
  const size_t failures = reply.failures() == nullptr ? 0 : reply.failures()->size();
  for (size_t i = 0; i < std::min(failures, answer.shards.size()); ++i) {
    answer.shards[i].failure = Text(reply.failures()->Get(static_cast<uint32_t>(i)));
  }
  return answer;
}

RecordsAnswer Decode(const protocol::RecordsReply& reply) {
  return {.runs = Read<RecordRun>(
              reply.runs(),
              [](const protocol::RecordRun& run) {
                return RecordRun{.first = run.first(), .time = run.time(), .count = run.count()};
              }),
          .slots = Read<Record>(reply.slots(),
                                [](const protocol::LogSlot& slot) {
                                  return Record{slot.operation(), slot.result()};
                                }),
          .next = reply.next(),
          .end = reply.end()};
}

DryRunAnswer Decode(const protocol::DryRunReply& reply) {
  DryRunAnswer answer;
  answer.time = reply.time();
  answer.steps = Read<DryRunStep>(reply.steps(), [](const protocol::DryRunStep& step) {
    return DryRunStep{.result = step.result(),
                      .detail = {},
                      .activates_at = step.activates_at(),
                      .expires_at = step.expires_at(),
                      .times_out_at = step.times_out_at()};
  });
  const auto details = Read<MovementDetail>(reply.details(), &FromDetail);
  for (size_t i = 0; i < std::min(details.size(), answer.steps.size()); ++i) {
    answer.steps[i].detail = details[i];
  }
  answer.events = Read<BalanceEvent>(reply.events(), &FromEvent);
  answer.event_count = reply.event_count();
  answer.pending = reply.pending();
  answer.available = reply.available();
  answer.held = reply.held();
  answer.debt = reply.debt();
  answer.status = static_cast<ledger::AccountStatus>(reply.status());
  return answer;
}

TickAnswer Decode(const protocol::TickReply& reply) {
  return {.outcome = reply.outcome(), .time = reply.time()};
}

}  // namespace tallystick
