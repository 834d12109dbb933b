// Ids as people and files write them: members, transactions and orders are text
// outside and 128 bits inside.

#ifndef TALLYSTICK_API_IDS_H_
#define TALLYSTICK_API_IDS_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "ledger/types.h"

namespace tallystick {

// The id that a text stands for, spaces around it left aside:
//   decimal number below 2^128, no leading zeros     the number itself
//   UUID, 8-4-4-4-12 hexadecimal digits              itself: high is its first 8 bytes, big-endian
//   any other text ("0042", "ann@example.org")       HashId of its bytes
// Nothing for what is no id: an empty text, 0, and the UUID of zeros.
std::optional<Id> ParseId(absl::string_view text);

// XXH3-128 of the bytes, seed 0; where that is 0, 1. The hash is part of the contract: it names the
// same member in every release.
Id HashId(absl::string_view bytes);

// Decimal when it fits 64 bits, else a UUID. ParseId gives the same id back.
std::string FormatId(const Id& id);

// From the host's source of randomness. Never 0.
Id RandomId();

}  // namespace tallystick

#endif  // TALLYSTICK_API_IDS_H_
