// tally snapshot take|list|verify|diff: take needs the server; the others read the files, and may
// while it serves.

#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "api/ids.h"
#include "api/replay_block.h"
#include "api/tally/command.h"
#include "api/tally/log_commands.h"
#include "api/tally/replay_start.h"
#include "api/tally/snapshot_check.h"
#include "wal/posix_io.h"
#include "wal/snapshot_files.h"
#include "wal/snapshot_reader.h"

namespace tallystick::tally {
namespace {

struct Options {
  std::string directory;
  bool json = false;
  bool replay = false;
};

// ---- take ----

int RunTake(const Server& server, const Options& options) {
  auto client = server.Connect();
  if (!client.ok()) return Fail(client.status());
  const auto answer = (*client)->Snapshot();
  if (!answer.ok()) return Fail(answer.status());
  nlohmann::ordered_json shards = nlohmann::ordered_json::array();
  absl::Status failure;
  for (size_t shard = 0; shard < answer->shards.size(); ++shard) {
    const SnapshotState& taken = answer->shards[shard];
    shards.push_back({{"shard", shard}, {"position", taken.position}});
    nlohmann::ordered_json& json = shards.back();
    if (!taken.failure.empty()) {
      json["failure"] = taken.failure;
      failure.Update(absl::UnavailableError(absl::StrCat("shard ", shard, ": ", taken.failure)));
    } else if (taken.took_us != 0) {
      json["size_bytes"] = taken.size_bytes;
      json["took_us"] = taken.took_us;
      json["memory_bytes"] = taken.memory_bytes;
    }
    if (options.json || !taken.failure.empty()) continue;
    std::printf("shard %zu: position %lu%s\n", shard, taken.position,
                taken.took_us == 0 ? "; nothing has changed since it was taken"
                                   : absl::StrFormat(", %.1f MB in %.3f s",
                                                     static_cast<double>(taken.size_bytes) / 1e6,
                                                     static_cast<double>(taken.took_us) / 1e6)
                                         .c_str());
  }
  if (options.json) PrintJson({{"shards", shards}});
  return failure.ok() ? 0 : Fail(failure);
}

// ---- list and verify ----

// Of its head.
nlohmann::ordered_json HeadJson(const wal::SnapshotReader& reader) {
  return {{"shard", reader.identity().shard},
          {"position", reader.position()},
          {"size_bytes", reader.bytes_total()},
          {"taken_at", InstantJson(reader.taken_us())},
          {"segment", reader.place().segment}};
}

std::string HeadText(const nlohmann::ordered_json& head) {
  return absl::StrFormat("shard %d: position %d, taken %s, %.1f MB", head["shard"].get<int>(),
                         head["position"].get<uint64_t>(), head["taken_at"].get<std::string>(),
                         static_cast<double>(head["size_bytes"].get<uint64_t>()) / 1e6);
}

// The digest of the state behind `position`, by replaying the log from its first block, or from the
// oldest snapshot when that is gone.
absl::StatusOr<uint64_t> DigestByReplay(wal::Io& io, const wal::LogFolders& folders,
                                        const wal::LogIdentity& identity, Position position) {
  const auto start = BeginReplay(io, folders, identity);
  if (!start.ok()) return start.status();
  wal::BlockView block;
  while (start->position() < position) {
    const absl::StatusOr<bool> more = start->reader->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more || block.header->first_position > position) break;
    absl::Status s = ReplayBlock(block, folders.log, *start->machine, position);
    if (!s.ok()) return s;
  }
  return start->machine->Digest();
}

// Every byte and row of it, that the log goes on from it, and, if asked to, that the log gives the
// same state.
absl::Status Verify(wal::Io& io, const Options& options, const LedgerIdentity& ledger,
                    wal::SnapshotReader& reader, nlohmann::ordered_json* json) {
  const wal::LogFolders folders = ShardFolders(options.directory, ledger, reader.identity().shard);
  const auto checked = CheckSnapshot(io, folders, reader);
  if (!checked.ok()) return checked.status();
  (*json)["log_time"] = InstantJson(checked->log_time);
  (*json)["accounts"] = checked->accounts;
  (*json)["receipts"] = checked->receipts;
  (*json)["digest"] = absl::StrFormat("%016x", checked->digest);
  if (!options.replay) return absl::OkStatus();
  const auto replayed = DigestByReplay(io, folders, reader.identity(), reader.position());
  if (!replayed.ok()) return replayed.status();
  absl::Status same = CompareDigests(reader, checked->digest, *replayed);
  (*json)["replayed"] = same.ok();
  return same;
}

// A snapshot that is not sound.
nlohmann::ordered_json ProblemJson(uint16_t shard, Position position, const std::string& path,
                                   const absl::Status& status) {
  absl::string_view cause = status.message();
  while (absl::ConsumePrefix(&cause, absl::StrCat(path, ": "))) {
  }
  return {{"shard", shard}, {"position", position}, {"path", path}, {"cause", std::string(cause)}};
}

// What `look` finds wrong with any snapshot of any shard; it adds to what is told of it. One that a
// server removes meanwhile is left out.
int ForEach(const Options& options,
            const std::function<absl::Status(wal::Io&, const LedgerIdentity&, wal::SnapshotReader&,
                                             nlohmann::ordered_json*)>& look) {
  auto io = wal::PosixIo::Create();
  if (!io.ok()) return Fail(io.status());
  const auto ledger = RequireLedger(**io, options.directory);
  if (!ledger.ok()) return Fail(ledger.status());
  nlohmann::ordered_json snapshots = nlohmann::ordered_json::array();
  nlohmann::ordered_json problems = nlohmann::ordered_json::array();
  for (uint16_t shard = 0; shard < ledger->shard_count; ++shard) {
    const std::string folder = ShardDirectory(options.directory, shard);
    const auto positions = wal::ListSnapshots(**io, folder);
    if (!positions.ok()) return Fail(positions.status());
    for (const uint64_t position : *positions) {
      const auto reader = wal::SnapshotReader::Open(
          **io, folder, position, wal::LogIdentity{ledger->ledger_id, shard, ledger->shard_count});
      if (absl::IsNotFound(reader.status())) continue;
      absl::Status sound = reader.status();
      if (sound.ok()) {
        snapshots.push_back(HeadJson(**reader));
        sound = look(**io, *ledger, **reader, &snapshots.back());
      } else {
        snapshots.push_back({{"shard", shard}, {"position", position}, {"sound", false}});
      }
      if (sound.ok()) continue;
      problems.push_back(ProblemJson(shard, position, wal::SnapshotPath(folder, position), sound));
    }
  }
  if (options.json) {
    nlohmann::ordered_json json = {{"snapshots", snapshots}};
    json["problems"] = problems;
    PrintJson(json);
  } else if (snapshots.empty() && problems.empty()) {
    std::printf("There are no snapshots.\n");
  }
  for (const auto& problem : problems) {
    Fail(absl::DataLossError(absl::StrCat(problem["path"].get<std::string>(), ": ",
                                          problem["cause"].get<std::string>())));
  }
  return problems.empty() ? 0 : 1;
}

int RunList(const Options& options) {
  return ForEach(options, [&](wal::Io&, const LedgerIdentity&, wal::SnapshotReader&,
                              nlohmann::ordered_json* json) {
    if (!options.json) std::printf("%s\n", HeadText(*json).c_str());
    return absl::OkStatus();
  });
}

int RunVerify(const Options& options) {
  return ForEach(options, [&](wal::Io& io, const LedgerIdentity& ledger,
                              wal::SnapshotReader& reader, nlohmann::ordered_json* json) {
    absl::Status sound = Verify(io, options, ledger, reader, json);
    (*json)["sound"] = sound.ok();
    if (!options.json && sound.ok()) {
      std::printf("%s: sound; digest %s%s\n", HeadText(*json).c_str(),
                  (*json)["digest"].get<std::string>().c_str(),
                  options.replay ? ", which the log's replay comes to" : "");
    }
    return sound;
  });
}

}  // namespace

void AddSnapshotCommands(CLI::App& app, const Server& server) {
  CLI::App* snapshot = app.add_subcommand(
      "snapshot", "Take, list and verify snapshots, from which a start is quick");
  snapshot->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  CLI::App* take = snapshot->add_subcommand("take", "Take one of each shard, while it serves");
  AddJsonFlag(take, &options->json);
  OnRun(take, [&server, options] { return RunTake(server, *options); });
  const auto offline = [&](const char* name, const char* what, int (*run)(const Options&)) {
    CLI::App* command = snapshot->add_subcommand(name, what);
    AddDirectory(command, &options->directory);
    AddJsonFlag(command, &options->json);
    OnRun(command, [options, run] { return run(*options); });
    return command;
  };
  offline("list", "List them", RunList);
  offline("verify", "Check every byte and row of each", RunVerify)
      ->add_flag("--replay", options->replay,
                 "replay the log up to each one's position too, and compare");
  AddSnapshotDiffCommand(snapshot);
}

}  // namespace tallystick::tally
