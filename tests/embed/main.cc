// The smallest program with a ledger in it: makes one in the directory that it is given, puts a
// program, accrues and asks.

#include <cstdio>
#include <string>

#include "api/embedded.h"
#include "api/program_file.h"

namespace {

constexpr const char* kProgram = R"({
  "id": 1, "name": "Embedded", "currency": "EUR", "time_zone": "Europe/Berlin",
  "earn": { "points": 1, "per_spend": 100 }, "implicit_enrolment": true })";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int, char** argv) {
  tallystick::LedgerOptions options;
  options.directory = argv[1];
  options.create = true;
  auto ledger = tallystick::Ledger::Open(options);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto program = tallystick::ProgramFile::Parse(kProgram, "embedded");
  if (!program.ok()) return Fail(program.status());
  const auto put = (*ledger)->PutProgram(tallystick::Id(1, 0), program->bytes());
  if (!put.ok()) return Fail(put.status());

  // A purchase of EUR 95.00 by member 7.
  const tallystick::Instant now = (*ledger)->Totals(1)->shards[0].time;
  const tallystick::Operation purchase(tallystick::Id(2, 0), tallystick::Id(7, 0), tallystick::Id(),
                                       9500, now, 0, 0, 1, 0, tallystick::Kind::Purchase, 0, 0);
  const auto result = (*ledger)->Apply(purchase);
  if (!result.ok()) return Fail(result.status());
  const auto balance = (*ledger)->Balance(1, tallystick::Id(7, 0));
  if (!balance.ok()) return Fail(balance.status());
  std::printf("earned %ld, available %ld\n", result->points(), balance->available);
  const absl::Status closed = (*ledger)->Close();
  return closed.ok() && balance->available == 95 ? 0 : 1;
}
