// Transactions of any age, over the wire, while threads index the log.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "api/client.h"
#include "api/embedded.h"
#include "api/program_file.h"
#include "api/server.h"

namespace tallystick {
namespace {

namespace fs = std::filesystem;

constexpr uint16_t kProgram = 7;
constexpr Instant kStart = 1'600'000'000'000'000;
constexpr Instant kMinute = 60 * kMicrosPerSecond;
constexpr size_t kBatch = 500;

class TransactionTest : public testing::Test {
 protected:
  TransactionTest()
      : directory_(fs::temp_directory_path() / ("tallystick_txn." + std::to_string(getpid()))) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    options_.directory = directory_ / "ledger";
    options_.create = true;
    options_.shards = 2;
    options_.threads = 2;
    options_.clock = ClockMode::kImport;
    options_.segment_bytes = 512 << 10;
    options_.durability = wal::Durability::kNone;  // nothing here cuts the power
    Open();
    options_.create = false;
    const auto file = ProgramFile::Parse(
        R"({"id": 7, "name": "Old", "currency": "USD", "time_zone": "UTC",
            "earn": {"points": 1, "per_spend": 1}, "implicit_enrolment": true,
            "retention_days": 1, "return_days": 1})",
        "program");
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(client_->PutProgram(Id(1, 1), file->bytes()).ok());
  }
  ~TransactionTest() override {
    Close();
    fs::remove_all(directory_);
  }

  void Open() {
    absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(options_);
    ASSERT_TRUE(ledger.ok()) << ledger.status();
    ledger_ = *std::move(ledger);
    absl::StatusOr<std::unique_ptr<Server>> server =
        Server::Start(*ledger_, "unix:" + (directory_ / "socket").string(), {});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect(server_->address());
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void Close() {
    client_.reset();
    if (server_ != nullptr) server_->Stop();
    server_.reset();
    EXPECT_EQ(ledger_->Close(), absl::OkStatus());
    ledger_.reset();
  }
  static Operation Purchase(uint64_t number) {
    return {Id(number, 9),
            Id(number % 300 + 1, 2),
            Id(),
            static_cast<int64_t>(number % 50 + 1),
            kStart + static_cast<Instant>(number) * kMinute,
            0,
            0,
            kProgram,
            0,
            Kind::Purchase,
            0,
            0};
  }
  // Sends them in batches, all in flight, and returns their results in order.
  std::vector<Result> Send(const std::vector<Operation>& operations) {
    std::vector<Result> results(operations.size());
    for (size_t at = 0; at < operations.size(); at += kBatch) {
      const auto batch = absl::MakeConstSpan(operations).subspan(at, kBatch);
      client_->Submit(batch, [&results, at](absl::StatusOr<absl::Span<const Result>> answer) {
        ASSERT_TRUE(answer.ok()) << answer.status();
        std::copy(answer->begin(), answer->end(), results.begin() + static_cast<ptrdiff_t>(at));
      });
    }
    EXPECT_EQ(client_->Drain(), absl::OkStatus());
    return results;
  }

  const fs::path directory_;
  LedgerOptions options_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Client> client_;
};

TEST_F(TransactionTest, OldOnesAreAnsweredAgainAndFound) {
  std::vector<Operation> operations;
  for (uint64_t i = 1; i <= 20'000; ++i) operations.push_back(Purchase(i));
  const std::vector<Result> originals = Send(operations);
  const auto issued = client_->Totals(kProgram)->issued;
  for (int restart = 0; restart < 2; ++restart) {
    const std::vector<Result> again = Send(operations);
    for (size_t i = 0; i < operations.size(); ++i) {
      Result original = originals[i];
      ASSERT_EQ(original.outcome(), Outcome::Ok) << i;
      original.mutate_flags(original.flags() | kReplayed);
      ASSERT_EQ(std::memcmp(&again[i], &original, sizeof(Result)), 0) << i;
    }
    EXPECT_EQ(client_->Totals(kProgram)->issued, issued);
    Close();
    Open();
  }
  Operation other = Purchase(5);
  other.mutate_user_data(1);
  Operation unknown = Purchase(6);
  unknown.mutable_id() = Id(6, 6);
  const std::vector<Result> results = Send({other, unknown, Purchase(7)});
  EXPECT_EQ(results[0].outcome(), Outcome::IdConflict);
  EXPECT_EQ(results[1].outcome(), Outcome::TooOld);
  EXPECT_EQ(results[2].outcome(), Outcome::Ok);
  for (uint64_t i = 1; i <= operations.size(); i += 997) {
    const auto found = client_->Transaction(kProgram, Purchase(i).member(), Purchase(i).id());
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->outcome, Outcome::Ok);
    EXPECT_TRUE(SameBytes(found->movement.operation, Purchase(i)));
    EXPECT_EQ(found->movement.result.position(), originals[i - 1].position());
  }
  EXPECT_EQ(client_->Transaction(kProgram, unknown.member(), unknown.id())->outcome,
            Outcome::UnknownOriginal);
  EXPECT_EQ(client_->Transaction(kProgram, Id(1, 1), Id(1, 1))->outcome, Outcome::UnknownMember);
  EXPECT_EQ(client_->Transaction(9, Id(1, 1), Id(1, 1))->outcome, Outcome::UnknownProgram);
}

// What came back was not done; its id may have been used again since.
TEST_F(TransactionTest, OldTransfersAreFoundIfTheyWereDone) {
  std::vector<Operation> operations;
  for (uint64_t i = 1; i <= 40; ++i) operations.push_back(Purchase(i));
  Send(operations);
  const Id sender = Purchase(40).member();
  const Id late(400, 2);
  const auto transfer = [&](uint64_t id, const Id& to) {
    return Operation(Id(id, 8), sender, to, 2, kStart + 40 * kMinute, 0, 0, kProgram, 0,
                     Kind::Transfer, 0, 0);
  };
  const Operation done = transfer(1, Purchase(7).member());
  const Operation back = transfer(2, Id(999, 2));
  const Operation again = transfer(3, late);
  Operation enrol = Purchase(40);
  enrol.mutable_id() = Id(4, 8);
  enrol.mutable_member() = late;
  enrol.mutate_kind(Kind::Enrol);
  enrol.mutate_amount(0);
  const std::vector<Result> first = Send({done, back, again});
  EXPECT_EQ(first[0].outcome(), Outcome::Ok);
  for (size_t i = 1; i < 3; ++i) {
    EXPECT_EQ(first[i].outcome(), Outcome::UnknownMember);
    EXPECT_EQ(first[i].field(), Field::Related);
  }
  ASSERT_EQ(Send({enrol})[0].outcome(), Outcome::Ok);
  const Result second = Send({again})[0];
  ASSERT_EQ(second.outcome(), Outcome::Ok);
  operations.clear();
  for (uint64_t i = 41; i <= 12'000; ++i) operations.push_back(Purchase(i));
  Send(operations);
  for (int restart = 0; restart < 2; ++restart) {
    const auto position = [&](const Operation& operation) {
      const auto found = client_->Transaction(kProgram, sender, operation.id());
      EXPECT_TRUE(found.ok()) << found.status();
      if (found->outcome != Outcome::Ok) {
        EXPECT_EQ(found->outcome, Outcome::UnknownOriginal);
        return Position{0};
      }
      EXPECT_TRUE(SameBytes(found->movement.operation, operation));
      return found->movement.result.position();
    };
    EXPECT_EQ(position(done), first[0].position());
    EXPECT_EQ(position(back), 0u);
    EXPECT_EQ(position(again), second.position());
    // The receiver has none of that id.
    EXPECT_EQ(client_->Transaction(kProgram, late, again.id())->outcome, Outcome::UnknownOriginal);
    const std::vector<Result> resent = Send({done, back, again});
    EXPECT_EQ(resent[0].flags() & kReplayed, kReplayed);
    EXPECT_EQ(resent[0].position(), first[0].position());
    EXPECT_EQ(resent[1].outcome(), Outcome::TooOld);
    EXPECT_EQ(resent[2].flags() & kReplayed, kReplayed);
    EXPECT_EQ(resent[2].position(), second.position());
    Close();
    Open();
  }
}

}  // namespace
}  // namespace tallystick
