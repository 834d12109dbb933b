#include "api/tally/movement_json.h"

#include <string>

#include "api/ids.h"
#include "api/outcomes.h"
#include "api/tally/command.h"

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
  } else if (!IsZero(operation.related())) {
    json["original"] = FormatId(operation.related());
  }
  if (operation.category() != 0) json["reason"] = operation.category();
  if (movement.detail.written_off != 0) json["written_off"] = movement.written_off;
  return json;
}

}  // namespace tallystick::tally
