// A ledger on disk with a random past: puts in the middle, chains, returns, expiries, transfers.

#ifndef TALLYSTICK_TESTS_API_RANDOM_LEDGER_H_
#define TALLYSTICK_TESTS_API_RANDOM_LEDGER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "api/embedded.h"

namespace tallystick {

struct RandomLedgerOptions {
  std::string directory;
  uint16_t shards = 1;
  ClockMode clock = ClockMode::kImport;
  uint64_t seed = 1;
  int requests = 150;
  int snapshots = 0;  // spread over the past
  bool transfers = true;
};

inline constexpr uint16_t kRandomPrograms = 2;
inline constexpr uint64_t kRandomMembers = 15;

// Makes the ledger, and closes it; fails where the ledger does.
void MakeRandomLedger(const RandomLedgerOptions& options);

// Opens what a tool has made, for more.
absl::StatusOr<std::unique_ptr<Ledger>> OpenLedger(const std::string& directory);
// A purchase that the ledger accepts, of one of its members.
Operation AnotherPurchase(Ledger& ledger, uint64_t id);

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_RANDOM_LEDGER_H_
