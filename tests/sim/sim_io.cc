#include "tests/sim/sim_io.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "wal/check.h"

namespace tallystick::sim {
namespace {

using wal::Handle;
using wal::IoOp;
using wal::IoRequest;
using wal::kSectorBytes;

constexpr std::align_val_t kAlignment{kSectorBytes};

// What direct I/O refuses.
bool Misaligned(const wal::OpenOptions& options, uint64_t offset, const std::byte* data,
                size_t size) {
  const uint64_t any = reinterpret_cast<uintptr_t>(data) | offset | size;
  return options.direct && any % kSectorBytes != 0;
}

}  // namespace

void SimIo::Freed::operator()(std::byte* data) const { operator delete[](data, kAlignment); }

SimIo::SimIo(const SimOptions& options) : options_(options), disk_(options.seed) {}
SimIo::~SimIo() = default;

// ---- faults ----

int SimIo::Fault::Strike(const std::string& path) {
  if (countdown == 0 || !absl::EndsWith(path, path_suffix) || --countdown > 0) return 0;
  return error;
}

void SimIo::FailRead(uint64_t nth, int error, const std::string& path_suffix) {
  read_fault_ = {.countdown = nth, .error = error, .path_suffix = path_suffix};
}

void SimIo::FailWrite(uint64_t nth, int error, const std::string& path_suffix) {
  write_fault_ = {.countdown = nth, .error = error, .path_suffix = path_suffix};
}

void SimIo::FailSync(uint64_t nth, int error, const std::string& path_suffix) {
  sync_fault_ = {.countdown = nth, .error = error, .path_suffix = path_suffix};
}

void SimIo::CrashAt(uint64_t boundary, CrashPoint point) {
  crash_at_ = boundary;
  crash_point_ = point;
}

// Counts a boundary and says what is to become of the operation.
SimIo::Step SimIo::Cross() {
  if (!powered_) return Step::kNothing;
  if (++boundaries_ != crash_at_) return Step::kDo;
  switch (crash_point_) {
    case CrashPoint::kBefore:
      CutPower();
      return Step::kNothing;
    case CrashPoint::kMiddle:
      return Step::kTear;
    case CrashPoint::kAfter:
      return Step::kDoAndDie;
  }
  return Step::kDo;
}

void SimIo::CutPower() {
  powered_ = false;
  disk_.LosePower();
  std::vector<Pending> landing = pending_;
  while (!landing.empty()) {
    const size_t index = disk_.Random(landing.size());
    const IoRequest& request = *landing[index].request;
    landing.erase(landing.begin() + static_cast<ptrdiff_t>(index));
    const OpenFile* open = request.op == IoOp::kWrite ? Get(request.handle) : nullptr;
    if (open == nullptr) continue;
    const size_t room = disk_.Room(*open->file, request.offset, request.size);
    disk_.WriteTorn(*open->file, request.offset, request.data, room);
    open->file->durable_bytes = open->file->content.size();
  }
  EndProcess();
}

void SimIo::EndProcess() {
  for (const Pending& pending : pending_) orphans_.push_back(pending.request);
  pending_.clear();
  open_.clear();
  locks_.clear();
  read_fault_ = write_fault_ = sync_fault_ = {};
}

void SimIo::Crash() {
  if (powered_) CutPower();
  powered_ = true;
  crash_at_ = 0;
}

void SimIo::KillProcess() {
  for (const Pending& pending : pending_) {
    const IoRequest& request = *pending.request;
    const OpenFile* open = request.op == IoOp::kWrite ? Get(request.handle) : nullptr;
    if (open == nullptr || disk_.Random(2) == 0) continue;
    const size_t room = disk_.Room(*open->file, request.offset, request.size);
    disk_.Write(*open->file, request.offset, request.data, room, false);
  }
  EndProcess();
}

absl::Status SimIo::PowerOff(const std::string& path) const {
  return absl::UnavailableError(absl::StrCat(path, ": the simulated power is off"));
}

std::vector<std::byte>& SimIo::Contents(const std::string& path) {
  const std::shared_ptr<SimFile> file = disk_.Find(path);
  TALLYSTICK_CHECK(file != nullptr);
  return file->content;
}

void SimIo::AddFile(const std::string& path, std::vector<std::byte> content) {
  disk_.MakeDirectory(path.substr(0, path.rfind('/')));
  const std::shared_ptr<SimFile> file = disk_.Create(path);
  file->entry_durable = true;
  file->durable_bytes = content.size();
  file->content = std::move(content);
}

void SimIo::AdvanceMicros(int64_t us) {
  wall_us_ += us;
  monotonic_us_ += us;
}

bool SimIo::TakeWake() { return std::exchange(woken_, false); }

// ---- control plane ----

SimIo::OpenFile* SimIo::Get(Handle handle) {
  const auto it = open_.find(handle);
  return it == open_.end() ? nullptr : &it->second;
}

absl::StatusOr<Handle> SimIo::Open(const std::string& path, const wal::OpenOptions& options) {
  if (!powered_) return PowerOff(path);
  std::shared_ptr<SimFile> file = disk_.Find(path);
  if (options.create) {
    if (file != nullptr) return absl::AlreadyExistsError(absl::StrCat(path, ": exists"));
    if (!disk_.IsDirectory(path.substr(0, path.rfind('/')))) {
      return absl::NotFoundError(absl::StrCat(path, ": there is no such directory"));
    }
    const Step step = Cross();
    if (step == Step::kNothing) return PowerOff(path);
    file = disk_.Create(path);
    if (step != Step::kDo) {
      CutPower();
      return PowerOff(path);
    }
  }
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": there is no such file"));
  open_[next_handle_] = {.file = std::move(file), .options = options};
  return next_handle_++;
}

void SimIo::Close(Handle handle) {
  for (const Pending& pending : pending_) TALLYSTICK_CHECK(pending.request->handle != handle);
  open_.erase(handle);
  locks_.erase(handle);
}

absl::StatusOr<uint64_t> SimIo::Size(Handle handle) {
  const OpenFile* open = Get(handle);
  if (open == nullptr) return PowerOff("Size");
  return open->file->content.size();
}

absl::Status SimIo::Resize(Handle handle, uint64_t size) {
  OpenFile* open = Get(handle);
  const Step step = Cross();
  if (open == nullptr || step == Step::kNothing) return PowerOff("Resize");
  disk_.Resize(*open->file, size);
  if (step == Step::kDo) return absl::OkStatus();
  CutPower();
  return PowerOff("Resize");
}

absl::StatusOr<size_t> SimIo::ReadAt(Handle handle, uint64_t offset, std::byte* data, size_t size) {
  OpenFile* open = Get(handle);
  if (open == nullptr) return PowerOff("ReadAt");
  const int32_t result = Read(*open, offset, data, size);
  if (result < 0) return absl::ErrnoToStatus(-result, open->file->path);
  return static_cast<size_t>(result);
}

absl::Status SimIo::WriteAt(Handle handle, uint64_t offset, const std::byte* data, size_t size) {
  OpenFile* open = Get(handle);
  if (open == nullptr) return PowerOff("WriteAt");
  const std::shared_ptr<SimFile> file = open->file;
  if (Misaligned(open->options, offset, data, size)) {
    return absl::InvalidArgumentError(absl::StrCat(file->path, ": misaligned direct write"));
  }
  while (size > 0) {
    const int32_t result = Write(*open, offset, data, size, false);
    if (!powered_) return PowerOff(file->path);
    if (result < 0) return absl::ErrnoToStatus(-result, file->path);
    offset += static_cast<uint64_t>(result);
    data += result;
    size -= static_cast<size_t>(result);
  }
  return absl::OkStatus();
}

absl::Status SimIo::Sync(Handle handle) {
  OpenFile* open = Get(handle);
  if (open == nullptr) return PowerOff("Sync");
  const std::string path = open->file->path;
  const int32_t result = SyncFile(*open, disk_.write_sequence());
  if (!powered_) return PowerOff(path);
  return result < 0 ? absl::ErrnoToStatus(-result, path) : absl::OkStatus();
}

absl::Status SimIo::MakeDirectory(const std::string& path) {
  if (!powered_) return PowerOff(path);
  disk_.MakeDirectory(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SimIo::List(const std::string& path) {
  if (!powered_) return PowerOff(path);
  if (!disk_.IsDirectory(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such directory"));
  }
  return disk_.List(path);
}

bool SimIo::Exists(const std::string& path) {
  return powered_ && (disk_.IsDirectory(path) || disk_.Find(path) != nullptr);
}

absl::Status SimIo::Rename(const std::string& from, const std::string& to) {
  if (powered_ && disk_.Find(from) == nullptr) {
    return absl::NotFoundError(absl::StrCat(from, ": there is no such file"));
  }
  const Step step = Cross();
  if (step == Step::kNothing) return PowerOff(from);
  if (step != Step::kTear || disk_.Random(2) == 0) disk_.Rename(from, to);
  if (step == Step::kDo) return absl::OkStatus();
  CutPower();
  return PowerOff(from);
}

absl::Status SimIo::Remove(const std::string& path) {
  if (powered_ && disk_.Find(path) == nullptr) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such file"));
  }
  const Step step = Cross();
  if (step == Step::kNothing) return PowerOff(path);
  if (step != Step::kTear || disk_.Random(2) == 0) disk_.Remove(path);
  if (step == Step::kDo) return absl::OkStatus();
  CutPower();
  return PowerOff(path);
}

absl::Status SimIo::SyncDirectory(const std::string& path) {
  if (!powered_) return PowerOff(path);
  disk_.SyncDirectory(path);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> SimIo::FreeBytes(const std::string& path) {
  if (!powered_) return PowerOff(path);
  return disk_.FreeBytes();
}

absl::StatusOr<Handle> SimIo::Lock(const std::string& path) {
  if (!powered_) return PowerOff(path);
  for (const auto& [handle, locked] : locks_) {
    if (locked == path) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": another process holds the lock"));
    }
  }
  if (disk_.Find(path) == nullptr) disk_.Create(path);
  locks_[next_handle_] = path;
  return next_handle_++;
}

absl::StatusOr<wal::IoBuffer> SimIo::AllocateBuffer(size_t size) {
  auto* data = static_cast<std::byte*>(operator new[](size, kAlignment));
  buffers_.emplace_back(data);
  std::memset(data, 0, size);
  return wal::IoBuffer{.data = data, .size = size};
}

absl::StatusOr<Handle> SimIo::Listen(const std::string& address) {
  return absl::UnimplementedError(absl::StrCat(address, ": the simulator has no sockets"));
}

absl::StatusOr<std::string> SimIo::LocalAddress(Handle) {
  return absl::UnimplementedError("the simulator has no sockets");
}

// ---- data plane ----

int32_t SimIo::Read(OpenFile& open, uint64_t offset, std::byte* data, size_t size) {
  if (const int error = read_fault_.Strike(open.file->path)) return -error;
  const std::vector<std::byte>& content = open.file->content;
  if (offset >= content.size()) return 0;
  const size_t got = std::min<uint64_t>(size, content.size() - offset);
  std::memcpy(data, content.data() + offset, got);
  return static_cast<int32_t>(got);
}

int32_t SimIo::Write(OpenFile& open, uint64_t offset, const std::byte* data, size_t size,
                     bool dsync) {
  if (!open.options.write) return -EBADF;
  if (const int error = write_fault_.Strike(open.file->path)) return -error;
  const size_t room = disk_.Room(*open.file, offset, size);
  if (room == 0) return -ENOSPC;
  const std::shared_ptr<SimFile> file = open.file;  // `open` goes with the power
  const bool durable = dsync || open.options.dsync;
  const Step step = Cross();
  if (step == Step::kNothing) return -EIO;
  if (step == Step::kTear) {
    disk_.WriteTorn(*file, offset, data, room);
    file->durable_bytes = file->content.size();
  } else {
    disk_.Write(*file, offset, data, room, durable);
  }
  if (step != Step::kDo) CutPower();
  return powered_ ? static_cast<int32_t>(room) : -EIO;
}

int32_t SimIo::SyncFile(OpenFile& open, uint64_t sequence) {
  const std::shared_ptr<SimFile> file = open.file;
  if (const int error = sync_fault_.Strike(file->path)) {
    disk_.LoseUnsynced(*file);
    return -error;
  }
  const Step step = Cross();
  if (step == Step::kDo || step == Step::kDoAndDie) disk_.Sync(*file, sequence);
  if (step == Step::kTear || step == Step::kDoAndDie) CutPower();
  return powered_ ? 0 : -EIO;
}

void SimIo::Submit(IoRequest& request) {
  if (!powered_ || Get(request.handle) == nullptr) {
    orphans_.push_back(&request);
    return;
  }
  pending_.push_back({.request = &request, .id = next_id_++, .sequence = disk_.write_sequence()});
}

int32_t SimIo::Execute(const Pending& pending) {
  const IoRequest& request = *pending.request;
  OpenFile& open = *Get(request.handle);
  size_t size = request.size;
  const auto shorten = [&](uint32_t percent) {
    if (size > kTearBytes && disk_.Random(100) < percent) {
      size = (1 + disk_.Random(size / kTearBytes - 1)) * kTearBytes;
    }
  };
  switch (request.op) {
    case IoOp::kRead: {
      if (Misaligned(open.options, request.offset, request.data, size)) return -EINVAL;
      shorten(options_.short_read_percent);
      return Read(open, request.offset, request.data, size);
    }
    case IoOp::kWrite: {
      if (Misaligned(open.options, request.offset, request.data, size)) return -EINVAL;
      shorten(options_.short_write_percent);
      return Write(open, request.offset, request.data, size, request.dsync);
    }
    case IoOp::kSync:
      return SyncFile(open, pending.sequence);
    default:
      return -ENOTSUP;
  }
}

// Completes one request, if it is still under way.
size_t SimIo::Complete(uint64_t id) {
  const auto it = std::find_if(pending_.begin(), pending_.end(),
                               [id](const Pending& pending) { return pending.id == id; });
  if (it == pending_.end()) return 0;
  const Pending pending = *it;
  pending_.erase(it);
  IoRequest& request = *pending.request;
  request.result = Execute(pending);
  request.complete(request);
  return 1;
}

size_t SimIo::Poll(int64_t wait_us) {
  std::vector<uint64_t> due;
  for (const Pending& pending : pending_) {
    if (disk_.Random(100) >= options_.late_percent) due.push_back(pending.id);
  }
  if (due.empty() && wait_us != 0 && !pending_.empty()) {
    due.push_back(pending_[disk_.Random(pending_.size())].id);
  }
  for (size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[disk_.Random(i)]);
  size_t completed = 0;
  for (const uint64_t id : due) completed += Complete(id);
  for (IoRequest* request : std::exchange(orphans_, {})) {
    request->result = -ECANCELED;
    request->complete(*request);
    ++completed;
  }
  return completed;
}

}  // namespace tallystick::sim
