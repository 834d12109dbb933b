#include "api/history_keys.h"

#include <memory>

#include "absl/strings/str_cat.h"

namespace tallystick {

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

absl::StatusOr<uint64_t> BuildHistoryIndex(wal::Io& io, const std::string& directory,
                                           const wal::LogIdentity& identity,
                                           const wal::SegmentEnd& end) {
  absl::StatusOr<std::unique_ptr<wal::SegmentReader>> reader =
      wal::SegmentReader::Open(io, directory, identity, end);
  if (!reader.ok()) return reader.status();
  wal::KeyIndexWriter index(identity, end.segment);
  for (wal::BlockView block;;) {
    const absl::StatusOr<bool> more = (*reader)->Next(&block);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (absl::Status added = AddHistoryKeys(block, index); !added.ok()) return added;
  }
  if (absl::Status written = index.Write(io, directory); !written.ok()) return written;
  return index.size_bytes();
}

}  // namespace tallystick
