#include "api/owed.h"

#include <algorithm>
#include <map>

#include "ledger/program_generated.h"

namespace tallystick {
namespace {

OwedMonth ToMonth(int32_t month, const ledger::OwedPoints& points) {
  return {month, points.pending, points.available, points.held};
}

// False: it does not fit.
bool Add(int64_t part, int64_t& sum) { return !__builtin_add_overflow(sum, part, &sum); }

bool Add(const OwedMonth& part, OwedMonth& sum) {
  const bool fits[] = {Add(part.pending, sum.pending), Add(part.available, sum.available),
                       Add(part.held, sum.held)};
  return fits[0] && fits[1] && fits[2];
}

}  // namespace

OwedAnswer TellOwed(const ledger::StateMachine& machine, uint16_t program, Instant as_of,
                    const ledger::Owed& owed) {
  const ledger::Totals& totals = *machine.TotalsOf(program);
  const Program& rules =
      *flatbuffers::GetRoot<Program>(machine.VersionsOf(program).back().bytes.data());
  OwedAnswer answer;
  answer.as_of = as_of == ledger::kAsTheyStand ? machine.log_time() : as_of;
  answer.time_zone = rules.time_zone() == nullptr ? "" : rules.time_zone()->str();
  answer.members = totals.members;
  answer.pending = totals.pending;
  answer.available = totals.available;
  answer.held = totals.held;
  answer.debt = totals.debt;
  answer.expired = totals.expired;
  answer.forfeited = totals.forfeited;
  answer.closed_out = totals.closed_out;
  answer.in_transit = totals.sent - totals.received;
  if (as_of != ledger::kAsTheyStand) {
    // Until then points become available, pay debt, and expire: only that changes what is owed.
    const ledger::OwedPoints sum = owed.Sum();
    answer.expired += (totals.pending + totals.available + totals.held - totals.debt) -
                      (sum.pending + sum.available + sum.held - owed.debt);
    answer.pending = sum.pending;
    answer.available = sum.available;
    answer.held = sum.held;
    answer.debt = owed.debt;
  }
  for (const auto& [month, points] : owed.months) answer.months.push_back(ToMonth(month, points));
  answer.later = ToMonth(ledger::kFirstLateMonth, owed.later);
  answer.never = ToMonth(0, owed.never);
  answer.counted_debt = owed.debt;
  return answer;
}

void AddOwed(const OwedAnswer& part, OwedAnswer& sum) {
  if (part.outcome != Outcome::Ok) sum.outcome = part.outcome;
  bool fits = Add(part.later, sum.later);
  sum.later.month = ledger::kFirstLateMonth;
  fits = Add(part.never, sum.never) && fits;
  for (int64_t OwedAnswer::*field :
       {&OwedAnswer::members, &OwedAnswer::pending, &OwedAnswer::available, &OwedAnswer::held,
        &OwedAnswer::debt, &OwedAnswer::counted_debt, &OwedAnswer::expired, &OwedAnswer::forfeited,
        &OwedAnswer::closed_out, &OwedAnswer::in_transit}) {
    fits = Add(part.*field, sum.*field) && fits;
  }
  std::map<int32_t, OwedMonth> months;
  for (const OwedMonth& month : sum.months) months[month.month] = month;
  for (const OwedMonth& month : part.months) {
    OwedMonth& both = months[month.month];
    both.month = month.month;
    fits = Add(month, both) && fits;
  }
  sum.months.clear();
  for (const auto& [number, month] : months) sum.months.push_back(month);
  sum.as_of = std::max(sum.as_of, part.as_of);
  if (sum.time_zone.empty()) sum.time_zone = part.time_zone;
  if (!fits) sum.outcome = Outcome::Overflow;
}

}  // namespace tallystick
