// Replay: the log's operations applied once more, and every byte compared.

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "ledger/look_ahead.h"
#include "ledger/program_state.h"

namespace tallystick::ledger {
namespace {

absl::Status Differs(Position position, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("replay at position ", position, ": ", what));
}

bool IsTicked(const Record& record) {
  return IsDerived(record.operation.kind()) && (record.result.flags() & kTicked) != 0;
}

// The program that a ProgramPut at the front of `slots` carries; empty when it is not whole.
absl::Span<const uint8_t> CarriedProgram(absl::Span<const Record> slots) {
  const Operation& put = slots[0].operation;
  const auto size = static_cast<uint64_t>(put.amount());
  if (put.amount() < 1 || size > kMaxProgramBytes ||
      slots.size() < StateMachine::SlotsOfProgram(size)) {
    return {};
  }
  const absl::Span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(slots.data() + 1), size);
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (!verifier.VerifyBuffer<Program>()) return {};
  const Program& program = *flatbuffers::GetRoot<Program>(bytes.data());
  if (program.id() != put.program() || CheckProgram(program)) return {};
  return bytes;
}

}  // namespace

// Each on its own, chains too: links that were known already left no record, so that what the log
// has of a chain may be none.
void StateMachine::ApplyLogged(absl::Span<const Operation> operations, Out& out) {
  LookAhead look_ahead(*this, operations);
  Result result;
  replaying_ = true;
  for (size_t i = 0; i < operations.size(); ++i) {
    if (!ApplyOne(operations[i], look_ahead.At(i), result, out)) break;
  }
  replaying_ = false;
}

// One that shards tell each other of, as it stands in the log. False: it is none that may be.
bool StateMachine::ApplyBetweenShards(absl::Span<const Record> slots, Out& out) {
  const Operation& op = slots[0].operation;
  Result result;
  if (op.kind() == Kind::TransferIn) {
    return SlotsOf(slots[0]) <= slots.size() &&
           Receive(slots.first(SlotsOf(slots[0])), result, out);
  }
  const OpenTransfer transfer = {op.user_data(), op.program(), op.member(), op.related()};
  if (op.kind() == Kind::TransferBack) {
    const auto outcome = static_cast<Outcome>(op.category());
    return outcome != Outcome::Ok && Finish(transfer, outcome, result, out);
  }
  return Finish(transfer, Outcome::Ok, result, out,
                {op.category(), static_cast<Position>(op.expires_at())});
}

bool StateMachine::ApplyRecorded(const Operation& operation, Result& result, RecordSink& sink) {
  replaying_ = true;
  const bool fitted = ApplyOne(operation, Locate(operation), result, sink);
  replaying_ = false;
  return fitted;
}

bool StateMachine::SettleAccount(uint16_t program, const Id& member, RecordSink& sink) {
  const uint32_t row = accounts_.Find(program, member);
  if (row == kNoRow) return false;
  const Instant t = block_.import_clock ? log_time_ : std::max(log_time_, block_.stamp);
  const size_t before = sink.used;
  Settle(row, t, sink);
  if (sink.used > before) sink.slots[sink.used - 1].result.mutate_flags(kTicked);
  log_time_ = t;
  return true;
}

absl::Status StateMachine::Replay(const BlockTime& time, Position first_position,
                                  absl::Span<const Record> slots, Position last) {
  BeginBlock(time);
  replayed_.resize(slots.size() + kMaxSlotsPerChain);
  std::vector<Operation> operations;
  size_t i = 0;
  while (i < slots.size()) {
    const Position position = first_position + i;
    RecordSink sink{replayed_.data(), replayed_.size(), 0, position};
    if (slots[i].operation.kind() == Kind::ProgramPut) {
      if (position > last) break;
      const absl::Span<const uint8_t> program = CarriedProgram(slots.subspan(i));
      if (program.empty())
        return Differs(position, "the program is not one that this engine knows");
      PutProgram(slots[i].operation, program, sink);
    } else {
      // The operations up to the next tick or program; their derived records and details are what
      // Apply writes.
      operations.clear();
      size_t end = i;
      while (end < slots.size() && !IsTicked(slots[end]) &&
             slots[end].operation.kind() != Kind::ProgramPut &&
             !IsBetweenShards(slots[end].operation.kind())) {
        const bool derived = IsDerived(slots[end].operation.kind());
        if (!derived && first_position + end > last) break;
        if (!derived) operations.push_back(slots[end].operation);
        end += 1 + (derived ? 0 : slots[end].result.details());
      }
      if (operations.empty() && first_position + end > last) break;
      if (!operations.empty()) {
        ApplyLogged(operations, sink);
      } else if (end < slots.size() && IsBetweenShards(slots[end].operation.kind())) {
        if (!ApplyBetweenShards(slots.subspan(end), sink)) {
          return Differs(first_position + end, "what the shards told each other is not whole");
        }
      } else if (end < slots.size() && IsTicked(slots[end])) {
        const Operation& due = slots[end].operation;
        if (!SettleAccount(due.program(), due.member(), sink)) {
          return Differs(position, "a tick settles an account that does not exist");
        }
      }
    }
    if (sink.used == 0) return Differs(position, "the record does not follow from those before it");
    const size_t compared = std::min(sink.used, slots.size() - i);
    for (size_t k = 0; k < compared; ++k) {
      if (std::memcmp(&replayed_[k], &slots[i + k], kSlotBytes) != 0) {
        return Differs(position + k, "the record is not what its operation gives");
      }
    }
    if (sink.used > compared) return Differs(first_position + slots.size(), "a record is missing");
    i += sink.used;
  }
  return absl::OkStatus();
}

}  // namespace tallystick::ledger
