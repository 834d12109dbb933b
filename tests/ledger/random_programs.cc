#include "tests/ledger/random_programs.h"

#include <algorithm>

namespace tallystick::ledger {
namespace {

using model::kDay;
using model::kHour;

model::Zone SummerTime(Random& random, model::Instant start) {
  const auto standard = static_cast<int32_t>(random.Between(-11, 13) * 3'600);
  model::Zone zone{standard, {}};
  const int64_t year = model::CivilFromDays(start / kDay).year;
  for (int64_t y = year - 1; y < year + 6; ++y) {
    zone.transitions.push_back({model::UtcInstant(y, 3, 28, kHour), standard + 3'600});
    zone.transitions.push_back({model::UtcInstant(y, 10, 29, kHour), standard});
  }
  return zone;
}

model::Zone Leaping(Random& random, model::Instant start) {
  const auto offset = [&] { return static_cast<int32_t>(random.Between(-56, 56) * 900); };
  model::Zone zone{offset(), {}};
  model::Instant at = start - random.Between(0, 400) * kDay;
  for (int i = 0; i < 40; ++i) {
    at += random.Between(3 * kDay, 60 * kDay);
    zone.transitions.push_back({at, offset()});
  }
  return zone;
}

model::Expiry RandomExpiry(Random& random, const ProgramTaste& taste) {
  model::Expiry expiry;
  if (random.OneIn(4)) return expiry;
  expiry.after = random.OneIn(2) ? model::ExpiryAfter::kEarning : model::ExpiryAfter::kActivation;
  if (random.OneIn(2)) {
    expiry.days = static_cast<int32_t>(taste.long_lives ? random.Between(200, 36'600)
                                                        : random.Between(1, 60));
  } else {
    expiry.months =
        static_cast<int32_t>(taste.long_lives ? random.Between(6, 1'200) : random.Between(1, 4));
  }
  if (random.OneIn(2)) expiry.round_up_to = static_cast<model::RoundUp>(random.Between(0, 4));
  return expiry;
}

void RandomRules(Random& random, const ProgramTaste& taste, model::Program& program) {
  program.earn.points = taste.huge_numbers ? random.Magnitude(1'000'000'000'000)
                                           : random.Pick<int64_t>({1, 1, 2, 3, 10, 125});
  program.earn.per_spend = taste.huge_numbers && random.OneIn(2)
                               ? random.Magnitude(1'000'000'000'000)
                               : random.Pick<int64_t>({1, 2, 3, 7, 10, 100, 1'000});
  program.earn.rounding = static_cast<model::Rounding>(random.Between(0, 2));
  program.earn.minimum_spend = random.OneIn(3) ? random.Magnitude(2'000) : 0;
  program.pending_days =
      static_cast<int32_t>(random.OneIn(3) ? 0 : random.Pick<int64_t>({1, 2, 5, 14, 30}));
  program.expiry = RandomExpiry(random, taste);
  program.redeem_minimum = random.Pick<int64_t>({1, 1, 1, 5, 20});
  program.redeem_step = random.Pick<int64_t>({1, 1, 1, 5});
  program.transfer_dates =
      static_cast<model::TransferDates>(random.Pick<int64_t>({0, 0, 0, 1, 1, 2}));
  program.transfer_minimum = random.Pick<int64_t>({1, 1, 1, 5, 20});
  program.transfer_maximum =
      random.OneIn(3) ? random.Pick<int64_t>({0, 1, 30, 200}) + program.transfer_minimum : 0;
  program.debt_floor = random.Pick<int64_t>({0, 0, 5, 50, 10'000});
  if (taste.huge_numbers && random.OneIn(2)) program.debt_floor = random.Magnitude(INT64_MAX);
  program.hold_timeout_minutes = random.Pick<int64_t>({1, 15, 15, 60, 1'440, 14'400, 43'200});
  program.forfeit_expired = random.OneIn(3);
  program.reversal_grace_days = static_cast<int32_t>(random.Pick<int64_t>({1, 3, 30}));
  program.retention_days = static_cast<int32_t>(random.Pick<int64_t>({1, 2, 10, 30, 40}));
  program.return_days = static_cast<int32_t>(random.Pick<int64_t>({0, 1, 15, 60, 90}));
  program.implicit_enrolment = random.OneIn(2);
  program.unknown_original =
      random.OneIn(2) ? model::UnknownOriginal::kRefuse : model::UnknownOriginal::kNewest;
  switch (random.Between(0, 3)) {
    case 0:
      program.zone = {};
      break;
    case 1:
      program.zone = {static_cast<int32_t>(random.Between(-43'200, 50'400)), {}};
      break;
    case 2:
      program.zone = SummerTime(random, taste.start);
      break;
    default:
      program.zone = Leaping(random, taste.start);
  }
}

}  // namespace

model::Zone RandomZone(Random& random, model::Instant start) {
  return random.OneIn(2) ? SummerTime(random, start) : Leaping(random, start);
}

model::Program RandomProgram(Random& random, const ProgramTaste& taste, uint16_t id) {
  model::Program program;
  program.id = id;
  RandomRules(random, taste, program);
  program.effective_at = taste.start + random.Between(-10 * kDay, 40 * kDay);
  return program;
}

model::Program RandomSuccessor(Random& random, const ProgramTaste& taste,
                               const model::Program& previous, model::Instant now) {
  model::Program next = previous;
  if (random.OneIn(4)) {
    next.retention_days = static_cast<int32_t>(random.Between(1, 40));
  } else {
    RandomRules(random, taste, next);
  }
  const model::Instant effective =
      random.OneIn(4) ? now : now + random.Between(-20 * kDay, 20 * kDay);
  next.effective_at =
      random.OneIn(6) ? previous.effective_at : std::max(previous.effective_at, effective);
  return next;
}

}  // namespace tallystick::ledger
