#include "wal/key_index_set.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/check.h"
#include "wal/key_index_files.h"
#include "wal/key_index_probe.h"
#include "wal/open_files.h"

namespace tallystick::wal {
namespace {

constexpr uint32_t kMaxStalls = 16;

// One index that a search has a question to.
struct Part {
  std::shared_ptr<KeyIndex> index;
  KeyIndexProbe probe;
  uint32_t wanted = 0;  // page; 0: it is done
  bool reading = false;

  bool done() const { return wanted == 0; }
  absl::Status Advance(const IndexPage* page) {
    const absl::StatusOr<uint32_t> next = probe.Advance(page);
    if (next.ok()) wanted = *next;
    return next.status();
  }
};

}  // namespace

struct KeyIndexSet::Search {
  // For positions of a key, or for the block of a position.
  KeyQuery query;
  FindCallback found;
  LocateCallback located;
  // Segments from here on have been asked, or need not be.
  uint64_t below_segment = std::numeric_limits<uint64_t>::max();
  std::list<Part> parts;  // the newest segment first
  size_t reading = 0;
  bool opened_all = false;
  KeyMatches matches;
  bool finished = false;

  uint64_t BeforeSlot(const KeyIndex& index) const {
    const uint64_t first = index.header().first_position;
    return std::min(query.before, index.header().next_position) - first;
  }
  // Takes what the newest segments have found. True: it has as much as was asked for, or all.
  absl::StatusOr<bool> Merge();
};

absl::StatusOr<bool> KeyIndexSet::Search::Merge() {
  while (!parts.empty() && parts.front().done()) {
    Part& part = parts.front();
    const KeyIndex& index = *part.index;
    for (const uint32_t slot : part.probe.slots()) {
      if (matches.positions.size() == query.limit) {
        matches.next = matches.positions.back();
        return true;
      }
      matches.positions.push_back(index.header().first_position + slot);
    }
    if (!part.probe.more()) {
      parts.pop_front();
      continue;
    }
    part.probe = KeyIndexProbe::ForKey(index, query.family, query.key, part.probe.slots().back());
    if (absl::Status advanced = part.Advance(nullptr); !advanced.ok()) return advanced;
  }
  const bool is_full = matches.positions.size() == query.limit;
  const bool is_all = parts.empty() && opened_all;
  if (is_full && !is_all) matches.next = matches.positions.back();
  return is_full || is_all;
}

// Pages on their way.
struct KeyIndexSet::Reads {
  struct Read {
    alignas(kSectorBytes) IndexPage page;
    IoRequest request;
    uint32_t stalls = 0;
    std::shared_ptr<Search> search;
    Part* part = nullptr;
    OpenFiles::File* file = nullptr;
    KeyIndexSet* set = nullptr;
  };

  Reads(Io& io_in, std::string directory)
      : io(io_in), files(io, std::move(directory), &KeyIndexPath, kMaxOpenIndexes) {}

  bool room() const { return in_flight < kMaxIndexReads; }
  absl::Status Start(KeyIndexSet* set, const std::shared_ptr<Search>& search, Part& part);
  void OnRead(Read& read);
  // What the page says, or why it could not be read.
  absl::Status Take(Read& read);

  Io& io;
  OpenFiles files;
  std::vector<std::unique_ptr<Read>> all;
  std::vector<Read*> free;
  size_t in_flight = 0;
};

absl::Status KeyIndexSet::Reads::Start(KeyIndexSet* set, const std::shared_ptr<Search>& search,
                                       Part& part) {
  absl::StatusOr<OpenFiles::File*> file = files.Take(part.index->header().segment);
  if (!file.ok()) return file.status();
  if (free.empty()) {
    all.push_back(std::make_unique<Read>());
    free.push_back(all.back().get());
  }
  Read& read = *free.back();
  free.pop_back();
  ++in_flight;
  ++search->reading;
  part.reading = true;
  read.stalls = 0;
  read.search = search;
  read.part = &part;
  read.file = *file;
  read.set = set;
  read.request = {.op = IoOp::kRead,
                  .handle = read.file->handle,
                  .data = reinterpret_cast<std::byte*>(&read.page),
                  .size = sizeof(IndexPage),
                  .offset = uint64_t{part.wanted} * sizeof(IndexPage),
                  .complete =
                      [](IoRequest& request) {
                        auto* done = static_cast<Read*>(request.owner);
                        done->set->reads_->OnRead(*done);
                      },
                  .owner = &read};
  io.Submit(read.request);
  return absl::OkStatus();
}

void KeyIndexSet::Reads::OnRead(Read& read) {
  const bool is_short =
      read.request.result >= 0 && static_cast<uint32_t>(read.request.result) < sizeof(IndexPage);
  if (is_short && ++read.stalls < kMaxStalls) return io.Submit(read.request);
  KeyIndexSet& set = *read.set;
  const std::shared_ptr<Search> search = std::move(read.search);
  const std::shared_ptr<KeyIndex> index = read.part->index;
  --search->reading;
  read.part->reading = false;
  const absl::Status taken = search->finished ? absl::OkStatus() : Take(read);
  files.Give(read.file);
  free.push_back(&read);
  --in_flight;
  if (!taken.ok()) set.Finish(search, set.GiveUp(*index, taken));
  set.Pump();
}

absl::Status KeyIndexSet::Reads::Take(Read& read) {
  const std::string& path = read.part->index->path();
  if (read.request.result < 0) {
    return absl::ErrnoToStatus(
        -read.request.result,
        absl::StrCat(path, ": offset ", read.request.offset, ": reading the index failed"));
  }
  if (static_cast<uint32_t>(read.request.result) < sizeof(IndexPage)) {
    return absl::DataLossError(absl::StrCat(path, ": the file ends at offset ", read.request.offset,
                                            ": build it anew from its segment"));
  }
  return read.part->Advance(&read.page);
}

KeyIndexSet::KeyIndexSet(Io& io, std::string directory, size_t memory_bytes)
    : most_memory_bytes_(memory_bytes),
      io_(io),
      reads_(std::make_unique<Reads>(io, std::move(directory))) {}

KeyIndexSet::~KeyIndexSet() { TALLYSTICK_CHECK(!busy()); }

bool KeyIndexSet::busy() const { return !searches_.empty() || reads_->in_flight > 0; }

KeyIndexSet::Indexes::iterator KeyIndexSet::At(uint64_t segment) {
  return std::lower_bound(indexes_.begin(), indexes_.end(), segment,
                          [](const std::shared_ptr<KeyIndex>& index, uint64_t wanted) {
                            return index->header().segment < wanted;
                          });
}

KeyIndexSet::Indexes::const_iterator KeyIndexSet::Holding(uint64_t position) const {
  const auto at = std::partition_point(indexes_.begin(), indexes_.end(),
                                       [position](const std::shared_ptr<KeyIndex>& index) {
                                         return index->header().next_position <= position;
                                       });
  return at == indexes_.end() || position < (*at)->header().first_position ? indexes_.end() : at;
}

std::optional<IndexHeader> KeyIndexSet::HeaderAt(uint64_t position) const {
  const auto at = Holding(position);
  return at == indexes_.end() ? std::nullopt : std::make_optional((*at)->header());
}

bool KeyIndexSet::Has(uint64_t segment) const {
  return std::any_of(indexes_.begin(), indexes_.end(),
                     [segment](const auto& index) { return index->header().segment == segment; });
}

void KeyIndexSet::Remove(uint64_t segment) {
  const auto at = At(segment);
  if (at == indexes_.end() || (*at)->header().segment != segment) return;
  memory_bytes_ -= (*at)->LoadedBytes();
  indexes_.erase(at);
  reads_->files.Forget(segment);
}

absl::Status KeyIndexSet::GiveUp(const KeyIndex& index, absl::Status failure) {
  const auto at = At(index.header().segment);
  // Another may have taken its place meanwhile.
  if (at == indexes_.end() || at->get() != &index) return failure;
  const IndexHeader header = index.header();
  Remove(header.segment);
  if (on_removed_) on_removed_(header, failure);
  return failure;
}

uint64_t KeyIndexSet::CoveredUntil(uint64_t position) const {
  auto at = Holding(position);
  for (; at != indexes_.end() && (*at)->header().first_position <= position; ++at) {
    position = (*at)->header().next_position;
  }
  return position;
}

uint64_t KeyIndexSet::CoveredFrom(uint64_t position) const {
  auto at = Holding(position);
  TALLYSTICK_CHECK(at != indexes_.end());
  while (at != indexes_.begin() &&
         (*std::prev(at))->header().next_position == (*at)->header().first_position) {
    --at;
  }
  return (*at)->header().first_position;
}

void KeyIndexSet::Add(std::unique_ptr<KeyIndex> index) {
  const uint64_t segment = index->header().segment;
  Remove(segment);
  memory_bytes_ += index->LoadedBytes();
  indexes_.insert(At(segment), std::move(index));
  for (const KeyIndex::Part part : {KeyIndex::Part::kFilters, KeyIndex::Part::kTables}) {
    for (auto it = indexes_.begin(); it != indexes_.end(); ++it) {
      if (memory_bytes_ <= most_memory_bytes_) return;
      if (!(*it)->loaded(part)) continue;
      memory_bytes_ -= (*it)->SizeBytes(part);
      (*it)->Drop(part);
    }
  }
}

absl::Status KeyIndexSet::Load() {
  for (const KeyIndex::Part part : {KeyIndex::Part::kTables, KeyIndex::Part::kFilters}) {
    for (auto it = indexes_.rbegin(); it != indexes_.rend(); ++it) {
      KeyIndex& index = **it;
      if (index.loaded(part)) continue;
      if (memory_bytes_ + index.SizeBytes(part) > most_memory_bytes_) return absl::OkStatus();
      if (absl::Status loaded = index.Load(io_, part); !loaded.ok()) {
        return GiveUp(index, std::move(loaded));
      }
      memory_bytes_ += index.SizeBytes(part);
    }
  }
  return absl::OkStatus();
}

void KeyIndexSet::Find(const KeyQuery& query, FindCallback callback) {
  TALLYSTICK_CHECK(query.limit > 0 && query.family < kKeyFamilies);
  if (searches_.size() >= kMaxIndexSearches) {
    return callback(
        absl::ResourceExhaustedError("too many searches of the history are under way: try again"));
  }
  auto search = std::make_shared<Search>();
  search->query = query;
  search->found = std::move(callback);
  searches_.push_back(std::move(search));
  Pump();
}

void KeyIndexSet::Locate(uint64_t position, LocateCallback callback) {
  if (searches_.size() >= kMaxIndexSearches) {
    return callback(
        absl::ResourceExhaustedError("too many searches of the history are under way: try again"));
  }
  const auto at = Holding(position);
  if (at == indexes_.end()) {
    return callback(
        absl::NotFoundError(absl::StrCat("position ", position, " is in no indexed segment")));
  }
  auto search = std::make_shared<Search>();
  search->located = std::move(callback);
  search->opened_all = true;
  const uint64_t slot = position - (*at)->header().first_position;
  search->parts.push_back({.index = *at, .probe = KeyIndexProbe::ForBlock(**at, slot)});
  searches_.push_back(search);
  if (absl::Status status = search->parts.front().Advance(nullptr); !status.ok()) {
    Finish(search, status);
  }
  Pump();
}

// Lets each search go on as far as it can.
void KeyIndexSet::Pump() {
  pump_again_ = true;
  // A callback may search again: that is gone on with here, not inside of it.
  if (pumping_) return;
  pumping_ = true;
  while (std::exchange(pump_again_, false)) {
    for (size_t i = 0; i < searches_.size();) {
      const std::shared_ptr<Search> search = searches_[i];
      const absl::StatusOr<bool> complete = GoOn(search);
      if (!complete.ok() || *complete) {
        Finish(search, complete.status());
      } else {
        ++i;
      }
    }
  }
  pumping_ = false;
}

// True: it has its answer.
absl::StatusOr<bool> KeyIndexSet::GoOn(const std::shared_ptr<Search>& search) {
  while (true) {
    if (search->located == nullptr) {
      if (absl::Status opened = OpenParts(*search); !opened.ok()) return opened;
      absl::StatusOr<bool> complete = search->Merge();
      if (!complete.ok() || *complete) return complete;
    } else if (search->parts.front().done()) {
      return true;
    }
    for (Part& part : search->parts) {
      if (part.done() || part.reading) continue;
      if (!reads_->room() || search->reading == kMaxSearchReads) return false;
      const std::shared_ptr<KeyIndex> index = part.index;
      absl::Status started = reads_->Start(this, search, part);
      if (!started.ok()) return GiveUp(*index, std::move(started));
    }
    // What was merged may have made room for older segments.
    if (search->opened_all || search->parts.size() >= kMaxSearchReads) return false;
  }
}

// Asks the next older segments, while few enough wait to be read.
absl::Status KeyIndexSet::OpenParts(Search& search) {
  auto at = At(search.below_segment);
  while (at != indexes_.begin() && search.parts.size() < kMaxSearchReads) {
    --at;
    const KeyIndex& index = **at;
    search.below_segment = index.header().segment;
    if (index.header().first_position >= search.query.before) continue;
    Part part{.index = *at,
              .probe = KeyIndexProbe::ForKey(index, search.query.family, search.query.key,
                                             search.BeforeSlot(index))};
    if (absl::Status advanced = part.Advance(nullptr); !advanced.ok()) return advanced;
    if (!part.done()) search.parts.push_back(std::move(part));
  }
  search.opened_all = at == indexes_.begin();
  return absl::OkStatus();
}

void KeyIndexSet::Finish(const std::shared_ptr<Search>& search, const absl::Status& status) {
  search->finished = true;
  searches_.erase(std::find(searches_.begin(), searches_.end(), search));
  if (search->located == nullptr) {
    const FindCallback found = std::move(search->found);
    if (!status.ok()) return found(status);
    return found(std::move(search->matches));
  }
  const LocateCallback located = std::move(search->located);
  if (!status.ok()) return located(status);
  const Part& part = search->parts.front();
  const IndexHeader& header = part.index->header();
  const uint64_t word = part.probe.block_word();
  located(BlockPlace{.segment = header.segment,
                     .offset = BlockWordOffset(word),
                     .bytes = BlockWordBytes(word),
                     .first_position = header.first_position + BlockWordSlot(word)});
}

}  // namespace tallystick::wal
