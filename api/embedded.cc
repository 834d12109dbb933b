#include "api/embedded.h"

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/ledger_state.h"

namespace tallystick {
namespace {

// Requests of embedding threads that wait at most, in one ledger.
constexpr size_t kMaxEmbeddedRequests = 1024;
// As many as one shard's queue takes: none of them finds it full.
constexpr size_t kMaxEmbeddedOperations = kMaxQueuedOperations;

}  // namespace

Ledger::Ledger(std::unique_ptr<State> state) : state_(std::move(state)) {}

Ledger::~Ledger() { Close().IgnoreError(); }

// ---- serving ----

uint16_t Ledger::worker_count() const { return static_cast<uint16_t>(state_->workers.size()); }
Worker& Ledger::worker(uint16_t index) { return *state_->workers[index]; }

ShardWorker& Ledger::State::WorkerOfThisThread() {
  if (options.manual) return *workers[0];  // the same in every run
  return *workers[std::hash<std::thread::id>()(std::this_thread::get_id()) % workers.size()];
}

bool Ledger::State::OnWorkerThread() const {
  return std::any_of(threads.begin(), threads.end(), [](const std::thread& thread) {
    return thread.get_id() == std::this_thread::get_id();
  });
}

absl::Status Ledger::State::Enter(size_t most) {
  absl::Status status;
  if (under_way.fetch_add(1) >= most) {
    status = absl::ResourceExhaustedError("too many requests are under way: try again in a moment");
  }
  if (closed) status = absl::FailedPreconditionError("the ledger is closed");
  if (!status.ok()) Leave();
  return status;
}

void Ledger::State::Leave() {
  if (under_way.fetch_sub(1) == 1 && closed) under_way.notify_all();
}

absl::Status Ledger::Submit(absl::Span<const Operation> operations, ResultsCallback done) {
  struct Call {
    SubmitCall call;
    std::vector<Operation> operations;
    std::vector<Result> results;
    ResultsCallback done;
    State* state;
  };
  State& s = *state_;
  if (operations.empty() || operations.size() > kMaxRequestOperations) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request holds 1 to ", kMaxRequestOperations, " operations"));
  }
  if (absl::Status entered = s.Enter(kMaxEmbeddedRequests); !entered.ok()) return entered;
  const size_t before = s.operations_under_way.fetch_add(operations.size());
  if (before != 0 && before + operations.size() > kMaxEmbeddedOperations) {
    s.operations_under_way -= operations.size();
    s.Leave();
    return absl::ResourceExhaustedError("too many operations are under way: try again in a moment");
  }
  auto* call = new Call();
  call->operations.assign(operations.begin(), operations.end());
  call->results.resize(operations.size());
  call->done = std::move(done);
  call->state = &s;
  call->call.operations = call->operations;
  call->call.results = absl::MakeSpan(call->results);
  call->call.owner = call;
  call->call.done = [](SubmitCall& finished) {
    const std::unique_ptr<Call> own(static_cast<Call*>(finished.owner));
    own->state->operations_under_way -= own->operations.size();
    own->state->Leave();
    if (finished.status.ok()) {
      own->done(absl::Span<const Result>(own->results));
    } else {
      own->done(finished.status);
    }
  };
  ShardWorker& worker = s.WorkerOfThisThread();
  worker.Post([&worker, call] { worker.dispatcher().Submit(call->call); });
  return absl::OkStatus();
}

template <typename Answer>
absl::StatusOr<Answer> Ledger::State::Await(
    const std::function<void(Dispatcher&, Dispatcher::Done<Answer>)>& ask) {
  if (OnWorkerThread()) {
    return absl::FailedPreconditionError(
        "a callback runs on a worker's thread, which cannot wait for itself: call from another");
  }
  if (absl::Status entered = Enter(std::numeric_limits<size_t>::max()); !entered.ok()) {
    return entered;
  }
  // Shared: the caller may have gone on while the worker is still inside set_value.
  const auto promise = std::make_shared<std::promise<absl::StatusOr<Answer>>>();
  std::future<absl::StatusOr<Answer>> answer = promise->get_future();
  ShardWorker& worker = WorkerOfThisThread();
  worker.Post([this, &worker, ask, promise] {
    ask(worker.dispatcher(), [this, promise](absl::StatusOr<Answer> a) {
      promise->set_value(std::move(a));
      Leave();
    });
  });
  if (options.manual) {
    while (answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      for (const auto& w : workers) w->Turn(0);
    }
  }
  return answer.get();
}

absl::StatusOr<Result> Ledger::Apply(const Operation& operation) {
  auto answer =
      state_->Await<Result>([&](Dispatcher& dispatcher, const Dispatcher::Done<Result>& done) {
        struct One {
          SubmitCall call;
          Operation operation;
          Result result;
          Dispatcher::Done<Result> done;
        };
        auto* one = new One{{}, operation, {}, done};
        one->call.operations = absl::MakeConstSpan(&one->operation, 1);
        one->call.results = absl::MakeSpan(&one->result, 1);
        one->call.owner = one;
        one->call.done = [](SubmitCall& call) {
          const std::unique_ptr<One> own(static_cast<One*>(call.owner));
          if (call.status.ok()) {
            own->done(own->result);
          } else {
            own->done(call.status);
          }
        };
        dispatcher.Submit(one->call);
      });
  return answer;
}

absl::StatusOr<DryRunAnswer> Ledger::DryRun(absl::Span<const Operation> operations) {
  return state_->Await<DryRunAnswer>([&](Dispatcher& d, Dispatcher::Done<DryRunAnswer> done) {
    d.DryRun(operations, std::move(done));
  });
}

absl::StatusOr<ProgramPutAnswer> Ledger::PutProgram(const Id& id,
                                                    absl::Span<const uint8_t> program) {
  return state_->Await<ProgramPutAnswer>(
      [&](Dispatcher& d, Dispatcher::Done<ProgramPutAnswer> done) {
        d.PutProgram(id, program, std::move(done));
      });
}

absl::StatusOr<std::vector<uint8_t>> Ledger::GetProgram(uint16_t program) {
  return state_->Await<std::vector<uint8_t>>(
      [&](Dispatcher& d, Dispatcher::Done<std::vector<uint8_t>> done) {
        d.GetProgram(program, std::move(done));
      });
}

absl::StatusOr<BalanceAnswer> Ledger::Balance(uint16_t program, const Id& member, Instant as_of) {
  return state_->Await<BalanceAnswer>([&](Dispatcher& d, Dispatcher::Done<BalanceAnswer> done) {
    d.Balance(program, member, as_of, std::move(done));
  });
}

absl::StatusOr<BalanceAnswer> Ledger::Schedule(uint16_t program, const Id& member, Instant as_of) {
  return state_->Await<BalanceAnswer>([&](Dispatcher& d, Dispatcher::Done<BalanceAnswer> done) {
    d.Schedule(program, member, as_of, std::move(done));
  });
}

absl::StatusOr<LotsAnswer> Ledger::Lots(uint16_t program, const Id& member) {
  return state_->Await<LotsAnswer>([&](Dispatcher& d, Dispatcher::Done<LotsAnswer> done) {
    d.Lots(program, member, std::move(done));
  });
}

absl::StatusOr<StatementAnswer> Ledger::Statement(uint16_t program, const Id& member,
                                                  Position before, uint32_t limit) {
  return state_->Await<StatementAnswer>([&](Dispatcher& d, Dispatcher::Done<StatementAnswer> done) {
    d.Statement(program, member, before, limit, std::move(done));
  });
}

absl::StatusOr<TransactionAnswer> Ledger::Transaction(uint16_t program, const Id& member,
                                                      const Id& id) {
  return state_->Await<TransactionAnswer>(
      [&](Dispatcher& d, Dispatcher::Done<TransactionAnswer> done) {
        d.Transaction(program, member, id, std::move(done));
      });
}

absl::StatusOr<TotalsAnswer> Ledger::Totals(uint16_t program) {
  return state_->Await<TotalsAnswer>([&](Dispatcher& d, Dispatcher::Done<TotalsAnswer> done) {
    d.Totals(program, std::move(done));
  });
}

absl::StatusOr<OwedAnswer> Ledger::Owed(uint16_t program, Instant as_of) {
  return state_->Await<OwedAnswer>([&](Dispatcher& d, Dispatcher::Done<OwedAnswer> done) {
    d.Owed(program, as_of, std::move(done));
  });
}

absl::StatusOr<ShardsAnswer> Ledger::Shards() {
  return state_->Await<ShardsAnswer>(
      [](Dispatcher& d, Dispatcher::Done<ShardsAnswer> done) { d.Shards(std::move(done)); });
}

absl::StatusOr<TickAnswer> Ledger::Tick(const Id& id, Instant to) {
  return state_->Await<TickAnswer>(
      [&](Dispatcher& d, Dispatcher::Done<TickAnswer> done) { d.Tick(id, to, std::move(done)); });
}

absl::StatusOr<SnapshotsAnswer> Ledger::Snapshot() {
  return state_->Await<SnapshotsAnswer>(
      [](Dispatcher& d, Dispatcher::Done<SnapshotsAnswer> done) { d.Snapshot(std::move(done)); });
}

absl::StatusOr<RecordsAnswer> Ledger::Records(uint16_t shard, Position from, uint32_t wait_ms) {
  return state_->Await<RecordsAnswer>([&](Dispatcher& d, Dispatcher::Done<RecordsAnswer> done) {
    d.Records(shard, from, wait_ms, std::move(done));
  });
}

bool Ledger::Step(int64_t wait_us) {
  bool any = false;
  for (const auto& worker : state_->workers) any |= worker->Turn(any ? 0 : wait_us);
  if (!state_->closed) any |= state_->keeper->Step() == 0;
  return any;
}

absl::Status Ledger::health() const {
  for (const auto& worker : state_->workers) {
    if (absl::Status s = worker->health(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status Ledger::Close() {
  State& s = *state_;
  if (s.closed.exchange(true)) return s.close_status;
  s.keeper->Stop();
  for (size_t left = s.under_way; left > 0; left = s.under_way) {
    if (s.options.manual) {
      Step(0);
    } else {
      s.under_way.wait(left);
    }
  }
  for (const auto& worker : s.workers) worker->BeginStop();
  if (s.options.manual) {
    const auto quiet = [&] {
      return std::all_of(s.workers.begin(), s.workers.end(),
                         [](const auto& w) { return w->quiet(); });
    };
    while (!quiet()) Step(0);
    for (size_t i = 0; i < s.workers.size(); ++i) s.statuses[i] = s.workers[i]->CloseLogs();
  } else {
    for (const auto& worker : s.workers) worker->WaitQuiet();
    for (const auto& worker : s.workers) worker->End();
    for (std::thread& thread : s.threads) thread.join();
  }
  for (const absl::Status& status : s.statuses) {
    if (!status.ok()) s.close_status = status;
  }
  return s.close_status;
}

}  // namespace tallystick
