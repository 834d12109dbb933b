// A movement of an account, as tally's JSON has it.

#ifndef TALLYSTICK_API_TALLY_MOVEMENT_JSON_H_
#define TALLYSTICK_API_TALLY_MOVEMENT_JSON_H_

#include <nlohmann/json.hpp>

#include "api/messages.h"

namespace tallystick::tally {

nlohmann::ordered_json MovementJson(const MovementAnswer& movement);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_MOVEMENT_JSON_H_
