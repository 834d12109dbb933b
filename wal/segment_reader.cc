#include "wal/segment_reader.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/segment_files.h"
#include "wal/segment_window.h"

namespace tallystick::wal {
namespace {

bool IsOf(const BlockHeader& header, const LogIdentity& identity) {
  return header.ledger_id == identity.ledger_id && header.shard == identity.shard &&
         header.shard_count == identity.shard_count;
}

}  // namespace

struct SegmentReader::State {
  State(Io& io, const LogFolders& folders, const LogIdentity& identity_in, const SegmentEnd& end_in)
      : identity(identity_in), end(end_in), window(io, folders, kMaxBlockBytes) {}

  absl::Status Damaged(const char* cause) const {
    return absl::DataLossError(absl::StrCat(window.path(), ": offset ", offset,
                                            ": the block is damaged: ", cause, ": verify the log"));
  }
  // What is wrong with a header here, as a phrase; nullptr: nothing.
  const char* Fault(const BlockHeader& header) const;

  const LogIdentity identity;
  const SegmentEnd end;
  SegmentWindow window;
  uint64_t offset = 0;  // of the next block
  BlockHeader last{};   // valid behind the first block
};

const char* SegmentReader::State::Fault(const BlockHeader& header) const {
  if (const char* fault = HeaderFault(header)) return fault;
  if (!IsOf(header, identity) || header.segment != end.segment) return "it belongs elsewhere";
  if ((header.type == BlockType::kStart) != (offset == 0)) return "its type is wrong here";
  if (header.bytes > end.offset - offset) return "it goes beyond the segment's end";
  if (offset == 0) return nullptr;
  if (header.first_position != last.first_position + last.count || header.epoch != last.epoch ||
      header.timestamp_us < last.timestamp_us || header.previous_hash != HeaderHash(last)) {
    return "it does not continue the block before it";
  }
  return nullptr;
}

SegmentReader::SegmentReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
SegmentReader::~SegmentReader() = default;

absl::StatusOr<std::unique_ptr<SegmentReader>> SegmentReader::Open(Io& io,
                                                                   const LogFolders& folders,
                                                                   const LogIdentity& identity,
                                                                   const SegmentEnd& end) {
  auto state = std::make_unique<State>(io, folders, identity, end);
  if (absl::Status opened = state->window.Open(end.segment); !opened.ok()) return opened;
  return std::unique_ptr<SegmentReader>(new SegmentReader(std::move(state)));
}

absl::StatusOr<bool> SegmentReader::Next(BlockView* block) {
  State& s = *state_;
  if (s.offset == s.end.offset) {
    if (s.offset == 0 || HeaderHash(s.last) != s.end.last_hash ||
        s.last.first_position + s.last.count != s.end.next_position) {
      return s.Damaged("the segment's last block is another than the next segment names");
    }
    return false;
  }
  absl::StatusOr<absl::Span<const std::byte>> bytes = s.window.Read(s.offset, sizeof(BlockHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(BlockHeader)) return s.Damaged("the segment ends here");
  BlockHeader header;
  std::memcpy(&header, bytes->data(), sizeof(header));
  if (const char* fault = s.Fault(header)) return s.Damaged(fault);
  if (bytes->size() < header.bytes) {
    bytes = s.window.Read(s.offset, header.bytes);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() < header.bytes) return s.Damaged("the segment ends inside it");
  }
  if (!BodyMatches(header, bytes->data())) return s.Damaged("the body's checksum is wrong");
  s.last = header;
  *block = {
      .header = reinterpret_cast<const BlockHeader*>(bytes->data()),
      .slots = {reinterpret_cast<const Slot*>(bytes->data() + sizeof(BlockHeader)), header.count},
      .segment = s.end.segment,
      .offset = s.offset};
  s.offset += header.bytes;
  return true;
}

absl::StatusOr<SegmentEnd> ReadSegmentEnd(Io& io, const LogFolders& folders, uint64_t following,
                                          const LogIdentity& identity) {
  SegmentWindow window(io, folders, kSectorBytes);
  if (absl::Status opened = window.Open(following); !opened.ok()) return opened;
  const std::string& path = window.path();
  const absl::StatusOr<absl::Span<const std::byte>> bytes = window.Read(0, kSectorBytes);
  if (!bytes.ok()) return bytes.status();
  BlockHeader header{};
  StartInfo info{};
  if (bytes->size() == kSectorBytes) {
    std::memcpy(&header, bytes->data(), sizeof(header));
    std::memcpy(&info, bytes->data() + sizeof(header), sizeof(info));
  }
  if (HeaderFault(header) != nullptr || header.type != BlockType::kStart ||
      header.segment != following || header.bytes != kSectorBytes ||
      !BodyMatches(header, bytes->data())) {
    return absl::DataLossError(
        absl::StrCat(path, ": it does not begin with a sound start block: verify the log"));
  }
  if (!IsOf(header, identity)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the segment is of another ledger or shard"));
  }
  if (info.reason == StartReason::kCreated) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": no segment is before it"));
  }
  return SegmentEnd{.segment = info.previous_segment,
                    .offset = info.previous_end,
                    .next_position = header.first_position,
                    .last_hash = header.previous_hash};
}

}  // namespace tallystick::wal
