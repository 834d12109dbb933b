// A member's balance, for somebody who has neither the ledger nor this program: its records, and
// the headers that tie them to the end of the log. docs/proof.md is the format.

#ifndef TALLYSTICK_API_TALLY_PROOF_H_
#define TALLYSTICK_API_TALLY_PROOF_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/tally/offline_ledger.h"
#include "ledger/types.h"

namespace tallystick::tally {

struct ProvedAccount {
  uint16_t program = 0;
  int64_t records = 0;
  Position last_position = 0;
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
};

struct Proof {
  uint16_t shard = 0;
  Position head_position = 0;
  std::string head_hash;  // of the last header, 32 hexadecimal digits
  int64_t blocks = 0;     // whose headers it has
  std::vector<ProvedAccount> accounts;
};

// Reads, replays and sums up the whole ledger, and writes the proof to `path`. `program` 0: all
// that the member is in. NotFound: it is in none; AlreadyExists: the file is there.
absl::StatusOr<Proof> WriteProof(OfflineLedger& ledger, const Id& member, uint16_t program,
                                 const std::string& path);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_PROOF_H_
