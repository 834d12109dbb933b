// Programs as the state machine takes them: resolved, and encoded with FlatBuffers.

#ifndef TALLYSTICK_TESTS_LEDGER_ENCODED_PROGRAM_H_
#define TALLYSTICK_TESTS_LEDGER_ENCODED_PROGRAM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ledger/program_generated.h"
#include "ledger/types.h"

namespace tallystick::ledger {

struct EarnSpec {
  int64_t points = 1;
  int64_t per_spend = 1;
  Rounding rounding = Rounding::floor;
  int64_t minimum_spend = 0;
};

struct ExpirySpec {
  ExpiryBase after = ExpiryBase::earning;
  int32_t days = 0;
  int32_t months = 0;
  Period round_up_to = Period::none;
};

struct TransferSpec {
  TransferDates dates = TransferDates::keep;
  int64_t minimum = 1;
  int64_t maximum = 0;
};

// The tables and names that a program may be without are optional here too.
struct ProgramSpec {
  int32_t id = 7;
  std::optional<std::string> name = "Tally";
  int32_t decimals = 0;
  std::optional<std::string> currency = "USD";
  std::optional<std::string> time_zone = "Etc/Test";
  std::optional<EarnSpec> earn = EarnSpec();
  std::optional<int32_t> pending_days = {};
  std::optional<ExpirySpec> expiry = {};
  std::optional<int64_t> redeem_minimum = {};
  int64_t redeem_step = 1;  // with redeem_minimum
  int64_t debt_floor = 0;
  int32_t retention_days = 30;
  int32_t return_days = 90;
  bool implicit_enrolment = false;
  UnknownOriginal unknown_original = UnknownOriginal::refuse;
  int32_t version = 1;
  Instant effective_us = 0;
  int32_t initial_offset_s = 0;
  std::vector<Transition> transitions = {};
  std::optional<int32_t> hold_timeout_minutes = {};
  ExpiredReversal expired_reversal = ExpiredReversal::restore;  // with grace_days
  std::optional<int32_t> grace_days = {};
  std::optional<TransferSpec> transfer = {};
};

std::vector<uint8_t> Encode(const ProgramSpec& spec);

// The put of a version. Its id is made of the program's and the version's numbers.
Operation PutOf(const ProgramSpec& spec, const std::vector<uint8_t>& bytes);

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_ENCODED_PROGRAM_H_
