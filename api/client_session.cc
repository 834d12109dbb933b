#include "api/client_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "api/encoding.h"

namespace tallystick {
namespace {

// Between attempts to connect: doubled from the first to the longest.
constexpr int64_t kFirstBackOffMs = 10;
constexpr int64_t kLongestBackOffMs = 1'000;
// How long a server that has accepted may take to greet, however short reconnect_ms is.
constexpr int64_t kGreetingMs = 5'000;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
// Frames of answered requests that are kept to be used again.
constexpr size_t kSpareFrames = 64;

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Of a refused request.
absl::StatusCode CodeOf(protocol::Missing missing) {
  switch (missing) {
    case protocol::Missing::removed:
      return absl::StatusCode::kNotFound;
    case protocol::Missing::unreadable:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace

ClientSession::ClientSession(const std::string& address, const ClientOptions& options,
                             std::unique_ptr<ClientLink> link)
    : name_(absl::StrCat("the server at ", address)),
      options_(options),
      link_(std::move(link)),
      back_off_ms_(kFirstBackOffMs) {}

// ---- requests ----

ClientSession::Request& ClientSession::Add(size_t operations) {
  Request& request = requests_.emplace_back();
  request.operations = operations;
  if (!spare_frames_.empty()) {
    request.frame = std::move(spare_frames_.back());
    spare_frames_.pop_back();
  }
  ++unanswered_;
  return request;
}

void ClientSession::Submit(absl::Span<const Operation> operations, ResultsCallback done) {
  if (operations.empty() || operations.size() > server_.max_operations) {
    refused_.emplace_back(std::move(done), absl::InvalidArgumentError(absl::StrCat(
                                               "a request has 1 to ", server_.max_operations,
                                               " operations; this one has ", operations.size())));
    return;
  }
  if (phase_ == Phase::kFailed) {
    refused_.emplace_back(std::move(done), failure_);
    return;
  }
  const size_t bytes = SubmitFrameBytes(operations.size());
  const uint64_t number = first_ + requests_.size();
  Request& request = Add(operations.size());
  request.results = std::move(done);
  std::byte* frame = request.frame.Extend(bytes);
  const absl::Span<Operation> place =
      BeginSubmit(frame, number, overloads_seen_, operations.size());
  std::memcpy(place.data(), operations.data(), operations.size() * sizeof(Operation));
  SealFrame(frame, bytes);
  in_flight_bytes_ += bytes;
  // Behind the building, so that it counts the overloads that its caller knew of. A callback
  // answers for a request that has gone; what it submits takes that one's place.
  while (!in_callback_ && in_flight_bytes_ > options_.in_flight_bytes && unanswered_ != 0) {
    if (!Poll(-1).ok()) return;
  }
}

void ClientSession::Ask(const std::function<void(flatbuffers::FlatBufferBuilder&, uint64_t)>& build,
                        ReplyCallback done) {
  if (phase_ == Phase::kFailed) return done(failure_);
  build(builder_, first_ + requests_.size());
  if (builder_.GetSize() > kMaxFrameBytes) {
    return done(absl::InvalidArgumentError(absl::StrCat(
        "the request has ", builder_.GetSize(), " bytes; a frame has at most ", kMaxFrameBytes)));
  }
  Request& request = Add(0);
  request.reply = std::move(done);
  request.frame.AppendFrame(builder_);
  in_flight_bytes_ += request.frame.size();
}

absl::Status ClientSession::MayBlock() const {
  if (!in_callback_) return failure_;
  return absl::FailedPreconditionError(
      "a client's callback cannot wait for the same client; return first");
}

// ---- driving ----

absl::Status ClientSession::Poll(int64_t wait_ms) {
  if (in_callback_) return MayBlock();
  delivered_ = 0;
  DeliverRefused();
  int64_t now_ms = NowMs();
  const int64_t end_ms = wait_ms < 0 ? kNoLimit : now_ms + wait_ms;
  while (phase_ != Phase::kFailed) {
    const Phase before = phase_;
    Advance(now_ms);
    Flush();
    if (phase_ == Phase::kFailed) break;
    // A step that was made without waiting may make another possible.
    const int64_t ms = phase_ != before ? 0 : WaitMs(now_ms, end_ms);
    if (ms != 0) link_->Wait(ms, wants_to_send());
    if (phase_ == Phase::kGreeting || phase_ == Phase::kOpen) Receive();
    now_ms = NowMs();
    const bool has_greeted = phase_ == Phase::kOpen && before != Phase::kOpen;
    if (delivered_ != 0 || has_greeted || now_ms >= end_ms || NothingToWaitFor(end_ms)) break;
  }
  if (delivered_ != 0) Flush();  // what the callbacks have submitted
  return failure_;
}

bool ClientSession::NothingToWaitFor(int64_t end_ms) const { return idle() && end_ms == kNoLimit; }

int64_t ClientSession::WaitMs(int64_t now_ms, int64_t end_ms) const {
  if (delivered_ != 0 || NothingToWaitFor(end_ms)) return 0;
  int64_t until_ms = end_ms;
  if (phase_ == Phase::kDown && !idle()) until_ms = std::min(until_ms, next_attempt_ms_);
  if (phase_ == Phase::kConnecting || phase_ == Phase::kGreeting) {
    until_ms = std::min(until_ms, now_ms + kGreetingMs);
  }
  return until_ms == kNoLimit ? -1 : std::max<int64_t>(until_ms - now_ms, 0);
}

// Takes the connection a step further.
void ClientSession::Advance(int64_t now_ms) {
  if (idle() || phase_ == Phase::kOpen) return;
  if (!down_since_ms_.has_value()) down_since_ms_ = now_ms;
  if (phase_ == Phase::kDown) {
    if (now_ms < next_attempt_ms_) return;
    if (absl::Status status = link_->Connect(); !status.ok()) return Break(status);
    phase_ = Phase::kConnecting;
  }
  if (phase_ == Phase::kConnecting) {
    const absl::StatusOr<bool> connected = link_->Connected();
    if (!connected.ok()) return Break(connected.status());
    if (*connected) SayHello();
  }
  if (phase_ == Phase::kDown) return;
  const int64_t patience_ms = std::max(options_.reconnect_ms, kGreetingMs);
  if (now_ms - *down_since_ms_ >= patience_ms) {
    Break(
        absl::UnavailableError(absl::StrCat(name_, " has not answered for ", patience_ms, " ms")));
  }
}

void ClientSession::SayHello() {
  FrameBuffer hello;
  BuildHello(builder_, 0, options_.name);
  hello.AppendFrame(builder_);
  const absl::Span<const std::byte> bytes(hello.data(), hello.size());
  const absl::StatusOr<size_t> sent = link_->Send({&bytes, 1});
  if (!sent.ok()) return Break(sent.status());
  // A fresh socket has room for it.
  if (*sent != bytes.size()) {
    return Break(absl::UnavailableError(absl::StrCat(name_, " does not take a hello")));
  }
  phase_ = Phase::kGreeting;
}

void ClientSession::Flush() {
  const uint64_t end = first_ + requests_.size();
  while (phase_ == Phase::kOpen && next_ < end) {
    absl::Span<const std::byte> frames[ClientLink::kMaxGather];
    size_t count = 0;
    for (uint64_t number = next_; number < end && count < ClientLink::kMaxGather; ++number) {
      const Request& request = requests_[number - first_];
      if (request.answered) continue;  // over an earlier connection
      const size_t skip = number == next_ ? next_sent_ : 0;
      frames[count++] = {request.frame.data() + skip, request.frame.size() - skip};
    }
    const absl::StatusOr<size_t> sent = link_->Send({frames, count});
    if (!sent.ok()) {
      // The server may have said why.
      Receive();
      if (phase_ == Phase::kOpen) Break(sent.status());
      return;
    }
    if (*sent == 0 && count != 0) return;  // the socket is full
    CountSent(*sent);
  }
}

// Moves on over what was sent, and over what needs no sending.
void ClientSession::CountSent(size_t bytes) {
  for (; next_ < first_ + requests_.size(); ++next_) {
    const Request& request = requests_[next_ - first_];
    const size_t unsent = request.answered ? 0 : request.frame.size() - next_sent_;
    if (bytes < unsent) break;
    bytes -= unsent;
    next_sent_ = 0;
  }
  next_sent_ += bytes;
}

void ClientSession::Receive() {
  const absl::StatusOr<bool> received = link_->Receive();
  if (!received.ok()) return Break(received.status());
  while (phase_ == Phase::kGreeting || phase_ == Phase::kOpen) {
    const absl::StatusOr<const protocol::Frame*> frame = link_->Next();
    if (!frame.ok()) return Fail(frame.status());
    if (*frame == nullptr) return;
    Take(**frame);
  }
}

// ---- what the server says ----

void ClientSession::Take(const protocol::Frame& frame) {
  if (frame.body_type() == protocol::Body::Error) return TakeError(frame);
  if (phase_ == Phase::kGreeting) return TakeGreeting(frame);
  TakeReply(frame);
}

void ClientSession::TakeGreeting(const protocol::Frame& frame) {
  const protocol::HelloReply* hello = frame.body_as_HelloReply();
  if (hello == nullptr || hello->version() != kProtocolVersion) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat(name_, " does not speak protocol version ", kProtocolVersion)));
  }
  ServerInfo now = Decode(*hello);
  if (greeted_ && !(now.ledger == server_.ledger)) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat(name_, " now serves another ledger; connect anew")));
  }
  if (greeted_) ++reconnects_;
  server_ = std::move(now);
  greeted_ = true;
  phase_ = Phase::kOpen;
  next_ = first_;
  next_sent_ = 0;
  if (requests_.empty()) down_since_ms_.reset();
}

void ClientSession::TakeReply(const protocol::Frame& frame) {
  const uint64_t number = frame.request();
  if (!IsUnderWay(number)) {
    return Fail(absl::InternalError(
        absl::StrCat(name_, " answers request ", number, ", which is not under way")));
  }
  if (const size_t count = requests_[number - first_].operations; count != 0) {
    const protocol::Results* results = frame.body_as_Results();
    if (results == nullptr || results->results() == nullptr ||
        results->results()->size() != count) {
      return Fail(absl::InternalError(absl::StrCat(name_, " answers request ", number, " of ",
                                                   count, " operations with something else")));
    }
    for (const Result* result : *results->results()) {
      overloads_seen_ += result->outcome() == Outcome::Overloaded ? 1 : 0;
    }
  }
  Answer(number, &frame);
}

void ClientSession::TakeError(const protocol::Frame& frame) {
  const protocol::Error& error = *frame.body_as_Error();
  const std::string message = Text(error.message());
  const uint64_t number = frame.request();
  if (error.code() == protocol::ErrorCode::fault) {
    Fail(absl::InvalidArgumentError(absl::StrCat(name_, " ends the connection: ", message)));
  } else if (error.code() != protocol::ErrorCode::refused) {
    last_words_ = message;
    Break(absl::UnavailableError(absl::StrCat(name_, " cannot serve: ", message)));
  } else if (!IsUnderWay(number)) {
    Fail(absl::InternalError(
        absl::StrCat(name_, " refuses request ", number, ", which is not under way: ", message)));
  } else {
    Answer(number, absl::Status(CodeOf(error.missing()), message));
  }
}

bool ClientSession::IsUnderWay(uint64_t number) const {
  return number >= first_ && number < next_ && !requests_[number - first_].answered;
}

void ClientSession::Answer(uint64_t number, absl::StatusOr<const protocol::Frame*> answer) {
  down_since_ms_.reset();
  back_off_ms_ = kFirstBackOffMs;
  last_words_.clear();
  Request& slot = requests_[number - first_];
  slot.answered = true;
  Request request = std::move(slot);
  while (!requests_.empty() && requests_.front().answered) {
    requests_.pop_front();
    ++first_;
  }
  next_ = std::max(next_, first_);
  in_flight_bytes_ -= request.frame.size();
  Deliver(request, std::move(answer));
  if (spare_frames_.size() < kSpareFrames) {
    request.frame.Clear();
    spare_frames_.push_back(std::move(request.frame));
  }
}

void ClientSession::Deliver(Request& request, absl::StatusOr<const protocol::Frame*> answer) {
  --unanswered_;
  ++delivered_;
  in_callback_ = true;
  if (request.operations == 0) {
    request.reply(std::move(answer));
  } else if (!answer.ok()) {
    request.results(answer.status());
  } else {
    const auto* results = (*answer)->body_as_Results()->results();
    request.results(
        absl::MakeConstSpan(reinterpret_cast<const Result*>(results->Data()), results->size()));
  }
  in_callback_ = false;
}

void ClientSession::DeliverRefused() {
  in_callback_ = true;
  for (size_t count = refused_.size(); count != 0; --count) {
    auto [done, status] = std::move(refused_.front());
    refused_.pop_front();
    ++delivered_;
    done(status);
  }
  in_callback_ = false;
}

// ---- the connection's ends ----

// On a new connection none has been given.
void ClientSession::ForgetOverloads() {
  if (overloads_seen_ == 0) return;
  overloads_seen_ = 0;
  for (Request& request : requests_) {
    if (request.answered || request.operations == 0) continue;
    SetOverloadsSeen(request.frame.data(), request.frame.size(), 0);
  }
}

// Tries again, unless that has gone on for too long.
void ClientSession::Break(const absl::Status& why) {
  link_->Close();
  phase_ = Phase::kDown;
  ForgetOverloads();
  const int64_t now_ms = NowMs();
  if (greeted_ && requests_.empty()) {
    // Nobody waits: the next request connects.
    down_since_ms_.reset();
    next_attempt_ms_ = now_ms;
    return;
  }
  if (!down_since_ms_.has_value()) {
    down_since_ms_ = now_ms;
    next_attempt_ms_ = now_ms;
    return;
  }
  if (now_ms - *down_since_ms_ >= options_.reconnect_ms) {
    const std::string before =
        last_words_.empty() ? "" : absl::StrCat(" (before that, it said: ", last_words_, ")");
    return Fail(absl::Status(why.code(), absl::StrCat(why.message(), before)));
  }
  next_attempt_ms_ = now_ms + back_off_ms_;
  back_off_ms_ = std::min(back_off_ms_ * 2, kLongestBackOffMs);
}

void ClientSession::Fail(const absl::Status& why) {
  link_->Close();
  phase_ = Phase::kFailed;
  failure_ = why;
  std::deque<Request> failed = std::exchange(requests_, {});
  first_ = next_;
  in_flight_bytes_ = 0;
  for (Request& request : failed) {
    if (!request.answered) Deliver(request, failure_);
  }
}

}  // namespace tallystick
