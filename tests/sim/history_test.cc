// Transactions of any age: found, answered again, and told in statements, while indexes come and
// go.

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/built_indexes.h"
#include "api/dispatcher.h"
#include "api/embedded.h"
#include "api/history.h"
#include "api/program_file.h"
#include "api/transaction_lookups.h"
#include "api/transaction_search.h"
#include "api/worker.h"
#include "tests/sim/process_io.h"
#include "tests/sim/sim_io.h"
#include "wal/block_fetcher.h"
#include "wal/key_index.h"
#include "wal/key_index_files.h"
#include "wal/log_reader.h"
#include "wal/record_fetcher.h"
#include "wal/segment_files.h"

namespace tallystick::sim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr uint16_t kProgram = 7;
constexpr uint64_t kMembers = 10;
constexpr Instant kStart = 1'690'000'000'000'000;
constexpr Instant kHour = 3600 * kMicrosPerSecond;
constexpr char kShard[] = "/ledger/shard-0000";

class HistoryTest : public testing::Test {
 protected:
  HistoryTest()
      : machine_(std::make_unique<SimIo>(SimOptions{.seed = 3, .short_read_percent = 10})) {
    options_.directory = "/ledger";
    options_.manual = true;
    options_.clock = ClockMode::kImport;
    options_.segment_bytes = 512 << 10;  // for some sixty of the blocks that follow
    options_.snapshot_interval_ms = 0;
    options_.snapshot_log_bytes = 0;
    options_.disk_reserve_bytes = 0;
    options_.history_memory_bytes = 0;  // so that all is read from the disk
    options_.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
    options_.make_io = [this](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
      return std::make_unique<ProcessIo>(*machine_, *process_);
    };
  }

  absl::Status TryOpen() {
    ledger_.reset();
    process_ = std::make_unique<Process>();
    absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options_);
    if (opened.ok()) ledger_ = *std::move(opened);
    return opened.status();
  }
  void Create() {
    options_.create = true;
    ASSERT_EQ(TryOpen(), absl::OkStatus());
    options_.create = false;
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "History", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true,
            "retention_days": 1, "return_days": 1})",
        "program");
    ASSERT_TRUE(file.ok()) << file.status();
    const auto put = ledger_->PutProgram(Id(1, 1), file->bytes());
    ASSERT_TRUE(put.ok() && put->outcome == Outcome::Ok) << put.status();
  }
  static Operation Purchase(uint64_t number) {
    return {Id(number, 9),
            Id(number % kMembers + 1, 2),
            Id(),
            static_cast<int64_t>(number),
            kStart + static_cast<Instant>(number) * kHour,
            0,
            0,
            kProgram,
            0,
            Kind::Purchase,
            0,
            0};
  }
  // So many more, an hour between them, each with a block of its own.
  void Buy(int count) {
    for (int i = 0; i < count; ++i) {
      const absl::StatusOr<Result> result = ledger_->Apply(Purchase(results_.size()));
      ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
      results_.push_back(*result);
    }
  }
  void TakeSnapshot() {
    const auto taken = ledger_->Snapshot();
    ASSERT_TRUE(taken.ok()) << taken.status();
    ASSERT_EQ(taken->shards[0].failure, "");
  }
  void Work() {
    for (int quiet = 0; quiet < 20;) quiet = ledger_->Step(0) ? 0 : quiet + 1;
  }
  // A log of which the first segments are archived.
  void Grow() {
    for (int i = 0; i < 3; ++i) {
      Buy(200);
      TakeSnapshot();
    }
    Work();
  }
  std::vector<uint64_t> Indexes() { return *wal::ListKeyIndexes(*machine_, kShard); }
  std::vector<uint64_t> Archives() {
    return *wal::ListArchives(*machine_, wal::LogFolders(kShard).archive);
  }
  wal::LogTail ReadTail() {
    auto reader = wal::LogReader::Open(*machine_, kShard, std::nullopt);
    EXPECT_TRUE(reader.ok()) << reader.status();
    wal::BlockView block;
    while (*(*reader)->Next(&block)) {
    }
    return (*reader)->TakeTail();
  }
  uint64_t LastSegment() { return ledger_->Shards()->shards[0].segment; }
  // All segments that are there, but the last, have sound indexes, and nothing else is left.
  void ExpectAllIndexed() {
    std::vector<uint64_t> expected = Archives();
    const wal::LogFiles files = *wal::ListLogFiles(*machine_, kShard);
    for (const uint64_t segment : files.segments) {
      if (segment < LastSegment() && (expected.empty() || segment > expected.back())) {
        expected.push_back(segment);
      }
    }
    EXPECT_EQ(Indexes(), expected);
    for (const uint64_t segment : Indexes()) {
      const auto index = wal::KeyIndex::Open(*machine_, kShard, segment, {});
      ASSERT_TRUE(index.ok()) << index.status();
      EXPECT_EQ((*index)->Verify(*machine_), absl::OkStatus());
    }
    const auto names = machine_->List(kShard);
    for (const std::string& name : *names) {
      EXPECT_FALSE(absl::EndsWith(name, ".idx.new")) << name;
    }
  }
  void ExpectFound(uint64_t number) {
    const Operation purchase = Purchase(number);
    const auto found = ledger_->Transaction(kProgram, purchase.member(), purchase.id());
    ASSERT_TRUE(found.ok()) << number << ": " << found.status();
    ASSERT_EQ(found->outcome, Outcome::Ok) << number;
    EXPECT_TRUE(SameBytes(found->movement.operation, purchase));
    EXPECT_EQ(found->movement.result.position(), results_[number].position());
    EXPECT_EQ(found->movement.result.points(), results_[number].points());
    EXPECT_GT(found->time, purchase.occurred_at());  // what capped it
  }
  void ExpectAllFound(uint64_t step = 1) {
    for (uint64_t i = 1; i < results_.size(); i += step) ExpectFound(i);
  }
  Outcome OutcomeOf(uint16_t program, const Id& member, const Id& id) {
    const auto answer = ledger_->Transaction(program, member, id);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->outcome : Outcome::Overloaded;
  }
  // What an operation is answered, of many that are sent together.
  std::vector<Result> Submit(const std::vector<Operation>& operations) {
    std::vector<Result> results;
    bool done = false;
    const absl::Status taken =
        ledger_->Submit(operations, [&](absl::StatusOr<absl::Span<const Result>> answer) {
          ASSERT_TRUE(answer.ok()) << answer.status();
          results.assign(answer->begin(), answer->end());
          done = true;
        });
    EXPECT_EQ(taken, absl::OkStatus());
    while (!done) ledger_->Step(0);
    return results;
  }
  // Each statement in pages of a random size, as one text.
  std::string Statements(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string all;
    for (uint64_t member = 1; member <= kMembers; ++member) {
      Position before = random() % 3 == 0 ? random() % 900 : 0;
      const auto limit = static_cast<uint32_t>(random() % 40);
      do {
        const auto page = ledger_->Statement(kProgram, Id(member, 2), before, limit);
        EXPECT_TRUE(page.ok()) << page.status();
        if (!page.ok()) return all;
        for (const MovementAnswer& movement : page->movements) {
          absl::StrAppend(&all, movement.result.position(), " ", movement.result.available(), " ",
                          movement.operation.amount(), "\n");
        }
        before = page->next;
        absl::StrAppend(&all, "next ", before, "\n");
      } while (before != 0);
    }
    return all;
  }

  // Each in one page, so that no record is read for being the first of one.
  std::string WholeStatements() {
    std::string all;
    for (uint64_t member = 1; member <= kMembers; ++member) {
      const auto statement = ledger_->Statement(kProgram, Id(member, 2));
      EXPECT_TRUE(statement.ok()) << statement.status();
      if (!statement.ok()) return all;
      for (const MovementAnswer& movement : statement->movements) {
        absl::StrAppend(&all, movement.result.position(), " ", movement.operation.amount(), "\n");
      }
    }
    return all;
  }

  std::unique_ptr<SimIo> machine_;
  std::unique_ptr<Process> process_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
  std::vector<std::string> reports_;
  std::vector<Result> results_ = std::vector<Result>(1);  // by the purchase's number, from 1
};

TEST_F(HistoryTest, TransactionsOfAnyAgeAreFound) {
  Create();
  Grow();
  EXPECT_GE(Archives().size(), 3u);
  ExpectAllIndexed();
  ExpectAllFound();
  // In the segment that is being written, too.
  Buy(3);
  ExpectFound(results_.size() - 1);
  EXPECT_EQ(OutcomeOf(kProgram, Id(3, 2), Id(5, 5)), Outcome::UnknownOriginal);
  EXPECT_EQ(OutcomeOf(kProgram, Id(3, 2), Purchase(3).id()), Outcome::UnknownOriginal);
  EXPECT_EQ(OutcomeOf(kProgram, Id(3, 2), Id()), Outcome::UnknownOriginal);
  EXPECT_EQ(OutcomeOf(kProgram, Id(3, 3), Purchase(3).id()), Outcome::UnknownMember);
  EXPECT_EQ(OutcomeOf(8, Id(3, 2), Purchase(3).id()), Outcome::UnknownProgram);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectAllFound(7);
}

TEST_F(HistoryTest, OfAnIdThatWasUsedAgainTheNewestIsFound) {
  Create();
  Buy(40);
  Operation again = Purchase(2);
  again.mutate_occurred_at(Purchase(40).occurred_at());
  again.mutate_amount(77);
  const absl::StatusOr<Result> result = ledger_->Apply(again);
  ASSERT_TRUE(result.ok() && result->outcome() == Outcome::Ok) << result.status();
  for (int more = 0; more < 3; ++more) {
    const auto found = ledger_->Transaction(kProgram, again.member(), again.id());
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->movement.operation.amount(), 77);
    Buy(40);
    Work();
  }
  // Either is known to have been applied.
  const std::vector<Result> results = Submit({Purchase(2), again});
  EXPECT_EQ(results[0].position(), results_[2].position());
  EXPECT_EQ(results[1].position(), result->position());
}

TEST_F(HistoryTest, TooOldOperationsAreAnsweredOutOfTheHistory) {
  Create();
  Grow();
  const auto before = ledger_->Totals(kProgram);
  std::vector<Operation> operations;
  std::vector<Outcome> expected;
  for (uint64_t i = 1; i <= 200; ++i) {
    operations.push_back(Purchase(i));
    expected.push_back(Outcome::Ok);
    if (i % 5 == 0) {
      operations.back().mutate_amount(1);
      expected.back() = Outcome::IdConflict;
    } else if (i % 5 == 1) {
      operations.back().mutable_id() = Id(i, 77);
      expected.back() = Outcome::TooOld;
    } else if (i % 5 == 2) {
      operations.back().mutable_member() = Id(i, 77);
      expected.back() = Outcome::TooOld;
    }
  }
  // A chain is refused as a whole.
  operations.push_back(Purchase(3));
  operations.back().mutate_flags(kLinked);
  operations.push_back(Purchase(13));
  expected.push_back(Outcome::TooOld);
  expected.push_back(Outcome::ChainRefused);
  const std::vector<Result> results = Submit(operations);
  ASSERT_EQ(results.size(), operations.size());
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].outcome(), expected[i]) << i;
    if (expected[i] != Outcome::Ok) continue;
    Result original = results_[i + 1];
    original.mutate_flags(original.flags() | kReplayed);
    EXPECT_EQ(std::memcmp(&results[i], &original, sizeof(Result)), 0) << i;
  }
  EXPECT_EQ(ledger_->Totals(kProgram)->issued, before->issued);
  EXPECT_EQ(ledger_->Totals(kProgram)->members, before->members);
  // What is not known to be too old is not looked for.
  EXPECT_EQ(Submit({Purchase(300)})[0].flags() & kReplayed, kReplayed);
}

// They wait for the disk, which has no room for all of them; their stream goes on behind.
TEST_F(HistoryTest, TooManyTooOldOperationsAreOverloaded) {
  struct Sent {
    SubmitCall call;
    std::vector<Operation> operations;
    std::vector<Result> results;
    bool done = false;
  };
  Create();
  Buy(40);
  Stream stream(1);
  uint32_t seen = 0;
  const auto submit = [&](Sent& sent) {
    sent.done = false;
    sent.results.resize(sent.operations.size());
    sent.call.stream = &stream;
    sent.call.overloads_seen = seen;
    sent.call.operations = sent.operations;
    sent.call.results = absl::MakeSpan(sent.results);
    sent.call.owner = &sent;
    sent.call.done = [](SubmitCall& call) { static_cast<Sent*>(call.owner)->done = true; };
    ledger_->worker(0).dispatcher().Submit(sent.call);
    ledger_->Step(0);
  };
  std::vector<Sent> all(kMaxWaitingTooOld / kMaxRequestOperations + 4);
  for (Sent& sent : all) {
    sent.operations.assign(kMaxRequestOperations, Purchase(1));
    for (uint64_t i = 0; i < kMaxRequestOperations; ++i) {
      sent.operations[i].mutable_id() = Id(i + 1, 50);
    }
    submit(sent);
  }
  size_t too_old = 0;
  for (Sent& sent : all) {
    while (!sent.done) ledger_->Step(0);
    ASSERT_EQ(sent.call.status, absl::OkStatus());
    for (const Result& result : sent.results) {
      too_old += result.outcome() == Outcome::TooOld ? 1 : 0;
      seen += result.outcome() == Outcome::Overloaded ? 1 : 0;
    }
  }
  EXPECT_EQ(too_old + seen, all.size() * kMaxRequestOperations);
  EXPECT_GE(too_old, kMaxWaitingTooOld);
  EXPECT_GT(seen, 0u);
  EXPECT_EQ(seen, stream.overloads_given());
  Sent last;
  last.operations = {Purchase(1)};
  submit(last);
  while (!last.done) ledger_->Step(0);
  EXPECT_EQ(last.results[0].outcome(), Outcome::Ok);
}

TEST_F(HistoryTest, WithoutHistoryTheyStayTooOld) {
  options_.history = false;
  Create();
  Buy(200);
  Work();
  EXPECT_THAT(Indexes(), IsEmpty());
  EXPECT_EQ(Submit({Purchase(1)})[0].outcome(), Outcome::TooOld);
  ExpectAllFound(9);
}

TEST_F(HistoryTest, SegmentsThatWereArchivedWithoutAnIndexGetOne) {
  options_.history = false;
  Create();
  Grow();
  EXPECT_GE(Archives().size(), 3u);
  EXPECT_THAT(Indexes(), IsEmpty());
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.history = true;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  ExpectAllFound(50);  // none is there yet
  Work();
  ExpectAllIndexed();
  ExpectAllFound(11);
}

// ---- statements ----

TEST_F(HistoryTest, StatementsAreThoseOfTheChain) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937_64 random(seed);
  Create();
  Grow();
  Buy(static_cast<int>(random() % 60));
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.history = false;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  std::vector<std::string> expected;
  for (uint64_t run = 0; run < 8; ++run) expected.push_back(Statements(seed + run));
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.history = true;
  for (uint64_t run = 0; run < expected.size(); ++run) {
    options_.history_memory_bytes = random() % 2 == 0 ? 0 : 1 << 20;
    // Some are gone, some are damaged.
    for (const uint64_t segment : Indexes()) {
      const std::string path = wal::KeyIndexPath(kShard, segment);
      if (random() % 4 == 0) {
        ASSERT_EQ(machine_->Remove(path), absl::OkStatus());
      } else if (random() % 4 == 0) {
        std::vector<std::byte>& content = machine_->Contents(path);
        content[random() % content.size()] ^= std::byte{16};
      }
    }
    ASSERT_EQ(TryOpen(), absl::OkStatus());
    EXPECT_EQ(Statements(seed + run), expected[run]) << "run " << run;
    Work();
    EXPECT_EQ(Statements(seed + run), expected[run]) << "run " << run;
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  }
}

// An index whose pages are sound, and which lies.
TEST_F(HistoryTest, AnIndexThatLeavesARecordOutIsFoundOut) {
  Create();
  Grow();
  const std::string expected = WholeStatements();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  const uint64_t segment = Indexes()[2];
  const std::string path = wal::KeyIndexPath(kShard, segment);
  const auto index = wal::KeyIndex::Open(*machine_, kShard, segment, {});
  ASSERT_TRUE(index.ok()) << index.status();
  ASSERT_GT((*index)->layout().trees[2].words, 10u);
  const wal::IndexTree& tree = (*index)->layout().trees[2];
  auto* pages = reinterpret_cast<wal::IndexPage*>(machine_->Contents(path).data());
  wal::IndexPage& leaf = pages[tree.first_leaf];
  auto* words = reinterpret_cast<uint64_t*>(leaf.content);
  words[tree.words / 2] = words[tree.words / 2 - 1];  // said twice, instead of the other
  leaf.crc = wal::PageCrc(leaf);
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  EXPECT_EQ(WholeStatements(), expected);
  EXPECT_THAT(reports_, Contains(HasSubstr("it does not know the record of position")));
  Work();
  ExpectAllIndexed();
  reports_.clear();
  EXPECT_EQ(WholeStatements(), expected);
  EXPECT_THAT(reports_, IsEmpty());
}

// In each round another search finds an index to be of no use, just before it is asked; in the last
// one it is that of the transaction.
TEST_F(HistoryTest, ASearchThatLosesAnIndexInEveryRoundDoesNotSayThatThereIsNone) {
  Create();
  Buy(900);
  Work();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  wal::LogTail tail = ReadTail();
  auto history = History::Open(*machine_,
                               {.folders = wal::LogFolders(kShard),
                                .identity = tail.identity,
                                .built = std::make_shared<BuiltIndexes>(),
                                .build = [](const wal::SealedSegment&) {},
                                .report = [](const std::string&) {}},
                               tail.segment);
  ASSERT_TRUE(history.ok()) << history.status();
  Position in_eighth = (*history)->covered_until() - 1;
  for (int i = 1; i < 8; ++i) {
    in_eighth = (*history)->indexes().HeaderAt(in_eighth)->first_position - 1;
  }
  size_t number = 0;
  while (results_[number].position() + 20 < in_eighth) ++number;
  wal::BlockFetcher blocks(*machine_, wal::LogFolders(kShard), tail.index, 16);
  wal::RecordFetcher records(*machine_, wal::LogFolders(kShard), (*history)->indexes());
  TransactionSearch search(**history, blocks, records);
  TransactionSought sought;
  sought.program = kProgram;
  sought.member = Purchase(number).member();
  sought.id = Purchase(number).id();
  for (size_t i = number; i < results_.size(); i += kMembers) sought.head = results_[i].position();
  search.Start({sought},
               [&](const std::vector<TransactionSought>& found) { sought = found.front(); });
  // A round begins with blocks of the chain.
  int rounds = 0;
  for (bool walking = false; search.busy(); machine_->Poll(-1)) {
    if (std::exchange(walking, blocks.busy()) || !walking) continue;
    (*history)->Doubt((*history)->covered_until() - 1);
    ++rounds;
  }
  EXPECT_EQ(rounds, 8);
  EXPECT_FALSE(sought.found);
  EXPECT_FALSE(sought.status.ok());
}

// ---- faults ----

TEST_F(HistoryTest, BuildingThatIsCutOffAnywhereIsMadeUpFor) {
  uint64_t last = 1;
  for (uint64_t at = 1; at <= last; ++at) {
    const auto point = static_cast<CrashPoint>(at % 3);
    SCOPED_TRACE(absl::StrCat("boundary ", at));
    ledger_.reset();
    machine_ = std::make_unique<SimIo>(SimOptions{.seed = 3 + at, .short_read_percent = 10});
    results_.resize(1);
    options_.history = false;
    Create();
    Buy(140);
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
    options_.history = true;
    ASSERT_EQ(TryOpen(), absl::OkStatus());
    const uint64_t opened = machine_->boundaries();
    machine_->CrashAt(opened + at, point);
    Work();
    if (machine_->powered()) {
      ASSERT_GT(at, 3u) << "nothing was built";
      break;
    }
    last = at + 1;
    ledger_->Close().IgnoreError();
    ledger_.reset();
    machine_->Crash();
    ASSERT_EQ(TryOpen(), absl::OkStatus());
    ExpectAllFound(23);
    Work();
    ExpectAllIndexed();
    ExpectAllFound(23);
  }
}

TEST_F(HistoryTest, AFullDiskIsToldOnceAndWaitedFor) {
  Create();
  machine_->FailWrite(1, ENOSPC, ".idx.new");
  Buy(200);
  Work();
  EXPECT_THAT(reports_, Contains(HasSubstr("is not indexed")));
  EXPECT_THAT(Indexes(), IsEmpty());
  ExpectAllFound(9);
  const size_t told = reports_.size();
  machine_->FailWrite(1, ENOSPC, ".idx.new");
  machine_->AdvanceMicros(31 * kMicrosPerSecond);
  Work();
  EXPECT_EQ(reports_.size(), told);
  machine_->AdvanceMicros(31 * kMicrosPerSecond);
  Work();
  ExpectAllIndexed();
  ExpectAllFound(9);
}

TEST_F(HistoryTest, TheReserveOfTheDiskIsNotForIndexes) {
  Create();
  Buy(200);
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  for (const uint64_t segment : Indexes()) {
    ASSERT_EQ(machine_->Remove(wal::KeyIndexPath(kShard, segment)), absl::OkStatus());
  }
  machine_->SetDiskBytes(uint64_t{64} << 20);
  options_.disk_reserve_bytes = uint64_t{1} << 40;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Work();
  EXPECT_THAT(reports_, Contains(HasSubstr("segments are not indexed until")));
  EXPECT_THAT(Indexes(), IsEmpty());
  ExpectAllFound(9);
}

TEST_F(HistoryTest, AnIndexThatIsDamagedWhileItServesIsBuiltAnew) {
  Create();
  Grow();
  const std::string statements = Statements(1);
  const uint64_t segment = Indexes()[1];
  const std::string path = wal::KeyIndexPath(kShard, segment);
  const size_t pages = machine_->Contents(path).size() / wal::kSectorBytes;
  for (size_t page = 1; page < pages; ++page) {
    SCOPED_TRACE(absl::StrCat("page ", page));
    reports_.clear();
    machine_->Contents(path)[page * wal::kSectorBytes + 100] ^= std::byte{1};
    ExpectAllFound(3);
    EXPECT_EQ(Statements(1), statements);
    EXPECT_THAT(reports_, Contains(HasSubstr("an index cannot be used, and is built anew")));
    Work();
    ExpectAllIndexed();
    ExpectAllFound(9);
  }
  // And one that is gone.
  ASSERT_EQ(machine_->Remove(path), absl::OkStatus());
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  Work();
  ExpectAllIndexed();
}

TEST_F(HistoryTest, OthersIndexesAreBuiltAnewAndNewerOnesLeftAlone) {
  Create();
  Grow();
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  const std::vector<uint64_t> segments = Indexes();
  const std::vector<std::byte> other = machine_->Contents(wal::KeyIndexPath(kShard, segments[1]));
  machine_->Contents(wal::KeyIndexPath(kShard, segments[0])) = other;
  machine_->AddFile(wal::KeyIndexPath(kShard, 900), other);
  std::vector<std::byte>& newer = machine_->Contents(wal::KeyIndexPath(kShard, segments[2]));
  auto* first = reinterpret_cast<wal::IndexPage*>(newer.data());
  reinterpret_cast<wal::IndexHeader*>(first->content)->format_version = wal::kIndexVersion + 1;
  first->crc = wal::PageCrc(*first);
  const std::vector<std::byte> kept = newer;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  EXPECT_THAT(reports_, Contains(HasSubstr("It is built anew")));
  EXPECT_THAT(reports_, Contains(HasSubstr("it is left alone, and not used")));
  EXPECT_THAT(reports_, Contains(HasSubstr("the index of a segment that is no more")));
  ExpectAllFound(9);
  Work();
  ExpectAllFound(9);
  EXPECT_EQ(machine_->Contents(wal::KeyIndexPath(kShard, segments[2])), kept);
  EXPECT_THAT(Indexes(), Not(Contains(900)));
  const auto index = wal::KeyIndex::Open(*machine_, kShard, segments[0], {});
  EXPECT_TRUE(index.ok()) << index.status();
}

TEST_F(HistoryTest, WhatTheLimitsRemoveIsKnownNoMore) {
  Create();
  Grow();
  const size_t archived = Archives().size();
  ASSERT_GE(archived, 4u);
  uint64_t bytes = 0;
  for (const uint64_t segment : Archives()) {
    bytes += machine_
                 ->Contents(wal::FilePath(wal::LogFolders(kShard).archive, segment,
                                          wal::FileKind::kArchive))
                 .size();
  }
  ASSERT_EQ(ledger_->Close(), absl::OkStatus());
  options_.archive_keep_bytes = bytes / 2;
  ASSERT_EQ(TryOpen(), absl::OkStatus());
  for (int restart = 0; restart < 2; ++restart) {
    Work();
    EXPECT_LT(Archives().size(), archived);
    ExpectAllIndexed();
    EXPECT_EQ(OutcomeOf(kProgram, Purchase(1).member(), Purchase(1).id()),
              Outcome::UnknownOriginal);
    EXPECT_EQ(Submit({Purchase(1)})[0].outcome(), Outcome::TooOld);
    ExpectFound(results_.size() - 60);
    EXPECT_EQ(Submit({Purchase(results_.size() - 60)})[0].outcome(), Outcome::Ok);
    ASSERT_EQ(ledger_->Close(), absl::OkStatus());
    ASSERT_EQ(TryOpen(), absl::OkStatus());
  }
  EXPECT_THAT(reports_, Not(Contains(HasSubstr("in vain"))));
}

}  // namespace
}  // namespace tallystick::sim
