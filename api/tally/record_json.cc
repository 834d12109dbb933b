#include "api/tally/record_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/chain_records.h"
#include "api/ids.h"
#include "api/outcomes.h"
#include "api/program_file.h"
#include "api/tally/command.h"
#include "api/tally/movement_detail.h"

namespace tallystick::tally {

// What a put carries, when it can be read.
const Program* CarriedProgram(const Operation& op, absl::Span<const wal::Slot> details) {
  const size_t bytes = details.size() * sizeof(wal::Slot);
  if (op.kind() != Kind::ProgramPut || op.amount() < 1 ||
      static_cast<uint64_t>(op.amount()) > bytes) {
    return nullptr;
  }
  const auto* data = reinterpret_cast<const uint8_t*>(details.data());
  flatbuffers::Verifier verifier(data, static_cast<size_t>(op.amount()));
  return verifier.VerifyBuffer<Program>() ? flatbuffers::GetRoot<Program>(data) : nullptr;
}

namespace {

bool IsParcel(const Operation& op, absl::Span<const wal::Slot> details) {
  return op.kind() == Kind::TransferIn && !details.empty();
}

// Which transfer it is, and the lots that it brings.
void PutParcel(absl::Span<const wal::Slot> details, nlohmann::ordered_json* json) {
  const auto key = DetailIn<TransferDetail>(details[0]);
  (*json)["transfer"] = {
      {"shard", key.shard}, {"position", key.position}, {"open_from", key.open_from}};
  auto lots = nlohmann::ordered_json::array();
  for (const wal::Slot& slot : details.subspan(1)) {
    const auto lot = DetailIn<TransferLot>(slot);
    lots.push_back({{"activates_at", InstantJson(lot.activates_at)},
                    {"expires_at", InstantJson(lot.expires_at)},
                    {"points", lot.points}});
  }
  (*json)["lots"] = std::move(lots);
}

// What the operation carries in the places of `user_data` and `category`.
void PutOwn(const Operation& op, nlohmann::ordered_json* json) {
  if (op.kind() == Kind::TransferDone || op.kind() == Kind::TransferBack) {
    (*json)["transfer_position"] = op.user_data();
    if (op.kind() == Kind::TransferDone) {
      (*json)["arrived"] = {{"shard", op.category()}, {"position", op.expires_at()}};
      return;
    }
    (*json)["refused"] = std::string(OutcomeName(static_cast<Outcome>(op.category())));
    return;
  }
  if (op.user_data() != 0) (*json)["user_data"] = op.user_data();
  if (op.category() != 0) (*json)["category"] = op.category();
}

}  // namespace

nlohmann::ordered_json RecordJson(uint16_t shard, Instant written_at, Position position,
                                  const Record& record, absl::Span<const wal::Slot> details) {
  const Operation& op = record.operation;
  const Result& result = record.result;
  nlohmann::ordered_json json = {{"shard", shard},
                                 {"position", position},
                                 {"kind", std::string(KindName(op.kind()))},
                                 {"program", op.program()}};
  if (!IsZero(op.id())) json["id"] = FormatId(op.id());
  if (!IsZero(op.member())) json["member"] = FormatId(op.member());
  if (IsDerived(op.kind())) {
    json["origin"] = op.related().low();
  } else if (!IsZero(op.related())) {
    json["related"] = FormatId(op.related());
  }
  json["amount"] = op.amount();
  json["occurred_at"] = InstantJson(op.occurred_at());
  json["written_at"] = InstantJson(written_at);
  const bool has_expiry = op.expires_at() != 0 && op.kind() != Kind::TransferDone;
  if (has_expiry) json["expires_at"] = InstantJson(op.expires_at());
  PutOwn(op, &json);
  if ((op.flags() & kLinked) != 0) json["linked"] = true;
  json["points"] = result.points();
  json["available"] = result.available();
  json["pending"] = result.pending();
  json["previous"] = result.position();
  if (result.flags() != 0) json["flags"] = result.flags();
  if (result.details() != 0) json["details"] = result.details();
  if (const MovementDetail detail = DetailOf(record, details); detail != MovementDetail()) {
    json.update(DetailJson(op.kind(), detail));
  }
  if (IsParcel(op, details)) PutParcel(details, &json);
  if (const Program* program = CarriedProgram(op, details)) {
    json["rules"] = nlohmann::ordered_json::parse(ProgramToJson(*program), nullptr,
                                                  /*allow_exceptions=*/false);
  }
  return json;
}

std::string RecordText(uint16_t shard, Position position, const Record& record,
                       absl::Span<const wal::Slot> details) {
  const Operation& op = record.operation;
  std::string text = absl::StrFormat(
      "%d/%d  %s  %-11s program %d  member %s  amount %d  points %+d  available %d  pending %d  id "
      "%s",
      shard, position, InstantText(op.occurred_at()), KindName(op.kind()), op.program(),
      FormatId(op.member()), op.amount(), record.result.points(), record.result.available(),
      record.result.pending(), FormatId(op.id()));
  const std::string detail = DetailText(op.kind(), DetailOf(record, details));
  if (!detail.empty()) absl::StrAppend(&text, "  ", detail);
  if (const char* other = OtherMemberName(op.kind())) {
    absl::StrAppend(&text, "  ", other, " ", FormatId(op.related()));
  }
  if (IsParcel(op, details)) {
    const auto key = DetailIn<TransferDetail>(details[0]);
    absl::StrAppend(&text, "  sent at ", key.shard, "/", key.position, ", ", details.size() - 1,
                    " lots");
  }
  if (const Program* program = CarriedProgram(op, details)) {
    absl::StrAppendFormat(&text, "  version %d of \"%s\", effective %s", op.category(),
                          program->name() == nullptr ? "" : program->name()->c_str(),
                          InstantText(program->effective_us()));
  }
  return text;
}

}  // namespace tallystick::tally
