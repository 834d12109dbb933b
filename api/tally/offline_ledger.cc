#include "api/tally/offline_ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"
#include "wal/posix_io.h"

namespace tallystick::tally {

OfflineLedger::OfflineLedger(std::unique_ptr<wal::Io> io, std::string directory)
    : io_(std::move(io)), directory_(std::move(directory)) {}

OfflineLedger::~OfflineLedger() {
  if (lock_ != wal::kNoHandle) io_->Close(lock_);
}

absl::StatusOr<std::unique_ptr<OfflineLedger>> OfflineLedger::Open(const std::string& directory) {
  absl::StatusOr<std::unique_ptr<wal::PosixIo>> io = wal::PosixIo::Create();
  if (!io.ok()) return io.status();
  std::unique_ptr<OfflineLedger> ledger(new OfflineLedger(*std::move(io), directory));
  absl::StatusOr<LedgerIdentity> identity = RequireLedger(*ledger->io_, directory);
  if (!identity.ok()) return identity.status();
  ledger->identity_ = *identity;
  // What a server is writing looks like damage.
  const absl::StatusOr<wal::Handle> lock = LockLedger(*ledger->io_, directory);
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, " is in use: stop its tallyd first, or copy the directory and read the copy"));
  }
  ledger->locked_ = lock.status();
  if (lock.ok()) ledger->lock_ = *lock;
  return ledger;
}

}  // namespace tallystick::tally
