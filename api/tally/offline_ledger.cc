#include "api/tally/offline_ledger.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/tally/command.h"

namespace tallystick::tally {

OfflineLedger::OfflineLedger(std::unique_ptr<wal::PosixIo> io, std::string directory)
    : io_(std::move(io)), directory_(std::move(directory)) {}

OfflineLedger::~OfflineLedger() {
  if (lock_ != wal::kNoHandle) io_->Close(lock_);
}

absl::StatusOr<std::unique_ptr<OfflineLedger>> OfflineLedger::Open(const std::string& directory) {
  auto ledger = Identify(directory);
  if (!ledger.ok()) return ledger;
  const auto lock = LockLedger((*ledger)->io(), directory);
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory,
        " is in use by a tallyd, or by a tool that reads or changes it: stop that first"));
  }
  (*ledger)->Hold(lock);
  return ledger;
}

absl::StatusOr<std::unique_ptr<OfflineLedger>> OfflineLedger::OpenToRead(
    const std::string& directory) {
  auto ledger = Identify(directory);
  if (!ledger.ok()) return ledger;
  const auto lock = LockLedgerToRead(*(*ledger)->io_, directory);
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory,
        " is in use by a tallyd, or by a tool that changes it: stop that first, or copy the "
        "directory and read the copy"));
  }
  (*ledger)->Hold(lock);
  if (!lock.ok()) {
    std::fprintf(stderr,
                 "tally: %s; it is read all the same, but if a tallyd serves it, what that is "
                 "writing looks like damage\n",
                 std::string(lock.status().message()).c_str());
  }
  return ledger;
}

absl::StatusOr<std::unique_ptr<OfflineLedger>> OfflineLedger::Identify(
    const std::string& directory) {
  absl::StatusOr<std::unique_ptr<wal::PosixIo>> io = wal::PosixIo::Create();
  if (!io.ok()) return io.status();
  std::unique_ptr<OfflineLedger> ledger(new OfflineLedger(*std::move(io), directory));
  absl::StatusOr<LedgerIdentity> identity = RequireLedger(*ledger->io_, directory);
  if (!identity.ok()) return identity.status();
  ledger->identity_ = *identity;
  return ledger;
}

void OfflineLedger::Hold(const absl::StatusOr<wal::Handle>& lock) {
  locked_ = lock.status();
  if (lock.ok()) lock_ = *lock;
}

}  // namespace tallystick::tally
