// tally log follow: the durable records of a running server, as they come.

#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/log_point.h"
#include "api/tally/record_json.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string from = "1";
  std::optional<uint16_t> shard;  // all
  bool to_end = false;
  int64_t patience_s = 10;
  bool json = false;
};

class Follower {
 public:
  Follower(Client& client, const Options& options) : client_(client), options_(options) {}

  // Until the end, if there is one, or a failure.
  absl::Status Run(const LogPoint& from) {
    const uint16_t shards = client_.server().shard_count;
    next_.resize(shards);
    ends_.resize(shards, options_.to_end ? 0 : std::numeric_limits<Position>::max());
    for (uint16_t shard = 0; shard < shards; ++shard) {
      if (options_.shard.value_or(shard) != shard) continue;
      next_[shard] = from.PositionOf(shard);
      ++open_;
      Ask(shard);
    }
    while (open_ > 0 && status_.ok()) status_.Update(client_.Poll(-1));
    return status_;
  }

 private:
  void Ask(uint16_t shard) {
    client_.Records(shard, next_[shard], kMaxRecordsWaitMs,
                    [this, shard](absl::StatusOr<RecordsAnswer> answer) {
                      if (answer.ok()) Print(shard, *answer);
                      status_.Update(answer.status());
                      if (!status_.ok()) return;
                      next_[shard] = answer->next;
                      if (ends_[shard] == 0) ends_[shard] = answer->end;
                      if (next_[shard] < ends_[shard]) return Ask(shard);
                      --open_;
                    });
  }

  void Print(uint16_t shard, const RecordsAnswer& answer) {
    const auto* slots = reinterpret_cast<const wal::Slot*>(answer.slots.data());
    size_t at = 0;
    for (const RecordRun& run : answer.runs) {
      for (Position position = run.first; position < run.first + run.count;) {
        const Record& record = answer.slots[at];
        const size_t count = SlotsOf(record);
        const absl::Span<const wal::Slot> details(slots + at + 1, count - 1);
        if (options_.json) {
          PrintJson(RecordJson(shard, run.time, position, record, details));
        } else {
          std::printf("%s\n", RecordText(shard, position, record, details).c_str());
        }
        position += count;
        at += count;
      }
    }
    // What is printed is seen before the next comes.
    if (!answer.runs.empty()) status_.Update(FlushOutput());
  }

  Client& client_;
  const Options& options_;
  std::vector<Position> next_;
  std::vector<Position> ends_;
  size_t open_ = 0;
  absl::Status status_;
};

int RunFollow(const Server& server, const Options& options) {
  const auto from = LogPoint::Parse(options.from);
  if (!from.ok()) return Fail(from.status());
  ClientOptions client_options;
  client_options.reconnect_ms = options.patience_s * 1000;
  auto client = server.Connect(client_options);
  if (!client.ok()) return Fail(client.status());
  const uint16_t shards = (*client)->server().shard_count;
  if (options.shard.value_or(0) >= shards) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("there is no shard ", *options.shard, ": the ledger has ", shards)));
  }
  if (from->time().has_value()) {
    return Fail(absl::InvalidArgumentError(
        "records are followed from a position: --from 1234, or --from 0:1234,1:567"));
  }
  if (absl::Status s = from->Check(shards); !s.ok()) return Fail(s);
  const absl::Status status = Follower(**client, options).Run(*from);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace

void AddLogFollowCommand(CLI::App* log, const Server& server) {
  CLI::App* follow = log->add_subcommand(
      "follow", "Print the durable records of a running server, and go on as they come");
  const auto options = std::make_shared<Options>();
  follow
      ->add_option("--from", options->from,
                   "First position: of each shard, or 0:1234,1:567 of shards 0 and 1")
      ->capture_default_str();
  follow->add_option("--shard", options->shard, "Only this one");
  follow->add_flag("--to-end", options->to_end, "End with the last that is there now");
  follow
      ->add_option("--patience", options->patience_s,
                   "Seconds to try to connect again when the connection breaks")
      ->check(CLI::Range(0, 86'400))
      ->capture_default_str();
  AddJsonFlag(follow, &options->json);
  OnRun(
      follow, [&server, options] { return RunFollow(server, *options); }, JsonOutput::kLines);
}

}  // namespace tallystick::tally
