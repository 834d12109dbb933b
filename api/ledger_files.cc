#include "api/ledger_files.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "wal/checksum.h"

namespace tallystick {
namespace {

// The whole file; the rest of a sector.
struct IdentityFile {
  char magic[8];  // "TALLYLGR"
  uint16_t format_version;
  uint16_t shard_count;
  uint8_t clock;  // 0: not said; else 1 + ClockMode
  uint8_t reserved[3];
  wal::Id128 ledger_id;
  uint32_t segment_sectors;                      // 0: not said
  char archive_directory[kMaxArchivePathBytes];  // ends with a zero; empty: not said
  uint8_t padding[4056 - kMaxArchivePathBytes];
  uint32_t crc;  // CRC32C of the bytes before it
};
static_assert(sizeof(IdentityFile) == wal::kSectorBytes);

constexpr char kMagic[8] = {'T', 'A', 'L', 'L', 'Y', 'L', 'G', 'R'};
constexpr const char* kIdentityName = "LEDGER";
constexpr const char* kLockName = "LOCK";
constexpr const char* kShardPrefix = "shard-";

uint32_t Crc(const IdentityFile& file) { return wal::Crc32c(&file, offsetof(IdentityFile, crc)); }

// DataLoss where logs are and no LEDGER is. It may be a creation that broke off, or points that
// have lost their key: no advice may lead to deleting them.
absl::Status CheckNoLogs(wal::Io& io, const std::string& directory) {
  if (!io.Exists(directory)) return absl::OkStatus();
  const absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!absl::StartsWith(name, kShardPrefix)) continue;
    return absl::DataLossError(absl::StrCat(
        directory, " holds logs (", name, ") but the file ", kIdentityName,
        " is missing: keep the logs, and restore that file from a backup; for a new ledger name "
        "another directory"));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(wal::Io& io, const std::string& path, const IdentityFile& file) {
  wal::OpenOptions options;
  options.write = true;
  options.create = true;
  const absl::StatusOr<wal::Handle> handle = io.Open(path, options);
  if (!handle.ok()) return handle.status();
  absl::Status status =
      io.WriteAt(*handle, 0, reinterpret_cast<const std::byte*>(&file), sizeof(file));
  if (status.ok()) status = io.Sync(*handle);
  io.Close(*handle);
  return status;
}

// Absolute, and without links as far as the path is there.
std::filesystem::path Resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  std::filesystem::path resolved = std::filesystem::weakly_canonical(absolute, error);
  if (error) resolved = absolute.lexically_normal();
  return resolved.has_filename() ? resolved : resolved.parent_path();
}

// True also for the directory itself.
bool LiesIn(const std::filesystem::path& path, const std::filesystem::path& directory) {
  return std::mismatch(directory.begin(), directory.end(), path.begin(), path.end()).first ==
         directory.end();
}

}  // namespace

std::string ShardDirectory(const std::string& directory, uint16_t shard) {
  return absl::StrFormat("%s/%s%04d", directory, kShardPrefix, shard);
}

wal::LogFolders ShardFolders(const std::string& directory, const LedgerIdentity& identity,
                             uint16_t shard) {
  const std::string log = ShardDirectory(directory, shard);
  if (identity.archive_directory.empty()) return log;
  return {log, ShardDirectory(identity.archive_directory, shard)};
}

absl::StatusOr<wal::Handle> LockLedger(wal::Io& io, const std::string& directory) {
  return io.Lock(absl::StrCat(directory, "/", kLockName));
}

absl::StatusOr<wal::Handle> LockLedgerToRead(wal::HostControlPlane& io,
                                             const std::string& directory) {
  return io.LockShared(absl::StrCat(directory, "/", kLockName));
}

absl::StatusOr<LedgerIdentity> ReadIdentity(wal::Io& io, const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kIdentityName);
  if (!io.Exists(path)) {
    if (absl::Status s = CheckNoLogs(io, directory); !s.ok()) return s;
    return absl::NotFoundError(absl::StrCat(directory, " holds no ledger",
                                            io.Exists(directory) ? "" : ", for it does not exist",
                                            ": name another, or make one with --create --shards N "
                                            "(LedgerOptions::create, shards)"));
  }
  const absl::StatusOr<wal::Handle> handle = io.Open(path, {});
  if (!handle.ok()) return handle.status();
  IdentityFile file{};
  const absl::StatusOr<size_t> read =
      io.ReadAt(*handle, 0, reinterpret_cast<std::byte*>(&file), sizeof(file));
  io.Close(*handle);
  if (!read.ok()) return read.status();
  if (*read != sizeof(file) || std::memcmp(file.magic, kMagic, sizeof(kMagic)) != 0 ||
      file.crc != Crc(file) || file.clock > 1 + static_cast<uint8_t>(ClockMode::kImport) ||
      file.archive_directory[kMaxArchivePathBytes - 1] != 0) {
    return absl::DataLossError(
        absl::StrCat(path, " is damaged: restore this 4 KiB file from a backup"));
  }
  if (file.format_version > wal::kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is of format version ", file.format_version, ", this program knows ",
                     wal::kFormatVersion, ": start the newer program"));
  }
  LedgerIdentity identity{file.ledger_id, file.shard_count, std::nullopt,
                          file.segment_sectors * uint64_t{wal::kSectorBytes},
                          file.archive_directory};
  if (file.clock != 0) identity.clock = static_cast<ClockMode>(file.clock - 1);
  // A copy that has the archive with it does not ask for the original's.
  for (uint16_t shard = 0; shard < identity.shard_count; ++shard) {
    if (identity.archive_directory.empty()) break;
    const wal::LogFolders own = ShardDirectory(directory, shard);
    const auto archives = wal::ListArchives(io, own.archive);
    if (!archives.ok()) return archives.status();
    if (!archives->empty()) identity.archive_directory.clear();
  }
  return identity;
}

absl::Status CheckEmpty(wal::Io& io, const std::string& directory) {
  if (!io.Exists(directory)) return absl::OkStatus();
  const absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name == kIdentityName) {
      return absl::AlreadyExistsError(absl::StrCat(
          directory,
          " holds a ledger already: leave out --create (LedgerOptions::create) to serve it"));
    }
  }
  if (absl::Status s = CheckNoLogs(io, directory); !s.ok()) return s;
  for (const std::string& name : *names) {
    if (name == kLockName) continue;
    return absl::AlreadyExistsError(absl::StrCat(directory, " is not empty (", name,
                                                 ") and holds no ledger: name an empty directory"));
  }
  return absl::OkStatus();
}

absl::Status CheckOutside(const std::string& path, const std::string& directory,
                          const LedgerIdentity& identity) {
  const std::filesystem::path written = Resolved(path);
  const auto check = [&](const std::string& folder) -> absl::Status {
    if (!LiesIn(written, Resolved(folder))) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is, or lies in, ", folder,
                     ", a folder of the ledger that is read: name another place"));
  };
  absl::Status status = check(directory);
  for (uint16_t shard = 0; status.ok() && shard < identity.shard_count; ++shard) {
    const wal::LogFolders folders = ShardFolders(directory, identity, shard);
    status = check(folders.log);
    if (status.ok()) status = check(folders.archive);
  }
  return status;
}

absl::Status WriteIdentity(wal::Io& io, const std::string& directory,
                           const LedgerIdentity& identity) {
  IdentityFile file{};
  std::memcpy(file.magic, kMagic, sizeof(kMagic));
  file.format_version = wal::kFormatVersion;
  file.shard_count = identity.shard_count;
  file.ledger_id = identity.ledger_id;
  if (identity.clock.has_value()) {
    file.clock = static_cast<uint8_t>(1 + static_cast<uint8_t>(*identity.clock));
  }
  file.segment_sectors = static_cast<uint32_t>(identity.segment_bytes / wal::kSectorBytes);
  const std::string& archive = identity.archive_directory;
  if (archive.size() >= kMaxArchivePathBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the archive's directory has a path of more than ", kMaxArchivePathBytes - 1, " bytes"));
  }
  std::memcpy(file.archive_directory, archive.data(), archive.size());
  file.crc = Crc(file);
  const std::string path = absl::StrCat(directory, "/", kIdentityName);
  const std::string temporary = path + ".new";
  // Left by a crash.
  if (io.Exists(temporary)) {
    if (absl::Status s = io.Remove(temporary); !s.ok()) return s;
  }
  if (absl::Status s = WriteAndSync(io, temporary, file); !s.ok()) return s;
  return io.Rename(temporary, path);
}

}  // namespace tallystick
