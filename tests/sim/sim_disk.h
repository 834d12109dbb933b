// A disk in memory that knows what would survive a loss of power.

#ifndef TALLYSTICK_TESTS_SIM_SIM_DISK_H_
#define TALLYSTICK_TESTS_SIM_SIM_DISK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace tallystick::sim {

// What a power cut may tear: a device writes units of this size whole or not at all.
inline constexpr size_t kTearBytes = 512;

// A write that the caller was told of, but that no sync has covered. Such writes of one file never
// overlap: one that would, makes the older one durable first.
struct UnsyncedWrite {
  uint64_t sequence = 0;
  uint64_t offset = 0;
  std::vector<std::byte> before;
  std::vector<std::byte> after;
  bool lost = false;  // a failed sync has dropped it: only the page cache still has it
};

struct SimFile {
  std::string path;
  std::vector<std::byte> content;  // what a reader sees
  uint64_t durable_bytes = 0;      // the length that survives
  bool entry_durable = false;      // the name in the directory survives
  std::vector<UnsyncedWrite> unsynced;
  std::optional<std::vector<std::byte>> before_resize;  // a length set and not yet synced
  std::vector<bool> allocated;                          // per sector
};

class SimDisk {
 public:
  explicit SimDisk(uint64_t seed) : random_(seed) {}

  // Nothing for a path that is not there.
  std::shared_ptr<SimFile> Find(const std::string& path) const;
  std::shared_ptr<SimFile> Create(const std::string& path);
  void Rename(const std::string& from, const std::string& to);
  void Remove(const std::string& path);
  void SyncDirectory(const std::string& path);
  bool IsDirectory(const std::string& path) const { return directories_.count(path) > 0; }
  void MakeDirectory(const std::string& path);
  std::vector<std::string> List(const std::string& directory) const;

  // How many bytes of a write the disk has room for.
  size_t Room(const SimFile& file, uint64_t offset, size_t size) const;
  uint64_t FreeBytes() const;
  void SetLimitBytes(uint64_t bytes) { limit_bytes_ = bytes; }

  void Write(SimFile& file, uint64_t offset, const std::byte* data, size_t size, bool durable);
  // Lets a part of the write land, durably, as a power cut may: none, some or all of its units.
  void WriteTorn(SimFile& file, uint64_t offset, const std::byte* data, size_t size);
  void Resize(SimFile& file, uint64_t size);
  uint64_t write_sequence() const { return sequence_; }
  // Makes the file's writes up to `sequence` durable.
  void Sync(SimFile& file, uint64_t sequence);
  // A sync that fails: what it covered may be lost, though it is still seen.
  void LoseUnsynced(SimFile& file);

  // What was never synced is kept, torn or forgotten, in any order.
  void LosePower();

  // A number below `bound`.
  uint64_t Random(uint64_t bound) { return random_() % bound; }

 private:
  uint64_t UsedBytes() const;
  void Store(SimFile& file, uint64_t offset, const std::byte* data, size_t size);
  void LosePower(SimFile& file);

  std::mt19937_64 random_;
  std::map<std::string, std::shared_ptr<SimFile>> files_;
  std::set<std::string> directories_;
  uint64_t limit_bytes_ = UINT64_MAX;
  uint64_t sequence_ = 0;
};

}  // namespace tallystick::sim

#endif  // TALLYSTICK_TESTS_SIM_SIM_DISK_H_
