#include "api/client.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/client_link.h"
#include "api/client_session.h"
#include "api/encoding.h"

namespace tallystick {

struct Client::State {
  template <typename Reply>
  using AnswerTo = decltype(Decode(std::declval<const Reply&>()));

  // Queues a request; `done` gets its reply.
  template <typename Reply, typename Build>
  void Ask(Build build, std::function<void(absl::StatusOr<AnswerTo<Reply>>)> done);
  // Sends a request, and waits for its reply.
  template <typename Reply, typename Build>
  absl::StatusOr<AnswerTo<Reply>> Ask(Build build);

  ClientSession session;
};

template <typename Reply, typename Build>
void Client::State::Ask(Build build, std::function<void(absl::StatusOr<AnswerTo<Reply>>)> done) {
  session.Ask(build, [done = std::move(done)](absl::StatusOr<const protocol::Frame*> frame) {
    if (!frame.ok()) {
      done(frame.status());
    } else if (const Reply* reply = (*frame)->template body_as<Reply>()) {
      done(Decode(*reply));
    } else {
      done(absl::InternalError(absl::StrCat("the server answers with a message of type ",
                                            static_cast<int>((*frame)->body_type()))));
    }
  });
}

template <typename Reply, typename Build>
absl::StatusOr<Client::State::AnswerTo<Reply>> Client::State::Ask(Build build) {
  if (absl::Status status = session.MayBlock(); !status.ok()) return status;
  std::optional<absl::StatusOr<AnswerTo<Reply>>> answer;
  Ask<Reply>(build, [&](absl::StatusOr<AnswerTo<Reply>> its) { answer = std::move(its); });
  while (!answer.has_value()) session.Poll(-1).IgnoreError();  // a failure is an answer too
  return *std::move(answer);
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(const std::string& address,
                                                        const ClientOptions& options) {
  absl::StatusOr<std::unique_ptr<ClientLink>> link = ClientLink::Create(address);
  if (!link.ok()) return link.status();
  std::unique_ptr<State> state(new State{ClientSession(address, options, *std::move(link))});
  while (!state->session.greeted()) {
    if (absl::Status status = state->session.Poll(-1); !status.ok()) return status;
  }
  return std::unique_ptr<Client>(new Client(std::move(state)));
}

const ServerInfo& Client::server() const { return state_->session.server(); }
int64_t Client::reconnects() const { return state_->session.reconnects(); }
size_t Client::requests_in_flight() const { return state_->session.requests_in_flight(); }

void Client::Submit(absl::Span<const Operation> operations, ResultsCallback done) {
  state_->session.Submit(operations, std::move(done));
}

absl::Status Client::Poll(int64_t wait_ms) { return state_->session.Poll(wait_ms); }

absl::Status Client::Drain() {
  while (requests_in_flight() != 0) {
    if (absl::Status status = state_->session.Poll(-1); !status.ok()) return status;
  }
  return state_->session.failure();
}

absl::StatusOr<Result> Client::Apply(const Operation& operation) {
  if (absl::Status status = state_->session.MayBlock(); !status.ok()) return status;
  std::optional<absl::StatusOr<Result>> answer;
  Submit({&operation, 1}, [&](absl::StatusOr<absl::Span<const Result>> results) {
    answer = results.ok() ? absl::StatusOr<Result>(results->front()) : results.status();
  });
  while (!answer.has_value()) state_->session.Poll(-1).IgnoreError();  // a failure is an answer too
  return *std::move(answer);
}

absl::StatusOr<DryRunAnswer> Client::DryRun(absl::Span<const Operation> operations) {
  return state_->Ask<protocol::DryRunReply>(
      [&](Builder& builder, uint64_t number) { BuildDryRun(builder, number, operations); });
}

absl::StatusOr<ProgramPutAnswer> Client::PutProgram(const Id& id,
                                                    absl::Span<const uint8_t> program) {
  return state_->Ask<protocol::ProgramPutReply>(
      [&](Builder& builder, uint64_t number) { BuildProgramPut(builder, number, id, program); });
}

absl::StatusOr<std::vector<uint8_t>> Client::GetProgram(uint16_t program) {
  absl::StatusOr<std::vector<uint8_t>> bytes = state_->Ask<protocol::ProgramReply>(
      [&](Builder& builder, uint64_t number) { BuildProgramGet(builder, number, program); });
  if (bytes.ok() && bytes->empty()) {
    return absl::NotFoundError(absl::StrCat("the ledger has no program ", program));
  }
  return bytes;
}

absl::StatusOr<BalanceAnswer> Client::Balance(uint16_t program, const Id& member, Instant as_of) {
  return state_->Ask<protocol::BalanceReply>([&](Builder& builder, uint64_t number) {
    BuildBalanceGet(builder, number, program, member, as_of);
  });
}

absl::StatusOr<BalanceAnswer> Client::Schedule(uint16_t program, const Id& member, Instant as_of) {
  return state_->Ask<protocol::BalanceReply>([&](Builder& builder, uint64_t number) {
    BuildScheduleGet(builder, number, program, member, as_of);
  });
}

absl::StatusOr<LotsAnswer> Client::Lots(uint16_t program, const Id& member) {
  return state_->Ask<protocol::LotsReply>(
      [&](Builder& builder, uint64_t number) { BuildLotsGet(builder, number, program, member); });
}

absl::StatusOr<StatementAnswer> Client::Statement(uint16_t program, const Id& member,
                                                  Position before, uint32_t limit) {
  return state_->Ask<protocol::StatementReply>([&](Builder& builder, uint64_t number) {
    BuildStatementGet(builder, number, program, member, before, limit);
  });
}

absl::StatusOr<TransactionAnswer> Client::Transaction(uint16_t program, const Id& member,
                                                      const Id& id) {
  return state_->Ask<protocol::TransactionReply>([&](Builder& builder, uint64_t number) {
    BuildTransactionGet(builder, number, program, member, id);
  });
}

absl::StatusOr<TotalsAnswer> Client::Totals(uint16_t program) {
  return state_->Ask<protocol::TotalsReply>(
      [&](Builder& builder, uint64_t number) { BuildTotalsGet(builder, number, program); });
}

absl::StatusOr<OwedAnswer> Client::Owed(uint16_t program, Instant as_of) {
  return state_->Ask<protocol::OwedReply>(
      [&](Builder& builder, uint64_t number) { BuildOwedGet(builder, number, program, as_of); });
}

absl::StatusOr<ShardsAnswer> Client::Shards() {
  return state_->Ask<protocol::ShardsReply>(BuildShardsGet);
}

void Client::Balance(uint16_t program, const Id& member, Instant as_of,
                     std::function<void(absl::StatusOr<BalanceAnswer>)> done) {
  state_->Ask<protocol::BalanceReply>(
      [&](Builder& builder, uint64_t number) {
        BuildBalanceGet(builder, number, program, member, as_of);
      },
      std::move(done));
}

void Client::Shards(std::function<void(absl::StatusOr<ShardsAnswer>)> done) {
  state_->Ask<protocol::ShardsReply>(BuildShardsGet, std::move(done));
}

absl::StatusOr<RecordsAnswer> Client::Records(uint16_t shard, Position from, uint32_t wait_ms) {
  return state_->Ask<protocol::RecordsReply>([&](Builder& builder, uint64_t number) {
    BuildRecordsGet(builder, number, shard, from, wait_ms);
  });
}

void Client::Records(uint16_t shard, Position from, uint32_t wait_ms,
                     std::function<void(absl::StatusOr<RecordsAnswer>)> done) {
  state_->Ask<protocol::RecordsReply>(
      [&](Builder& builder, uint64_t number) {
        BuildRecordsGet(builder, number, shard, from, wait_ms);
      },
      std::move(done));
}

int Client::descriptor() const { return state_->session.descriptor(); }
bool Client::wants_to_send() const { return state_->session.wants_to_send(); }

absl::StatusOr<SnapshotsAnswer> Client::Snapshot() {
  return state_->Ask<protocol::SnapshotReply>(BuildSnapshotTake);
}

absl::StatusOr<TickAnswer> Client::Tick(const Id& id, Instant to) {
  return state_->Ask<protocol::TickReply>(
      [&](Builder& builder, uint64_t number) { BuildTickTo(builder, number, id, to); });
}

}  // namespace tallystick
