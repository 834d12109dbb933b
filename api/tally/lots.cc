// tally lots: the points of a member by origin, in the order in which they are spent.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/ids.h"
#include "api/tally/command.h"

namespace tallystick::tally {
namespace {

int Run(const Server& server, const AccountOptions& options) {
  const auto member = RequireId(options.member, "member");
  if (!member.ok()) return Fail(member.status());
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto answer = (*client)->Lots(options.program, *member);
  if (!answer.ok()) return Fail(answer.status());
  if (answer->outcome != Outcome::Ok) return Refuse(answer->outcome);
  if (options.json) {
    auto lots = nlohmann::ordered_json::array();
    for (const LotAnswer& lot : answer->lots) {
      lots.push_back({{"position", lot.position},
                      {"original", lot.original},
                      {"remaining", lot.remaining},
                      {"activates_at", InstantJson(lot.activates_at)},
                      {"expires_at", InstantJson(lot.expires_at)}});
    }
    PrintJson({{"member", FormatId(*member)},
               {"program", options.program},
               {"as_of", InstantJson(answer->as_of)},
               {"lots", lots}});
    return 0;
  }
  std::printf("Member %s in program %d, as of %s: %zu lots\n", FormatId(*member).c_str(),
              options.program, InstantText(answer->as_of).c_str(), answer->lots.size());
  if (answer->lots.empty()) return 0;
  std::printf("%12s %12s  %-27s  %-27s  %s\n", "remaining", "original", "available from", "expires",
              "position");
  for (const LotAnswer& lot : answer->lots) {
    std::printf("%12ld %12ld  %-27s  %-27s  %lu\n", lot.remaining, lot.original,
                InstantText(lot.activates_at).c_str(), InstantText(lot.expires_at).c_str(),
                lot.position);
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
