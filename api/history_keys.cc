#include "api/history_keys.h"

#include <memory>

#include "absl/strings/str_cat.h"

namespace tallystick {
namespace {

// Some milliseconds.
constexpr uint64_t kStepBytes = uint64_t{4} << 20;

}  // namespace

absl::Status VisitRecords(const wal::BlockView& block,
                          absl::FunctionRef<void(Position, const Record&)> visit) {
  if (block.header->type != wal::BlockType::kRecords) return absl::OkStatus();
  for (size_t at = 0; at < block.slots.size();) {
    const auto& record = reinterpret_cast<const Record&>(block.slots[at]);
    const size_t details = record.result.details();
    if (details >= block.slots.size() - at) {
      return absl::DataLossError(
          absl::StrCat("segment ", block.segment, " offset ", block.offset,
                       ": the record of position ", block.header->first_position + at,
                       " has more details than the block has room for: verify the log"));
    }
    visit(block.header->first_position + at, record);
    at += 1 + details;
  }
  return absl::OkStatus();
}

absl::Status AddHistoryKeys(const wal::BlockView& block, wal::KeyIndexWriter& index) {
  if (absl::Status added = index.AddBlock(*block.header, block.offset); !added.ok()) return added;
  return VisitRecords(block, [&index](Position position, const Record& record) {
    const Operation& operation = record.operation;
    if (!IsZero(operation.id())) {
      index.AddKey(kTransactionKeys, HistoryKey(operation.id()), position);
    }
    if (!IsZero(operation.member())) {
      index.AddKey(kMemberKeys, HistoryKey(operation.member()), position);
    }
  });
}

absl::StatusOr<std::unique_ptr<HistoryIndexBuild>> HistoryIndexBuild::Begin(
    wal::Io& io, const wal::LogFolders& folders, const wal::LogIdentity& identity,
    const wal::SegmentEnd& end) {
  absl::StatusOr<std::unique_ptr<wal::SegmentReader>> segment =
      wal::SegmentReader::Open(io, folders, identity, end);
  if (!segment.ok()) return segment.status();
  return std::unique_ptr<HistoryIndexBuild>(
      new HistoryIndexBuild(io, folders.log, *std::move(segment), identity, end.segment));
}

absl::StatusOr<bool> HistoryIndexBuild::Step() {
  wal::BlockView block;
  for (uint64_t read = 0; read < kStepBytes; read += block.header->bytes) {
    const absl::StatusOr<bool> more = segment_->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) {
      if (absl::Status written = index_.Write(io_, directory_); !written.ok()) return written;
      return true;
    }
    if (absl::Status added = AddHistoryKeys(block, index_); !added.ok()) return added;
  }
  return false;
}

absl::StatusOr<uint64_t> BuildHistoryIndex(wal::Io& io, const wal::LogFolders& folders,
                                           const wal::LogIdentity& identity,
                                           const wal::SegmentEnd& end) {
  const absl::StatusOr<std::unique_ptr<HistoryIndexBuild>> build =
      HistoryIndexBuild::Begin(io, folders, identity, end);
  if (!build.ok()) return build.status();
  while (true) {
    const absl::StatusOr<bool> done = (*build)->Step();
    if (!done.ok()) return done.status();
    if (*done) return (*build)->size_bytes();
  }
}

}  // namespace tallystick
