#include "api/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/owed.h"
#include "api/request.h"
#include "api/shard_of.h"
#include "api/shard_worker.h"
#include "ledger/check.h"
#include "ledger/program.h"
#include "ledger/state_machine.h"

namespace tallystick {
namespace {

// Control requests of one worker under way at most.
constexpr size_t kMaxControlRequests = 4096;

absl::Status TooMany() {
  return absl::ResourceExhaustedError("too many requests are under way: try again in a moment");
}

}  // namespace

// A control request, with what becomes of its answer.
struct Dispatcher::State {
  State(ShardWorker& w, const ServerInfo& i) : worker(w), info(i) {}

  struct Control : ControlRequest {
    using ControlRequest::ControlRequest;
    State* state = nullptr;
    std::function<void(Control&)> answered;
  };

  SubmitPart* TakePart();
  void Overload(SubmitPart& part);
  static void Give(SubmitCall& call, size_t overloads);
  void SendPart(SubmitPart* part);
  void SubmitDivided(SubmitCall& call, const std::vector<uint16_t>& shards);
  static void PartDone(ShardRequest& request);

  std::unique_ptr<Control> NewControl(ShardRequest::Type type, uint16_t shard);
  // Sends it; `answered` is called in any case.
  void SendControl(std::unique_ptr<Control> control);
  static void ControlDone(ShardRequest& request);
  template <typename Answer>
  void Ask(std::unique_ptr<Control> control, Done<Answer> done);
  // Asks every shard; `add` takes each answer into the sum, whose `shards` has a place for it.
  template <typename Answer>
  void AskAll(ShardRequest::Type type, uint16_t program, Done<Answer> done,
              void (*add)(Control& answered, Answer& sum), Instant as_of = 0);
  void AskBalance(uint16_t program, const Id& member, Instant as_of, size_t events,
                  Done<BalanceAnswer> done);
  void InstallEverywhere(const Operation& put, const std::vector<uint8_t>& bytes,
                         const ProgramPutAnswer& answer, Done<ProgramPutAnswer> done);
  void Install(uint16_t shard, const Operation& put, const std::vector<uint8_t>& bytes,
               Done<ProgramPutAnswer> done);
  void InstallBehind(uint16_t version, const Control& early, const Done<ProgramPutAnswer>& done);

  ShardWorker& worker;
  ServerInfo info;
  std::vector<std::unique_ptr<SubmitPart>> parts;  // all
  std::vector<SubmitPart*> free_parts;
  std::vector<uint16_t> shard_of;  // of a call's operations
  size_t controls = 0;
};

Dispatcher::Dispatcher(ShardWorker& worker, const ServerInfo& info)
    : state_(std::make_unique<State>(worker, info)) {}

Dispatcher::~Dispatcher() = default;

ServerInfo Dispatcher::info() const {
  ServerInfo info = state_->info;
  info.time = state_->worker.io().WallMicros();
  return info;
}

// ---- operations ----

SubmitPart* Dispatcher::State::TakePart() {
  if (free_parts.empty()) {
    parts.push_back(std::make_unique<SubmitPart>());
    free_parts.reserve(parts.size());
    parts.back()->owner = this;
    parts.back()->done = PartDone;
    return parts.back().get();
  }
  SubmitPart* part = free_parts.back();
  free_parts.pop_back();
  return part;
}

void Dispatcher::Submit(SubmitCall& call) {
  State& s = *state_;
  const size_t count = call.operations.size();
  TALLYSTICK_LEDGER_CHECK(count > 0 && count <= kMaxRequestOperations &&
                          call.results.size() == count);
  const uint16_t shard_count = s.worker.shard_count();
  s.shard_of.resize(count);
  bool one_shard = true;
  for (size_t i = 0; i < count; ++i) {
    // A chain stays together, whatever members it names: its shard judges it as a whole.
    const bool chained = i > 0 && (call.operations[i - 1].flags() & kLinked) != 0;
    s.shard_of[i] = chained ? s.shard_of[i - 1] : ShardOf(call.operations[i].member(), shard_count);
    one_shard = one_shard && s.shard_of[i] == s.shard_of[0];
  }
  call.status = absl::OkStatus();
  call.overloads = 0;
  if (!one_shard) {
    s.SubmitDivided(call, s.shard_of);
    return;
  }
  SubmitPart* part = s.TakePart();
  part->call = &call;
  part->shard = s.shard_of[0];
  part->operations = call.operations;
  part->results = call.results.data();
  part->places.clear();
  call.parts_under_way = 1;
  s.SendPart(part);
}

void Dispatcher::State::SubmitDivided(SubmitCall& call, const std::vector<uint16_t>& shards) {
  std::vector<SubmitPart*> by_shard(worker.shard_count(), nullptr);
  for (size_t i = 0; i < shards.size(); ++i) {
    SubmitPart*& part = by_shard[shards[i]];
    if (part == nullptr) {
      part = TakePart();
      part->call = &call;
      part->shard = shards[i];
      part->gathered.clear();
      part->places.clear();
      ++call.parts_under_way;
    }
    part->gathered.push_back(call.operations[i]);
    part->places.push_back(static_cast<uint32_t>(i));
  }
  for (SubmitPart* part : by_shard) {
    if (part == nullptr) continue;
    part->gathered_results.resize(part->gathered.size());
    part->operations = part->gathered;
    part->results = part->gathered_results.data();
    SendPart(part);
  }
}

void Dispatcher::State::Overload(SubmitPart& part) {
  for (size_t i = 0; i < part.operations.size(); ++i) {
    part.results[i] = Result();
    part.results[i].mutate_outcome(Outcome::Overloaded);
  }
}

// Counts overloaded results that the call's stream is given, as soon as they are here: what is
// submitted from now on is behind them.
void Dispatcher::State::Give(SubmitCall& call, size_t overloads) {
  call.stream->overloads_given_ += static_cast<uint32_t>(overloads);
  call.overloads += static_cast<uint32_t>(overloads);
}

void Dispatcher::State::SendPart(SubmitPart* part) {
  part->status = absl::OkStatus();
  part->applied = 0;
  part->overloads = 0;
  part->too_many = false;
  part->transfers = part->transfers_overloaded = 0;
  part->passed = false;
  part->too_old.clear();
  Stream* stream = part->call->stream;
  if (stream != nullptr) part->overloads_known = stream->shards_[part->shard].returned;
  // In flight behind an overloaded one that its caller has not read of.
  const bool overtaken =
      stream != nullptr && part->call->overloads_seen != stream->overloads_given_;
  if (overtaken || !worker.Send(part)) {
    Overload(*part);
    if (stream != nullptr) Give(*part->call, part->operations.size());
    worker.Finish(part);
  }
}

void Dispatcher::State::PartDone(ShardRequest& request) {
  auto& part = static_cast<SubmitPart&>(request);
  auto& state = *static_cast<State*>(part.owner);
  SubmitCall& call = *part.call;
  if (!part.status.ok()) call.status = part.status;
  for (size_t i = 0; i < part.places.size(); ++i) {
    call.results[part.places[i]] = part.gathered_results[i];
  }
  if (call.stream != nullptr) {
    call.stream->shards_[part.shard].returned += part.overloads;
    Give(call, part.overloads);
  }
  state.free_parts.push_back(&part);
  if (--call.parts_under_way > 0) return;
  // A status tells the caller of no results, and so of no overloaded ones.
  if (call.stream != nullptr && !call.status.ok()) call.stream->overloads_given_ -= call.overloads;
  call.done(call);
}

// ---- control ----

std::unique_ptr<Dispatcher::State::Control> Dispatcher::State::NewControl(ShardRequest::Type type,
                                                                          uint16_t shard) {
  auto control = std::make_unique<Control>(type);
  control->shard = shard;
  control->state = this;
  control->done = ControlDone;
  return control;
}

void Dispatcher::State::SendControl(std::unique_ptr<Control> control) {
  Control* request = control.release();
  ++controls;
  if (controls > kMaxControlRequests || !worker.Send(request)) {
    request->status = TooMany();
    worker.Finish(request);
  }
}

void Dispatcher::State::ControlDone(ShardRequest& request) {
  const std::unique_ptr<Control> control(static_cast<Control*>(&request));
  --control->state->controls;
  control->answered(*control);
}

template <typename Answer>
void Dispatcher::State::Ask(std::unique_ptr<Control> control, Done<Answer> done) {
  control->answered = [done = std::move(done)](Control& answered) {
    if (!answered.status.ok()) {
      done(answered.status);
    } else {
      done(std::move(std::get<Answer>(answered.answer)));
    }
  };
  SendControl(std::move(control));
}

void Dispatcher::DryRun(absl::Span<const Operation> operations, Done<DryRunAnswer> done) {
  const size_t count = operations.size();
  const bool one_chain =
      count >= 1 && std::all_of(operations.begin(), operations.end() - 1,
                                [](const Operation& op) { return (op.flags() & kLinked) != 0; });
  if (!one_chain || count > ledger::kMaxChainOperations) {
    done(absl::InvalidArgumentError(absl::StrCat(
        "a dry run is of one operation, or of one chain of at most ", ledger::kMaxChainOperations,
        ", in which all but the last are linked; this one has ", count, " operations")));
    return;
  }
  auto control = state_->NewControl(ShardRequest::Type::kDryRun,
                                    ShardOf(operations[0].member(), state_->worker.shard_count()));
  control->operations.assign(operations.begin(), operations.end());
  state_->Ask(std::move(control), std::move(done));
}

void Dispatcher::State::AskBalance(uint16_t program, const Id& member, Instant as_of, size_t events,
                                   Done<BalanceAnswer> done) {
  auto control = NewControl(ShardRequest::Type::kBalance, ShardOf(member, worker.shard_count()));
  control->program = program;
  control->member = member;
  control->as_of = as_of;
  control->limit = static_cast<uint32_t>(events);
  Ask(std::move(control), std::move(done));
}

void Dispatcher::Balance(uint16_t program, const Id& member, Instant as_of,
                         Done<BalanceAnswer> done) {
  state_->AskBalance(program, member, as_of, kMaxBalanceEvents, std::move(done));
}

void Dispatcher::Schedule(uint16_t program, const Id& member, Instant as_of,
                          Done<BalanceAnswer> done) {
  state_->AskBalance(program, member, as_of, kMaxScheduleEvents, std::move(done));
}

void Dispatcher::Lots(uint16_t program, const Id& member, Done<LotsAnswer> done) {
  auto control =
      state_->NewControl(ShardRequest::Type::kLots, ShardOf(member, state_->worker.shard_count()));
  control->program = program;
  control->member = member;
  state_->Ask(std::move(control), std::move(done));
}

void Dispatcher::Statement(uint16_t program, const Id& member, Position before, uint32_t limit,
                           Done<StatementAnswer> done) {
  auto control = state_->NewControl(ShardRequest::Type::kStatement,
                                    ShardOf(member, state_->worker.shard_count()));
  control->program = program;
  control->member = member;
  control->before = before;
  control->limit = limit;
  state_->Ask(std::move(control), std::move(done));
}

void Dispatcher::Transaction(uint16_t program, const Id& member, const Id& id,
                             Done<TransactionAnswer> done) {
  auto control = state_->NewControl(ShardRequest::Type::kTransaction,
                                    ShardOf(member, state_->worker.shard_count()));
  control->program = program;
  control->member = member;
  control->transaction = id;
  state_->Ask(std::move(control), std::move(done));
}

void Dispatcher::Records(uint16_t shard, Position from, uint32_t wait_ms,
                         Done<RecordsAnswer> done) {
  if (shard >= state_->worker.shard_count()) {
    done(absl::InvalidArgumentError(absl::StrCat("there is no shard ", shard, ": the ledger has ",
                                                 state_->worker.shard_count(), ", from 0")));
    return;
  }
  auto control = state_->NewControl(ShardRequest::Type::kRecords, shard);
  control->before = from;
  control->wait_ms = wait_ms;
  state_->Ask(std::move(control), std::move(done));
}

void Dispatcher::GetProgram(uint16_t program, Done<std::vector<uint8_t>> done) {
  auto control = state_->NewControl(ShardRequest::Type::kGetProgram, 0);
  control->program = program;
  control->answered = [done = std::move(done)](State::Control& answered) {
    if (!answered.status.ok()) {
      done(answered.status);
    } else {
      done(std::move(answered.bytes));
    }
  };
  state_->SendControl(std::move(control));
}

namespace {

// Each shard's sums fit; those of all may not.
void Add(const TotalsAnswer& part, TotalsAnswer& sum) {
  if (part.outcome != Outcome::Ok) sum.outcome = part.outcome;
  for (int64_t TotalsAnswer::*field :
       {&TotalsAnswer::members, &TotalsAnswer::issued, &TotalsAnswer::redeemed,
        &TotalsAnswer::expired, &TotalsAnswer::clawed_back, &TotalsAnswer::written_off,
        &TotalsAnswer::adjusted, &TotalsAnswer::reinstated, &TotalsAnswer::forgiven,
        &TotalsAnswer::pending, &TotalsAnswer::available, &TotalsAnswer::held, &TotalsAnswer::debt,
        &TotalsAnswer::forfeited, &TotalsAnswer::closed_out, &TotalsAnswer::sent,
        &TotalsAnswer::received}) {
    if (__builtin_add_overflow(sum.*field, part.*field, &(sum.*field))) {
      sum.outcome = Outcome::Overflow;
    }
  }
}

// One answer of several shards; calls `done` with the last.
template <typename Answer>
struct Gathering {
  Answer sum;
  absl::Status status;
  size_t missing = 0;
  Dispatcher::Done<Answer> done;

  void Arrived(const absl::Status& s) {
    if (!s.ok()) status = s;
    if (--missing > 0) return;
    if (status.ok()) {
      done(std::move(sum));
    } else {
      done(status);
    }
  }
};

}  // namespace

template <typename Answer>
void Dispatcher::State::AskAll(ShardRequest::Type type, uint16_t program, Done<Answer> done,
                               void (*add)(Control& answered, Answer& sum), Instant as_of) {
  auto gathering = std::make_shared<Gathering<Answer>>();
  gathering->missing = worker.shard_count();
  gathering->done = std::move(done);
  gathering->sum.shards.resize(worker.shard_count());
  for (uint16_t shard = 0; shard < worker.shard_count(); ++shard) {
    auto control = NewControl(type, shard);
    control->program = program;
    control->as_of = as_of;
    control->answered = [gathering, add](Control& answered) {
      if (answered.status.ok()) add(answered, gathering->sum);
      gathering->Arrived(answered.status);
    };
    SendControl(std::move(control));
  }
}

void Dispatcher::Totals(uint16_t program, Done<TotalsAnswer> done) {
  state_->AskAll<TotalsAnswer>(ShardRequest::Type::kTotals, program, std::move(done),
                               [](State::Control& answered, TotalsAnswer& sum) {
                                 const auto& part = std::get<TotalsAnswer>(answered.answer);
                                 Add(part, sum);
                                 sum.shards[answered.shard] = part.shards.front();
                               });
}

void Dispatcher::Owed(uint16_t program, Instant as_of, Done<OwedAnswer> done) {
  state_->AskAll<OwedAnswer>(
      ShardRequest::Type::kOwed, program, std::move(done),
      [](State::Control& answered, OwedAnswer& sum) {
        const auto& part = std::get<OwedAnswer>(answered.answer);
        AddOwed(part, sum);
        sum.shards[answered.shard] = part.shards.front();
      },
      as_of);
}

void Dispatcher::Shards(Done<ShardsAnswer> done) {
  state_->AskAll<ShardsAnswer>(ShardRequest::Type::kShards, 0, std::move(done),
                               [](State::Control& answered, ShardsAnswer& sum) {
                                 sum.shards[answered.shard] = std::get<ShardState>(answered.answer);
                               });
}

void Dispatcher::Snapshot(Done<SnapshotsAnswer> done) {
  state_->AskAll<SnapshotsAnswer>(ShardRequest::Type::kSnapshot, 0, std::move(done),
                                  [](State::Control& answered, SnapshotsAnswer& sum) {
                                    sum.shards[answered.shard] =
                                        std::get<SnapshotState>(answered.answer);
                                  });
}

// One operation on every shard, each with results of its own.
void Dispatcher::Tick(const Id& id, Instant to, Done<TickAnswer> done) {
  struct OneTick {
    SubmitCall call;
    Operation operation;
    Result result;
    std::shared_ptr<Gathering<TickAnswer>> gathering;
  };
  State& s = *state_;
  auto gathering = std::make_shared<Gathering<TickAnswer>>();
  gathering->missing = s.worker.shard_count();
  // Log time is capped by the wall clock and never goes back: the shards say what it is now.
  gathering->done = [this, done = std::move(done)](absl::StatusOr<TickAnswer> answer) {
    if (!answer.ok()) return done(std::move(answer));
    Totals(0, [outcome = answer->outcome, done](absl::StatusOr<TotalsAnswer> totals) {
      if (!totals.ok()) return done(totals.status());
      Instant time = kNever;
      for (const auto& shard : totals->shards) time = std::min(time, shard.time);
      done(TickAnswer{outcome, time});
    });
  };
  for (uint16_t shard = 0; shard < s.worker.shard_count(); ++shard) {
    auto* tick = new OneTick();
    tick->operation = Operation(id, Id(), Id(), 0, to, 0, 0, 0, 0, Kind::Tick, 0, 0);
    tick->gathering = gathering;
    tick->call.operations = absl::MakeConstSpan(&tick->operation, 1);
    tick->call.results = absl::MakeSpan(&tick->result, 1);
    tick->call.owner = tick;
    tick->call.parts_under_way = 1;
    tick->call.done = [](SubmitCall& call) {
      const std::unique_ptr<OneTick> done_tick(static_cast<OneTick*>(call.owner));
      const Outcome outcome = done_tick->result.outcome();
      if (outcome != Outcome::Ok) done_tick->gathering->sum.outcome = outcome;
      done_tick->gathering->Arrived(call.status);
    };
    SubmitPart* part = s.TakePart();
    part->call = &tick->call;
    part->shard = shard;
    part->operations = tick->call.operations;
    part->results = &tick->result;
    part->places.clear();
    s.SendPart(part);
  }
}

void Dispatcher::PutProgram(const Id& id, absl::Span<const uint8_t> program,
                            Done<ProgramPutAnswer> done) {
  State& s = *state_;
  flatbuffers::Verifier verifier(program.data(), program.size());
  const bool sane =
      program.size() <= ledger::kMaxProgramBytes && !IsZero(id) && verifier.VerifyBuffer<Program>();
  if (!sane) {
    done(ProgramPutAnswer{Outcome::BadRequest, IsZero(id) ? "id" : "program",
                          IsZero(id) ? "is zero: a put needs a transaction id"
                                     : "is not a program as ledger/program.fbs describes it",
                          0});
    return;
  }
  auto control = s.NewControl(ShardRequest::Type::kPutProgram, 0);
  control->bytes.assign(program.begin(), program.end());
  control->put = Operation(id, Id(), Id(), 0, 0, 0, 0, 0, 0, Kind::ProgramPut, 0, 0);
  control->answered = [&s, done = std::move(done)](State::Control& answered) {
    if (!answered.status.ok()) {
      done(answered.status);
      return;
    }
    const auto& answer = std::get<ProgramPutAnswer>(answered.answer);
    if (answer.outcome != Outcome::Ok || s.worker.shard_count() == 1) {
      done(answer);
      return;
    }
    s.InstallEverywhere(answered.put, answered.bytes, answer, done);
  };
  s.SendControl(std::move(control));
}

// Shard 0 has it durably: whatever happens now, the next start completes it.
void Dispatcher::State::InstallEverywhere(const Operation& put, const std::vector<uint8_t>& bytes,
                                          const ProgramPutAnswer& answer,
                                          Done<ProgramPutAnswer> done) {
  auto gathering = std::make_shared<Gathering<ProgramPutAnswer>>();
  gathering->missing = worker.shard_count() - 1;
  gathering->done = std::move(done);
  gathering->sum = answer;
  for (uint16_t shard = 1; shard < worker.shard_count(); ++shard) {
    Install(shard, put, bytes, [gathering](const absl::StatusOr<ProgramPutAnswer>& installed) {
      if (installed.ok() && installed->outcome != Outcome::Ok) {
        gathering->sum.outcome = installed->outcome;
      }
      gathering->Arrived(installed.status());
    });
  }
}

void Dispatcher::State::Install(uint16_t shard, const Operation& put,
                                const std::vector<uint8_t>& bytes, Done<ProgramPutAnswer> done) {
  auto control = NewControl(ShardRequest::Type::kInstallProgram, shard);
  control->put = put;
  control->bytes = bytes;
  control->answered = [this, done = std::move(done)](Control& answered) {
    if (!answered.status.ok()) return done(answered.status);
    const auto& answer = std::get<ProgramPutAnswer>(answered.answer);
    const bool early =
        answer.outcome == Outcome::IdConflict && answer.version + 1 < answered.put.category();
    if (!early) return done(answer);
    InstallBehind(static_cast<uint16_t>(answer.version + 1), answered, done);
  };
  SendControl(std::move(control));
}

// The shard lacks earlier versions, whose installing was overtaken or refused: shard 0 has them.
void Dispatcher::State::InstallBehind(uint16_t version, const Control& early,
                                      const Done<ProgramPutAnswer>& done) {
  auto control = NewControl(ShardRequest::Type::kGetProgram, 0);
  control->program = early.put.program();
  control->version = version;
  control->answered = [this, shard = early.shard, put = early.put, bytes = early.bytes,
                       done](Control& missing) {
    if (!missing.status.ok()) return done(missing.status);
    Install(shard, missing.put, missing.bytes,
            [this, shard, put, bytes, done](const absl::StatusOr<ProgramPutAnswer>& installed) {
              if (!installed.ok() || installed->outcome != Outcome::Ok) return done(installed);
              Install(shard, put, bytes, done);
            });
  };
  SendControl(std::move(control));
}

}  // namespace tallystick
