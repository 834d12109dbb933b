// A ledger's directory that is written by a tool: it appears whole, or not at all.
//
// It is written beside its place, as NAME.unfinished, and renamed when everything in it is durable.
// What a crash leaves is such a folder, which the next try begins anew.

#ifndef TALLYSTICK_API_NEW_LEDGER_H_
#define TALLYSTICK_API_NEW_LEDGER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/ledger_files.h"
#include "wal/io.h"

namespace tallystick {

class NewLedger {
 public:
  // Takes away what an earlier try for the same place has left. AlreadyExists: `directory` is
  // there, and not empty; or there is something in the unfinished one that no try leaves.
  // InvalidArgument: it lies in `source`, a ledger that is only read, or is a symbolic link.
  // FailedPrecondition: another process is at it. Other errors: the disk's.
  static absl::StatusOr<std::unique_ptr<NewLedger>> Begin(wal::Io& io, const std::string& source,
                                                          const LedgerIdentity& identity,
                                                          const std::string& directory);
  // Leaves what is unfinished to the next try.
  ~NewLedger();
  NewLedger(const NewLedger&) = delete;
  NewLedger& operator=(const NewLedger&) = delete;

  // Where to write the logs.
  const std::string& unfinished() const { return unfinished_; }
  const std::string& directory() const { return directory_; }

  // Makes it a ledger, in its place, durably. REQUIRES: the files in it are synced, and the folders
  // of its shards. After an error it may still be done again by another try.
  absl::Status Publish(LedgerIdentity identity);

 private:
  NewLedger(wal::Io& io, std::string directory);
  absl::Status Clear();

  wal::Io& io_;
  const std::string directory_;
  const std::string unfinished_;
  wal::Handle lock_ = wal::kNoHandle;
};

}  // namespace tallystick

#endif  // TALLYSTICK_API_NEW_LEDGER_H_
