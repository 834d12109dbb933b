#include "api/tally/workload.h"

#include <random>

namespace tallystick::tally {
namespace {

constexpr double kZipfExponent = 0.99;
constexpr uint64_t kLargestAmount = 100;
// Of a mix, and where nothing else comes in.
constexpr Points kLoadPoints = 1'000;
constexpr Points kLoadPointsForRedemptions = 1'000'000'000;

// Of the upper half of a random number.
uint64_t Below(double share) { return static_cast<uint64_t>(share * 4294967296.0); }

}  // namespace

Workload::Workload(const WorkloadOptions& options)
    : options_(options),
      random_(options.seed),
      run_(std::random_device()()),
      read_below_(Below(options.read_share)),
      redeem_below_(Below(options.redeem_share)) {
  // The law needs two ranks at least.
  if (options.members_by == "zipf" && options.members > 1) {
    zipf_.emplace(options.members, kZipfExponent);
  }
}

Operation Workload::Load(uint64_t member, Instant now, Instant expires_at) {
  const Points points = options_.redeem_share < 0.5 ? kLoadPoints : kLoadPointsForRedemptions;
  return Make(Kind::Accrue, Id(member, 0), points, now, expires_at);
}

Id Workload::DrawMember() {
  if (zipf_.has_value()) return Id(1 + zipf_->Draw(random_), 0);
  if (options_.members_by == "hot") return Id(1, 0);
  return Id(1 + random_.Below(options_.members), 0);
}

Operation Workload::Draw(Instant now) {
  const Id member = DrawMember();
  const uint64_t draw = random_.Next();
  const Kind kind = draw >> 32 < redeem_below_ ? Kind::Redeem : Kind::Accrue;
  return Make(kind, member, 1 + static_cast<int64_t>((draw & 0xffff'ffff) % kLargestAmount), now);
}

Operation Workload::Make(Kind kind, const Id& member, int64_t amount, Instant now,
                         Instant expires_at) {
  const uint64_t low = random_.Next();
  const Id id(low, random_.Next() ^ run_ << 32);
  return Operation(id, member, Id(0, 0), amount, now, expires_at, /*user_data=*/0, options_.program,
                   /*category=*/0, kind, /*flags=*/0, /*reserved=*/0);
}

}  // namespace tallystick::tally
