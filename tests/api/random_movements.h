// Operations of every kind for a few members, as a program's life brings them.

#ifndef TALLYSTICK_TESTS_API_RANDOM_MOVEMENTS_H_
#define TALLYSTICK_TESTS_API_RANDOM_MOVEMENTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/embedded.h"
#include "tests/ledger/random_programs.h"

namespace tallystick {

class RandomMovements {
 public:
  static constexpr uint16_t kProgram = 7;
  static constexpr uint64_t kMembers = 12;
  static Id Member(uint64_t number) { return Id(number, 5); }

  explicit RandomMovements(uint64_t seed) : random_(seed) {}

  // A ledger on the import clock in a new directory, driven by its caller, with the program.
  static std::unique_ptr<Ledger> MakeLedger(const std::string& directory, uint16_t shards);

  // An operation, or a chain; time goes on before it, now and then by days.
  std::vector<Operation> Next();
  // Submits them; what is accepted may be named by later ones.
  std::vector<Result> Submit(Ledger& ledger, const std::vector<Operation>& operations);
  // Log time of all shards comes to it.
  void Tick(Ledger& ledger, Instant to);

  Instant now() const { return now_; }
  ledger::Random& random() { return random_; }

 private:
  Operation Draw(uint64_t member);
  // Of that member as a rule, and of one of these kinds.
  Id Related(uint64_t member, std::vector<Kind> kinds);

  ledger::Random random_;
  Instant now_ = 1'600'000'000'000'000;
  uint64_t last_id_ = 0;
  std::vector<Operation> accepted_;
};

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_RANDOM_MOVEMENTS_H_
