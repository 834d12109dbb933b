#include "bench/peers/distinct_members.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace tallystick::peers {
namespace {

bool SameMember(const Operation& a, const Operation& b) { return a.member() == b.member(); }

}  // namespace

size_t PutDistinctMembersFirst(std::vector<Operation>& operations) {
  std::stable_sort(operations.begin(), operations.end(),
                   [](const Operation& a, const Operation& b) {
                     return std::tuple(a.member().high(), a.member().low()) <
                            std::tuple(b.member().high(), b.member().low());
                   });
  std::vector<Operation> repeated;
  auto to = operations.begin();
  for (auto from = operations.begin(); from != operations.end(); ++from) {
    if (to != operations.begin() && SameMember(*std::prev(to), *from)) {
      repeated.push_back(*from);
    } else {
      *to++ = *from;
    }
  }
  std::copy(repeated.begin(), repeated.end(), to);
  return static_cast<size_t>(to - operations.begin());
}

}  // namespace tallystick::peers
