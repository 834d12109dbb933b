// What the callers of a ledger remember, and whether its log agrees.

#ifndef TALLYSTICK_TESTS_SIM_BOOKS_H_
#define TALLYSTICK_TESTS_SIM_BOOKS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "api/messages.h"
#include "ledger/types.h"
#include "tests/model/naive_ledger.h"
#include "wal/io.h"

namespace tallystick::sim {

inline model::Id FromId(const Id& id) { return {id.high(), id.low()}; }

// An account: program and member.
using AccountKey = std::pair<uint16_t, model::Id>;

// An operation as its caller remembers it.
struct Sent {
  Operation operation;
  size_t client = 0;
  std::optional<Result> answer;  // the final one: never Overloaded
  bool failed = false;           // once, with a status instead of an answer

  bool accepted() const { return answer.has_value() && answer->outcome() == Outcome::Ok; }
};

// Every operation that was ever sent, in the order in which its client first sent it, and what was
// read.
class Books {
 public:
  size_t Add(const Operation& operation, size_t client);
  Sent& operator[](size_t index) { return sent_[index]; }
  const Sent& operator[](size_t index) const { return sent_[index]; }
  size_t size() const { return sent_.size(); }

  // Takes an answer. The first is remembered; a later one must be the same, flagged replayed.
  void Answer(size_t index, const Result& result);
  void AnswerBalance(uint16_t program, const Id& member, const BalanceAnswer& answer);
  // Checks the running balance; remembers that its positions were seen.
  void AnswerStatement(uint16_t program, const Id& member, const StatementAnswer& answer);
  void AnswerPut(uint16_t program, uint16_t version);

  const std::map<uint16_t, uint16_t>& versions() const { return versions_; }

 private:
  friend class Audit;
  struct Reading {
    BalanceAnswer answer;
    bool found = false;
  };
  using Place = std::tuple<uint16_t, model::Id, Position>;

  std::vector<Sent> sent_;
  std::map<model::Id, size_t> by_id_;
  std::multimap<Place, Reading> readings_;
  std::map<Place, Operation> movements_;
  std::map<uint16_t, uint16_t> versions_;  // acknowledged, by program
};

// Reads the whole log of a ledger, folds it into naive ledgers, one a shard, and compares: each
// record's result, each remembered answer and each reading. Differences are failures of the test.
class Audit {
 public:
  Audit(Books& books, wal::Io& io, const std::string& directory, uint16_t shard_count);

  // All answers are in: what was accepted is there once, what was refused is not.
  void ExpectComplete() const;
  // As of the answer's own time.
  void Expect(uint16_t program, const model::Id& member, const BalanceAnswer& answer) const;
  void Expect(uint16_t program, const model::Id& member, const LotsAnswer& answer) const;
  // Settles to the answer's times.
  void Expect(uint16_t program, const TotalsAnswer& answer);
  // `movements`: all, newest first.
  void Expect(uint16_t program, const model::Id& member,
              const std::vector<MovementAnswer>& movements) const;

  // The member's shard, if it has records.
  const model::NaiveLedger* LedgerOf(uint16_t program, const model::Id& member) const;
  // Of each block its times, digest and records: what two runs of one seed have in common.
  const std::vector<uint64_t>& block_hashes() const { return block_hashes_; }

 private:
  struct Shard {
    model::NaiveLedger ledger;
    bool import_clock = false;
    std::map<uint16_t, uint16_t> versions;
    std::map<Position, model::OpenTransfer> open;  // transfers
  };

  void ReadShard(wal::Io& io, const std::string& directory, uint16_t shard);
  void FoldBlock(Shard& shard, uint16_t number, Instant stamp, Position first,
                 const std::vector<Record>& records);
  void FoldProgram(Shard& shard, Instant stamp, const Record* put);
  void FoldOperations(Shard& shard, const std::vector<std::pair<Position, Record>>& chain);
  // A record with its details, by which two shards tell each other of a transfer.
  void FoldBetweenShards(Shard& shard, Position position, const Record* record);
  void Note(uint16_t number, Position position, const Record& record);
  void CheckMovements();
  void ExpectSentOnce(size_t index) const;
  void CheckReadings(const Shard& shard, Position position, const Operation& operation);

  Books& books_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::map<AccountKey, uint16_t> homes_;
  std::map<AccountKey, std::vector<std::pair<Position, Record>>> histories_;
  std::map<size_t, Position> found_;  // by index in the books
  // Of transfers, by the sender's shard and position: what was received, and of what was settled
  // how much has arrived.
  using SentAt = std::pair<uint16_t, Position>;
  std::map<SentAt, Points> received_;
  std::map<SentAt, Points> settled_;
  std::map<size_t, std::vector<SentAt>> sends_;  // by index in the books
  std::vector<uint64_t> block_hashes_;
};

}  // namespace tallystick::sim

#endif  // TALLYSTICK_TESTS_SIM_BOOKS_H_
