#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_TRANSFERS_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_TRANSFERS_H_

#include "tests/model/naive_kinds.h"

namespace tallystick::model {

// The sender's part of a transfer; as RunKind. What the shards then tell each other is
// NaiveLedger's.
Outcome RunTransfer(Attempt& attempt);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_TRANSFERS_H_
