// tally snapshot diff: what differs between the states of two ledgers' snapshots.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/ids.h"
#include "api/load_image.h"
#include "api/outcomes.h"
#include "api/tally/command.h"
#include "api/tally/json_diff.h"
#include "api/tally/log_commands.h"
#include "api/tally/offline_ledger.h"
#include "ledger/row_visitor.h"
#include "ledger/state_machine.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

// So many rows that differ are shown of each shard; all are counted.
constexpr size_t kMostShown = 20;

struct Options {
  std::vector<std::string> directories;
  bool json = false;
};

// An account (transaction: zeros) or a receipt.
struct Key {
  uint16_t program = 0;
  uint64_t member[2] = {};
  uint64_t transaction[2] = {};

  bool is_account() const { return (transaction[0] | transaction[1]) == 0; }
  friend bool operator==(const Key& a, const Key& b) {
    return a.program == b.program && std::equal(a.member, a.member + 2, b.member) &&
           std::equal(a.transaction, a.transaction + 2, b.transaction);
  }
  template <typename H>
  friend H AbslHashValue(H state, const Key& key) {
    return H::combine(std::move(state), key.program, key.member[0], key.member[1],
                      key.transaction[0], key.transaction[1]);
  }
};

nlohmann::ordered_json KeyJson(const Key& key) {
  nlohmann::ordered_json json = {{"row", key.is_account() ? "account" : "receipt"},
                                 {"program", key.program},
                                 {"member", FormatId(Id(key.member[0], key.member[1]))}};
  if (!key.is_account()) json["id"] = FormatId(Id(key.transaction[0], key.transaction[1]));
  return json;
}

std::string LotText(const ledger::Lot& lot) {
  return absl::StrCat(lot.remaining, " of ", lot.original,
                      lot.pending ? " pending until " : " from ", InstantText(lot.activates_at),
                      ", expires ", InstantText(lot.expires_at));
}

nlohmann::ordered_json AccountJson(const ledger::AccountRows& rows) {
  const ledger::Account& account = rows.account;
  nlohmann::ordered_json json = {{"status", std::string(StatusName(rows.status))},
                                 {"available", account.available},
                                 {"pending", account.pending},
                                 {"held", rows.held},
                                 {"lifetime_earned", account.lifetime_earned},
                                 {"last_position", account.last_position}};
  for (const ledger::Lot& lot : rows.lots) {
    json[absl::StrCat("lot ", lot.position)] = LotText(lot);
  }
  for (const ledger::StateMachine::OpenHold& hold : rows.holds) {
    const bool is_hold = IsZero(hold.to);
    const std::string name = absl::StrCat(is_hold ? "hold " : "transfer ", hold.position);
    json[name] = absl::StrCat(hold.points, is_hold ? " until " : " on their way to ",
                              is_hold ? InstantText(hold.times_out_at) : FormatId(hold.to));
    for (const ledger::Lot& lot : hold.lots) {
      json[absl::StrCat(name, " lot ", lot.position)] = LotText(lot);
    }
  }
  return json;
}

nlohmann::ordered_json ReceiptJson(const ledger::Receipt& receipt, const ledger::Returned& returned,
                                   absl::Span<const ledger::Taking> takings) {
  nlohmann::ordered_json taken = nlohmann::ordered_json::array();
  for (const ledger::Taking& taking : takings) {
    taken.push_back(absl::StrCat(taking.points(), " of lot ", taking.lot_position, ", expires ",
                                 InstantText(taking.expires_at)));
  }
  return {{"kind", std::string(KindName(receipt.kind))},
          {"position", receipt.position},
          {"key_time", InstantJson(receipt.key_time)},
          {"amount", receipt.amount},
          {"points", receipt.points},
          {"available", receipt.available},
          {"pending", receipt.pending},
          {"version", receipt.version + 1},
          {"body", receipt.body},
          {"returned_amount", returned.amount},
          {"returned_points", returned.claimed},
          {"lost_points", returned.lost},
          {"written_off_points", returned.written_off},
          {"taken", taken}};
}

// Calls back with each row's key, and its fields when they are asked for.
class Rows : public ledger::RowVisitor {
 public:
  using Fields = std::function<nlohmann::ordered_json()>;
  using OnRow = std::function<void(const Key&, uint64_t fingerprint, const Fields&)>;

  explicit Rows(OnRow on_row) : on_row_(std::move(on_row)) {}

  void OnAccount(const ledger::AccountRows& rows) override {
    const ledger::Account& a = rows.account;
    size_t hash =
        absl::HashOf(a.available, a.pending, a.lifetime_earned, a.last_position, rows.status);
    const auto add = [&](absl::Span<const ledger::Lot> lots) {
      for (const ledger::Lot& lot : lots) {
        hash = absl::HashOf(hash, lot.position, lot.activates_at, lot.expires_at, lot.original,
                            lot.remaining, lot.pending);
      }
    };
    add(rows.lots);
    for (const ledger::StateMachine::OpenHold& hold : rows.holds) {
      hash = absl::HashOf(hash, hold.position, hold.times_out_at, hold.points, hold.to.low(),
                          hold.to.high());
      add(hold.lots);
    }
    const Key key{.program = a.program, .member = {a.member.low(), a.member.high()}};
    on_row_(key, hash, [&] { return AccountJson(rows); });
  }
  void OnReceipt(uint16_t program, const Id& member, const ledger::Receipt& r,
                 const ledger::Returned& returned,
                 absl::Span<const ledger::Taking> takings) override {
    size_t hash = absl::HashOf(r.kind, r.position, r.key_time, r.amount, r.points, r.available,
                               r.pending, r.version, r.body, returned.amount, returned.claimed,
                               returned.lost, returned.written_off);
    for (const ledger::Taking& taking : takings) {
      hash = absl::HashOf(hash, taking.lot_position, taking.activates_at, taking.expires_at,
                          taking.original, taking.points());
    }
    const Key key{.program = program,
                  .member = {member.low(), member.high()},
                  .transaction = {r.id.low(), r.id.high()}};
    on_row_(key, hash, [&] { return ReceiptJson(r, returned, takings); });
  }

 private:
  const OnRow on_row_;
};

struct Loaded {
  Position position = 0;
  ledger::StateMachine machine{ledger::Limits{}, RandomId().low()};
};

absl::StatusOr<std::unique_ptr<Loaded>> Load(OfflineLedger& ledger, uint16_t shard,
                                             Position position) {
  auto loaded = std::make_unique<Loaded>();
  loaded->position = position;
  const auto reader = wal::SnapshotReader::Open(ledger.io(), ledger.ShardPath(shard), position,
                                                ledger.LogOf(shard));
  if (!reader.ok()) return reader.status();
  if (absl::Status s = LoadImage(**reader, loaded->machine, [] {}); !s.ok()) return s;
  return loaded;
}

using PositionPair = std::pair<Position, Position>;

// What is compared: of the newest position that both have a snapshot of, or else of each one's
// newest.
struct Choice {
  PositionPair compared;
  PositionPair newest;
};

absl::StatusOr<Choice> Choose(OfflineLedger& first, OfflineLedger& second, uint16_t shard) {
  const auto a = wal::ListSnapshots(first.io(), first.ShardPath(shard));
  if (!a.ok()) return a.status();
  const auto b = wal::ListSnapshots(second.io(), second.ShardPath(shard));
  if (!b.ok()) return b.status();
  for (const auto& [ledger, positions] : {std::pair{&first, &*a}, std::pair{&second, &*b}}) {
    if (positions->empty()) {
      return absl::NotFoundError(
          absl::StrCat(ledger->ShardPath(shard), ": there is no snapshot of this shard"));
    }
  }
  for (auto it = a->rbegin(); it != a->rend(); ++it) {
    if (!std::binary_search(b->begin(), b->end(), *it)) continue;
    return Choice{{*it, *it}, {a->back(), b->back()}};
  }
  return Choice{{a->back(), b->back()}, {a->back(), b->back()}};
}

nlohmann::ordered_json ProgramJson(const ledger::StateMachine& machine, uint16_t id) {
  const ledger::Totals* t = machine.TotalsOf(id);
  if (t == nullptr) return nlohmann::ordered_json::object();
  nlohmann::ordered_json json = {
      {"members", t->members},   {"issued", t->issued},           {"redeemed", t->redeemed},
      {"expired", t->expired},   {"clawed_back", t->clawed_back}, {"written_off", t->written_off},
      {"adjusted", t->adjusted}, {"reinstated", t->reinstated},   {"forgiven", t->forgiven},
      {"pending", t->pending},   {"available", t->available},     {"held", t->held},
      {"debt", t->debt},         {"forfeited", t->forfeited},     {"closed_out", t->closed_out},
      {"sent", t->sent},         {"received", t->received}};
  size_t number = 0;
  for (const auto& version : machine.VersionsOf(id)) {
    json[absl::StrCat("version ", ++number)] = absl::StrCat(
        "put ", FormatId(version.id), ", ", version.bytes.size(), " bytes, hash ",
        FormatId(
            HashId({reinterpret_cast<const char*>(version.bytes.data()), version.bytes.size()})));
  }
  return json;
}

// Programs whose totals or versions differ.
nlohmann::ordered_json ComparePrograms(const ledger::StateMachine& first,
                                       const ledger::StateMachine& second) {
  nlohmann::ordered_json differing = nlohmann::ordered_json::array();
  std::vector<uint16_t> ids = first.Programs();
  const std::vector<uint16_t> more = second.Programs();
  ids.insert(ids.end(), more.begin(), more.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const uint16_t id : ids) {
    auto fields = DifferingFields(ProgramJson(first, id), ProgramJson(second, id));
    if (!fields.empty())
      differing.push_back({{"row", "program"}, {"program", id}, {"fields", fields}});
  }
  return differing;
}

struct RowDifferences {
  uint64_t accounts = 0;
  uint64_t receipts = 0;
  nlohmann::ordered_json shown = nlohmann::ordered_json::array();
};

RowDifferences CompareRows(const ledger::StateMachine& first, const ledger::StateMachine& second) {
  absl::flat_hash_map<Key, uint64_t> unmatched;
  Rows of_first([&](const Key& key, uint64_t fingerprint, const Rows::Fields&) {
    unmatched[key] = fingerprint;
  });
  first.VisitRows(of_first);
  RowDifferences found;
  // Fields of the second's, by key; of those only it has, too.
  std::vector<std::pair<Key, nlohmann::ordered_json>> differing;
  const auto count = [&](const Key& key) {
    ++(key.is_account() ? found.accounts : found.receipts);
  };
  Rows of_second([&](const Key& key, uint64_t fingerprint, const Rows::Fields& fields) {
    const auto match = unmatched.find(key);
    if (match != unmatched.end() && match->second == fingerprint) {
      unmatched.erase(match);
      return;
    }
    count(key);
    if (differing.size() < kMostShown) {
      differing.emplace_back(key, fields());
    } else if (match != unmatched.end()) {
      unmatched.erase(match);
    }
  });
  second.VisitRows(of_second);
  // What is left are rows of the first that the second has not, or has otherwise and are shown.
  const auto shown_of = [&](const Key& key) {
    return std::find_if(differing.begin(), differing.end(),
                        [&](const auto& entry) { return entry.first == key; });
  };
  absl::flat_hash_map<Key, nlohmann::ordered_json> from_first;
  Rows explain([&](const Key& key, uint64_t, const Rows::Fields& fields) {
    if (unmatched.count(key) == 0) return;
    const bool in_both = shown_of(key) != differing.end();
    if (!in_both) count(key);
    if (in_both || from_first.size() < kMostShown) from_first.emplace(key, fields());
  });
  first.VisitRows(explain);
  const auto show = [&](const Key& key, const nlohmann::ordered_json& a,
                        const nlohmann::ordered_json& b) {
    if (found.shown.size() == kMostShown) return;
    nlohmann::ordered_json json = KeyJson(key);
    if (a.is_null() || b.is_null()) {
      json["only_in"] = a.is_null() ? "second" : "first";
    } else {
      json["fields"] = DifferingFields(a, b);
    }
    found.shown.push_back(std::move(json));
  };
  for (const auto& [key, fields] : differing) {
    const auto other = from_first.find(key);
    show(key, other == from_first.end() ? nlohmann::ordered_json() : other->second, fields);
  }
  for (const auto& [key, fields] : from_first) {
    if (shown_of(key) == differing.end()) show(key, fields, nlohmann::ordered_json());
  }
  return found;
}

nlohmann::ordered_json StateJson(const Loaded& loaded) {
  const ledger::StateMachine::Sizes sizes = loaded.machine.sizes();
  return {{"position", loaded.position},
          {"log_time", InstantJson(loaded.machine.log_time())},
          {"accounts", sizes.accounts},
          {"digest", absl::StrFormat("%016x", loaded.machine.Digest())}};
}

absl::StatusOr<nlohmann::ordered_json> CompareShard(OfflineLedger& first, OfflineLedger& second,
                                                    uint16_t shard) {
  const auto choice = Choose(first, second, shard);
  if (!choice.ok()) return choice.status();
  const auto a = Load(first, shard, choice->compared.first);
  if (!a.ok()) return a.status();
  const auto b = Load(second, shard, choice->compared.second);
  if (!b.ok()) return b.status();
  nlohmann::ordered_json json = {
      {"shard", shard}, {"first", StateJson(**a)}, {"second", StateJson(**b)}};
  json["fields"] = DifferingFields(json["first"], json["second"]);
  json["programs"] = ComparePrograms((*a)->machine, (*b)->machine);
  RowDifferences rows = CompareRows((*a)->machine, (*b)->machine);
  json["differing_accounts"] = rows.accounts;
  json["differing_receipts"] = rows.receipts;
  json["rows"] = std::move(rows.shown);
  if (choice->newest != choice->compared) {
    json["newest"] = {{"first", choice->newest.first}, {"second", choice->newest.second}};
  }
  return json;
}

bool IsEqual(const nlohmann::ordered_json& shard) {
  return shard["fields"].empty() && shard["programs"].empty() && shard["rows"].empty();
}

void PrintShard(const nlohmann::ordered_json& json) {
  std::printf("shard %d, %s: %s\n", json["shard"].get<int>(),
              json["fields"].empty() || json["first"]["position"] == json["second"]["position"]
                  ? absl::StrCat("position ", json["first"]["position"].get<uint64_t>()).c_str()
                  : absl::StrCat("positions ", json["first"]["position"].get<uint64_t>(), " and ",
                                 json["second"]["position"].get<uint64_t>())
                        .c_str(),
              IsEqual(json) ? "the same" : "they differ");
  if (json.contains("newest")) {
    std::printf(
        "  compared at the newest position that both have; their newest snapshots are of "
        "positions %lu and %lu\n",
        json["newest"]["first"].get<uint64_t>(), json["newest"]["second"].get<uint64_t>());
  }
  if (IsEqual(json)) return;
  PrintFields(json["fields"], "  ");
  for (const auto& program : json["programs"]) {
    PrintFields(program["fields"], absl::StrCat("  program ", program["program"].get<int>(), ": "));
  }
  std::printf("  %lu accounts and %lu receipts differ\n",
              json["differing_accounts"].get<uint64_t>(),
              json["differing_receipts"].get<uint64_t>());
  for (const auto& row : json["rows"]) {
    std::string name =
        absl::StrCat("  ", row["row"].get<std::string>(), " of member ",
                     row["member"].get<std::string>(), " in program ", row["program"].get<int>());
    if (row.contains("id")) absl::StrAppend(&name, ", id ", row["id"].get<std::string>());
    if (row.contains("only_in")) {
      std::printf("%s: only in the %s\n", name.c_str(), row["only_in"].get<std::string>().c_str());
    } else {
      PrintFields(row["fields"], name + ": ");
    }
  }
}

int Run(const Options& options) {
  const auto first = OfflineLedger::OpenToRead(options.directories[0]);
  if (!first.ok()) return Fail(first.status());
  const auto second = OfflineLedger::OpenToRead(options.directories[1]);
  if (!second.ok()) return Fail(second.status());
  if ((*first)->shard_count() != (*second)->shard_count()) {
    return Fail(absl::InvalidArgumentError(
        absl::StrCat("the first ledger has ", (*first)->shard_count(), " shards, the second ",
                     (*second)->shard_count(), ": their shards hold other members")));
  }
  nlohmann::ordered_json json = {{"shards", nlohmann::ordered_json::array()}};
  bool equal = true;
  absl::Status failure;
  for (uint16_t shard = 0; shard < (*first)->shard_count(); ++shard) {
    auto compared = CompareShard(**first, **second, shard);
    failure.Update(compared.status());
    if (!compared.ok()) continue;
    equal = equal && IsEqual(*compared);
    if (!options.json) PrintShard(*compared);
    json["shards"].push_back(*std::move(compared));
  }
  equal = equal && failure.ok();
  json["equal"] = equal;
  if (options.json) PrintJson(json);
  if (!failure.ok()) return Fail(failure);
  return equal ? 0 : 1;
}

}  // namespace

void AddSnapshotDiffCommand(CLI::App* snapshot) {
  CLI::App* command = snapshot->add_subcommand(
      "diff", "Say what differs between the snapshots of two ledgers that nobody serves");
  const auto options = std::make_shared<Options>();
  command->add_option("directories", options->directories, "The two ledgers' data directories")
      ->required()
      ->expected(2)
      ->check(NotEmpty());
  AddJsonFlag(command, &options->json);
  OnRun(command, [options] { return Run(*options); });
}

}  // namespace tallystick::tally
