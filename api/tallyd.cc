// tallyd: opens a ledger and serves it until SIGTERM or SIGINT.
//
// Standard output has one line, "ready ADDRESS ledger=… shards=… clock=… durability=…", when
// clients may connect; all else is said on standard error. Exit status: 0 after a signal, 1 when it
// cannot start, 2 for a command line that cannot be understood, 3 when a shard has stopped.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "api/embedded.h"
#include "api/ids.h"
#include "api/ledger_files.h"
#include "api/server.h"
#include "api/tally/usage_error.h"
#include "api/unsigned_options.h"
#include "wal/posix_io.h"
#include "wal/snapshot_writer.h"

namespace tallystick {
namespace {

constexpr int kExitCannotStart = 1;
constexpr int kExitUsage = 2;
constexpr int kExitStopped = 3;

// How often the health of the shards is looked at.
constexpr timespec kHealthInterval = {.tv_sec = 0, .tv_nsec = 200'000'000};
constexpr uint64_t kMostReservedMib = uint64_t{16} << 20;

struct Flags {
  LedgerOptions ledger;
  uint64_t segment_mib = 0;  // 0: not given
  uint64_t reserve_mib = 0;
  double snapshot_s = static_cast<double>(LedgerOptions().snapshot_interval_ms) / 1000;
  uint64_t snapshot_log_mib = LedgerOptions().snapshot_log_bytes >> 20;
  uint64_t snapshot_buffer_mib = LedgerOptions().snapshot_buffer_bytes >> 20;
  uint64_t archive_keep_gib = 0;
  uint64_t disk_reserve_mib = LedgerOptions().disk_reserve_bytes >> 20;
  uint64_t history_memory_mib = LedgerOptions().history_memory_bytes >> 20;
  std::string listen;
};

void Say(absl::string_view sentence) {
  const std::string line = absl::StrCat("tallyd: ", sentence, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Words that stand for values.
template <typename Value>
CLI::Validator OneOf(const std::vector<std::pair<std::string, Value>>& choices) {
  return CLI::Validator(
      [choices](std::string& text) -> std::string {
        std::string words;
        for (const auto& [word, value] : choices) {
          if (text == word) {
            text = std::to_string(static_cast<int>(value));
            return "";
          }
          absl::StrAppend(&words, words.empty() ? "" : " or ", word);
        }
        return absl::StrCat("say ", words, ", not \"", text, "\"");
      },
      "");
}

void DeclareArchive(CLI::App& app, Flags& flags) {
  LedgerOptions& ledger = flags.ledger;
  app.add_option("--archive", ledger.archive,
                 "on: segments that a start needs no more are packed; off: they stay (default on)")
      ->transform(OneOf<int>({{"on", 1}, {"off", 0}}));
  app.add_option("--archive-dir", ledger.archive_directory,
                 "directory for them (default: as before; of a new ledger, in --data)");
  app.add_option("--archive-keep-days", ledger.archive_keep_days,
                 "remove what was archived so many days ago; 0: never")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  app.add_option("--archive-keep-gib", flags.archive_keep_gib,
                 "remove the oldest when the archive is larger, each shard its part; 0: never")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 30))
      ->capture_default_str();
  app.add_option("--disk-reserve-mib", flags.disk_reserve_mib,
                 "free disk space that logs and snapshots leave to archiving and repair")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 30))
      ->capture_default_str();
}

void DeclareHistory(CLI::App& app, Flags& flags) {
  app.add_option("--history", flags.ledger.history,
                 "on: transactions of any age are found by indexes; off: none are kept (default "
                 "on)")
      ->transform(OneOf<int>({{"on", 1}, {"off", 0}}));
  app.add_option("--history-memory-mib", flags.history_memory_mib,
                 "memory, of all shards together, for parts of these indexes")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 20))
      ->capture_default_str();
}

void Declare(CLI::App& app, Flags& flags) {
  LedgerOptions& ledger = flags.ledger;
  app.set_version_flag("--version", "tallyd " TALLYSTICK_VERSION);
  app.add_option("--data", ledger.directory, "directory of the ledger")->required();
  app.add_option("--listen", flags.listen, "unix:PATH or tcp:127.0.0.1:PORT (0: any port)")
      ->required();
  CLI::Option* create = app.add_flag("--create", ledger.create, "make a new ledger in --data");
  app.add_option("--shards", ledger.shards, "of a new ledger; never changes")
      ->needs(create)
      ->check(CLI::Range(1, int{kMaxShards}))
      ->capture_default_str();
  app.add_option("--clock", ledger.clock,
                 "wall: the host's clock; import: the orders' own dates (default: as before; of a "
                 "new ledger wall)")
      ->transform(OneOf<ClockMode>({{"wall", ClockMode::kWall}, {"import", ClockMode::kImport}}));
  app.add_option(
         "--durability", ledger.durability,
         "how blocks are made durable: open-dsync, dsync or fdatasync; none: for benchmarks "
         "only (default open-dsync)")
      ->transform(OneOf<wal::Durability>({{"open-dsync", wal::Durability::kOpenDsync},
                                          {"dsync", wal::Durability::kDsync},
                                          {"fdatasync", wal::Durability::kFdatasync},
                                          {"none", wal::Durability::kNone}}));
  app.add_option("--threads", ledger.threads, "0: one a core, at most one a shard")
      ->check(CLI::Range(0, int{kMaxShards}))
      ->capture_default_str();
  app.add_option("--segment-mib", flags.segment_mib,
                 "size of a log segment (default: as before; of a new ledger 64)")
      ->check(CLI::Range(1, 2048));
  app.add_option("--blocks-in-flight", ledger.blocks_in_flight, "log writes at a time")
      ->check(CLI::Range(1, int{wal::kMaxBlocksInFlight}))
      ->capture_default_str();
  app.add_option("--reserve-mib", flags.reserve_mib,
                 "memory to make ready before serving, for a ledger that is known to grow")
      ->check(CLI::Range(uint64_t{0}, kMostReservedMib))
      ->capture_default_str();
  app.add_option("--snapshot-every", flags.snapshot_s,
                 "seconds between the snapshots from which a start is quick; 0: none by time")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--snapshot-log-mib", flags.snapshot_log_mib,
                 "growth of a shard's log after which it takes one; 0: none by growth")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 30))
      ->capture_default_str();
  app.add_flag("--snapshot-at-exit", ledger.snapshot_at_close, "take a last one when it ends");
  app.add_option("--snapshot-disk-percent", ledger.snapshot_disk_percent,
                 "of the disk's time that snapshots may take while the log is in use")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--snapshot-buffer-mib", flags.snapshot_buffer_mib,
                 "memory, for each shard, for what waits to be written to a snapshot")
      ->check(CLI::Range(uint64_t{wal::kMinSnapshotBufferBytes >> 20}, uint64_t{1} << 20))
      ->capture_default_str();
  DeclareArchive(app, flags);
  DeclareHistory(app, flags);
  app.add_flag("--confirm-clock", ledger.confirm_clock,
               "accept a clock more than a week ahead of the ledger's, or an hour behind it");
  RefuseMinusSigns(app);
}

// Blocked in all threads, and taken by the main one. What connections and limits of file sizes send
// is an error of the call that meets it, too.
sigset_t BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// The usual soft limit of 1,024 descriptors is less than what connections may take, and each
// shard's segments and indexes that are kept open.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Before a ledger is made, which would be there when the address is put right, or is opened, which
// may take long. Leaves nothing behind. One that is in use may be free when a ledger has been
// opened: the kernel takes a moment to end the sockets of a server that was killed.
absl::Status CheckAddress(const std::string& address, bool create) {
  const auto io = wal::PosixIo::Create();
  if (!io.ok()) return io.status();
  const absl::StatusOr<wal::Handle> listener = (*io)->Listen(address);
  if (absl::IsAlreadyExists(listener.status()) && !create) return absl::OkStatus();
  if (!listener.ok()) return listener.status();
  (*io)->Close(*listener);
  absl::string_view path = address;
  return absl::ConsumePrefix(&path, "unix:") ? (*io)->Remove(std::string(path)) : absl::OkStatus();
}

void SayReady(const Server& server) {
  const ServerInfo& info = server.info();
  std::printf("ready %s ledger=%s shards=%u clock=%s durability=%s\n", server.address().c_str(),
              FormatId(info.ledger).c_str(), unsigned{info.shard_count},
              info.clock == ClockMode::kImport ? "import" : "wall", info.durability.c_str());
  std::fflush(stdout);
}

int Run(const Flags& flags) {
  const sigset_t signals = BlockSignals();
  RaiseDescriptorLimit();
  const absl::Status address = CheckAddress(flags.listen, flags.ledger.create);
  if (!address.ok()) {
    Say(address.message());
    return kExitCannotStart;
  }
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(flags.ledger);
  if (!ledger.ok()) {
    Say(ledger.status().message());
    return kExitCannotStart;
  }
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(**ledger, flags.listen, {.name = "tallyd " TALLYSTICK_VERSION});
  if (!server.ok()) {
    Say(server.status().message());
    return kExitCannotStart;
  }
  SayReady(**server);

  absl::Status health;
  int signal = -1;
  while (health.ok() && signal < 0) {
    signal = sigtimedwait(&signals, nullptr, &kHealthInterval);
    if (signal < 0) health = (*ledger)->health();
  }
  if (!health.ok()) Say(health.message());
  (*server)->Stop();
  const absl::Status closed = (*ledger)->Close();
  if (health.ok() && !closed.ok()) Say(closed.message());
  if (!health.ok() || !closed.ok()) return kExitStopped;
  Say(absl::StrCat("stopped by ", signal == SIGINT ? "SIGINT" : "SIGTERM",
                   "; the logs are closed"));
  return 0;
}

}  // namespace
}  // namespace tallystick

int main(int argc, char** argv) {
  tallystick::Flags flags;
  CLI::App app("Serves a Tallystick ledger.", "tallyd");
  tallystick::Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help is an "error" of status 0.
    if (error.get_exit_code() == 0) return app.exit(error);
    tallystick::Say(tallystick::ExplainUsage(app, error));
    return tallystick::kExitUsage;
  }
  flags.ledger.segment_bytes = flags.segment_mib << 20;
  flags.ledger.reserve_memory_bytes = flags.reserve_mib << 20;
  flags.ledger.snapshot_interval_ms = std::llround(flags.snapshot_s * 1000);
  flags.ledger.snapshot_log_bytes = flags.snapshot_log_mib << 20;
  flags.ledger.snapshot_buffer_bytes = flags.snapshot_buffer_mib << 20;
  flags.ledger.archive_keep_bytes = flags.archive_keep_gib << 30;
  flags.ledger.history_memory_bytes = flags.history_memory_mib << 20;
  flags.ledger.disk_reserve_bytes = flags.disk_reserve_mib << 20;
  flags.ledger.report = [](const std::string& sentence) { tallystick::Say(sentence); };
  return tallystick::Run(flags);
}
