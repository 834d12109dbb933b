#include "api/new_ledger.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "wal/segment_files.h"

namespace tallystick {
namespace {

std::string Normal(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool IsShard(absl::string_view name) {
  return absl::ConsumePrefix(&name, "shard-") && !name.empty() &&
         name.find_first_not_of("0123456789") == name.npos;
}

// What a writer of logs and snapshots leaves in a shard's folder.
bool IsOfShard(absl::string_view name) {
  for (const char* suffix : {".log", ".spare", ".prep", ".snap", ".gone"}) {
    if (wal::ParseNumberedName(name, suffix).has_value()) return true;
  }
  return name == "lock";
}

absl::Status InTheWay(const std::string& path) {
  return absl::AlreadyExistsError(absl::StrCat(
      path, " is in the way: it is no part of an unfinished ledger; move it elsewhere"));
}

// A link could not take the name of the finished ledger.
absl::Status CheckNoLink(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_symlink(path, ignored)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is a symbolic link: name the directory itself, or remove the link"));
}

absl::Status CheckFree(wal::Io& io, const std::string& directory) {
  if (!io.Exists(directory)) return absl::OkStatus();
  const absl::StatusOr<std::vector<std::string>> names = io.List(directory);
  if (!names.ok()) return names.status();
  if (names->empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(directory, " is not empty (", names->front(),
                                               "): name a directory that is missing or empty"));
}

}  // namespace

NewLedger::NewLedger(wal::Io& io, std::string directory)
    : io_(io),
      directory_(std::move(directory)),
      unfinished_(absl::StrCat(directory_, ".unfinished")) {}

NewLedger::~NewLedger() {
  if (lock_ != wal::kNoHandle) io_.Close(lock_);
}

absl::StatusOr<std::unique_ptr<NewLedger>> NewLedger::Begin(wal::Io& io, const std::string& source,
                                                            const LedgerIdentity& identity,
                                                            const std::string& directory) {
  std::unique_ptr<NewLedger> made(new NewLedger(io, Normal(directory)));
  absl::Status status = CheckOutside(made->directory_, source, identity);
  if (status.ok()) status = CheckNoLink(made->directory_);
  if (status.ok()) status = CheckNoLink(made->unfinished_);
  if (!status.ok()) return status;
  if (absl::Status s = CheckFree(io, made->directory_); !s.ok()) return s;
  if (absl::Status s = io.MakeDirectory(made->unfinished_); !s.ok()) return s;
  const absl::StatusOr<wal::Handle> lock = LockLedger(io, made->unfinished_);
  if (!lock.ok()) return lock.status();
  made->lock_ = *lock;
  if (absl::Status s = made->Clear(); !s.ok()) return s;
  return made;
}

// Looks at everything before it removes anything.
absl::Status NewLedger::Clear() {
  const absl::StatusOr<std::vector<std::string>> names = io_.List(unfinished_);
  if (!names.ok()) return names.status();
  std::vector<std::string> paths;
  for (const std::string& name : *names) {
    const std::string path = absl::StrCat(unfinished_, "/", name);
    if (IsShard(name)) {
      const absl::StatusOr<std::vector<std::string>> files = io_.List(path);
      if (!files.ok()) return files.status();
      for (const std::string& file : *files) {
        paths.push_back(absl::StrCat(path, "/", file));
        if (!IsOfShard(file)) return InTheWay(paths.back());
      }
    } else if (name == "LOCK") {
      continue;
    } else if (name != "LEDGER" && name != "LEDGER.new") {
      return InTheWay(path);
    }
    paths.push_back(path);
  }
  for (const std::string& path : paths) {
    if (absl::Status s = io_.Remove(path); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status NewLedger::Publish(LedgerIdentity identity) {
  // Another's archive is not this one's.
  identity.archive_directory.clear();
  if (absl::Status s = WriteIdentity(io_, unfinished_, identity); !s.ok()) return s;
  if (absl::Status s = io_.SyncDirectory(unfinished_); !s.ok()) return s;
  return io_.Rename(unfinished_, directory_);
}

}  // namespace tallystick
