// The directory of a ledger: one file that says what it is, one folder a shard.
//
//   DIR/LEDGER        identity, and how it was last served
//   DIR/LOCK          held by the one program that serves it, or by the tools that read it
//   DIR/shard-0000/   the log of shard 0, and so on
//   DIR/shard-0000/archive/   its archived segments, unless the ledger has an archive directory:
//   ARCHIVE_DIR/shard-0000/

#ifndef TALLYSTICK_API_LEDGER_FILES_H_
#define TALLYSTICK_API_LEDGER_FILES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/messages.h"
#include "wal/format.h"
#include "wal/host_control_plane.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick {

inline constexpr uint16_t kMaxShards = 1024;
// Of a log whose ledger does not say.
inline constexpr uint64_t kDefaultSegmentBytes = uint64_t{64} << 20;
// What the LEDGER file has room for.
inline constexpr size_t kMaxArchivePathBytes = 2048;

struct LedgerIdentity {
  wal::Id128 ledger_id;
  uint16_t shard_count = 0;
  // How it was last served; absent and 0: it does not say.
  std::optional<ClockMode> clock;
  uint64_t segment_bytes = 0;
  // Absolute; empty: the archive lies in the shards' directories, as it does wherever there is one.
  std::string archive_directory = {};

  friend bool operator==(const LedgerIdentity&, const LedgerIdentity&) = default;
};

std::string ShardDirectory(const std::string& directory, uint16_t shard);
// Where the log of a shard lies, with its archive.
wal::LogFolders ShardFolders(const std::string& directory, const LedgerIdentity& identity,
                             uint16_t shard);

// To serve or to change it: FailedPrecondition when another program does, or reads it.
absl::StatusOr<wal::Handle> LockLedger(wal::Io& io, const std::string& directory);
// To read it, beside others that read: FailedPrecondition when a program serves or changes it.
absl::StatusOr<wal::Handle> LockLedgerToRead(wal::HostControlPlane& io,
                                             const std::string& directory);

// NotFound: no ledger there; FailedPrecondition: of a newer format; DataLoss: damaged, or missing
// where logs are.
absl::StatusOr<LedgerIdentity> ReadIdentity(wal::Io& io, const std::string& directory);
// AlreadyExists (DataLoss: logs) unless the directory is missing or holds nothing but LOCK.
absl::Status CheckEmpty(wal::Io& io, const std::string& directory);
// InvalidArgument unless `path`, which is to be written, lies outside of the ledger's directory,
// its shards' folders and their archives, through whatever links it or they are named.
absl::Status CheckOutside(const std::string& path, const std::string& directory,
                          const LedgerIdentity& identity);
// The last step of creating a ledger, or a change of how it is served: durable when it returns.
absl::Status WriteIdentity(wal::Io& io, const std::string& directory,
                           const LedgerIdentity& identity);

}  // namespace tallystick

#endif  // TALLYSTICK_API_LEDGER_FILES_H_
