// What an operation that was accepted has done, for who sent it: a cashier, a back office.

#ifndef TALLYSTICK_API_TALLY_OPERATION_REPORT_H_
#define TALLYSTICK_API_TALLY_OPERATION_REPORT_H_

#include <optional>
#include <string>

#include "api/client.h"
#include "api/messages.h"
#include "ledger/types.h"

namespace tallystick::tally {

// What its result does not say.
struct OperationStory {
  // Of a return, capture, reversal and close; nothing: the ledger cannot tell.
  std::optional<MovementDetail> detail;
  // Of a hold that is open.
  std::optional<Instant> times_out_at;
};

// Asks the ledger for it, where it must. One or two questions.
OperationStory AskStory(Client& client, const Operation& operation, const Result& result);

void PrintOperation(const Operation& operation, const Result& result, const OperationStory& story,
                    bool json);

// What a dry run of one operation has come to.
void PrintDryRun(Client& client, const Operation& operation, const DryRunAnswer& answer, bool json);

// With these options, the same command is the same operation.
std::string RepeatOptions(const Operation& operation);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_OPERATION_REPORT_H_
