// What a load generator asks for: accruals, redemptions and reads of members 1 .. N, drawn from a
// seed.

#ifndef TALLYSTICK_API_TALLY_WORKLOAD_H_
#define TALLYSTICK_API_TALLY_WORKLOAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "api/tally/random.h"
#include "api/tally/zipf.h"
#include "ledger/types.h"

namespace tallystick::tally {

struct WorkloadOptions {
  uint16_t program = 999;
  uint64_t members = 1'000'000;
  // Whom an operation is of: "uniform"; "zipf", by Zipf's law with exponent 0.99; "hot", always
  // member 1.
  std::string members_by = "uniform";
  double redeem_share = 0.2;  // of the operations that are not reads; the others are accruals
  double read_share = 0;
  uint64_t seed = 1;
};

class Workload {
 public:
  explicit Workload(const WorkloadOptions& options);

  // What gives a member points before: enough that few redemptions are refused. `expires_at`: of
  // the points; 0: as the program says.
  Operation Load(uint64_t member, Instant now, Instant expires_at = 0);
  // The next is a read, of DrawMember().
  bool DrawsRead() { return random_.Next() >> 32 < read_below_; }
  Id DrawMember();
  // An accrual or a redemption of 1 to 100 points.
  Operation Draw(Instant now);

 private:
  Operation Make(Kind kind, const Id& member, int64_t amount, Instant now, Instant expires_at = 0);

  const WorkloadOptions options_;
  Random random_;
  std::optional<Zipf> zipf_;
  // Ids are new in each run, so that a run with the same seed is not taken for a repetition.
  const uint64_t run_;
  const uint64_t read_below_;
  const uint64_t redeem_below_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_WORKLOAD_H_
