// Where everything is in a key index: it follows from the counts of its header.

#ifndef TALLYSTICK_WAL_KEY_INDEX_LAYOUT_H_
#define TALLYSTICK_WAL_KEY_INDEX_LAYOUT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "wal/key_index_format.h"

namespace tallystick::wal {

// A tree of ascending words in pages: its leaves; the first word of each leaf page, in fence pages;
// the first word of each fence page, in page 0.
struct IndexTree {
  uint32_t words = 0;
  uint32_t leaf_pages = 0;
  uint32_t fence_pages = 0;
  uint32_t first_leaf = 0;   // a page's number
  uint32_t first_fence = 0;  // a page's number
  uint32_t first_root = 0;   // among the words behind the header in page 0

  // How many words a leaf or fence page has. REQUIRES: it is one of the tree's.
  constexpr uint32_t LeafWords(uint32_t leaf) const {
    return std::min(kPageWords, words - leaf * kPageWords);
  }
  constexpr uint32_t FenceWords(uint32_t fence) const {
    return std::min(kPageWords, leaf_pages - fence * kPageWords);
  }
};

inline constexpr size_t kBlockTree = 0;  // a family's is the one behind, by its number
inline constexpr size_t kIndexTrees = 1 + kKeyFamilies;

// In numbers of pages.
struct IndexLayout {
  std::array<IndexTree, kIndexTrees> trees;
  std::array<uint32_t, kKeyFamilies> first_filter_page{};
  uint32_t tables_end = 0;   // pages 1 to here: fences, and the blocks' leaves
  uint32_t filters_end = 0;  // from there to here: filters; then the families' leaves
  uint32_t pages = 0;
};

constexpr uint32_t PagesFor(uint32_t items, uint32_t in_page) {
  return items / in_page + (items % in_page != 0 ? 1 : 0);
}

constexpr IndexLayout LayoutOf(const IndexHeader& header) {
  IndexLayout layout;
  layout.trees[kBlockTree].words = header.blocks;
  for (size_t f = 0; f < kKeyFamilies; ++f) layout.trees[1 + f].words = header.families[f].entries;
  uint32_t page = 1;
  uint32_t root = 0;
  for (IndexTree& tree : layout.trees) {
    tree.leaf_pages = PagesFor(tree.words, kPageWords);
    tree.fence_pages = PagesFor(tree.leaf_pages, kPageWords);
    tree.first_fence = page;
    tree.first_root = root;
    page += tree.fence_pages;
    root += tree.fence_pages;
  }
  layout.trees[kBlockTree].first_leaf = page;
  page += layout.trees[kBlockTree].leaf_pages;
  layout.tables_end = page;
  for (size_t f = 0; f < kKeyFamilies; ++f) {
    layout.first_filter_page[f] = page;
    page += PagesFor(header.families[f].lines, kPageLines);
  }
  layout.filters_end = page;
  for (size_t f = 0; f < kKeyFamilies; ++f) {
    layout.trees[1 + f].first_leaf = page;
    page += layout.trees[1 + f].leaf_pages;
  }
  layout.pages = page;
  return layout;
}

// All roots of the largest index fit into page 0.
constexpr uint32_t MostRoots(uint64_t words) {
  return PagesFor(PagesFor(static_cast<uint32_t>(words), kPageWords), kPageWords);
}
inline constexpr uint64_t kMaxIndexedBlocks = kMaxSegmentBytes / kSectorBytes;
inline constexpr uint32_t kMaxRoots =
    MostRoots(kMaxIndexedBlocks) + kKeyFamilies * MostRoots(kMaxIndexedSlots);
static_assert(sizeof(IndexHeader) + kMaxRoots * sizeof(uint64_t) <= sizeof(IndexPage::content));

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_KEY_INDEX_LAYOUT_H_
