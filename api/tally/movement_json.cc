#include "api/tally/movement_json.h"

#include <string>

#include "api/ids.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/movement_detail.h"

namespace tallystick::tally {

nlohmann::ordered_json MovementJson(const MovementAnswer& movement) {
  const Operation& operation = movement.operation;
  const Result& result = movement.result;
  nlohmann::ordered_json json = {{"position", result.position()},
                                 {"kind", std::string(KindName(operation.kind()))},
                                 {"occurred_at", InstantJson(operation.occurred_at())},
                                 {"points", result.points()},
                                 {"available", result.available()},
                                 {"pending", result.pending()},
                                 {"amount", operation.amount()}};
  if (!IsZero(operation.id())) json["id"] = FormatId(operation.id());
  if (IsDerived(operation.kind())) {
    json["origin"] = operation.related().low();
  } else if (const char* other = OtherMemberName(operation.kind())) {
    json[other] = FormatId(operation.related());
  } else if (!IsZero(operation.related())) {
    json["original"] = FormatId(operation.related());
  }
  const bool is_done = operation.kind() == Kind::TransferDone;  // whose fields are of the log
  if (operation.expires_at() != 0 && !is_done)
    json["expires_at"] = InstantJson(operation.expires_at());
  if (operation.kind() == Kind::TransferBack) {
    json["refused"] = std::string(OutcomeName(static_cast<Outcome>(operation.category())));
  } else if (operation.category() != 0 && !is_done) {
    json["reason"] = operation.category();
  }
  if (movement.detail != MovementDetail()) {
    json.update(DetailJson(operation.kind(), movement.detail));
  }
  return json;
}

}  // namespace tallystick::tally
