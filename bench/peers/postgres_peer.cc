// PostgreSQL, with the functions of postgres.sql. A request of one operation is a call of
// `apply_one`, a larger one of `apply_batch`, each a transaction of its own.

#include <endian.h>
#include <libpq-fe.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/peers/distinct_members.h"
#include "bench/peers/peer.h"

namespace tallystick::peers {
namespace {

struct FinishConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, FinishConnection>;
using Answer = std::unique_ptr<PGresult, ClearResult>;

constexpr char kOne[] = "one";
constexpr char kBatch[] = "batch";
constexpr int kBinary = 1;
constexpr int kText = 0;
// Object identifiers of types: src/include/catalog/pg_type.dat of PostgreSQL.
constexpr uint32_t kUuidType = 2950;
constexpr uint32_t kBigintType = 20;

absl::Status Error(const PGconn* connection) {
  return absl::UnavailableError(absl::StrCat("PostgreSQL: ", PQerrorMessage(connection)));
}

// Numbers go over the wire with their highest byte first.
void Append(uint32_t value, std::string* bytes) {
  value = htobe32(value);
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void Append(uint64_t value, std::string* bytes) {
  value = htobe64(value);
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void Append(int64_t value, std::string* bytes) { Append(static_cast<uint64_t>(value), bytes); }
// As a uuid, whose order is that of the numbers.
void Append(const Id& id, std::string* bytes) {
  Append(id.high(), bytes);
  Append(id.low(), bytes);
}

// An array of one dimension: array_recv() in src/backend/utils/adt/arrayfuncs.c.
template <typename Field>
void AppendArray(const std::vector<Operation>& operations, uint32_t type, uint32_t element_bytes,
                 Field field, std::string* bytes) {
  Append(uint32_t{1}, bytes);  // dimensions
  Append(uint32_t{0}, bytes);  // no nulls
  Append(type, bytes);
  Append(static_cast<uint32_t>(operations.size()), bytes);
  Append(uint32_t{1}, bytes);  // first index
  for (const Operation& operation : operations) {
    Append(element_bytes, bytes);
    Append(field(operation), bytes);
  }
}

// Waits for the answer.
absl::StatusOr<Answer> Ask(PGconn* connection, const std::string& statement) {
  Answer answer(PQexec(connection, statement.c_str()));
  const ExecStatusType status = PQresultStatus(answer.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return Error(connection);
  return answer;
}

absl::StatusOr<Connection> Open(const std::string& folder) {
  const char* keys[] = {"host", "dbname", "user", nullptr};
  const char* values[] = {folder.c_str(), "postgres", "postgres", nullptr};
  Connection connection(PQconnectdbParams(keys, values, 0));
  if (PQstatus(connection.get()) != CONNECTION_OK) return Error(connection.get());
  return connection;
}

class PostgresConnection : public PeerConnection {
 public:
  explicit PostgresConnection(Connection connection) : connection_(std::move(connection)) {}

  absl::Status Begin(std::vector<Operation>& operations) override {
    return operations.size() == 1 ? BeginOne(operations.front()) : BeginBatch(operations);
  }

  absl::StatusOr<bool> Send() override {
    const int left = PQflush(connection_.get());
    if (left < 0) return Error(connection_.get());
    return left != 0;
  }

  absl::Status Receive() override {
    return PQconsumeInput(connection_.get()) == 1 ? absl::OkStatus() : Error(connection_.get());
  }

  // An answer is a result, the end of its statement, and what comes of the synchronisation: only
  // then is it committed.
  absl::StatusOr<bool> NextOutcomes(std::string* outcomes) override {
    while (PQisBusy(connection_.get()) == 0) {
      const Answer answer(PQgetResult(connection_.get()));
      if (answer == nullptr) {
        if (!has_result_) return false;
        continue;
      }
      switch (PQresultStatus(answer.get())) {
        case PGRES_TUPLES_OK:
          outcomes_.assign(PQgetvalue(answer.get(), 0, 0));
          has_result_ = true;
          break;
        case PGRES_PIPELINE_SYNC:
          has_result_ = false;
          *outcomes = std::move(outcomes_);
          return true;
        default:
          return Error(connection_.get());
      }
    }
    return false;
  }

  int descriptor() const override { return PQsocket(connection_.get()); }

 private:
  absl::Status BeginOne(const Operation& operation) {
    for (std::string& argument : arguments_) argument.clear();
    Append(operation.member(), &arguments_[0]);
    Append(operation.id(), &arguments_[1]);
    Append(Movement(operation), &arguments_[2]);
    Append(operation.occurred_at(), &arguments_[3]);
    return Call(kOne, 4);
  }

  absl::Status BeginBatch(std::vector<Operation>& operations) {
    for (std::string& argument : arguments_) argument.clear();
    const size_t firsts = PutDistinctMembersFirst(operations);
    AppendArray(
        operations, kUuidType, 16, [](const Operation& o) { return o.member(); }, &arguments_[0]);
    AppendArray(
        operations, kUuidType, 16, [](const Operation& o) { return o.id(); }, &arguments_[1]);
    AppendArray(operations, kBigintType, 8, Movement, &arguments_[2]);
    AppendArray(
        operations, kBigintType, 8, [](const Operation& o) { return o.occurred_at(); },
        &arguments_[3]);
    Append(static_cast<uint32_t>(firsts), &arguments_[4]);
    return Call(kBatch, 5);
  }

  absl::Status Call(const char* name, int count) {
    std::array<const char*, 5> values = {};
    std::array<int, 5> sizes = {};
    std::array<int, 5> formats = {};
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      values[i] = arguments_[i].data();
      sizes[i] = static_cast<int>(arguments_[i].size());
      formats[i] = kBinary;
    }
    if (PQsendQueryPrepared(connection_.get(), name, count, values.data(), sizes.data(),
                            formats.data(), kText) != 1 ||
        PQpipelineSync(connection_.get()) != 1) {
      return Error(connection_.get());
    }
    return absl::OkStatus();
  }

  const Connection connection_;
  std::array<std::string, 5> arguments_;
  std::string outcomes_;
  bool has_result_ = false;
};

class PostgresPeer : public Peer {
 public:
  explicit PostgresPeer(std::string folder) : folder_(std::move(folder)) {}

  absl::StatusOr<std::unique_ptr<PeerConnection>> Connect() override {
    absl::StatusOr<Connection> connection = Open(folder_);
    if (!connection.ok()) return connection.status();
    for (const char* statement :
         {"PREPARE one(uuid, uuid, bigint, bigint) AS SELECT apply_one($1, $2, $3, $4)",
          "PREPARE batch(uuid[], uuid[], bigint[], bigint[], integer) AS "
          "SELECT apply_batch($1, $2, $3, $4, $5)"}) {
      const absl::StatusOr<Answer> answer = Ask(connection->get(), statement);
      if (!answer.ok()) return answer.status();
    }
    if (PQsetnonblocking(connection->get(), 1) != 0 ||
        PQenterPipelineMode(connection->get()) != 1) {
      return Error(connection->get());
    }
    return std::make_unique<PostgresConnection>(*std::move(connection));
  }

  // A batch that has a member in common with another waits for its commit, so that all but one of
  // the connections would wait at any time; and two might wait for each other.
  bool SplitsMembers() const override { return true; }

  absl::Status Enrol(uint64_t members) override {
    const absl::StatusOr<Connection> connection = Open(folder_);
    if (!connection.ok()) return connection.status();
    for (const std::string& statement :
         {absl::StrCat("SELECT enrol(", members, ")"), std::string("VACUUM ANALYZE member")}) {
      const absl::StatusOr<Answer> answer = Ask(connection->get(), statement);
      if (!answer.ok()) return answer.status();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<PeerTotals> Totals(uint64_t) override {
    const absl::StatusOr<std::string> row = Value(
        "SELECT count(*) || ' ' || coalesce(sum(balance), 0) || ' ' || "
        "(SELECT count(*) FROM operation) FROM member");
    if (!row.ok()) return row.status();
    PeerTotals totals;
    size_t at = 0;
    size_t taken = 0;
    for (int64_t* number : {&totals.members, &totals.points, &totals.operations}) {
      *number = std::stoll(row->substr(at), &taken);
      at += taken;
    }
    return totals;
  }

  absl::StatusOr<Points> Balance(const Id& member) override {
    const absl::StatusOr<std::string> value = Value(absl::StrCat(
        "SELECT balance FROM member WHERE id = '", absl::Hex(member.high(), absl::kZeroPad16),
        absl::Hex(member.low(), absl::kZeroPad16), "'"));
    if (!value.ok()) return value.status();
    return std::stoll(*value);
  }

 private:
  // Of the first row.
  absl::StatusOr<std::string> Value(const std::string& statement) {
    const absl::StatusOr<Connection> connection = Open(folder_);
    if (!connection.ok()) return connection.status();
    const absl::StatusOr<Answer> answer = Ask(connection->get(), statement);
    if (!answer.ok()) return answer.status();
    if (PQntuples(answer->get()) == 0) return absl::NotFoundError("PostgreSQL: no such row");
    return std::string(PQgetvalue(answer->get(), 0, 0));
  }

  const std::string folder_;
};

}  // namespace

std::unique_ptr<Peer> MakePostgresPeer(std::string socket) {
  return std::make_unique<PostgresPeer>(std::move(socket));
}

}  // namespace tallystick::peers
