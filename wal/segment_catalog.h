// The segments of a log and what the start block of each says: which goes on where.

#ifndef TALLYSTICK_WAL_SEGMENT_CATALOG_H_
#define TALLYSTICK_WAL_SEGMENT_CATALOG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {

class SegmentCatalog {
 public:
  struct Segment {
    uint64_t number = 0;
    bool plain = false;   // it is read from N.log,
    bool packed = false;  // or else from N.arc
    uint64_t size_bytes = 0;
    // A sound start block, and what it says.
    bool has_start = false;
    BlockHeader start{};
    StartInfo info{};
    // Of an archive that is read: what is behind its last block; size_bytes is where it ends.
    uint64_t next_position = 0;
    Id128 last_hash;
    absl::Status damage;  // of an archive
  };

  // Reads the first block of each segment, or its copy in the archive's head; changes nothing.
  // `identity`: whose log it must be; absent: the first block says. FailedPrecondition: another
  // ledger's, shard's or format version's.
  static absl::StatusOr<SegmentCatalog> Load(Io& io, const LogFolders& folders,
                                             std::optional<LogIdentity> identity);

  const LogFolders& folders() const { return folders_; }
  const LogIdentity& identity() const { return identity_; }
  const std::vector<Segment>& segments() const { return segments_; }  // ascending
  // Whose file exists, be it valid, empty or set aside as "*.cut".
  uint64_t highest_segment() const { return highest_segment_; }

  uint64_t highest_plain() const { return highest_plain_; }  // 0: there is none

  // The segment of that number if it has a sound start.
  const Segment* Find(uint64_t number) const;
  // The segment whose start block says that it goes on exactly behind `at`, of which it looks at
  // segment, offset, next_position, last_hash and epoch; all zeros, and 1: the log's first.
  const Segment* Continuation(const LogPlace& at) const;
  // The segment that `segment` says it goes on from, if it is there and ends so.
  const Segment* Before(const Segment& segment) const;
  // Why the chain begins with `oldest`. OK: it is the log's first, or the archive's limits have
  // removed what was before. NotFound: that is missing. DataLoss: it is there, and damaged.
  // FailedPrecondition: what is there is another history's.
  absl::Status CheckBeginning(const Segment& oldest) const;
  std::string PathOf(uint64_t number) const;

 private:
  SegmentCatalog(Io& io, const LogFolders& folders) : io_(&io), folders_(folders) {}
  absl::Status LoadAll();
  absl::Status LoadStart(SegmentWindow& first_sector, Segment& segment);
  absl::Status LoadArchivedStart(Segment& segment);
  absl::Status TakeIdentity(const BlockHeader& header, const std::string& path);

  Io* io_;
  LogFolders folders_;
  bool identity_known_ = false;
  LogIdentity identity_;
  uint64_t highest_segment_ = 0;
  uint64_t highest_plain_ = 0;
  std::vector<Segment> segments_;
  std::multimap<uint64_t, size_t> continuations_;  // previous segment -> index in segments_
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_CATALOG_H_
