#include "tests/sim/sim_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/program_file.h"
#include "api/shard_worker.h"

namespace tallystick::sim {
namespace {

constexpr Instant kHour = 3600 * kMicrosPerSecond;
constexpr Instant kImportStart = 1'690'000'000'000'000;  // some months before the machine's clock
// Turns that a settled machine never needs.
constexpr int kForEver = 20'000;

// Each put has a rate of its own.
std::vector<uint8_t> ProgramBytes(uint16_t program, uint64_t put) {
  const absl::StatusOr<ProgramFile> file = ProgramFile::Parse(
      absl::StrFormat(R"({"id": %d, "name": "Tally", "currency": "USD", "time_zone": "UTC",
        "earn": {"points": %d, "per_spend": 100, "rounding": "nearest"}, %s
        "expiry": {"after": "earning", "days": %d}, "redeem": {"minimum": 1, "step": 1},
        "debt_floor": %d, "retention_days": 90, "return_days": 90, "implicit_enrolment": %s,
        "unknown_original": "newest"})",
                      program, put, program == 1 ? R"("pending": {"days": 1},)" : "",
                      program == 1 ? 3 : 2, program == 1 ? 50 : 0, program == 1 ? "true" : "false"),
      "program");
  EXPECT_TRUE(file.ok()) << file.status();
  return file->bytes();
}

}  // namespace

// One caller. Its operations go out in the order of the books; what came back overloaded goes out
// again before anything newer.
struct World::Client {
  size_t number = 0;
  uint16_t worker = 0;
  bool streamed = false;
  std::unique_ptr<Stream> stream;
  uint32_t overloads_seen = 0;
  std::set<size_t> waiting;  // to be sent, or sent again
  size_t in_flight = 0;
  bool overtaken = false;  // without a stream: order is lost after an overload
};

struct World::Request {
  World* world = nullptr;
  Client* client = nullptr;
  std::vector<size_t> indexes;
  std::vector<Operation> operations;
  std::vector<Result> results;
  SubmitCall call;
};

World::World(const WorldOptions& options)
    : options_(options),
      random_(options.seed),
      machine_({.seed = options.seed * 31 + 7,
                .short_write_percent = 10,
                .short_read_percent = 10,
                .late_percent = 40}),
      business_time_(kImportStart),
      time_left_(60 * kMicrosPerDay) {
  for (size_t i = 0; i < options.clients; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->number = i;
    clients_.back()->streamed = i % 2 == 1;
  }
  Put(1);
  Put(2);
}

World::~World() { Drop(); }

LedgerOptions World::Options(bool create) {
  LedgerOptions options;
  options.directory = directory_;
  options.create = create;
  options.shards = options_.shards;
  options.threads = options_.threads;
  options.manual = true;
  options.clock = options_.clock;
  options.durability = options_.durability;
  options.segment_bytes = options_.segment_bytes;
  options.blocks_in_flight = options_.blocks_in_flight;
  options.block_digests = true;
  options.snapshot_interval_ms = options_.snapshot_interval_ms;
  options.snapshot_log_bytes = options_.snapshot_log_bytes;
  options.snapshot_buffer_bytes = wal::kMinSnapshotBufferBytes;
  options.snapshot_at_close = options_.snapshot_at_close;
  options.disk_reserve_bytes = options_.disk_reserve_bytes;
  options.report = [this](const std::string& sentence) { reports_.push_back(sentence); };
  options.make_io = [this](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> {
    return std::make_unique<ProcessIo>(machine_, *process_);
  };
  return options;
}

absl::Status World::Create() {
  process_ = std::make_unique<Process>();
  absl::StatusOr<std::unique_ptr<Ledger>> made = Ledger::Open(Options(true));
  if (!made.ok()) return made.status();
  ledger_ = *std::move(made);
  Connect();
  return absl::OkStatus();
}

absl::Status World::Open(bool confirm_clock) {
  Drop();
  process_ = std::make_unique<Process>();
  LedgerOptions options = Options(false);
  options.confirm_clock = confirm_clock;
  absl::StatusOr<std::unique_ptr<Ledger>> opened = Ledger::Open(options);
  if (!opened.ok()) return opened.status();
  ledger_ = *std::move(opened);
  Connect();
  CheckShards();
  return absl::OkStatus();
}

// A put that a crash has broken off is completed before anything is served.
void World::CheckShards() const {
  std::map<uint16_t, std::set<size_t>> versions;
  for (uint16_t index = 0; index < ledger_->worker_count(); ++index) {
    for (const auto& shard : static_cast<ShardWorker&>(ledger_->worker(index)).shards()) {
      EXPECT_EQ(shard->machine().CheckInvariants(), absl::OkStatus());
      for (const uint16_t program : {1, 2}) {
        versions[program].insert(shard->machine().VersionsOf(program).size());
      }
    }
  }
  for (const uint16_t program : {1, 2}) {
    EXPECT_EQ(versions[program].size(), 1u) << "shards differ in versions of program " << program;
    const auto put = books_.versions().find(program);
    if (put != books_.versions().end()) {
      EXPECT_GE(*versions[program].begin(), put->second);
    }
  }
}

void World::Connect() {
  for (const auto& client : clients_) {
    client->worker = static_cast<uint16_t>(client->number % ledger_->worker_count());
    client->stream = std::make_unique<Stream>(options_.shards);
    client->overloads_seen = 0;
  }
}

void World::Drop() {
  ledger_.reset();
  EXPECT_EQ(unanswered_, 0u) << "requests were not answered, not even with an error";
}

void World::KillProcess() {
  process_->dead = true;
  machine_.KillProcess();
  Drop();
}

Dispatcher& World::AnyDispatcher() {
  const auto worker = static_cast<uint16_t>(random_.Between(0, ledger_->worker_count() - 1));
  return ledger_->worker(worker).dispatcher();
}

// ---- operations ----

Instant World::BusinessTime() {
  return options_.clock == ClockMode::kImport ? business_time_ : machine_.WallMicros();
}

Id World::Member(int64_t number) const {
  return Id(static_cast<uint64_t>(number), 0x5eed + options_.seed);
}

Operation World::Draw() {
  const auto program = static_cast<uint16_t>(random_.OneIn(4) ? 2 : 1);
  const Id member = Member(random_.Between(1, options_.members));
  const Instant now = BusinessTime() - random_.Between(0, kHour);
  const uint64_t id = ++last_id_;
  const auto make = [&](Kind kind, int64_t amount, const Id& related = Id()) {
    return Operation(Id(id, options_.seed), member, related, amount, now, 0, id, program, 0, kind,
                     0, 0);
  };
  // One that names one of `originals`.
  const auto of = [&](const std::vector<size_t>& originals, Kind kind, bool whole) {
    if (originals.empty()) return make(Kind::Enrol, 0);
    const Operation& original = books_[random_.Pick(originals)].operation;
    Operation op = make(kind, whole ? 0 : random_.Between(1, original.amount()), original.id());
    op.mutable_member() = original.member();
    op.mutate_program(original.program());
    return op;
  };
  const int64_t kind = random_.Between(1, 100);
  if (kind <= 36) return make(Kind::Purchase, random_.Between(1, 5'000));
  if (kind <= 48) return make(Kind::Accrue, random_.Between(1, 50));
  if (kind <= 60) return make(Kind::Redeem, random_.Between(1, 40));
  if (kind <= 66) return make(Kind::Adjust, random_.OneIn(3) ? -5 : random_.Between(1, 9));
  if (kind <= 74) return make(Kind::Hold, random_.Between(1, 40));
  if (kind <= 79) return of(holds_, Kind::Capture, random_.OneIn(3));
  if (kind <= 82) return of(holds_, Kind::Release, true);
  if (kind <= 86) return of(redemptions_, Kind::ReverseRedemption, false);
  if (kind <= 87) {
    const int64_t to = random_.Between(0, options_.members);  // 0: nobody
    return Member(to) == member ? make(Kind::Enrol, 0)
                                : make(Kind::Transfer, random_.Between(1, 20), Member(to));
  }
  if (kind <= 88) return make(random_.OneIn(4) ? Kind::Freeze : Kind::Unfreeze, 0);
  if (kind <= 92) return make(Kind::Enrol, 0);
  if (random_.OneIn(4)) return make(Kind::Return, random_.Between(1, 500));
  return of(purchases_, Kind::Return, false);
}

absl::Status World::Apply(const Operation& operation) {
  const size_t index = books_.Add(operation, 0);
  books_[index].failed = true;  // it has no place in the client's order
  const absl::StatusOr<Result> result = ledger_->Apply(operation);
  if (result.ok() && result->outcome() != Outcome::Overloaded) {
    books_.Answer(index, *result);
    return absl::OkStatus();
  }
  clients_[0]->waiting.insert(index);
  return result.status();
}

void World::DrawRequest(Client& client) {
  const int64_t count = random_.Between(1, static_cast<int64_t>(options_.operations));
  for (int64_t i = 0; i < count; ++i) {
    Operation first = Draw();
    const int64_t chain = random_.OneIn(10) ? random_.Between(2, 4) : 1;
    for (int64_t link = 0; link < chain; ++link) {
      Operation operation = link == 0 ? first : Draw();
      operation.mutable_member() = first.member();
      operation.mutate_program(first.program());
      // A chain holds none, and nobody sends to himself.
      if (chain > 1 && operation.kind() == Kind::Transfer) operation.mutate_kind(Kind::Redeem);
      if (operation.kind() == Kind::Redeem) operation.mutable_related() = Id();
      operation.mutate_flags(link + 1 < chain ? kLinked : 0);
      const size_t index = books_.Add(operation, client.number);
      client.waiting.insert(index);
      if (operation.kind() == Kind::Purchase) purchases_.push_back(index);
      if (operation.kind() == Kind::Hold) holds_.push_back(index);
      if (operation.kind() == Kind::Redeem) redemptions_.push_back(index);
    }
  }
}

// The oldest that wait, whole chains.
void World::SendWaiting(Client& client) {
  std::vector<size_t> indexes;
  bool linked = false;
  for (const size_t index : client.waiting) {
    if (indexes.size() >= options_.operations && !linked) break;
    indexes.push_back(index);
    linked = (books_[index].operation.flags() & kLinked) != 0;
  }
  if (indexes.empty()) return;
  for (const size_t index : indexes) client.waiting.erase(index);
  SubmitRequest(client, std::move(indexes));
}

void World::SubmitRequest(Client& client, std::vector<size_t> indexes) {
  auto owned = std::make_unique<Request>();
  Request& request = *owned;
  request.world = this;
  request.client = &client;
  request.indexes = std::move(indexes);
  for (const size_t index : request.indexes) {
    request.operations.push_back(books_[index].operation);
  }
  ++client.in_flight;
  ++unanswered_;
  if (!client.streamed) {
    const absl::Status taken = ledger_->Submit(
        request.operations, [&request](absl::StatusOr<absl::Span<const Result>> results) {
          const std::unique_ptr<Request> own(&request);
          request.world->Answered(request, results.status(),
                                  results.ok() ? *results : absl::Span<const Result>());
        });
    ASSERT_TRUE(taken.ok()) << taken;
    static_cast<void>(owned.release());
    return;
  }
  request.results.resize(request.operations.size());
  request.call.stream = client.stream.get();
  request.call.overloads_seen = client.overloads_seen;
  request.call.operations = request.operations;
  request.call.results = absl::MakeSpan(request.results);
  request.call.owner = owned.release();
  request.call.done = [](SubmitCall& call) {
    const std::unique_ptr<Request> own(static_cast<Request*>(call.owner));
    own->world->Answered(*own, call.status, own->results);
  };
  ledger_->worker(client.worker).dispatcher().Submit(request.call);
}

void World::Answered(Request& request, const absl::Status& status,
                     absl::Span<const Result> results) {
  Client& client = *request.client;
  --client.in_flight;
  --unanswered_;
  for (size_t i = 0; i < request.indexes.size(); ++i) {
    const size_t index = request.indexes[i];
    if (!status.ok()) {
      EXPECT_FALSE(status.message().empty());
      last_failure_ = status;
      if (books_[index].answer.has_value()) continue;
      books_[index].failed = true;
      client.waiting.insert(index);
    } else if (results[i].outcome() == Outcome::Overloaded) {
      ++overloads_;
      ++client.overloads_seen;
      client.overtaken = true;
      client.waiting.insert(index);
    } else {
      SCOPED_TRACE(testing::Message() << "operation " << index);
      books_.Answer(index, results[i]);
    }
  }
}

// ---- reading ----

template <typename Answer, typename Take>
std::function<void(absl::StatusOr<Answer>)> World::Counted(Take take) {
  ++unanswered_;
  return [this, take](absl::StatusOr<Answer> answer) {
    --unanswered_;
    if (answer.ok()) return take(*answer);
    EXPECT_FALSE(answer.status().message().empty());
    last_failure_ = answer.status();
  };
}

void World::Read() {
  const auto program = static_cast<uint16_t>(random_.Between(1, 2));
  const Id member = Member(random_.Between(1, options_.members));
  Dispatcher& dispatcher = AnyDispatcher();
  const int64_t kind = random_.Between(1, 10);
  if (kind <= 6) {
    dispatcher.Balance(program, member, 0,
                       Counted<BalanceAnswer>([=, this](const BalanceAnswer& answer) {
                         books_.AnswerBalance(program, member, answer);
                       }));
  } else if (kind <= 8) {
    dispatcher.Statement(program, member, 0, static_cast<uint32_t>(random_.Between(0, 20)),
                         Counted<StatementAnswer>([=, this](const StatementAnswer& answer) {
                           books_.AnswerStatement(program, member, answer);
                         }));
  } else if (kind == 9) {
    dispatcher.Totals(program, Counted<TotalsAnswer>([](const TotalsAnswer& answer) {
                        EXPECT_EQ(answer.issued + answer.reinstated + answer.adjusted +
                                      answer.forgiven - answer.redeemed - answer.expired -
                                      answer.clawed_back,
                                  answer.pending + answer.available + answer.held - answer.debt +
                                      answer.sent - answer.received);
                      }));
  } else {
    dispatcher.Lots(program, member, Counted<LotsAnswer>([](const LotsAnswer& answer) {
                      for (const LotAnswer& lot : answer.lots) EXPECT_GT(lot.remaining, 0);
                    }));
  }
}

void World::Put(uint16_t program) { waiting_puts_[++last_put_] = program; }

// Whatever was not acknowledged goes out once more, under the same id.
void World::SendPuts() {
  for (const auto& [id, program] : std::exchange(waiting_puts_, {})) {
    auto done =
        Counted<ProgramPutAnswer>([this, program = program](const ProgramPutAnswer& answer) {
          EXPECT_EQ(answer.outcome, Outcome::Ok) << answer.field << " " << answer.message;
          books_.AnswerPut(program, answer.version);
        });
    AnyDispatcher().PutProgram(
        Id(id, program), ProgramBytes(program, id),
        [=, this, id = id, program = program](absl::StatusOr<ProgramPutAnswer> answer) {
          if (answer.ok() && answer->outcome == Outcome::Overloaded) {
            ++overloads_;
            answer = absl::UnavailableError("overloaded");
          }
          if (!answer.ok()) waiting_puts_[id] = program;
          done(std::move(answer));
        });
  }
}

// ---- time ----

void World::Step() {
  if (random_.OneIn(300) && time_left_ > 0) {
    const Instant hours = random_.Between(1, 30) * kHour;
    machine_.AdvanceMicros(hours);
    business_time_ += hours;
    time_left_ -= hours;
  }
  machine_.AdvanceMicros(random_.Between(0, 300));
  business_time_ += random_.Between(0, 300);
  ledger_->Step(0);
}

void World::Run(int turns) {
  for (int turn = 0; turn < turns && machine_.powered(); ++turn) {
    for (const auto& client : clients_) {
      if (client->in_flight >= options_.requests_in_flight || random_.OneIn(3)) continue;
      if (client->waiting.empty()) DrawRequest(*client);
      SendWaiting(*client);
    }
    if (random_.OneIn(3)) Read();
    if (random_.OneIn(15)) {
      const auto program = static_cast<uint16_t>(random_.Between(1, 2));
      for (int64_t puts = random_.Between(1, 2); puts > 0; --puts) Put(program);
    }
    SendPuts();
    Step();
    if (!ledger_->health().ok()) return;
  }
}

// Also what nobody waits for any more.
bool World::IsOnItsWay() const {
  for (uint16_t index = 0; index < ledger_->worker_count(); ++index) {
    for (const auto& shard : static_cast<ShardWorker&>(ledger_->worker(index)).shards()) {
      if (!shard->machine().OpenTransfers().empty()) return true;
    }
  }
  return false;
}

bool World::Settle() {
  for (int turn = 0; turn < kForEver; ++turn) {
    size_t waiting = 0;
    for (const auto& client : clients_) {
      if (client->in_flight == 0) SendWaiting(*client);
      waiting += client->in_flight;
    }
    SendPuts();
    if (waiting == 0 && unanswered_ == 0 && !IsOnItsWay()) return true;
    if (!ledger_->health().ok()) return false;
    Step();
  }
  return false;
}

void World::ResendAccepted() {
  for (size_t from = 0; from < books_.size();) {
    std::vector<size_t> indexes;
    bool linked = false;
    while (from < books_.size() && (indexes.size() < 100 || linked)) {
      linked = (books_[from].operation.flags() & kLinked) != 0;
      if (books_[from].accepted()) indexes.push_back(from);
      ++from;
    }
    if (!indexes.empty()) SubmitRequest(*clients_[0], std::move(indexes));
  }
}

// ---- the end ----

// The accepted operations of one client's member lie in the log as they were first sent. What was
// sent to two ledgers may have been refused by the first, after which others were accepted.
void World::CheckOrder() const {
  std::map<std::tuple<size_t, uint16_t, model::Id>, Position> last;
  for (size_t i = 0; i < books_.size(); ++i) {
    const Sent& sent = books_[i];
    const Client& client = *clients_[sent.client];
    // A transfer may have come back behind others, and been sent again.
    if (sent.operation.kind() == Kind::Transfer) continue;
    if (!sent.accepted() || sent.failed || (client.overtaken && !client.streamed)) continue;
    Position& previous =
        last[{sent.client, sent.operation.program(), FromId(sent.operation.member())}];
    EXPECT_LT(previous, sent.answer->position()) << "operation " << i << " has overtaken another";
    previous = sent.answer->position();
  }
}

void World::CheckTransactions(uint16_t program, const Id& member,
                              const StatementAnswer& statement) {
  for (const MovementAnswer& movement : statement.movements) {
    const Kind kind = movement.operation.kind();
    if (kind == Kind::Transfer || IsBetweenShards(kind)) continue;  // it may have come back
    if (IsZero(movement.operation.id()) || !random_.OneIn(4)) continue;
    const absl::StatusOr<TransactionAnswer> found =
        ledger_->Transaction(program, member, movement.operation.id());
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->outcome, Outcome::Ok);
    EXPECT_TRUE(SameBytes(found->movement.operation, movement.operation));
    EXPECT_EQ(found->movement.result.position(), movement.result.position());
  }
}

std::vector<uint64_t> World::Finish() {
  EXPECT_TRUE(Settle()) << "requests wait for ever; health: " << ledger_->health();
  ResendAccepted();
  EXPECT_TRUE(Settle());
  CheckShards();
  std::map<AccountKey, BalanceAnswer> balances;
  std::map<AccountKey, LotsAnswer> lots;
  std::map<AccountKey, std::vector<MovementAnswer>> statements;
  std::vector<TotalsAnswer> totals;
  for (const uint16_t program : {1, 2}) {
    for (int64_t number = 1; number <= options_.members; ++number) {
      const AccountKey account = {program, FromId(Member(number))};
      balances[account] = *ledger_->Balance(program, Member(number));
      lots[account] = *ledger_->Lots(program, Member(number));
      for (Position before = 0;;) {
        const StatementAnswer page = *ledger_->Statement(program, Member(number), before, 7);
        books_.AnswerStatement(program, Member(number), page);
        CheckTransactions(program, Member(number), page);
        auto& all = statements[account];
        all.insert(all.end(), page.movements.begin(), page.movements.end());
        if (page.next == 0) break;
        before = page.next;
      }
    }
    totals.push_back(*ledger_->Totals(program));
  }
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  EXPECT_EQ(ledger_->Close(), absl::OkStatus());
  CheckOrder();
  Audit audit(books_, machine_, directory_, options_.shards);
  audit.ExpectComplete();
  for (const auto& [account, balance] : balances) {
    SCOPED_TRACE(testing::Message() << "member " << account.second.low << " of " << account.first);
    audit.Expect(account.first, account.second, balance);
    audit.Expect(account.first, account.second, lots[account]);
    audit.Expect(account.first, account.second, statements[account]);
  }
  for (const uint16_t program : {1, 2}) audit.Expect(program, totals[program - 1]);
  std::vector<uint64_t> summary = audit.block_hashes();
  Drop();
  return summary;
}

}  // namespace tallystick::sim
