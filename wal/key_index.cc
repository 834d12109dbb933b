#include "wal/key_index.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/key_index_files.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};
// Read at once, where many pages are.
constexpr uint32_t kPortionPages = 256;

// Closes it at the end of a scope.
class OpenedFile {
 public:
  OpenedFile(Io& io, const std::string& path) : io_(io), handle_(io.Open(path, {.direct = true})) {}
  ~OpenedFile() {
    if (handle_.ok()) io_.Close(*handle_);
  }
  OpenedFile(const OpenedFile&) = delete;
  OpenedFile& operator=(const OpenedFile&) = delete;
  absl::Status status() const { return handle_.status(); }
  Handle handle() const { return *handle_; }

 private:
  Io& io_;
  const absl::StatusOr<Handle> handle_;
};

bool SameIdentity(const IndexHeader& header, const LogIdentity& identity) {
  return header.ledger_id == identity.ledger_id && header.shard == identity.shard &&
         header.shard_count == identity.shard_count;
}

// What the rest of the code relies on.
bool IsSane(const IndexHeader& header) {
  return header.blocks >= 1 && header.blocks <= kMaxIndexedBlocks && header.first_position >= 1 &&
         header.next_position > header.first_position &&
         header.next_position - header.first_position <= kMaxIndexedSlots &&
         std::all_of(header.families.begin(), header.families.end(), [](const IndexedFamily& f) {
           return f.entries <= kMaxIndexedSlots && f.lines <= f.entries &&
                  (f.lines == 0) == (f.entries == 0);
         });
}

}  // namespace

void KeyIndex::Free::operator()(IndexPage* pages) const { operator delete[](pages, kAlignment); }

KeyIndex::Pages KeyIndex::Allocate(uint32_t pages) {
  return Pages(static_cast<IndexPage*>(operator new[](pages * sizeof(IndexPage), kAlignment)));
}

const IndexHeader& KeyIndex::header() const {
  return *reinterpret_cast<const IndexHeader*>(first_[0].content);
}

absl::Span<const uint64_t> KeyIndex::Root(const IndexTree& tree) const {
  const auto* words = reinterpret_cast<const uint64_t*>(first_[0].content + sizeof(IndexHeader));
  return {words + tree.first_root, tree.fence_pages};
}

absl::Status KeyIndex::Damaged(uint32_t page, absl::string_view cause) const {
  return absl::DataLossError(absl::StrCat(path_, ": offset ", uint64_t{page} * sizeof(IndexPage),
                                          ": the index is damaged: ", cause,
                                          ": build it anew from its segment"));
}

absl::Status KeyIndex::Check(const IndexPage& page, uint32_t number) const {
  if (page.crc != PageCrc(page)) return Damaged(number, "the page's checksum is wrong");
  if (page.number != number || page.binding != header().last_hash.low) {
    return Damaged(number, "the page belongs elsewhere");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<KeyIndex>> KeyIndex::Open(Io& io, const std::string& directory,
                                                         uint64_t segment, const Whose& whose) {
  std::unique_ptr<KeyIndex> index(new KeyIndex(KeyIndexPath(directory, segment)));
  if (absl::Status read = index->ReadFirst(io, segment, whose); !read.ok()) return read;
  return index;
}

absl::Status KeyIndex::ReadFirst(Io& io, uint64_t segment, const Whose& whose) {
  const OpenedFile file(io, path_);
  if (!file.status().ok()) return file.status();
  first_ = Allocate(1);
  const absl::StatusOr<size_t> got =
      io.ReadAt(file.handle(), 0, reinterpret_cast<std::byte*>(first_.get()), sizeof(IndexPage));
  if (!got.ok()) return got.status();
  if (*got < sizeof(IndexPage)) return Damaged(0, "the file ends here");
  if (header().magic != kIndexMagic) return Damaged(0, "no index begins here");
  if (first_[0].crc != PageCrc(first_[0])) return Damaged(0, "the page's checksum is wrong");
  if (header().format_version < kIndexVersion) {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": index format version ",
                                                   header().format_version,
                                                   "; this program writes ", kIndexVersion));
  }
  if (header().format_version > kIndexVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": index format version ", header().format_version,
                     "; this program reads ", kIndexVersion, ": use the program that wrote it"));
  }
  if (absl::Status checked = Check(first_[0], 0); !checked.ok()) return checked;
  if ((whose.identity.has_value() && !SameIdentity(header(), *whose.identity)) ||
      header().segment != segment) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": the index is of another ledger, shard or segment"));
  }
  if (whose.last_hash.has_value() && header().last_hash != *whose.last_hash) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": the index is of a segment ", segment, " with other blocks"));
  }
  if (!IsSane(header())) return Damaged(0, "its counts are impossible");
  layout_ = LayoutOf(header());
  const absl::StatusOr<uint64_t> size = io.Size(file.handle());
  if (!size.ok()) return size.status();
  const auto end =
      static_cast<uint32_t>(std::min<uint64_t>(*size / sizeof(IndexPage), layout_.pages));
  if (*size != uint64_t{layout_.pages} * sizeof(IndexPage)) {
    return Damaged(end, "the file's size is another than its header says");
  }
  return absl::OkStatus();
}

absl::Status KeyIndex::Read(Io& io, Handle handle, uint32_t first,
                            absl::Span<IndexPage> pages) const {
  for (size_t done = 0; done < pages.size();) {
    const absl::Span<IndexPage> portion = pages.subspan(done, kPortionPages);
    const auto number = static_cast<uint32_t>(first + done);
    const size_t bytes = portion.size() * sizeof(IndexPage);
    const absl::StatusOr<size_t> got =
        io.ReadAt(handle, uint64_t{number} * sizeof(IndexPage),
                  reinterpret_cast<std::byte*>(portion.data()), bytes);
    if (!got.ok()) return got.status();
    if (*got < bytes) {
      return Damaged(static_cast<uint32_t>(number + *got / sizeof(IndexPage)),
                     "the file ends here");
    }
    for (uint32_t i = 0; i < portion.size(); ++i) {
      if (absl::Status checked = Check(portion[i], number + i); !checked.ok()) return checked;
    }
    done += portion.size();
  }
  return absl::OkStatus();
}

uint32_t KeyIndex::FirstPage(Part part) const {
  return part == Part::kTables ? 1 : layout_.tables_end;
}

uint32_t KeyIndex::EndPage(Part part) const {
  return part == Part::kTables ? layout_.tables_end : layout_.filters_end;
}

size_t KeyIndex::SizeBytes(Part part) const {
  return (EndPage(part) - FirstPage(part)) * sizeof(IndexPage);
}

size_t KeyIndex::LoadedBytes() const {
  size_t bytes = 0;
  for (const Part part : {Part::kTables, Part::kFilters}) {
    if (loaded(part)) bytes += SizeBytes(part);
  }
  return bytes;
}

absl::Status KeyIndex::Load(Io& io, Part part) {
  const OpenedFile file(io, path_);
  if (!file.status().ok()) return file.status();
  const uint32_t first = FirstPage(part);
  const uint32_t count = EndPage(part) - first;
  Pages pages = Allocate(count);
  if (absl::Status read = Read(io, file.handle(), first, {pages.get(), count}); !read.ok()) {
    return read;
  }
  Held(part) = std::move(pages);
  return absl::OkStatus();
}

const IndexPage* KeyIndex::InMemory(uint32_t number) const {
  for (const Part part : {Part::kTables, Part::kFilters}) {
    if (loaded(part) && number >= FirstPage(part) && number < EndPage(part)) {
      return &parts_[static_cast<size_t>(part)][number - FirstPage(part)];
    }
  }
  return nullptr;
}

absl::Status KeyIndex::VerifyTree(const IndexTree& tree, absl::Span<const IndexPage> leaves,
                                  uint32_t first_leaf, uint64_t* last) const {
  for (uint32_t i = 0; i < leaves.size(); ++i) {
    const auto* words = reinterpret_cast<const uint64_t*>(leaves[i].content);
    for (uint32_t w = 0; w < tree.LeafWords(first_leaf + i); ++w) {
      const bool is_first = first_leaf + i == 0 && w == 0;
      if (!is_first && words[w] < *last) {
        return Damaged(leaves[i].number, "its words are not in order");
      }
      *last = words[w];
    }
  }
  return absl::OkStatus();
}

absl::Status KeyIndex::Verify(Io& io) const {
  const OpenedFile file(io, path_);
  if (!file.status().ok()) return file.status();
  const Pages pages = Allocate(kPortionPages);
  const auto read = [&](uint32_t first, uint32_t end, const IndexTree* tree) {
    uint64_t last = 0;
    absl::Status status;
    for (uint32_t at = first; status.ok() && at < end;) {
      const absl::Span<IndexPage> portion(pages.get(), std::min(kPortionPages, end - at));
      status = Read(io, file.handle(), at, portion);
      if (status.ok() && tree != nullptr) status = VerifyTree(*tree, portion, at - first, &last);
      at += static_cast<uint32_t>(portion.size());
    }
    return status;
  };
  absl::Status status = read(0, layout_.filters_end, nullptr);
  for (const IndexTree& tree : layout_.trees) {
    if (status.ok()) status = read(tree.first_leaf, tree.first_leaf + tree.leaf_pages, &tree);
  }
  return status;
}

}  // namespace tallystick::wal
