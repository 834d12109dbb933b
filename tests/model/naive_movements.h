#ifndef TALLYSTICK_TESTS_MODEL_NAIVE_MOVEMENTS_H_
#define TALLYSTICK_TESTS_MODEL_NAIVE_MOVEMENTS_H_

#include "tests/model/naive_kinds.h"

namespace tallystick::model {

// The rules of the kinds that move what was earned before; as RunKind.
Outcome RunHold(Attempt& attempt);
Outcome RunCapture(Attempt& attempt);
Outcome RunRelease(Attempt& attempt);
Outcome RunReverseRedemption(Attempt& attempt);
Outcome RunActivate(Attempt& attempt);
Outcome RunCancel(Attempt& attempt);
Outcome RunExtend(Attempt& attempt);
Outcome RunClose(Attempt& attempt);

}  // namespace tallystick::model

#endif  // TALLYSTICK_TESTS_MODEL_NAIVE_MOVEMENTS_H_
