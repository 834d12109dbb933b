// Redis, with the functions of redis.lua. A request is one call of `apply`.

#include <fcntl.h>
#include <hiredis/hiredis.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/peers/peer.h"

namespace tallystick::peers {
namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;
using Reply = std::unique_ptr<redisReply, FreeReply>;

// Members asked for in one call of `totals`.
constexpr uint64_t kTotalsMembers = 1000;

template <typename T>
void Append(const T& value, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

absl::Status Error(const redisContext& context) {
  return absl::UnavailableError(absl::StrCat("Redis: ", context.errstr));
}

absl::StatusOr<Context> Open(const std::string& socket) {
  Context context(redisConnectUnix(socket.c_str()));
  if (context == nullptr) return absl::ResourceExhaustedError("Redis: no memory");
  if (context->err != 0) return Error(*context);
  return context;
}

// Waits for the answer.
absl::StatusOr<Reply> Ask(redisContext& context, const std::vector<std::string>& words) {
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const std::string& word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  Reply reply(static_cast<redisReply*>(
      redisCommandArgv(&context, static_cast<int>(words.size()), texts.data(), sizes.data())));
  if (reply == nullptr) return Error(context);
  if (reply->type == REDIS_REPLY_ERROR) {
    return absl::UnavailableError(absl::StrCat("Redis: ", reply->str));
  }
  return reply;
}

class RedisConnection : public PeerConnection {
 public:
  explicit RedisConnection(Context context) : context_(std::move(context)) {}

  absl::Status Begin(std::vector<Operation>& operations) override {
    bytes_.clear();
    for (const Operation& operation : operations) {
      Append(operation.member(), &bytes_);
      Append(operation.id(), &bytes_);
      Append(Movement(operation), &bytes_);
      Append(operation.occurred_at(), &bytes_);
    }
    static constexpr const char* kCall[] = {"FCALL", "apply", "0"};
    const char* words[] = {kCall[0], kCall[1], kCall[2], bytes_.data()};
    const size_t sizes[] = {5, 5, 1, bytes_.size()};
    if (redisAppendCommandArgv(context_.get(), 4, words, sizes) != REDIS_OK) {
      return Error(*context_);
    }
    to_send_ = true;
    return absl::OkStatus();
  }

  absl::StatusOr<bool> Send() override {
    if (!to_send_) return false;
    int done = 0;
    if (redisBufferWrite(context_.get(), &done) != REDIS_OK) return Error(*context_);
    to_send_ = done == 0;
    return to_send_;
  }

  absl::Status Receive() override {
    return redisBufferRead(context_.get()) == REDIS_OK ? absl::OkStatus() : Error(*context_);
  }

  absl::StatusOr<bool> NextOutcomes(std::string* outcomes) override {
    void* taken = nullptr;
    if (redisGetReplyFromReader(context_.get(), &taken) != REDIS_OK) return Error(*context_);
    if (taken == nullptr) return false;
    const Reply reply(static_cast<redisReply*>(taken));
    if (reply->type != REDIS_REPLY_STRING) {
      return absl::UnavailableError(
          absl::StrCat("Redis: ", reply->str == nullptr ? "not a text" : reply->str));
    }
    outcomes->assign(reply->str, reply->len);
    return true;
  }

  int descriptor() const override { return context_->fd; }

 private:
  const Context context_;
  std::string bytes_;
  bool to_send_ = false;
};

class RedisPeer : public Peer {
 public:
  explicit RedisPeer(std::string socket) : socket_(std::move(socket)) {}

  absl::StatusOr<std::unique_ptr<PeerConnection>> Connect() override {
    absl::StatusOr<Context> context = Open(socket_);
    if (!context.ok()) return context.status();
    const int flags = fcntl((*context)->fd, F_GETFL);
    if (flags < 0 || fcntl((*context)->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
      return absl::ErrnoToStatus(errno, "a connection to Redis");
    }
    (*context)->flags &= ~REDIS_BLOCK;
    return std::make_unique<RedisConnection>(*std::move(context));
  }

  // It has one thread for all.
  bool SplitsMembers() const override { return false; }

  absl::Status Enrol(uint64_t) override { return absl::OkStatus(); }

  absl::StatusOr<PeerTotals> Totals(uint64_t members) override {
    const absl::StatusOr<Context> context = Open(socket_);
    if (!context.ok()) return context.status();
    PeerTotals totals;
    for (uint64_t first = 1; first <= members; first += kTotalsMembers) {
      std::string ids;
      for (uint64_t i = first; i <= members && i < first + kTotalsMembers; ++i) {
        Append(Id(i, 0), &ids);
      }
      const absl::StatusOr<Reply> reply = Ask(**context, {"FCALL_RO", "totals", "0", ids});
      if (!reply.ok()) return reply.status();
      if ((*reply)->elements != 3) return absl::InternalError("Redis: totals are three numbers");
      totals.members += (*reply)->element[0]->integer;
      totals.operations += (*reply)->element[1]->integer;
      totals.points += (*reply)->element[2]->integer;
    }
    return totals;
  }

  absl::StatusOr<Points> Balance(const Id& member) override {
    const absl::StatusOr<Context> context = Open(socket_);
    if (!context.ok()) return context.status();
    std::string id;
    Append(member, &id);
    const absl::StatusOr<Reply> reply = Ask(**context, {"HGET", id, "b"});
    if (!reply.ok()) return reply.status();
    if ((*reply)->type != REDIS_REPLY_STRING) return absl::NotFoundError("Redis: no such member");
    return std::stoll((*reply)->str);
  }

 private:
  const std::string socket_;
};

}  // namespace

std::unique_ptr<Peer> MakeRedisPeer(std::string socket) {
  return std::make_unique<RedisPeer>(std::move(socket));
}

}  // namespace tallystick::peers
