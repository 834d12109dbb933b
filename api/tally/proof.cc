#include "api/tally/proof.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "api/ids.h"
#include "api/tally/books.h"
#include "api/tally/export_sink.h"
#include "api/tally/output_file.h"
#include "wal/checksum.h"

namespace tallystick::tally {
namespace {

constexpr int kProofVersion = 1;

std::string Hex(const void* bytes, size_t size) {
  return absl::BytesToHexString(absl::string_view(static_cast<const char*>(bytes), size));
}

// Written block by block, from the first that holds a record of the member to the shard's last.
class ProofWriter {
 public:
  ProofWriter(const LedgerIdentity& ledger, const Id& member, uint16_t program,
              std::unique_ptr<OutputFile> file)
      : ledger_(ledger), member_(member), program_(program), file_(std::move(file)) {}

  absl::Status AddBlock(uint16_t shard, const wal::BlockView& block) {
    std::vector<std::string> pieces;
    size_t done = 0;  // bytes of the body
    const std::string body = BodyOf(block);
    absl::Status status = EachRecord(
        block, [&](Position position, const Record& record, absl::Span<const wal::Slot> details) {
          if (!IsOurs(record)) return absl::OkStatus();
          const size_t begin = (position - block.header->first_position) * kSlotBytes;
          const size_t size = (1 + details.size()) * kSlotBytes;
          AddSkip(body, done, begin, &pieces);
          pieces.push_back(AddRecord(position, record, Hex(body.data() + begin, size)));
          done = begin + size;
          return absl::OkStatus();
        });
    if (!status.ok()) return status;
    if (!pieces.empty()) AddSkip(body, done, body.size(), &pieces);
    if (accounts_.empty()) return absl::OkStatus();
    if (proof_.blocks == 0) {
      Begin(shard);
    } else if (shard != proof_.shard) {
      return absl::OkStatus();
    }
    std::string& out = file_->buffer();
    absl::StrAppend(&out, proof_.blocks++ == 0 ? "\n" : ",\n", "{\"segment\":", block.segment,
                    ",\"offset\":", block.offset, ",\"header\":\"",
                    Hex(block.header, sizeof(*block.header)), "\"");
    if (!pieces.empty()) absl::StrAppend(&out, ",\"body\":[", absl::StrJoin(pieces, ","), "]");
    out += "}";
    return file_->FlushSome();
  }

  // A proof begins with a member's first record.
  absl::Status CheckOpening(const ShardBooks& books) const {
    for (const uint16_t id : books.machine.Programs()) {
      if (program_ != 0 && program_ != id) continue;
      if (books.machine.LastPosition(id, member_) == 0) continue;
      return absl::FailedPreconditionError(
          absl::StrCat("shard ", books.shard,
                       ": the log's first segments are gone, and with them records of member ",
                       FormatId(member_), " before position ", books.position,
                       ", which a proof needs: put the segments back into the archive"));
    }
    return absl::OkStatus();
  }

  void EndShard(const ShardBooks& books) {
    if (proof_.blocks == 0 || books.shard != proof_.shard) return;
    proof_.head_position = books.position;
    proof_.head_hash = HexText(books.last_hash);
  }

  absl::StatusOr<Proof> Finish(const std::string& directory) {
    if (accounts_.empty()) {
      return absl::NotFoundError(absl::StrCat(
          "member ", FormatId(member_), " is not in ",
          program_ == 0 ? "any program" : absl::StrCat("program ", program_), " of ", directory,
          ": check the member's id", program_ == 0 ? "" : " and the program's"));
    }
    std::string& out = file_->buffer();
    absl::StrAppend(&out, "],\n\"head\":{\"position\":", proof_.head_position, ",\"hash\":\"",
                    proof_.head_hash, "\"},\n\"accounts\":[");
    for (const auto& [id, account] : accounts_) {
      absl::StrAppend(&out, proof_.accounts.empty() ? "" : ",", "{\"program\":", id,
                      ",\"records\":", account.records,
                      ",\"last_position\":", account.last_position, ",", BalanceJson(account), "}");
      proof_.accounts.push_back(account);
    }
    out += "]}\n";
    if (absl::Status s = file_->Publish(); !s.ok()) return s;
    return proof_;
  }

 private:
  // All behind the header: slots and the zeros behind them.
  static std::string BodyOf(const wal::BlockView& block) {
    std::string body(block.header->bytes - sizeof(wal::BlockHeader), '\0');
    const auto* bytes = reinterpret_cast<const char*>(block.slots.data());
    std::copy(bytes, bytes + block.slots.size() * sizeof(wal::Slot), body.begin());
    return body;
  }

  static std::string BalanceJson(const ProvedAccount& account) {
    return absl::StrCat("\"pending\":", account.pending, ",\"available\":", account.available,
                        ",\"held\":", account.held, ",\"debt\":", account.debt);
  }

  bool IsOurs(const Record& record) const {
    const Operation& op = record.operation;
    return op.member() == member_ && (program_ == 0 || op.program() == program_);
  }

  // Records of others: their checksum is enough.
  static void AddSkip(const std::string& body, size_t begin, size_t end,
                      std::vector<std::string>* pieces) {
    if (begin == end) return;
    pieces->push_back(absl::StrFormat("{\"skip\":%d,\"crc32c\":\"%08x\"}", end - begin,
                                      wal::Crc32c(body.data() + begin, end - begin)));
  }

  std::string AddRecord(Position position, const Record& record, const std::string& hex) {
    ProvedAccount& account = accounts_[record.operation.program()];
    account.program = record.operation.program();
    ++account.records;
    account.last_position = position;
    // What of its points was neither pending nor available nor paid a debt went to or came from
    // holds.
    const Points free = account.pending + account.available - account.debt;
    account.held +=
        record.result.points() - (record.result.pending() + record.result.available() - free);
    account.pending = record.result.pending();
    account.available = std::max<Points>(record.result.available(), 0);
    account.debt = std::max<Points>(-record.result.available(), 0);
    return absl::StrCat("{\"position\":", position, ",\"bytes\":\"", hex, "\",",
                        BalanceJson(account), "}");
  }

  void Begin(uint16_t shard) {
    proof_.shard = shard;
    absl::StrAppend(
        &file_->buffer(), "{\"format\":\"tallystick-proof\",\"version\":", kProofVersion,
        ",\n\"ledger_id\":\"", HexText(ledger_.ledger_id), "\",\"shard\":", shard,
        ",\"shard_count\":", ledger_.shard_count, ",\n\"member\":\"", FormatId(member_),
        "\",\"member_id\":\"", HexText({member_.low(), member_.high()}), "\",\n\"blocks\":[");
  }

  const LedgerIdentity ledger_;
  const Id member_;
  const uint16_t program_;
  const std::unique_ptr<OutputFile> file_;
  std::map<uint16_t, ProvedAccount> accounts_;
  Proof proof_;
};

}  // namespace

absl::StatusOr<Proof> WriteProof(OfflineLedger& ledger, const Id& member, uint16_t program,
                                 const std::string& path) {
  auto file = OutputFile::Create(path, &ledger);
  if (!file.ok()) return file.status();
  ProofWriter writer(ledger.identity(), member, program, *std::move(file));
  BooksReader reader;
  reader.on_opening = [&](const ShardBooks& books) { return writer.CheckOpening(books); };
  reader.on_block = [&](uint16_t shard, const wal::BlockView& block) {
    return writer.AddBlock(shard, block);
  };
  reader.on_shard = [&](const ShardBooks& books) {
    writer.EndShard(books);
    return absl::OkStatus();
  };
  if (absl::Status s = ReadBooks(ledger, reader); !s.ok()) return s;
  return writer.Finish(ledger.directory());
}

}  // namespace tallystick::tally
