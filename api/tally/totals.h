// The sums that a ledger must keep.

#ifndef TALLYSTICK_API_TALLY_TOTALS_H_
#define TALLYSTICK_API_TALLY_TOTALS_H_

#include "api/messages.h"

namespace tallystick::tally {

// Points are conserved: issued + reinstated + adjusted + forgiven − redeemed − expired −
// clawed_back = pending + available + held − debt.
bool Balanced(const TotalsAnswer& totals);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_TOTALS_H_
