#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wal/check.h"
#include "wal/io.h"

namespace tallystick::sim {
namespace {

using wal::kSectorBytes;

std::string Parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

std::shared_ptr<SimFile> SimDisk::Find(const std::string& path) const {
  const auto it = files_.find(path);
  return it == files_.end() ? nullptr : it->second;
}

std::shared_ptr<SimFile> SimDisk::Create(const std::string& path) {
  auto file = std::make_shared<SimFile>();
  file->path = path;
  files_[path] = file;
  return file;
}

void SimDisk::Rename(const std::string& from, const std::string& to) {
  std::shared_ptr<SimFile> file = Find(from);
  files_.erase(from);
  file->path = to;
  files_[to] = std::move(file);
  SyncDirectory(Parent(to));
}

void SimDisk::Remove(const std::string& path) {
  files_.erase(path);
  SyncDirectory(Parent(path));
}

void SimDisk::SyncDirectory(const std::string& path) {
  for (auto& [name, file] : files_) {
    if (Parent(name) == path) file->entry_durable = true;
  }
}

void SimDisk::MakeDirectory(const std::string& path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    directories_.insert(path.substr(0, end));
  }
  directories_.insert(path);
}

std::vector<std::string> SimDisk::List(const std::string& directory) const {
  std::vector<std::string> names;
  for (const auto& [path, file] : files_) {
    if (Parent(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

uint64_t SimDisk::UsedBytes() const {
  uint64_t used_bytes = 0;
  for (const auto& [path, file] : files_) {
    used_bytes +=
        static_cast<uint64_t>(std::count(file->allocated.begin(), file->allocated.end(), true)) *
        kSectorBytes;
  }
  return used_bytes;
}

uint64_t SimDisk::FreeBytes() const {
  if (limit_bytes_ == UINT64_MAX) return UINT64_MAX;
  return limit_bytes_ - std::min(limit_bytes_, UsedBytes());
}

size_t SimDisk::Room(const SimFile& file, uint64_t offset, size_t size) const {
  if (limit_bytes_ == UINT64_MAX) return size;
  uint64_t used_bytes = UsedBytes();
  for (uint64_t at = offset; at < offset + size; at += kSectorBytes - at % kSectorBytes) {
    const size_t sector = at / kSectorBytes;
    if (sector < file.allocated.size() && file.allocated[sector]) continue;
    used_bytes += kSectorBytes;
    if (used_bytes > limit_bytes_) return at - offset;
  }
  return size;
}

void SimDisk::Store(SimFile& file, uint64_t offset, const std::byte* data, size_t size) {
  if (size == 0) return;
  if (file.content.size() < offset + size) file.content.resize(offset + size);
  std::memcpy(file.content.data() + offset, data, size);
  const size_t last_sector = (offset + size - 1) / kSectorBytes;
  if (file.allocated.size() <= last_sector) file.allocated.resize(last_sector + 1);
  for (size_t i = offset / kSectorBytes; i <= last_sector; ++i) file.allocated[i] = true;
}

void SimDisk::Write(SimFile& file, uint64_t offset, const std::byte* data, size_t size,
                    bool durable) {
  ++sequence_;
  for (auto it = file.unsynced.begin(); it != file.unsynced.end();) {
    const uint64_t end = it->offset + it->after.size();
    const bool overlaps = it->offset < offset + size && offset < end;
    if (overlaps) file.durable_bytes = std::max(file.durable_bytes, end);
    it = overlaps ? file.unsynced.erase(it) : std::next(it);
  }
  if (durable) {
    file.durable_bytes = std::max(file.durable_bytes, offset + size);
    return Store(file, offset, data, size);
  }
  UnsyncedWrite write;
  write.sequence = sequence_;
  write.offset = offset;
  write.before.resize(size);
  if (offset < file.content.size()) {
    std::memcpy(write.before.data(), file.content.data() + offset,
                std::min<uint64_t>(size, file.content.size() - offset));
  }
  write.after.assign(data, data + size);
  Store(file, offset, data, size);
  file.unsynced.push_back(std::move(write));
}

void SimDisk::WriteTorn(SimFile& file, uint64_t offset, const std::byte* data, size_t size) {
  const size_t units = (size + kTearBytes - 1) / kTearBytes;
  const uint64_t shape = Random(5);  // nothing, all, a front, an end, any units
  if (shape == 0) return;
  const size_t edge = Random(units + 1);
  for (size_t unit = 0; unit < units; ++unit) {
    if (shape == 2 && unit >= edge) continue;
    if (shape == 3 && unit < edge) continue;
    if (shape == 4 && Random(2) == 0) continue;
    const size_t from = unit * kTearBytes;
    Store(file, offset + from, data + from, std::min(kTearBytes, size - from));
  }
}

void SimDisk::Resize(SimFile& file, uint64_t size) {
  if (!file.before_resize.has_value()) file.before_resize = file.content;
  file.content.resize(size);
  if (file.allocated.size() * kSectorBytes > size) file.allocated.resize(size / kSectorBytes);
}

void SimDisk::Sync(SimFile& file, uint64_t sequence) {
  file.before_resize.reset();
  file.durable_bytes = file.content.size();
  auto& unsynced = file.unsynced;
  unsynced.erase(std::remove_if(unsynced.begin(), unsynced.end(),
                                [&](const UnsyncedWrite& write) {
                                  return !write.lost && write.sequence <= sequence;
                                }),
                 unsynced.end());
}

void SimDisk::LoseUnsynced(SimFile& file) {
  for (UnsyncedWrite& write : file.unsynced) write.lost = write.lost || Random(2) == 0;
}

void SimDisk::LosePower() {
  for (auto it = files_.begin(); it != files_.end();) {
    LosePower(*it->second);
    const bool forgotten = !it->second->entry_durable && Random(2) == 0;
    it->second->entry_durable = true;
    it = forgotten ? files_.erase(it) : std::next(it);
  }
}

void SimDisk::LosePower(SimFile& file) {
  if (file.before_resize.has_value() && Random(2) == 0) {
    file.content = *file.before_resize;
    file.durable_bytes = file.content.size();
  }
  file.before_resize.reset();
  for (const UnsyncedWrite& write : file.unsynced) {
    if (write.offset >= file.content.size()) continue;
    std::memcpy(file.content.data() + write.offset, write.before.data(),
                std::min<uint64_t>(write.before.size(), file.content.size() - write.offset));
  }
  if (file.content.size() > file.durable_bytes) file.content.resize(file.durable_bytes);
  std::shuffle(file.unsynced.begin(), file.unsynced.end(), random_);
  for (const UnsyncedWrite& write : file.unsynced) {
    if (!write.lost) WriteTorn(file, write.offset, write.after.data(), write.after.size());
  }
  file.unsynced.clear();
  file.durable_bytes = file.content.size();
}

}  // namespace tallystick::sim
