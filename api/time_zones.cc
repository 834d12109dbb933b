#include "api/time_zones.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/instants.h"

namespace tallystick {
namespace {

// Names only of zones: the loader behind it also takes paths, and words for the host's own zone.
bool IsZoneName(absl::string_view name) {
  return !name.empty() && absl::ascii_isalpha(static_cast<unsigned char>(name.front())) &&
         name != "localtime" && !absl::StrContains(name, "..") &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' ||
                  c == '+' || c == '/';
         });
}

absl::string_view View(const flatbuffers::String* text) {
  return text == nullptr ? absl::string_view() : absl::string_view(text->c_str(), text->size());
}

absl::StatusOr<Instant> EffectiveInstant(const Program& source, uint16_t version, Instant now) {
  if (source.effective_at() == nullptr) {
    return version == 1 ? std::numeric_limits<int64_t>::min() : now;
  }
  const auto civil = ParseCivil(View(source.effective_at()));
  if (!civil.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("effective_at ", civil.status().message()));
  }
  const auto zone = LoadZone(View(source.time_zone()));
  if (!zone.ok()) return zone.status();
  return CivilToInstant(*civil, *zone);
}

}  // namespace

absl::StatusOr<absl::TimeZone> LoadZone(absl::string_view name) {
  absl::TimeZone zone;
  if (!IsZoneName(name) || !absl::LoadTimeZone(name, &zone)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "time_zone \"", name,
        "\" is not known here: give an IANA name, as America/New_York, and check that the host has "
        "its time zone data (package tzdata)"));
  }
  return zone;
}

absl::Status ResolveTimeZone(absl::string_view name, int32_t* initial_offset_s,
                             std::vector<Transition>* transitions) {
  const auto zone = LoadZone(name);
  if (!zone.ok()) return zone.status();
  *initial_offset_s = zone->At(absl::UnixEpoch()).offset;
  transitions->clear();
  int32_t offset_s = *initial_offset_s;
  absl::Time at = absl::UnixEpoch();
  absl::TimeZone::CivilTransition change;
  while (zone->NextTransition(at, &change)) {
    // Read on a clock with the offset that ends: what the wall shows when it does.
    at = absl::FromCivil(change.from, absl::UTCTimeZone()) - absl::Seconds(offset_s);
    if (ToInstant(at) >= kResolvedUntil) break;
    const int32_t next_s = zone->At(at).offset;
    // Changes of the zone's abbreviation alone are none.
    if (next_s != offset_s) transitions->emplace_back(ToInstant(at), next_s, /*reserved=*/0);
    offset_s = next_s;
  }
  return absl::OkStatus();
}

Instant CivilToInstant(absl::CivilSecond civil, const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(civil);
  return ToInstant(info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre);
}

absl::StatusOr<std::vector<uint8_t>> ResolveProgram(const Program& source, uint16_t version,
                                                    Instant now) {
  int32_t initial_offset_s = 0;
  std::vector<Transition> transitions;
  if (absl::Status status =
          ResolveTimeZone(View(source.time_zone()), &initial_offset_s, &transitions);
      !status.ok()) {
    return status;
  }
  const auto effective_us = EffectiveInstant(source, version, now);
  if (!effective_us.ok()) return effective_us.status();

  flatbuffers::FlatBufferBuilder builder;
  const auto text = [&](const flatbuffers::String* s) {
    return s == nullptr ? flatbuffers::Offset<flatbuffers::String>()
                        : builder.CreateString(s->c_str(), s->size());
  };
  const auto name = text(source.name());
  const auto currency = text(source.currency());
  const auto time_zone = text(source.time_zone());
  const auto effective_at = text(source.effective_at());
  flatbuffers::Offset<Earn> earn;
  if (const Earn* e = source.earn(); e != nullptr) {
    earn = CreateEarn(builder, e->points(), e->per_spend(), e->rounding(), e->minimum_spend());
  }
  flatbuffers::Offset<Pending> pending;
  if (const Pending* p = source.pending(); p != nullptr) {
    pending = CreatePending(builder, p->days());
  }
  flatbuffers::Offset<Expiry> expiry;
  if (const Expiry* e = source.expiry(); e != nullptr) {
    expiry = CreateExpiry(builder, e->after(), e->days(), e->months(), e->round_up_to());
  }
  flatbuffers::Offset<Redeem> redeem;
  if (const Redeem* r = source.redeem(); r != nullptr) {
    redeem = CreateRedeem(builder, r->minimum(), r->step());
  }
  flatbuffers::Offset<HoldRules> hold;
  if (const HoldRules* h = source.hold(); h != nullptr) {
    hold = CreateHoldRules(builder, h->timeout_minutes());
  }
  flatbuffers::Offset<ReversalRules> reversal;
  if (const ReversalRules* r = source.reversal(); r != nullptr) {
    reversal = CreateReversalRules(builder, r->expired(), r->grace_days());
  }
  flatbuffers::Offset<TransferRules> transfer;
  if (const TransferRules* t = source.transfer(); t != nullptr) {
    transfer = CreateTransferRules(builder, t->dates(), t->minimum(), t->maximum());
  }
  builder.Finish(CreateProgram(
      builder, source.id(), name, source.decimals(), currency, time_zone, earn, pending, expiry,
      redeem, source.debt_floor(), source.retention_days(), source.return_days(),
      source.implicit_enrolment(), source.unknown_original(), effective_at, version, *effective_us,
      initial_offset_s, builder.CreateVectorOfStructs(transitions), hold, reversal, transfer));
  return std::vector<uint8_t>(builder.GetBufferPointer(),
                              builder.GetBufferPointer() + builder.GetSize());
}

}  // namespace tallystick
