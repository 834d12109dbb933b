// tally log verify|dump|replay: a log without its server.

#include "api/tally/command.h"

namespace tallystick::tally {

void AddLogCommands(CLI::App&) {}

}  // namespace tallystick::tally
