#include "api/tally/movement_detail.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tallystick::tally {
namespace {

struct NamedAmount {
  const char* name;
  Points points;
};

std::vector<NamedAmount> AmountsOf(Kind kind, const MovementDetail& d) {
  switch (kind) {
    case Kind::Return:
      return {{"claim", d.claim},
              {"from_pending", d.from_pending},
              {"from_available", d.from_available},
              {"to_debt", d.to_debt},
              {"written_off", d.written_off}};
    case Kind::Capture:
      return {{"captured", d.captured}, {"given_back", d.given_back}, {"forgiven", d.forgiven}};
    case Kind::ReverseRedemption:
      return {{"reinstated", d.reinstated}, {"repaid", d.repaid}, {"forfeited", d.forfeited}};
    case Kind::Close:
      // "pending" and "available" are the balances behind it.
      return {{"expired_pending", d.from_pending},
              {"expired_available", d.from_available},
              {"forgiven", d.forgiven}};
    default:
      return {};
  }
}

}  // namespace

nlohmann::ordered_json DetailJson(Kind kind, const MovementDetail& detail) {
  auto json = nlohmann::ordered_json::object();
  for (const NamedAmount& amount : AmountsOf(kind, detail)) json[amount.name] = amount.points;
  return json;
}

const char* OtherMemberName(Kind kind) {
  switch (kind) {
    case Kind::Transfer:
    case Kind::TransferDone:
      return "to";
    case Kind::TransferIn:
    case Kind::TransferBack:
      return "from";
    default:
      return nullptr;
  }
}

std::string DetailText(Kind kind, const MovementDetail& detail) {
  std::string text;
  for (const NamedAmount& amount : AmountsOf(kind, detail)) {
    if (amount.points == 0) continue;
    std::string name = amount.name;
    std::replace(name.begin(), name.end(), '_', ' ');
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " ", amount.points);
  }
  return text;
}

}  // namespace tallystick::tally
