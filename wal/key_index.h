// The key index of one segment: its header, what of it is in memory, and the checks of its pages.

#ifndef TALLYSTICK_WAL_KEY_INDEX_H_
#define TALLYSTICK_WAL_KEY_INDEX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "wal/format.h"
#include "wal/io.h"
#include "wal/key_index_format.h"
#include "wal/key_index_layout.h"

namespace tallystick::wal {

class KeyIndex {
 public:
  // What an index must be of. Absent: anybody's.
  struct Whose {
    std::optional<LogIdentity> identity = std::nullopt;
    std::optional<Id128> last_hash = std::nullopt;  // of the header of the segment's last block
  };

  // What may be in memory; the families' leaves never are. By use: the tables (fences and blocks: a
  // page read less for each lookup) take 0.1 to 0.3 bytes a record, the filters 3.
  enum class Part : uint8_t { kTables, kFilters };
  static constexpr size_t kParts = 2;

  // Reads the first page: 4 KiB and the header are held. NotFound: no such file. DataLoss: damaged.
  // InvalidArgument: of another ledger, shard or segment, of another segment's bytes, or of an
  // older format version. FailedPrecondition: of a newer one. Whatever it is but the last: build it
  // anew.
  static absl::StatusOr<std::unique_ptr<KeyIndex>> Open(Io& io, const std::string& directory,
                                                        uint64_t segment, const Whose& whose);

  const std::string& path() const { return path_; }
  const IndexHeader& header() const;
  const IndexLayout& layout() const { return layout_; }
  absl::Span<const uint64_t> Root(const IndexTree& tree) const;

  // Reads a part into memory, and checks its pages; blocks. May be called on any thread, with its
  // Io, before others have the index.
  absl::Status Load(Io& io, Part part);
  void Drop(Part part) { Held(part).reset(); }
  bool loaded(Part part) const { return parts_[static_cast<size_t>(part)] != nullptr; }
  size_t SizeBytes(Part part) const;
  size_t LoadedBytes() const;  // of both parts

  // nullptr: not in memory.
  const IndexPage* InMemory(uint32_t number) const;
  // DataLoss unless it is this index's sound page of that number.
  absl::Status Check(const IndexPage& page, uint32_t number) const;

  // Reads all pages, and checks them and that words ascend; blocks. DataLoss: it is damaged.
  absl::Status Verify(Io& io) const;

 private:
  struct Free {
    void operator()(IndexPage* pages) const;
  };
  using Pages = std::unique_ptr<IndexPage[], Free>;

  explicit KeyIndex(std::string path) : path_(std::move(path)) {}
  static Pages Allocate(uint32_t pages);
  absl::Status ReadFirst(Io& io, uint64_t segment, const Whose& whose);
  // From page `first` on; checked.
  absl::Status Read(Io& io, Handle handle, uint32_t first, absl::Span<IndexPage> pages) const;
  absl::Status VerifyTree(const IndexTree& tree, absl::Span<const IndexPage> leaves,
                          uint32_t first_leaf, uint64_t* last) const;
  absl::Status Damaged(uint32_t page, absl::string_view cause) const;
  Pages& Held(Part part) { return parts_[static_cast<size_t>(part)]; }
  uint32_t FirstPage(Part part) const;
  uint32_t EndPage(Part part) const;

  const std::string path_;
  Pages first_;
  IndexLayout layout_;
  std::array<Pages, kParts> parts_;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_H_
