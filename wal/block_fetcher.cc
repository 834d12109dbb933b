#include "wal/block_fetcher.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "wal/aligned_bytes.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/missing_segment.h"
#include "wal/segment_source.h"

namespace tallystick::wal {
namespace {

// Read first: what the index leaves open. Most blocks are smaller.
constexpr size_t kFirstReadBytes = LogIndex::kGranuleBytes;

}  // namespace

struct BlockFetcher::State {
  struct Cached {
    uint64_t segment = 0;
    uint64_t offset = 0;
    BlockHeader header{};
    std::vector<Slot> slots;

    bool Holds(uint64_t position) const {
      return position >= header.first_position && position - header.first_position < header.count;
    }
    BlockView View() const {
      return {.header = &header, .slots = slots, .segment = segment, .offset = offset};
    }
  };

  State(Io& io_in, const LogFolders& folders_in, LogIndex& index_in, size_t cache_blocks_in)
      : io(io_in),
        folders(folders_in),
        index(index_in),
        cache_blocks(std::max<size_t>(cache_blocks_in, 1)),
        source(io, folders),
        buffer(kMaxBlockBytes) {}

  absl::Status Start(uint64_t wanted);
  void Read(uint64_t from, size_t wanted_bytes);
  void OnRead(const absl::StatusOr<size_t>& got);
  void Advance();
  void GiveUp(const absl::Status& failure);
  void Keep(const BlockHeader& header);
  void Finish(absl::StatusOr<BlockView> result);
  absl::Status Damaged(const char* cause) const;

  Io& io;
  const LogFolders folders;
  LogIndex& index;
  const size_t cache_blocks;
  std::list<Cached> cache;  // the latest first

  SegmentSource source;
  AlignedBytes buffer;

  // The fetch under way.
  bool busy = false;
  Callback callback;
  uint64_t position = 0;
  uint64_t offset = 0;          // of the block looked at
  uint64_t first_position = 0;  // that it must have
  size_t held_bytes = 0;        // of it and what follows, in the buffer
  size_t wanted_bytes = 0;
  bool reopened = false;
};

absl::Status BlockFetcher::State::Damaged(const char* cause) const {
  return absl::DataLossError(absl::StrCat(source.path(), ": offset ", offset,
                                          ": the block of position ", first_position,
                                          " is damaged: ", cause));
}

absl::Status BlockFetcher::State::Start(uint64_t wanted) {
  const std::optional<LogIndex::Place> place = index.Find(wanted);
  if (!place.has_value()) return MissingBefore(io, folders, index.first_segment());
  if (place->segment != source.segment()) {
    if (absl::Status opened = source.Open(place->segment); !opened.ok()) return opened;
  }
  position = wanted;
  first_position = place->first_position;
  Read(place->offset, kFirstReadBytes);
  return absl::OkStatus();
}

// Fills the buffer with what begins at `from`.
void BlockFetcher::State::Read(uint64_t from, size_t bytes) {
  offset = from;
  wanted_bytes = bytes;
  source.Read(
      from, buffer.data(), bytes,
      [](void* owner, const absl::StatusOr<size_t>& got) {
        static_cast<State*>(owner)->OnRead(got);
      },
      this);
}

void BlockFetcher::State::OnRead(const absl::StatusOr<size_t>& got) {
  if (!got.ok()) return Finish(got.status());
  held_bytes = *got / kSectorBytes * kSectorBytes;
  Advance();
}

// What was opened as a plain file may have gone into the archive since, and been written over: then
// the fetch begins again, once.
void BlockFetcher::State::GiveUp(const absl::Status& failure) {
  if (source.archived() || std::exchange(reopened, true)) return Finish(failure);
  source.Close();
  if (absl::Status started = Start(position); !started.ok()) Finish(started);
}

// Walks from block to block through what was read.
void BlockFetcher::State::Advance() {
  const std::byte* block = buffer.data();
  for (size_t left = held_bytes;;) {
    if (left < sizeof(BlockHeader)) {
      // The first block of a read is whole or the file ends inside it.
      if (block == buffer.data()) return GiveUp(Damaged("the segment ends here"));
      return Read(offset, kFirstReadBytes);
    }
    const auto& header = *reinterpret_cast<const BlockHeader*>(block);
    if (const char* wrong = HeaderFault(header)) return GiveUp(Damaged(wrong));
    if (header.segment != source.segment() || header.first_position != first_position) {
      return GiveUp(Damaged("the block belongs elsewhere"));
    }
    index.Learn(source.segment(), offset, first_position);
    if (position - first_position < header.count) {
      if (left < header.bytes) {
        if (wanted_bytes >= header.bytes && block == buffer.data()) {
          return GiveUp(Damaged("the segment ends inside it"));
        }
        return Read(offset, header.bytes);
      }
      if (!BodyMatches(header, block)) return GiveUp(Damaged("the body's checksum is wrong"));
      std::memmove(buffer.data(), block, header.bytes);
      Keep(*reinterpret_cast<const BlockHeader*>(buffer.data()));
      return Finish(cache.front().View());
    }
    first_position += header.count;
    offset += header.bytes;
    if (header.bytes >= left) return Read(offset, kFirstReadBytes);
    block += header.bytes;
    left -= header.bytes;
  }
}

// Copies the block at the front of the buffer into the cache, in the place of the oldest.
void BlockFetcher::State::Keep(const BlockHeader& header) {
  if (cache.size() < cache_blocks) {
    cache.emplace_front();
  } else {
    cache.splice(cache.begin(), cache, std::prev(cache.end()));
  }
  Cached& kept = cache.front();
  kept.segment = source.segment();
  kept.offset = offset;
  kept.header = header;
  const auto* slots = reinterpret_cast<const Slot*>(buffer.data() + sizeof(BlockHeader));
  kept.slots.assign(slots, slots + header.count);
}

void BlockFetcher::State::Finish(absl::StatusOr<BlockView> result) {
  busy = false;
  const Callback done = std::exchange(callback, nullptr);
  done(std::move(result));
}

BlockFetcher::BlockFetcher(Io& io, const LogFolders& folders, LogIndex& index, size_t cache_blocks)
    : state_(std::make_unique<State>(io, folders, index, cache_blocks)) {}

BlockFetcher::~BlockFetcher() { TALLYSTICK_CHECK(!state_->busy); }

void BlockFetcher::Fetch(uint64_t position, Callback callback) {
  State& s = *state_;
  TALLYSTICK_CHECK(!s.busy);
  for (auto it = s.cache.begin(); it != s.cache.end(); ++it) {
    if (!it->Holds(position)) continue;
    s.cache.splice(s.cache.begin(), s.cache, it);
    return callback(it->View());
  }
  s.busy = true;
  s.reopened = false;
  s.callback = std::move(callback);
  absl::Status started = s.Start(position);
  if (!started.ok()) s.Finish(started);
}

bool BlockFetcher::busy() const { return state_->busy; }

}  // namespace tallystick::wal
