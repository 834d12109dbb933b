// tally log diff: where the logs of two ledgers part.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/outcomes.h"
#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/json_diff.h"
#include "api/tally/log_commands.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/record_json.h"
#include "wal/log_reader.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::vector<std::string> directories;
  bool json = false;
};

// A record with its details, or the slot of a start or witness block.
struct Item {
  Position position = 0;
  Instant written_at = 0;
  wal::BlockType type = wal::BlockType::kRecords;
  bool import_clock = false;
  absl::Span<const wal::Slot> slots;  // valid until the next step of its cursor
};

// Goes through one shard's log item by item.
class Cursor {
 public:
  static absl::StatusOr<Cursor> Open(OfflineLedger& ledger, uint16_t shard) {
    auto reader =
        wal::LogReader::OpenOldest(ledger.io(), ledger.FoldersOf(shard), ledger.LogOf(shard));
    if (!reader.ok()) return reader.status();
    return Cursor(*std::move(reader));
  }

  Position first_position() const { return reader_->first_position(); }

  // Nothing: the log ends here.
  absl::StatusOr<std::optional<Item>> Next() {
    if (next_ == block_.slots.size()) {
      const absl::StatusOr<bool> more = reader_->Next(&block_);
      if (!more.ok()) return more.status();
      if (!*more) return std::nullopt;
      next_ = 0;
    }
    const wal::BlockHeader& header = *block_.header;
    const absl::Span<const wal::Slot> rest = block_.slots.subspan(next_);
    size_t count = 1;
    if (header.type == wal::BlockType::kRecords) {
      const auto& record = reinterpret_cast<const Record&>(rest.front());
      if (!IsDerived(record.operation.kind())) count += record.result.details();
    }
    const Item item{.position = header.first_position + next_,
                    .written_at = header.timestamp_us,
                    .type = header.type,
                    .import_clock = (header.flags & kBlockImportClock) != 0,
                    .slots = rest.subspan(0, count)};
    next_ += item.slots.size();
    return item;
  }

 private:
  explicit Cursor(std::unique_ptr<wal::LogReader> reader) : reader_(std::move(reader)) {}

  std::unique_ptr<wal::LogReader> reader_;
  wal::BlockView block_;
  size_t next_ = 0;  // slot of the block
};

bool Same(const Item& a, const Item& b) {
  return a.type == b.type && a.written_at == b.written_at && a.import_clock == b.import_clock &&
         a.slots.size() == b.slots.size() &&
         std::memcmp(a.slots.data(), b.slots.data(), a.slots.size() * sizeof(wal::Slot)) == 0;
}

nlohmann::ordered_json ItemJson(uint16_t shard, const Item& item) {
  nlohmann::ordered_json json;
  if (item.type == wal::BlockType::kRecords) {
    json = RecordJson(shard, item.written_at, item.position,
                      reinterpret_cast<const Record&>(item.slots.front()), item.slots.subspan(1));
  } else {
    json = {{"shard", shard}, {"position", item.position}};
    json["kind"] = item.type == wal::BlockType::kStart ? "start of a segment" : "witness";
    json["written_at"] = InstantJson(item.written_at);
  }
  if (item.import_clock) json["clock"] = "import";
  return json;
}

// Where both are there: one whose first segments are gone is compared from its oldest block on,
// which is at the beginning of a block of the other if they are the same.
absl::StatusOr<std::optional<Item>> NextFrom(Cursor& cursor, Position from) {
  while (true) {
    auto item = cursor.Next();
    if (!item.ok() || !item->has_value() || (*item)->position >= from) return item;
  }
}

// Null: the shard's logs are the same.
absl::StatusOr<nlohmann::ordered_json> CompareShard(OfflineLedger& first, OfflineLedger& second,
                                                    uint16_t shard) {
  auto a = Cursor::Open(first, shard);
  if (!a.ok()) return a.status();
  auto b = Cursor::Open(second, shard);
  if (!b.ok()) return b.status();
  const Position begin = std::max(a->first_position(), b->first_position());
  Position end = begin - 1;
  while (true) {
    const auto one = NextFrom(*a, begin);
    if (!one.ok()) return one.status();
    const auto other = NextFrom(*b, begin);
    if (!other.ok()) return other.status();
    if (!one->has_value() && !other->has_value()) return nullptr;
    if (one->has_value() && other->has_value() && Same(**one, **other)) {
      end = (*one)->position + (*one)->slots.size() - 1;
      continue;
    }
    nlohmann::ordered_json json = {{"shard", shard}, {"position", end + 1}};
    json["first"] = one->has_value() ? ItemJson(shard, **one) : nlohmann::ordered_json();
    json["second"] = other->has_value() ? ItemJson(shard, **other) : nlohmann::ordered_json();
    if (one->has_value() && other->has_value()) {
      json["fields"] = DifferingFields(json["first"], json["second"]);
    }
    return json;
  }
}

// What differs between the ledgers themselves.
nlohmann::ordered_json CompareIdentities(const OfflineLedger& first, const OfflineLedger& second) {
  const auto describe = [](const LedgerIdentity& identity) {
    return nlohmann::ordered_json{
        {"ledger_id", absl::StrCat(absl::Hex(identity.ledger_id.high, absl::kZeroPad16),
                                   absl::Hex(identity.ledger_id.low, absl::kZeroPad16))},
        {"shards", identity.shard_count}};
  };
  return DifferingFields(describe(first.identity()), describe(second.identity()));
}

void PrintShard(const nlohmann::ordered_json& json) {
  const auto shard = json["shard"].get<int>();
  const auto position = json["position"].get<uint64_t>();
  if (json["first"].is_null() || json["second"].is_null()) {
    const bool first_ends = json["first"].is_null();
    std::printf("shard %d: the %s ends at position %lu, the %s goes on with %s\n", shard,
                first_ends ? "first" : "second", position - 1, first_ends ? "second" : "first",
                json[first_ends ? "second" : "first"].dump().c_str());
    return;
  }
  std::printf("shard %d: the logs part at position %lu\n", shard, position);
  std::printf("  first   %s\n  second  %s\n", json["first"].dump().c_str(),
              json["second"].dump().c_str());
  PrintFields(json["fields"], "  ");
}

int Run(const Options& options) {
  const auto first = OfflineLedger::OpenToRead(options.directories[0]);
  if (!first.ok()) return Fail(first.status());
  const auto second = OfflineLedger::OpenToRead(options.directories[1]);
  if (!second.ok()) return Fail(second.status());
  nlohmann::ordered_json json;
  json["identity"] = CompareIdentities(**first, **second);
  json["shards"] = nlohmann::ordered_json::array();
  absl::Status failure;
  // Of other counts of shards, members live elsewhere: nothing can be compared.
  if ((*first)->shard_count() == (*second)->shard_count()) {
    for (uint16_t shard = 0; shard < (*first)->shard_count(); ++shard) {
      const auto difference = CompareShard(**first, **second, shard);
      failure.Update(difference.status());
      if (difference.ok() && !difference->is_null()) json["shards"].push_back(*difference);
    }
  }
  const bool equal = failure.ok() && json["identity"].empty() && json["shards"].empty();
  json["equal"] = equal;
  if (options.json) {
    PrintJson(json);
  } else {
    PrintFields(json["identity"], "the ledgers: ");
    for (const auto& shard : json["shards"]) PrintShard(shard);
    if (equal) std::printf("The logs are the same.\n");
  }
  if (!failure.ok()) return Fail(failure);
  return equal ? 0 : 1;
}

}  // namespace

void AddLogDiffCommand(CLI::App* log) {
  CLI::App* command = log->add_subcommand("diff", "Say where the logs of two ledgers part");
  const auto options = std::make_shared<Options>();
  command->add_option("directories", options->directories, "The two ledgers' data directories")
      ->required()
      ->expected(2)
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
