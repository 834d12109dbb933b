#include "wal/block_fetcher.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};

struct FreeAligned {
  void operator()(std::byte* data) const { operator delete[](data, kAlignment); }
};

// Read first: what the index leaves open. Most blocks are smaller.
constexpr size_t kFirstReadBytes = LogIndex::kGranuleBytes;

constexpr uint32_t kMaxStalls = 16;

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

  State(Io& io_in, std::string directory_in, LogIndex& index_in, size_t cache_blocks_in)
      : io(io_in),
        directory(std::move(directory_in)),
        index(index_in),
        cache_blocks(std::max<size_t>(cache_blocks_in, 1)),
        buffer(static_cast<std::byte*>(operator new[](kMaxBlockBytes, kAlignment))) {}

  absl::Status Start(uint64_t wanted);
  void Read(uint64_t from, size_t wanted_bytes);
  void OnRead();
  void Advance();
  void Keep(const BlockHeader& header);
  void Finish(absl::StatusOr<BlockView> result);
  absl::Status Damaged(const char* cause) const;

  Io& io;
  const std::string directory;
  LogIndex& index;
  const size_t cache_blocks;
  std::list<Cached> cache;  // the latest first

  std::unique_ptr<std::byte[], FreeAligned> buffer;
  Handle handle = kNoHandle;
  uint64_t open_segment = 0;

  // The fetch under way.
  bool busy = false;
  Callback callback;
  uint64_t position = 0;
  uint64_t offset = 0;          // of the block looked at
  uint64_t first_position = 0;  // that it must have
  size_t held_bytes = 0;        // of it and what follows, in the buffer
  size_t wanted_bytes = 0;
  uint32_t stalls = 0;  // reads in a row that brought no whole sector
  IoRequest request;
};

absl::Status BlockFetcher::State::Damaged(const char* cause) const {
  return absl::DataLossError(absl::StrCat(FilePath(directory, open_segment, FileKind::kSegment),
                                          ": offset ", offset, ": the block of position ",
                                          first_position, " is damaged: ", cause));
}

absl::Status BlockFetcher::State::Start(uint64_t wanted) {
  const std::optional<LogIndex::Place> place = index.Find(wanted);
  if (!place.has_value()) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": position ", wanted, " lies before the log's first block"));
  }
  if (place->segment != open_segment) {
    if (handle != kNoHandle) io.Close(std::exchange(handle, kNoHandle));
    open_segment = 0;
    absl::StatusOr<Handle> opened =
        io.Open(FilePath(directory, place->segment, FileKind::kSegment), {.direct = true});
    if (!opened.ok()) return opened.status();
    handle = *opened;
    open_segment = place->segment;
  }
  position = wanted;
  first_position = place->first_position;
  Read(place->offset, kFirstReadBytes);
  return absl::OkStatus();
}

// Fills the buffer with what begins at `from`.
void BlockFetcher::State::Read(uint64_t from, size_t bytes) {
  offset = from;
  held_bytes = 0;
  stalls = 0;
  wanted_bytes = bytes;
  request = {.op = IoOp::kRead,
             .handle = handle,
             .data = buffer.get(),
             .size = static_cast<uint32_t>(bytes),
             .offset = from,
             .complete = [](IoRequest& done) { static_cast<State*>(done.owner)->OnRead(); },
             .owner = this};
  io.Submit(request);
}

void BlockFetcher::State::OnRead() {
  if (request.result < 0) {
    return Finish(absl::ErrnoToStatus(
        -request.result, absl::StrCat(FilePath(directory, open_segment, FileKind::kSegment),
                                      ": offset ", offset, ": reading a block failed")));
  }
  const auto got = static_cast<size_t>(request.result);
  // Direct reads go on at whole sectors only. Nothing is the end of the file; so is the part of a
  // sector, if it is all that comes time and again.
  const size_t whole = got / kSectorBytes * kSectorBytes;
  held_bytes += whole;
  stalls = whole == 0 ? stalls + 1 : 0;
  if (got == 0 || stalls == kMaxStalls || held_bytes >= wanted_bytes) return Advance();
  request.data += whole;
  request.offset += whole;
  request.size -= static_cast<uint32_t>(whole);
  io.Submit(request);
}

// Walks from block to block through what was read.
void BlockFetcher::State::Advance() {
  const std::byte* block = buffer.get();
  for (size_t left = held_bytes;;) {
    if (left < sizeof(BlockHeader)) {
      // The first block of a read is whole or the file ends inside it.
      if (block == buffer.get()) return Finish(Damaged("the segment ends here"));
      return Read(offset, kFirstReadBytes);
    }
    const auto& header = *reinterpret_cast<const BlockHeader*>(block);
    if (const char* wrong = HeaderFault(header)) return Finish(Damaged(wrong));
    if (header.segment != open_segment || header.first_position != first_position) {
      return Finish(Damaged("the block belongs elsewhere"));
    }
    index.Learn(open_segment, offset, first_position);
    if (position - first_position < header.count) {
      if (left < header.bytes) {
        if (wanted_bytes >= header.bytes && block == buffer.get()) {
          return Finish(Damaged("the segment ends inside it"));
        }
        return Read(offset, header.bytes);
      }
      if (!BodyMatches(header, block)) return Finish(Damaged("the body's checksum is wrong"));
      std::memmove(buffer.get(), block, header.bytes);
      Keep(*reinterpret_cast<const BlockHeader*>(buffer.get()));
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
  kept.segment = open_segment;
  kept.offset = offset;
  kept.header = header;
  const auto* slots = reinterpret_cast<const Slot*>(buffer.get() + sizeof(BlockHeader));
  kept.slots.assign(slots, slots + header.count);
}

void BlockFetcher::State::Finish(absl::StatusOr<BlockView> result) {
  busy = false;
  const Callback done = std::exchange(callback, nullptr);
  done(std::move(result));
}

BlockFetcher::BlockFetcher(Io& io, std::string directory, LogIndex& index, size_t cache_blocks)
    : state_(std::make_unique<State>(io, std::move(directory), index, cache_blocks)) {}

BlockFetcher::~BlockFetcher() {
  TALLYSTICK_CHECK(!state_->busy);
  if (state_->handle != kNoHandle) state_->io.Close(state_->handle);
}

void BlockFetcher::Fetch(uint64_t position, Callback callback) {
  State& s = *state_;
  TALLYSTICK_CHECK(!s.busy);
  for (auto it = s.cache.begin(); it != s.cache.end(); ++it) {
    if (!it->Holds(position)) continue;
    s.cache.splice(s.cache.begin(), s.cache, it);
    return callback(it->View());
  }
  s.busy = true;
  s.callback = std::move(callback);
  absl::Status started = s.Start(position);
  if (!started.ok()) s.Finish(started);
}

bool BlockFetcher::busy() const { return state_->busy; }

}  // namespace tallystick::wal
