// What a movement's points came from and went to, by name: for JSON and for people.

#ifndef TALLYSTICK_API_TALLY_MOVEMENT_DETAIL_H_
#define TALLYSTICK_API_TALLY_MOVEMENT_DETAIL_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/messages.h"

namespace tallystick::tally {

// An object with all that is said of this kind, zeros too: of a capture "captured", "given_back",
// "forgiven". Empty: of this kind nothing is said.
nlohmann::ordered_json DetailJson(Kind kind, const MovementDetail& detail);
// "to" or "from": how what is told of this kind names the other member of a transfer. Null: none
// has to do with it.
const char* OtherMemberName(Kind kind);
// "captured 50, given back 20, forgiven 40": without what is 0.
std::string DetailText(Kind kind, const MovementDetail& detail);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_MOVEMENT_DETAIL_H_
