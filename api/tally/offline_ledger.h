// A ledger that nobody serves, for the tools that read its files.

#ifndef TALLYSTICK_API_TALLY_OFFLINE_LEDGER_H_
#define TALLYSTICK_API_TALLY_OFFLINE_LEDGER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "api/ledger_files.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/posix_io.h"
#include "wal/segment_files.h"

namespace tallystick::tally {

class OfflineLedger {
 public:
  // To change it: see locked(). NotFound: no ledger; FailedPrecondition: a server or a tool has it
  // in use; other errors: those of ReadIdentity.
  static absl::StatusOr<std::unique_ptr<OfflineLedger>> Open(const std::string& directory);
  // To read it, beside other tools that do. What cannot be locked is read all the same, as a copy
  // on a medium that cannot be written, and told of on stderr. FailedPrecondition: a server has it
  // in use, or a tool that changes it.
  static absl::StatusOr<std::unique_ptr<OfflineLedger>> OpenToRead(const std::string& directory);
  ~OfflineLedger();
  OfflineLedger(const OfflineLedger&) = delete;
  OfflineLedger& operator=(const OfflineLedger&) = delete;

  wal::Io& io() { return *io_; }
  const std::string& directory() const { return directory_; }
  const LedgerIdentity& identity() const { return identity_; }
  uint16_t shard_count() const { return identity_.shard_count; }
  // OK, or why it could not be locked: then nothing may be changed.
  const absl::Status& locked() const { return locked_; }
  std::string ShardPath(uint16_t shard) const { return ShardDirectory(directory_, shard); }
  wal::LogFolders FoldersOf(uint16_t shard) const {
    return ShardFolders(directory_, identity_, shard);
  }
  wal::LogIdentity LogOf(uint16_t shard) const {
    return {identity_.ledger_id, shard, identity_.shard_count};
  }

 private:
  OfflineLedger(std::unique_ptr<wal::PosixIo> io, std::string directory);
  static absl::StatusOr<std::unique_ptr<OfflineLedger>> Identify(const std::string& directory);
  void Hold(const absl::StatusOr<wal::Handle>& lock);

  const std::unique_ptr<wal::PosixIo> io_;
  const std::string directory_;
  LedgerIdentity identity_;
  wal::Handle lock_ = wal::kNoHandle;
  absl::Status locked_;
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_OFFLINE_LEDGER_H_
