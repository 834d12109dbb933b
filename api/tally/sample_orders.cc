// tally sample-orders: a made-up order export, the same for the same arguments, as dirty as real
// ones are.

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/instants.h"
#include "api/tally/command.h"
#include "api/tally/random.h"

namespace tallystick::tally {
namespace {

struct Options {
  uint64_t orders = 200'000;
  uint64_t members = 20'000;
  uint64_t seed = 1;
  std::string from = "2024-01-01";
  int64_t days = 90;
};

// What an order's one or more lines look like; of 1000.
constexpr uint64_t kReturned = 60;
constexpr uint64_t kSecondLine = 150;
constexpr uint64_t kDirty = 10;
constexpr int64_t kLargestCents = 40'000;
// Returns come within a fortnight, and never behind the last day.
constexpr Instant kReturnWindow = 14 * kMicrosPerDay;

class Generator {
 public:
  Generator(const Options& options, Instant from)
      : options_(options),
        from_(from),
        until_(from + options.days * kMicrosPerDay),
        random_(options.seed) {}

  void WriteAll() {
    std::fputs("order,member,time,amount\n", stdout);
    for (uint64_t i = 0; i < options_.orders; ++i) WriteOrder(i);
  }

 private:
  void WriteOrder(uint64_t index) {
    const std::string order = absl::StrCat("S", options_.seed, "-", index + 1);
    const std::string member = absl::StrCat(random_.Below(options_.members) + 1);
    const Instant step = (until_ - from_) / static_cast<Instant>(options_.orders);
    const Instant at = from_ + static_cast<Instant>(index) * step;
    const int64_t cents = 1 + static_cast<int64_t>(random_.Below(kLargestCents));
    const uint64_t draw = random_.Below(1000);
    if (draw < kDirty) {
      WriteDirty(draw, order, member, at, cents);
      return;
    }
    Write(order, member, at, cents);
    if (draw < kDirty + kSecondLine) Write(order, member, at, cents / 3 + 1);
    if (draw >= 1000 - kReturned) {
      const Instant back = at + static_cast<Instant>(random_.Below(kReturnWindow));
      if (back < until_)
        Write("C" + order, member, back, random_.Below(2) == 0 ? -cents : -(cents / 2 + 1));
    }
  }

  void WriteDirty(uint64_t kind, const std::string& order, const std::string& member, Instant at,
                  int64_t cents) {
    const std::string time = Time(at);
    switch (kind % 5) {
      case 0:
        absl::PrintF("%s,,%s,%s\n", order, time, Amount(cents));
        break;
      case 1:
        absl::PrintF("%s,%s,soon,%s\n", order, member, Amount(cents));
        break;
      case 2:
        absl::PrintF("%s,%s,%s,\"1,204.50\"\n", order, member, time);
        break;
      case 3:
        absl::PrintF("%s,%s,%s,0.00\n", order, member, time);
        break;
      default:
        absl::PrintF("%s,%s,%s\n", order, member, time);
        break;
    }
  }

  static std::string Time(Instant at) {
    return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMicros(at), absl::UTCTimeZone());
  }
  static std::string Amount(int64_t cents) {
    const int64_t size = cents < 0 ? -cents : cents;
    return absl::StrFormat("%s%d.%02d", cents < 0 ? "-" : "", size / 100, size % 100);
  }
  static void Write(const std::string& order, const std::string& member, Instant at,
                    int64_t cents) {
    absl::PrintF("%s,%s,%s,%s\n", order, member, Time(at), Amount(cents));
  }

  const Options& options_;
  const Instant from_;
  const Instant until_;
  Random random_;
};

int Run(const Options& options) {
  const auto from = ParseInstant(options.from);
  if (!from.ok()) return Fail(from.status());
  Generator(options, *from).WriteAll();
  return 0;
}

}  // namespace

void AddSampleOrdersCommand(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("sample-orders",
                         "Print made-up orders as CSV: columns order,member,time,amount; times are "
                         "UTC, returns begin with C");
  auto options = std::make_shared<Options>();
  command->add_option("--orders", options->orders, "How many")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--members", options->members, "Of how many members")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Another seed: other orders")->capture_default_str();
  command->add_option("--from", options->from, "The first day")->capture_default_str();
  command->add_option("--days", options->days, "Spread over so many days")
      ->check(CLI::Range(1, 36'600))
      ->capture_default_str();
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
