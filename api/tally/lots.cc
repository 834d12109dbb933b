// tally lots: the points of a member by origin, in the order in which they are spent, and
// what holds have of them.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/ids.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

nlohmann::ordered_json ToJson(const std::vector<LotAnswer>& lots) {
  auto json = nlohmann::ordered_json::array();
  for (const LotAnswer& lot : lots) {
    json.push_back({{"position", lot.position},
                    {"original", lot.original},
                    {"remaining", lot.remaining},
                    {"activates_at", InstantJson(lot.activates_at)},
                    {"expires_at", InstantJson(lot.expires_at)}});
  }
  return json;
}

// By which a hold is captured or released; nothing where the log does not say it.
std::optional<std::string> IdOf(Client& client, const AccountOptions& options, const Id& member,
                                const HoldAnswer& hold) {
  const auto answer = client.Statement(options.program, member, hold.position + 1, 1);
  if (!answer.ok() || answer->movements.empty()) return std::nullopt;
  const MovementAnswer& movement = answer->movements.front();
  if (movement.result.position() != hold.position) return std::nullopt;
  return FormatId(movement.operation.id());
}

void PrintLots(const std::vector<LotAnswer>& lots) {
  std::printf("%12s %12s  %-27s  %-27s  %s\n", "remaining", "original", "available from", "expires",
              "position");
  for (const LotAnswer& lot : lots) {
    std::printf("%12ld %12ld  %-27s  %-27s  %lu\n", lot.remaining, lot.original,
                InstantText(lot.activates_at).c_str(), InstantText(lot.expires_at).c_str(),
                lot.position);
  }
}

int Run(const Server& server, const AccountOptions& options) {
  const auto member = RequireId(options.member, "member");
  if (!member.ok()) return Fail(member.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto answer = (*client)->Lots(options.program, *member);
  if (!answer.ok()) return Fail(answer.status());
  if (answer->outcome != Outcome::Ok) return Refuse(answer->outcome);
  if (options.json) {
    auto holds = nlohmann::ordered_json::array();
    for (const HoldAnswer& hold : answer->holds) {
      const auto id = IdOf(**client, options, *member, hold);
      holds.push_back({{"id", id.has_value() ? nlohmann::ordered_json(*id) : nullptr},
                       {"position", hold.position},
                       {"times_out_at", InstantJson(hold.times_out_at)},
                       {"points", hold.points},
                       {"lots", ToJson(hold.lots)}});
    }
    PrintJson({{"member", FormatId(*member)},
               {"program", options.program},
               {"as_of", InstantJson(answer->as_of)},
               {"lots", ToJson(answer->lots)},
               {"holds", holds}});
    return 0;
  }
  std::printf("Member %s in program %d, as of %s: %zu lots\n", FormatId(*member).c_str(),
              options.program, InstantText(answer->as_of).c_str(), answer->lots.size());
  if (!answer->lots.empty()) PrintLots(answer->lots);
  for (const HoldAnswer& hold : answer->holds) {
    std::printf("Hold %s: %ld points, held until %s\n",
                IdOf(**client, options, *member, hold).value_or("of unknown id").c_str(),
                hold.points, InstantText(hold.times_out_at).c_str());
    PrintLots(hold.lots);
  }
  return 0;
}

}  // namespace

void AddLotsCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand("lots", "A member's lots of points, in spending order");
  auto options = std::make_shared<AccountOptions>();
  AddAccountOptions(command, options.get());
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
