// What to tell a caller about an outcome: a stable name for machines, a sentence for people.

#ifndef TALLYSTICK_API_OUTCOMES_H_
#define TALLYSTICK_API_OUTCOMES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "ledger/holds.h"
#include "ledger/types.h"

namespace tallystick {

inline constexpr size_t kOutcomeCount = static_cast<size_t>(Outcome::MAX) + 1;

// "too_old", as JSON and CSV carry it. Stable.
absl::string_view OutcomeName(Outcome outcome);
// What happened and what the caller should do.
absl::string_view OutcomeSentence(Outcome outcome);
// "occurred_at", as operation.fbs names it; empty for Field::None.
absl::string_view FieldName(Field field);
// Whether a transfer was refused by its receiver, whom the outcome then is about; the points are
// the sender's again.
inline bool IsReceivers(Outcome outcome, Field field) {
  return field == Field::Related && outcome != Outcome::Ok && outcome != Outcome::BadRequest;
}
// The sentence of a result; of a bad request it begins with the field.
std::string ExplainOutcome(Outcome outcome, Field field);
// "purchase", as JSON carries it. Stable.
absl::string_view KindName(Kind kind);
absl::string_view StatusName(ledger::AccountStatus status);

}  // namespace tallystick

#endif  // TALLYSTICK_API_OUTCOMES_H_
