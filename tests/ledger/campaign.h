// How long a campaign of random runs is, and where it begins.

#ifndef TALLYSTICK_TESTS_LEDGER_CAMPAIGN_H_
#define TALLYSTICK_TESTS_LEDGER_CAMPAIGN_H_

#include <cstdint>
#include <cstdlib>

namespace tallystick::ledger {

// A number of the environment, TALLYSTICK_SEED for one.
inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_CAMPAIGN_H_
