#include "wal/snapshot_reader.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/checksum.h"
#include "wal/segment_window.h"
#include "wal/snapshot_files.h"

namespace tallystick::wal {

struct SnapshotReader::State {
  State(Io& io, std::string path_in) : path(std::move(path_in)), window(io, kMaxChunkBytes) {}

  absl::Status Open(const std::optional<LogIdentity>& wanted);
  // The next chunk's body, when all of the chunk is sound.
  absl::StatusOr<const std::byte*> Chunk(ChunkHeader* header);
  // What is wrong with the header, as a phrase; nullptr: nothing.
  const char* Fault(const ChunkHeader& header) const;
  absl::Status CheckWhose(const ChunkHeader& header) const;
  absl::Status Damaged(absl::string_view cause) const;

  const std::string path;
  SegmentWindow window;
  std::optional<LogIdentity> identity;
  uint64_t position = 0;
  LogPlace place;
  int64_t taken_us = 0;
  uint64_t offset = 0;  // of the next chunk
  uint32_t number = 0;
  Id128 last_hash;
  bool ended = false;
};

absl::Status SnapshotReader::State::Damaged(absl::string_view cause) const {
  return absl::DataLossError(
      absl::StrCat(path, ": offset ", offset, ": the snapshot is damaged: ", cause));
}

const char* SnapshotReader::State::Fault(const ChunkHeader& header) const {
  if (header.body_bytes == 0 || header.body_bytes > kMaxPartBytes ||
      header.bytes != ChunkBytes(header.body_bytes)) {
    return "the size of the chunk is impossible";
  }
  if (header.number != number) return "a chunk is missing";
  if (header.previous_hash != last_hash) return "the hash of the previous chunk is another";
  if ((header.type == ChunkType::kHead) != (number == 0)) return "the chunk's type is wrong here";
  if (number > 0 && header.position != position) return "the chunk is of another snapshot";
  switch (header.type) {
    case ChunkType::kHead:
      return header.body_bytes == sizeof(SnapshotHead) ? nullptr : "its head is none";
    case ChunkType::kPart:
      return nullptr;
    case ChunkType::kEnd:
      return header.body_bytes == sizeof(SnapshotEnd) ? nullptr : "its end is none";
  }
  return "the chunk's type is unknown";
}

absl::Status SnapshotReader::State::CheckWhose(const ChunkHeader& header) const {
  if (header.format_version != kSnapshotVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": snapshot format version ", header.format_version,
                     "; this program reads ", kSnapshotVersion, ": use the program that wrote it"));
  }
  if (identity.has_value() &&
      (header.ledger_id != identity->ledger_id || header.shard != identity->shard ||
       header.shard_count != identity->shard_count)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": the snapshot is of another ledger or shard"));
  }
  return absl::OkStatus();
}

absl::StatusOr<const std::byte*> SnapshotReader::State::Chunk(ChunkHeader* read) {
  absl::StatusOr<absl::Span<const std::byte>> bytes = window.Read(offset, sizeof(ChunkHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() < sizeof(ChunkHeader)) return Damaged("the file ends here");
  ChunkHeader& header = *read;
  std::memcpy(&header, bytes->data(), sizeof(header));
  if (header.magic != kSnapshotMagic) return Damaged("no chunk begins here");
  if (header.header_crc != Crc32c(&header, offsetof(ChunkHeader, header_crc))) {
    return Damaged("the header's checksum is wrong");
  }
  if (absl::Status whose = CheckWhose(header); !whose.ok()) return whose;
  if (const char* fault = Fault(header)) return Damaged(fault);
  if (bytes->size() < header.bytes) {
    bytes = window.Read(offset, header.bytes);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() < header.bytes) return Damaged("the file ends inside the chunk");
  }
  const std::byte* body = bytes->data() + sizeof(ChunkHeader);
  if (header.body_crc != Crc32c(body, header.bytes - sizeof(ChunkHeader))) {
    return Damaged("the body's checksum is wrong");
  }
  offset += header.bytes;
  ++number;
  last_hash = Hash128(&header, sizeof(header));
  return body;
}

absl::Status SnapshotReader::State::Open(const std::optional<LogIdentity>& wanted) {
  identity = wanted;
  if (absl::Status opened = window.OpenFile(path); !opened.ok()) return opened;
  ChunkHeader header;
  const absl::StatusOr<const std::byte*> body = Chunk(&header);
  if (!body.ok()) return body.status();
  SnapshotHead head;
  std::memcpy(&head, *body, sizeof(head));
  identity = {header.ledger_id, header.shard, header.shard_count};
  position = header.position;
  place = {.segment = head.segment,
           .offset = head.offset,
           .last_offset = head.last_offset,
           .next_position = position + 1,
           .timestamp_us = head.timestamp_us,
           .last_hash = head.last_hash,
           .epoch = head.epoch};
  taken_us = head.taken_us;
  return absl::OkStatus();
}

SnapshotReader::SnapshotReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
SnapshotReader::~SnapshotReader() = default;

absl::StatusOr<std::unique_ptr<SnapshotReader>> SnapshotReader::Open(
    Io& io, const std::string& directory, uint64_t position,
    const std::optional<LogIdentity>& identity) {
  auto state = std::make_unique<State>(io, SnapshotPath(directory, position));
  if (absl::Status opened = state->Open(identity); !opened.ok()) return opened;
  if (state->position != position) {
    return absl::InvalidArgumentError(
        absl::StrCat(state->path, ": the snapshot is of position ", state->position));
  }
  return std::unique_ptr<SnapshotReader>(new SnapshotReader(std::move(state)));
}

absl::StatusOr<bool> SnapshotReader::Next(absl::Span<const std::byte>* part) {
  State& s = *state_;
  if (s.ended) return false;
  ChunkHeader header;
  const absl::StatusOr<const std::byte*> body = s.Chunk(&header);
  if (!body.ok()) return body.status();
  if (header.type == ChunkType::kPart) {
    *part = {*body, header.body_bytes};
    return true;
  }
  SnapshotEnd end;
  std::memcpy(&end, *body, sizeof(end));
  if (end.chunks != s.number || end.bytes != s.offset) return s.Damaged("its end is another's");
  if (s.window.size_bytes() != s.offset) return s.Damaged("something follows its end");
  s.ended = true;
  return false;
}

const LogIdentity& SnapshotReader::identity() const { return *state_->identity; }
const std::string& SnapshotReader::path() const { return state_->path; }
uint64_t SnapshotReader::position() const { return state_->position; }
const LogPlace& SnapshotReader::place() const { return state_->place; }
int64_t SnapshotReader::taken_us() const { return state_->taken_us; }
Id128 SnapshotReader::root() const { return state_->last_hash; }
uint64_t SnapshotReader::bytes_read() const { return state_->window.bytes_read(); }
uint64_t SnapshotReader::bytes_total() const { return state_->window.size_bytes(); }

}  // namespace tallystick::wal
