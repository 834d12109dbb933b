// tally import: the orders of CSV files, as purchases and returns, in the order of time.

#include <sys/stat.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/ids.h"
#include "api/instants.h"
#include "api/money.h"
#include "api/orders.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/log_time.h"
#include "api/tally/pipeline.h"
#include "api/tally/progress.h"
#include "api/tally/rejects.h"
#include "api/time_zones.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::vector<std::string> files;
  uint16_t program = 0;
  OrderColumns columns;
  std::string time_format;
  std::string time_zone;
  std::string return_prefix;
  std::string rejects;
  bool json = false;
  Pipeline::Limits limits;
  int64_t patience_s = 10;
};

constexpr uint32_t kEnrolment = ~uint32_t{0};

// Of a member whose first order is a return. Always the same one, so that importing again changes
// nothing; and none that an order or a row could have, whose texts have no zero byte or begin
// otherwise.
Operation Enrolment(const Order& order, uint16_t program) {
  constexpr absl::string_view kPrefix("enrol\0", 6);
  const Id id = HashId(absl::StrCat(kPrefix, FormatId(order.member)));
  return Operation(id, order.member, Id(), 0, order.time, 0, 0, program, 0, Kind::Enrol, 0, 0);
}

// What became of the orders.
struct Counts {
  int64_t orders = 0;
  int64_t purchases = 0;
  int64_t returns = 0;
  int64_t accepted = 0;
  int64_t replayed = 0;
  int64_t enrolled = 0;  // members whose first order is a return
  std::array<int64_t, kOutcomeCount> refused = {};

  int64_t Answered() const {
    int64_t answered = accepted + replayed;
    for (const int64_t count : refused) answered += count;
    return answered;
  }
};

class Import {
 public:
  Import(const Options& options, Client& client) : options_(options), client_(client) {}

  int Run();

 private:
  absl::Status Prepare(OrderRules* rules);
  absl::Status Read(const OrderRules& rules);
  absl::Status Apply();
  bool EnrolsFirst(const Order& order);
  void TakeAnswer(const Pipeline::Answer& answer);
  void Reject(uint32_t file, int64_t line, absl::string_view order, absl::string_view reason);
  absl::Status ExplainTooOld(int64_t count) const;
  void PrintResult() const;
  void PrintText() const;

  const Options& options_;
  Client& client_;
  RejectsFile rejects_;
  std::vector<Order> orders_;
  bool implicit_enrolment_ = false;
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> members_;  // that have had an order
  std::vector<uint32_t> sent_;  // by the pipeline's numbers: the order, or kEnrolment
  Counts counts_;
  int64_t lines_ = 0;
  int64_t rounded_lines_ = 0;
  std::array<int64_t, kSkipReasonCount> skipped_ = {};
  int64_t resent_ = 0;
  double seconds_ = 0;
};

// What the program says of money and time.
absl::Status Import::Prepare(OrderRules* rules) {
  const auto bytes = client_.GetProgram(options_.program);
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(absl::StrCat("there is no program ", options_.program,
                                            ": put it first, with tally program put"));
  }
  if (!bytes.ok()) return bytes.status();
  const Program& program = *flatbuffers::GetRoot<Program>(bytes->data());
  implicit_enrolment_ = program.implicit_enrolment();
  const auto zone =
      LoadZone(options_.time_zone.empty() ? program.time_zone()->str() : options_.time_zone);
  if (!zone.ok()) return zone.status();
  rules->columns = options_.columns;
  rules->program = options_.program;
  rules->currency_digits = CurrencyDigits(program.currency()->str());
  rules->time_format = options_.time_format;
  rules->zone = *zone;
  rules->return_prefix = options_.return_prefix;
  rules->latest = ToInstant(absl::Now());
  return absl::OkStatus();
}

absl::Status Import::Read(const OrderRules& rules) {
  OrderBuilder builder(rules, [this](const Skip& skip) {
    Reject(skip.file, skip.line, skip.order, SkipReasonName(skip.reason));
  });
  std::set<std::pair<dev_t, ino_t>> seen;
  for (const std::string& name : options_.files) {
    struct stat info = {};
    std::ifstream in(name, std::ios::binary);
    if (!in || stat(name.c_str(), &info) != 0) {
      return absl::NotFoundError(absl::StrCat("cannot open ", name, ": ", std::strerror(errno)));
    }
    if (S_ISDIR(info.st_mode)) return absl::NotFoundError(absl::StrCat(name, " is a directory"));
    // Its orders would be counted double.
    if (!seen.emplace(info.st_dev, info.st_ino).second) {
      return absl::InvalidArgumentError(absl::StrCat(name, " is named twice"));
    }
    Progress progress(absl::StrCat("reading ", name, ", bytes"), info.st_size);
    absl::Status status =
        builder.AddFile(name, in, [&progress](int64_t bytes) { progress.Update(bytes); });
    if (!status.ok()) return status;
  }
  orders_ = builder.TakeOrders();
  lines_ = builder.lines();
  rounded_lines_ = builder.rounded_lines();
  skipped_ = builder.skipped();
  counts_.orders = static_cast<int64_t>(orders_.size());
  for (const Order& order : orders_) ++(order.is_return ? counts_.returns : counts_.purchases);
  return absl::OkStatus();
}

absl::Status Import::Apply() {
  Progress progress("importing, orders", counts_.orders);
  Pipeline pipeline(client_, options_.limits, [&](const Pipeline::Answer& answer) {
    TakeAnswer(answer);
    progress.Update(counts_.Answered());
  });
  for (uint32_t i = 0; i < orders_.size(); ++i) {
    absl::Status status;
    if (EnrolsFirst(orders_[i])) {
      sent_.push_back(kEnrolment);
      status = pipeline.Add(Enrolment(orders_[i], options_.program));
    }
    sent_.push_back(i);
    if (status.ok()) status = pipeline.Add(orders_[i].ToOperation(options_.program));
    if (!status.ok()) return status;
  }
  absl::Status finished = pipeline.Finish();
  resent_ = pipeline.resent();
  return finished;
}

// A return enrols nobody. Were it refused for that, it would be accepted when the same file is
// imported again, behind the member's later purchases: so its member is enrolled first, where the
// program enrols by itself.
bool Import::EnrolsFirst(const Order& order) {
  if (!implicit_enrolment_) return false;
  return members_.emplace(order.member.high(), order.member.low()).second && order.is_return;
}

void Import::TakeAnswer(const Pipeline::Answer& answer) {
  for (size_t i = 0; i < answer.results.size(); ++i) {
    const Result& result = answer.results[i];
    if (result.outcome() == Outcome::Overloaded) continue;
    const uint32_t sent = sent_[answer.sequences[i]];
    if (sent == kEnrolment) {
      if ((result.flags() & (kEnrolled | kReplayed)) == kEnrolled) ++counts_.enrolled;
      continue;
    }
    if (result.outcome() == Outcome::Ok) {
      ++((result.flags() & kReplayed) != 0 ? counts_.replayed : counts_.accepted);
      continue;
    }
    ++counts_.refused[static_cast<size_t>(result.outcome())];
    const Order& order = orders_[sent];
    Reject(order.file, order.line, order.order, OutcomeName(result.outcome()));
  }
}

void Import::Reject(uint32_t file, int64_t line, absl::string_view order,
                    absl::string_view reason) {
  rejects_.Add(options_.files[file], line, order, reason);
}

int Import::Run() {
  OrderRules rules;
  if (absl::Status status = Prepare(&rules); !status.ok()) return Fail(status);
  if (!options_.rejects.empty()) {
    absl::Status status = rejects_.Open(options_.rejects);
    if (!status.ok()) return Fail(status);
  }
  const auto start = std::chrono::steady_clock::now();
  if (absl::Status status = Read(rules); !status.ok()) return Fail(status);
  const absl::Status applied = Apply();
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const absl::Status written = rejects_.Close();
  PrintResult();
  if (!applied.ok()) {
    Fail(applied);
    return Fail(absl::AbortedError(absl::StrCat(counts_.orders - counts_.Answered(),
                                                " orders are unanswered: import the same files "
                                                "again, which adds exactly what is missing")));
  }
  if (!written.ok()) return Fail(written);
  const int64_t too_old = counts_.refused[static_cast<size_t>(Outcome::TooOld)];
  if (too_old > 0) {
    const absl::Status why = ExplainTooOld(too_old);
    // On the import clock these may be repetitions that a ledger without indexes cannot know.
    if (client_.server().clock == ClockMode::kWall || counts_.accepted + counts_.replayed == 0) {
      return Fail(why);
    }
    Fail(why);
  }
  const int64_t not_looked_up = counts_.refused[static_cast<size_t>(Outcome::NotLookedUp)];
  if (not_looked_up > 0) {
    return Fail(absl::DataLossError(
        absl::StrCat(not_looked_up,
                     " orders could not be looked up, though they may have been applied long ago: "
                     "mend what the server's own log names, and import the same files again")));
  }
  if (lines_ > 0 && counts_.accepted + counts_.replayed == 0) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat("not one order was accepted: the counts say why",
                     options_.rejects.empty() ? ", and --rejects FILE lists the lines" : "")));
  }
  return 0;
}

absl::Status Import::ExplainTooOld(int64_t count) const {
  constexpr absl::string_view kToDo =
      "To take past orders with their own dates, import them into a new ledger: tallyd --create "
      "--clock import, with another --data";
  if (client_.server().clock == ClockMode::kWall) {
    return absl::FailedPreconditionError(
        absl::StrCat(count,
                     " orders are older than the program's retention, and this ledger's "
                     "time is the present. ",
                     kToDo));
  }
  const auto log_time = LatestLogTime(client_);
  if (!log_time.ok()) return log_time.status();
  return absl::FailedPreconditionError(
      absl::StrCat(count, " orders are older than log time, ", FormatInstant(*log_time),
                   ", less the program's retention, and log time never goes back. ", kToDo,
                   ", all files in one import"));
}

void Import::PrintResult() const {
  if (!options_.json) return PrintText();
  auto refused = nlohmann::ordered_json::object();
  for (size_t i = 0; i < counts_.refused.size(); ++i) {
    if (counts_.refused[i] == 0) continue;
    refused[std::string(OutcomeName(static_cast<Outcome>(i)))] = counts_.refused[i];
  }
  auto skipped = nlohmann::ordered_json::object();
  for (size_t i = 0; i < skipped_.size(); ++i) {
    if (skipped_[i] == 0) continue;
    skipped[std::string(SkipReasonName(static_cast<SkipReason>(i)))] = skipped_[i];
  }
  PrintJson({{"program", options_.program},
             {"files", options_.files.size()},
             {"lines", lines_},
             {"orders", counts_.orders},
             {"purchases", counts_.purchases},
             {"returns", counts_.returns},
             {"accepted", counts_.accepted},
             {"replayed", counts_.replayed},
             {"enrolled", counts_.enrolled},
             {"refused", refused},
             {"unanswered", counts_.orders - counts_.Answered()},
             {"skipped", skipped},
             {"rounded_lines", rounded_lines_},
             {"resent", resent_},
             {"reconnects", client_.reconnects()},
             {"seconds", seconds_}});
}

void Import::PrintText() const {
  std::printf("%ld lines, %ld orders: %ld purchases, %ld returns\n", lines_, counts_.orders,
              counts_.purchases, counts_.returns);
  std::printf("%12ld accepted\n", counts_.accepted);
  if (counts_.replayed > 0)
    std::printf("%12ld replayed: they were there already\n", counts_.replayed);
  if (counts_.enrolled > 0) {
    std::printf("%12ld members enrolled: their first order is a return\n", counts_.enrolled);
  }
  for (size_t i = 0; i < counts_.refused.size(); ++i) {
    if (counts_.refused[i] == 0) continue;
    const auto outcome = static_cast<Outcome>(i);
    // What is too old for an import is not in the ledger, which has looked: there is nothing to
    // correct.
    const absl::string_view sentence = outcome == Outcome::TooOld
                                           ? "They lie before what the ledger still takes."
                                           : OutcomeSentence(outcome);
    std::printf("%12ld refused, %s: %s\n", counts_.refused[i],
                std::string(OutcomeName(outcome)).c_str(), std::string(sentence).c_str());
  }
  if (const int64_t unanswered = counts_.orders - counts_.Answered(); unanswered > 0) {
    std::printf("%12ld unanswered\n", unanswered);
  }
  for (size_t i = 0; i < skipped_.size(); ++i) {
    if (skipped_[i] == 0) continue;
    const auto reason = static_cast<SkipReason>(i);
    std::printf("%12ld %s skipped: %s\n", skipped_[i],
                reason == SkipReason::kZeroAmount ? "orders" : "lines",
                std::string(SkipReasonName(reason)).c_str());
  }
  if (rounded_lines_ > 0) {
    std::printf("%12ld lines rounded: their amounts have more digits than the currency\n",
                rounded_lines_);
  }
  std::printf("%.1f s\n", seconds_);
}

int Run(const Server& server, const Options& options) {
  if (options.columns.spend.empty() ==
      (options.columns.quantity.empty() || options.columns.unit_price.empty())) {
    return Fail(
        absl::InvalidArgumentError("which columns hold the amount? Say either --spend COLUMN, or "
                                   "--quantity COLUMN and --unit-price COLUMN"));
  }
  if (!options.columns.original.empty() && options.columns.order.empty()) {
    return Fail(absl::InvalidArgumentError("--original needs --order: it names another order"));
  }
  ClientOptions client_options;
  client_options.reconnect_ms = options.patience_s * 1000;
  client_options.in_flight_bytes = Pipeline::kClientInFlightBytes;
  auto client = server.Connect(client_options);
  if (!client.ok()) return Fail(client.status());
  return Import(options, **client).Run();
}

}  // namespace

void AddImportCommand(CLI::App& app, const Server& server) {
  CLI::App* command = app.add_subcommand(
      "import", "Import the orders of CSV files; repeating it adds exactly what is missing");
  auto options = std::make_shared<Options>();
  command->add_option("files", options->files, "CSV files with a line of column names")->required();
  AddProgramOption(command, &options->program);
  OrderColumns& columns = options->columns;
  command->add_option("--member", columns.member, "Column of the member")->required();
  command->add_option("--time", columns.time, "Column of the time")->required();
  command
      ->add_option("--time-format", options->time_format,
                   "As strptime and absl::ParseTime take it: \"%d/%m/%Y %H:%M\"")
      ->required();
  command->add_option("--time-zone", options->time_zone,
                      "IANA name of the times' zone; default: the program's");
  auto* spend = command->add_option("--spend", columns.spend,
                                    "Column of the amount, in the currency's major unit: 12.50; "
                                    "more digits than it has are rounded, a half away from zero");
  auto* quantity = command->add_option("--quantity", columns.quantity, "Column of the quantity");
  auto* price =
      command->add_option("--unit-price", columns.unit_price,
                          "Column of the unit price, as --spend; each line's product is rounded");
  spend->excludes(quantity)->excludes(price);
  quantity->needs(price);
  command->add_option("--order", columns.order,
                      "Column of the order; its lines add up. Default: each line is an order");
  command->add_option("--return-prefix", options->return_prefix,
                      "Orders that begin with it are returns; so are negative sums, always");
  command->add_option("--original", columns.original,
                      "Column of the order that a return gives back");
  command->add_option("--rejects", options->rejects,
                      "CSV file to write: what was skipped or refused, and why");
  for (const char* name :
       {"--member", "--time", "--time-format", "--time-zone", "--spend", "--quantity",
        "--unit-price", "--order", "--return-prefix", "--original", "--rejects"}) {
    command->get_option(name)->check(NotEmpty());
  }
  AddJsonFlag(command, &options->json);
  command->add_option("--batch", options->limits.batch, "Operations in a request")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--in-flight", options->limits.in_flight, "Requests in flight")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--patience", options->patience_s,
                   "Seconds to try to connect again when the connection breaks")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  OnRun(command, [&server, options] { return Run(server, *options); });
}

}  // namespace tallystick::tally
