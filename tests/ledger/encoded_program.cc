#include "tests/ledger/encoded_program.h"

namespace tallystick::ledger {

std::vector<uint8_t> Encode(const ProgramSpec& spec) {
  flatbuffers::FlatBufferBuilder builder;
  const auto text = [&](const std::optional<std::string>& s) {
    return s.has_value() ? builder.CreateString(*s) : flatbuffers::Offset<flatbuffers::String>();
  };
  const auto name = text(spec.name);
  const auto currency = text(spec.currency);
  const auto time_zone = text(spec.time_zone);
  flatbuffers::Offset<Earn> earn;
  if (spec.earn.has_value()) {
    earn = CreateEarn(builder, spec.earn->points, spec.earn->per_spend, spec.earn->rounding,
                      spec.earn->minimum_spend);
  }
  flatbuffers::Offset<Pending> pending;
  if (spec.pending_days.has_value()) pending = CreatePending(builder, *spec.pending_days);
  flatbuffers::Offset<tallystick::Expiry> expiry;
  if (spec.expiry.has_value()) {
    expiry = CreateExpiry(builder, spec.expiry->after, spec.expiry->days, spec.expiry->months,
                          spec.expiry->round_up_to);
  }
  flatbuffers::Offset<Redeem> redeem;
  if (spec.redeem_minimum.has_value()) {
    redeem = CreateRedeem(builder, *spec.redeem_minimum, spec.redeem_step);
  }
  flatbuffers::Offset<flatbuffers::Vector<const Transition*>> transitions;
  if (!spec.transitions.empty()) transitions = builder.CreateVectorOfStructs(spec.transitions);
  flatbuffers::Offset<HoldRules> hold;
  if (spec.hold_timeout_minutes.has_value()) {
    hold = CreateHoldRules(builder, *spec.hold_timeout_minutes);
  }
  flatbuffers::Offset<ReversalRules> reversal;
  if (spec.grace_days.has_value()) {
    reversal = CreateReversalRules(builder, spec.expired_reversal, *spec.grace_days);
  }
  flatbuffers::Offset<TransferRules> transfer;
  if (spec.transfer.has_value()) {
    transfer = CreateTransferRules(builder, spec.transfer->dates, spec.transfer->minimum,
                                   spec.transfer->maximum);
  }
  builder.Finish(CreateProgram(builder, spec.id, name, spec.decimals, currency, time_zone, earn,
                               pending, expiry, redeem, spec.debt_floor, spec.retention_days,
                               spec.return_days, spec.implicit_enrolment, spec.unknown_original,
                               /*effective_at=*/0, spec.version, spec.effective_us,
                               spec.initial_offset_s, transitions, hold, reversal, transfer));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

Operation PutOf(const ProgramSpec& spec, const std::vector<uint8_t>& bytes) {
  const auto program = static_cast<uint16_t>(spec.id);
  const auto version = static_cast<uint16_t>(spec.version);
  return Operation(Id(version, program), Id(), Id(), static_cast<int64_t>(bytes.size()), 0, 0, 0,
                   program, version, Kind::ProgramPut, 0, 0);
}

}  // namespace tallystick::ledger
