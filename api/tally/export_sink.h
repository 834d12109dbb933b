// Where an export goes: CSV, SQLite or PostgreSQL. docs/postings.md has the tables.

#ifndef TALLYSTICK_API_TALLY_EXPORT_SINK_H_
#define TALLYSTICK_API_TALLY_EXPORT_SINK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/ledger_files.h"
#include "api/postings.h"
#include "api/tally/offline_ledger.h"
#include "ledger/totals.h"
#include "wal/format.h"

namespace tallystick::tally {

// What exports are: a later one that is not the same table for table gets the next number.
//   1: the foundation.
//   2: members have held, totals forfeited and closed_out.
//   3: totals have sent and received, and postings such accounts.
inline constexpr int kExportFormat = 3;

// Up to where a shard was exported: the last position of a block.
struct ExportedShard {
  uint16_t shard = 0;
  Position position = 0;  // 0: nothing yet
  wal::Id128 hash;        // of the block's header; zero: not known
};

// A member's balances as of its last record.
struct MemberRow {
  uint16_t shard = 0;
  uint16_t program = 0;
  Id member;
  Points pending = 0;
  Points available = 0;
  Points held = 0;
  Points debt = 0;
  Position last_position = 0;
};

struct ExportEnd {
  std::map<uint16_t, ledger::Totals> totals;  // by program, of all shards
  std::vector<ExportedShard> shards;          // each of them
};

class ExportSink {
 public:
  // Nothing stays of an export that was not finished.
  virtual ~ExportSink() = default;

  // Where the export goes on: of each shard, positions up to this one are there already.
  virtual const std::vector<ExportedShard>& from() const = 0;
  // A record behind from(), in order, shard after shard; one without lines adds nothing.
  virtual absl::Status AddRecord(uint16_t shard, const PostedRecord& posted) = 0;
  // Behind all records of its shard; a member that has records behind from().
  virtual absl::Status AddMember(const MemberRow& row) = 0;
  // The last call: the export is there when it returns OK.
  virtual absl::Status Finish(const ExportEnd& end) = 0;
};

// `from` has each shard of `ledger`. Errors: those of UnfinishedFile.
absl::StatusOr<std::unique_ptr<ExportSink>> ExportToCsv(const std::string& path,
                                                        const OfflineLedger& ledger,
                                                        std::vector<ExportedShard> from);
absl::StatusOr<std::unique_ptr<ExportSink>> ExportToPostgres(const std::string& path,
                                                             const OfflineLedger& ledger,
                                                             std::vector<ExportedShard> from);
// Makes the file, or goes on with the one that is there, as it says itself. FailedPrecondition: it
// is something else, or another ledger's.
absl::StatusOr<std::unique_ptr<ExportSink>> ExportToSqlite(const std::string& path,
                                                           const OfflineLedger& ledger);

// ---- what the formats share ----
// 32 hexadecimal digits, high half first.
std::string HexText(const wal::Id128& id);

// Texts that a record's lines have in common, for one record after the other.
class RecordTexts {
 public:
  // "2026-01-31T09:00:00.000000Z"; as quick as an export needs it.
  void AppendInstant(Instant instant, std::string* out);
  // As the command line writes ids; nothing for none.
  static std::string IdText(const Id& id);

 private:
  int64_t day_ = -1;
  std::string date_;  // of day_, with the T
};

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_EXPORT_SINK_H_
