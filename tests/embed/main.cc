// The smallest program with a ledger in it: makes one in the directory that it is given, puts a
// program, sends a batch of purchases, closes it, opens it again and asks.

#include <cstdio>
#include <future>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "api/embedded.h"
#include "api/ids.h"
#include "api/program_file.h"

namespace {

constexpr const char* kProgram = R"({
  "id": 1, "name": "Embedded", "currency": "EUR", "time_zone": "Europe/Berlin",
  "earn": { "points": 1, "per_spend": 100 }, "implicit_enrolment": true })";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}

// EUR 95.00 for each order, all by one member, in one batch; how many were accepted.
absl::StatusOr<int> Purchase(tallystick::Ledger& ledger, const tallystick::Id& member,
                             const std::vector<std::string>& orders) {
  using tallystick::Id, tallystick::Kind, tallystick::Operation, tallystick::Result;
  const tallystick::Instant now = absl::ToUnixMicros(absl::Now());
  std::vector<Operation> batch;
  for (const std::string& order : orders) {
    // The id is the order's, so that sending it again changes nothing.
    batch.emplace_back(*tallystick::ParseId(order), member, /*related=*/Id(), /*amount=*/9500,
                       /*occurred_at=*/now, /*expires_at=*/0, /*user_data=*/0, /*program=*/1,
                       /*category=*/0, Kind::Purchase, /*flags=*/0, /*reserved=*/0);
  }
  std::promise<absl::StatusOr<int>> durable;
  const absl::Status taken =
      ledger.Submit(batch, [&durable](absl::StatusOr<absl::Span<const Result>> results) {
        if (!results.ok()) return durable.set_value(results.status());
        int accepted = 0;
        for (const Result& result : *results) {
          accepted += result.outcome() == tallystick::Outcome::Ok ? 1 : 0;
        }
        durable.set_value(accepted);
      });
  if (!taken.ok()) return taken;
  return durable.get_future().get();
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
  const auto put = (*ledger)->PutProgram(tallystick::RandomId(), program->bytes());
  if (!put.ok()) return Fail(put.status());

  const tallystick::Id member = *tallystick::ParseId("ann@example.org");
  const auto accepted = Purchase(**ledger, member, {"order-1", "order-2", "order-3"});
  if (!accepted.ok()) return Fail(accepted.status());
  if (absl::Status closed = (*ledger)->Close(); !closed.ok()) return Fail(closed);

  // Whoever opens it again finds what was acknowledged.
  ledger->reset();
  options.create = false;
  ledger = tallystick::Ledger::Open(options);
  if (!ledger.ok()) return Fail(ledger.status());
  const auto balance = (*ledger)->Balance(1, member);
  if (!balance.ok()) return Fail(balance.status());
  std::printf("%d orders, available %ld\n", *accepted, balance->available);
  return *accepted == 3 && balance->available == 285 ? 0 : 1;
}
