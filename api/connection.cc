#include "api/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/encoding.h"
#include "api/messages.h"
#include "ledger/state_machine.h"
#include "wal/check.h"

namespace tallystick {
namespace {

// With less room than this behind what is in use, receiving waits for a buffer that is free.
constexpr size_t kMinReceiveBytes = size_t{16} << 10;
// From this size on a frame ends its receive, so that what follows it starts in another buffer and
// need not be moved.
constexpr size_t kLargeFrameBytes = size_t{64} << 10;
// What a reply without a vector takes at most, and an error's sentence.
constexpr size_t kShortReplyBytes = 2048;
static_assert(kMaxScheduleEvents * sizeof(protocol::Event) + 256 < kMaxFrameBytes);
static_assert(size_t{ledger::kFirstLateMonth + 1} * sizeof(protocol::OwedMonth) <
              kMaxFrameBytes / 2);
static_assert(kMaxBalanceEvents * sizeof(protocol::Event) < kShortReplyBytes / 2);
constexpr size_t kLongestReplyBytes = kFrameHeaderBytes + kMaxFrameBytes;
static_assert(kLongestReplyBytes <= kMaxReplyBytes, "a request of an idle connection has room");
static_assert(kMaxRequestOperations * sizeof(Operation) + kFrameHeaderBytes + 256 < kMaxFrameBytes);

bool TryAgain(int32_t result) { return result == -EINTR || result == -EAGAIN; }

size_t OperationCount(const protocol::Submit& submit) {
  return submit.operations() == nullptr ? 0 : submit.operations()->size();
}

// The reply's size at most.
size_t ReplyBytes(const protocol::Frame& frame) {
  switch (frame.body_type()) {
    case protocol::Body::Submit: {
      const size_t count = std::min(OperationCount(*frame.body_as_Submit()), kMaxRequestOperations);
      return std::max(ResultsFrameBytes(count), kShortReplyBytes);
    }
    case protocol::Body::ProgramGet:
    case protocol::Body::LotsGet:
    case protocol::Body::TotalsGet:
    case protocol::Body::ShardsGet:
    case protocol::Body::SnapshotTake:
    case protocol::Body::OwedGet:
      return kLongestReplyBytes;
    case protocol::Body::ScheduleGet:
      return kMaxScheduleEvents * sizeof(protocol::Event) + kShortReplyBytes;
    case protocol::Body::RecordsGet:
      return kMaxRecordsSlots * (sizeof(Record) + sizeof(protocol::RecordRun)) + kShortReplyBytes;
    case protocol::Body::DryRun:
      return ledger::kMaxChainOperations *
                 (sizeof(protocol::DryRunStep) + sizeof(protocol::MovementDetail)) +
             kShortReplyBytes;
    case protocol::Body::StatementGet:
      return kMaxStatementMovements *
                 (sizeof(protocol::Movement) + sizeof(protocol::MovementDetail)) +
             kShortReplyBytes;
    default:
      return kShortReplyBytes;
  }
}

// "BalanceGet"; of a type that a later version has, its number.
std::string NameOf(protocol::Body type) {
  if (type > protocol::Body::MAX) return absl::StrCat("message of type ", static_cast<int>(type));
  return protocol::EnumNameBody(type);
}

}  // namespace

// Bytes received, and beside them the replies to the Submits among them while their results come
// in. A Submit of n operations has at least 104 + 88 (n - 1) bytes, however cleverly it is encoded,
// and its reply less than twice as many.
struct Connection::ReceiveBuffer {
  // Both; the system gives pages when they are touched.
  static constexpr size_t kReplyBytes = 2 * kReceiveBufferBytes;
  static constexpr size_t kBytes = kReceiveBufferBytes + kReplyBytes;
  std::unique_ptr<std::byte[]> memory;
  size_t filled = 0;
  size_t taken = 0;  // of these, in frames that have been handled
  size_t reply_used = 0;
  uint32_t calls = 0;  // under way with their operations and results here

  std::byte* received() { return memory.get(); }
  std::byte* TakeReply(size_t bytes) {
    std::byte* place = memory.get() + kReceiveBufferBytes + reply_used;
    reply_used += bytes;
    TALLYSTICK_CHECK(reply_used <= kReplyBytes);
    return place;
  }
};

struct Connection::Call {
  SubmitCall submit;
  Connection* connection = nullptr;
  uint64_t request = 0;
  size_t reply_bytes_due = 0;
  ReceiveBuffer* buffer = nullptr;  // null: not a Submit
  std::byte* reply = nullptr;       // a Results frame, in the buffer
  std::vector<uint8_t> program;     // of a ProgramPut: aligned, as the wire need not be
};

Connection::Connection(ConnectionContext& context, wal::Handle socket)
    : context_(context),
      io_(context.worker.io()),
      socket_(socket),
      stream_(context.worker.dispatcher().info().shard_count) {
  receive_.op = wal::IoOp::kReceive;
  receive_.handle = socket;
  receive_.complete = &OnReceived;
  receive_.owner = this;
  send_.op = wal::IoOp::kSend;
  send_.handle = socket;
  send_.complete = &OnSent;
  send_.owner = this;
}

Connection::~Connection() { TALLYSTICK_CHECK(finished()); }

void Connection::Start() {
  buffers_ = std::make_unique<ReceiveBuffer[]>(kReceiveBuffers);
  for (size_t index = 0; index < kReceiveBuffers; ++index) {
    // Left uninitialised on purpose.
    buffers_[index].memory.reset(new std::byte[ReceiveBuffer::kBytes]);
  }
  current_ = &buffers_[0];
  Receive();
}

void Connection::Refuse(const std::string& why) {
  EndWith({0, protocol::ErrorCode::unavailable, why});
}

void Connection::Turn() {
  touched_ = false;
  if (stalled_) {
    stalled_ = false;
    TakeFrames();
  }
  if (state_ == State::kClosing && in_flight_ == 0 && last_words_due_) {
    last_words_due_ = false;
    BuildError(context_.builder, last_words_->request, last_words_->code, last_words_->message);
    gathered_.AppendFrame(context_.builder);
  }
  Send();
  if (state_ == State::kClosing && in_flight_ == 0 && !sending_ && gathered_.empty()) HangUp();
  if (state_ == State::kGone && in_flight_ == 0 && !sending_ && !receiving_) {
    io_.Close(socket_);
    state_ = State::kFinished;
  }
}

void Connection::End() {
  if (!takes_requests()) return;
  state_ = State::kClosing;
  Touch();
}

void Connection::Abort() {
  if (state_ < State::kGone) HangUp();
}

// ---- receiving ----

void Connection::OnReceived(wal::IoRequest& request) {
  auto& self = *static_cast<Connection*>(request.owner);
  self.receiving_ = false;
  if (self.takes_requests()) {
    if (request.result > 0) {
      self.current_->filled += static_cast<size_t>(request.result);
      self.TakeFrames();
    } else if (request.result == 0) {
      self.End();  // the peer may still read what it has asked for
    } else if (TryAgain(request.result)) {
      self.Receive();
    } else {
      self.HangUp();
    }
  }
  self.Touch();
}

void Connection::TakeFrames() {
  while (takes_requests()) {
    if (next_.frame == nullptr) {
      const absl::StatusOr<ReceivedFrame> next = ReadFrame(absl::MakeConstSpan(
          current_->received() + current_->taken, current_->filled - current_->taken));
      if (!next.ok()) return Fault(std::string(next.status().message()));
      next_ = *next;
      if (next_.frame == nullptr) return Receive();
    }
    if (!HasRoomFor(*next_.frame)) {
      stalled_ = true;
      return;
    }
    const ReceivedFrame taken = std::exchange(next_, {});
    current_->taken += taken.bytes;
    Handle(*taken.frame);
  }
}

void Connection::Receive() {
  if (receiving_ || !takes_requests()) return;
  if (!MakeRoom()) {
    stalled_ = true;
    return;
  }
  size_t size = kReceiveBufferBytes - current_->filled;
  if (next_.bytes >= kLargeFrameBytes) size = current_->taken + next_.bytes - current_->filled;
  receive_.data = current_->received() + current_->filled;
  receive_.size = static_cast<uint32_t>(size);
  receiving_ = true;
  io_.Submit(receive_);
}

// Makes current_ a buffer into which the rest of the next frame fits. False: all are in use.
bool Connection::MakeRoom() {
  const size_t rest = current_->filled - current_->taken;
  if (rest != 0 && current_->taken + next_.bytes <= kReceiveBufferBytes) return true;
  ReceiveBuffer* target = current_;
  for (size_t index = 0; target->calls != 0 && index < kReceiveBuffers; ++index) {
    if (buffers_[index].calls == 0) target = &buffers_[index];
  }
  if (target->calls != 0) {
    return rest == 0 && kReceiveBufferBytes - current_->filled >= kMinReceiveBytes;
  }
  std::memmove(target->received(), current_->received() + current_->taken, rest);
  target->filled = rest;
  target->taken = 0;
  target->reply_used = 0;
  current_ = target;
  return true;
}

// ---- requests ----

bool Connection::HasRoomFor(const protocol::Frame& frame) const {
  return in_flight_ < kMaxRequestsInFlight &&
         reply_bytes_due_ + gathered_.size() + outgoing_.size() + ReplyBytes(frame) <=
             kMaxReplyBytes;
}

void Connection::Handle(const protocol::Frame& frame) {
  if (state_ == State::kGreeting) return Greet(frame);
  switch (frame.body_type()) {
    case protocol::Body::Submit:
      return Submit(frame);
    case protocol::Body::ProgramPut:
      return PutProgram(frame);
    case protocol::Body::ProgramGet:
    case protocol::Body::BalanceGet:
    case protocol::Body::LotsGet:
    case protocol::Body::StatementGet:
    case protocol::Body::TransactionGet:
    case protocol::Body::TotalsGet:
    case protocol::Body::ShardsGet:
    case protocol::Body::SnapshotTake:
    case protocol::Body::RecordsGet:
    case protocol::Body::TickTo:
    case protocol::Body::DryRun:
    case protocol::Body::ScheduleGet:
    case protocol::Body::OwedGet:
      return ReadRequest(frame);
    case protocol::Body::Hello:
      return Fault(absl::StrCat("request ", frame.request(), " is a second Hello"));
    default:
      break;
  }
  Fault(absl::StrCat("request ", frame.request(), " is a ", NameOf(frame.body_type()),
                     ", which a client of protocol version ", kProtocolVersion, " does not send"));
}

void Connection::Greet(const protocol::Frame& frame) {
  const protocol::Hello* hello = frame.body_as_Hello();
  if (hello == nullptr) {
    return Fault(absl::StrCat("the first frame is a ", NameOf(frame.body_type()),
                              "; a connection begins with Hello"));
  }
  if (hello->version() != kProtocolVersion) {
    return Fault(absl::StrCat("the client speaks protocol version ", hello->version(),
                              ", this server version ", kProtocolVersion));
  }
  ServerInfo info = context_.worker.dispatcher().info();
  info.server = context_.server;
  BuildReply(context_.builder, frame.request(), info);
  AppendBuilt(frame.request());
  state_ = State::kOpen;
}

void Connection::Submit(const protocol::Frame& frame) {
  const protocol::Submit& submit = *frame.body_as_Submit();
  const size_t count = OperationCount(submit);
  if (count == 0 || count > kMaxRequestOperations) {
    return RefuseRequest(frame.request(), absl::StrCat("a Submit has 1 to ", kMaxRequestOperations,
                                                       " operations; this one has ", count));
  }
  Call& call = BeginCall(frame.request(), ReplyBytes(frame));
  call.buffer = current_;
  ++call.buffer->calls;
  call.reply = call.buffer->TakeReply(ResultsFrameBytes(count));
  call.submit.stream = &stream_;
  call.submit.overloads_seen = submit.overloads_seen();
  call.submit.operations =
      absl::MakeConstSpan(reinterpret_cast<const Operation*>(submit.operations()->Data()), count);
  call.submit.results = BeginResults(call.reply, frame.request(), count);
  call.submit.status = absl::OkStatus();
  context_.worker.dispatcher().Submit(call.submit);  // may be done at once
}

void Connection::PutProgram(const protocol::Frame& frame) {
  const protocol::ProgramPut& put = *frame.body_as_ProgramPut();
  if (put.id() == nullptr || put.program() == nullptr) {
    return RefuseRequest(frame.request(), "a ProgramPut has an id and a program");
  }
  Call& call = BeginCall(frame.request(), ReplyBytes(frame));
  call.program.assign(put.program()->begin(), put.program()->end());
  context_.worker.dispatcher().PutProgram(*put.id(), call.program, Answers<ProgramPutAnswer>(call));
}

void Connection::ReadRequest(const protocol::Frame& frame) {
  Dispatcher& dispatcher = context_.worker.dispatcher();
  const uint64_t request = frame.request();
  const size_t bytes = ReplyBytes(frame);
  if (const auto* get = frame.body_as_ProgramGet()) {
    return dispatcher.GetProgram(get->program(),
                                 Answers<std::vector<uint8_t>>(BeginCall(request, bytes)));
  }
  if (const auto* get = frame.body_as_TotalsGet()) {
    return dispatcher.Totals(get->program(), Answers<TotalsAnswer>(BeginCall(request, bytes)));
  }
  if (const auto* get = frame.body_as_OwedGet()) {
    return dispatcher.Owed(get->program(), get->as_of(),
                           Answers<OwedAnswer>(BeginCall(request, bytes)));
  }
  if (frame.body_as_ShardsGet() != nullptr) {
    return dispatcher.Shards(Answers<ShardsAnswer>(BeginCall(request, bytes)));
  }
  if (frame.body_as_SnapshotTake() != nullptr) {
    return dispatcher.Snapshot(Answers<SnapshotsAnswer>(BeginCall(request, bytes)));
  }
  if (const auto* get = frame.body_as_RecordsGet()) {
    return dispatcher.Records(get->shard(), get->from(), get->wait_ms(),
                              Answers<RecordsAnswer>(BeginCall(request, bytes)));
  }
  if (const auto* dry_run = frame.body_as_DryRun()) {
    const auto* operations = dry_run->operations();
    if (operations == nullptr) return RefuseRequest(request, "a DryRun has operations");
    return dispatcher.DryRun(
        {reinterpret_cast<const Operation*>(operations->Data()), operations->size()},
        Answers<DryRunAnswer>(BeginCall(request, bytes)));
  }
  if (const auto* tick = frame.body_as_TickTo()) {
    if (tick->id() == nullptr) return RefuseRequest(request, "a TickTo has an id");
    return dispatcher.Tick(*tick->id(), tick->time(),
                           Answers<TickAnswer>(BeginCall(request, bytes)));
  }
  const auto with_member = [&](const auto* get, auto ask) {
    if (get->member() == nullptr) {
      return RefuseRequest(request, absl::StrCat("a ", NameOf(frame.body_type()), " has a member"));
    }
    ask(get->program(), *get->member(), BeginCall(request, bytes));
  };
  if (const auto* get = frame.body_as_BalanceGet()) {
    return with_member(get, [&](uint16_t program, const Id& member, Call& call) {
      dispatcher.Balance(program, member, get->as_of(), Answers<BalanceAnswer>(call));
    });
  }
  if (const auto* get = frame.body_as_ScheduleGet()) {
    return with_member(get, [&](uint16_t program, const Id& member, Call& call) {
      dispatcher.Schedule(program, member, get->as_of(), Answers<BalanceAnswer>(call));
    });
  }
  if (const auto* get = frame.body_as_LotsGet()) {
    return with_member(get, [&](uint16_t program, const Id& member, Call& call) {
      dispatcher.Lots(program, member, Answers<LotsAnswer>(call));
    });
  }
  if (const auto* get = frame.body_as_TransactionGet()) {
    if (get->id() == nullptr) return RefuseRequest(request, "a TransactionGet has an id");
    return with_member(get, [&](uint16_t program, const Id& member, Call& call) {
      dispatcher.Transaction(program, member, *get->id(), Answers<TransactionAnswer>(call));
    });
  }
  const auto* get = frame.body_as_StatementGet();
  with_member(get, [&](uint16_t program, const Id& member, Call& call) {
    dispatcher.Statement(program, member, get->before(), get->limit(),
                         Answers<StatementAnswer>(call));
  });
}

Connection::Call& Connection::BeginCall(uint64_t request, size_t reply_bytes) {
  if (free_calls_.empty()) {
    TALLYSTICK_CHECK(calls_.size() < kMaxRequestsInFlight);
    calls_.push_back(std::make_unique<Call>());
    calls_.back()->connection = this;
    calls_.back()->submit.owner = calls_.back().get();
    calls_.back()->submit.done = &OnSubmitDone;
    free_calls_.push_back(calls_.back().get());
  }
  Call& call = *free_calls_.back();
  free_calls_.pop_back();
  call.request = request;
  call.reply_bytes_due = reply_bytes;
  reply_bytes_due_ += reply_bytes;
  ++in_flight_;
  return call;
}

void Connection::EndCall(Call& call) {
  if (call.buffer != nullptr) --call.buffer->calls;
  call.buffer = nullptr;
  call.program = {};
  reply_bytes_due_ -= call.reply_bytes_due;
  --in_flight_;
  free_calls_.push_back(&call);
  Touch();
}

// ---- replies ----

void Connection::OnSubmitDone(SubmitCall& submit) {
  Call& call = *static_cast<Call*>(submit.owner);
  Connection& self = *call.connection;
  if (!submit.status.ok()) {
    self.NotServed(call.request, submit.status);
  } else if (self.state_ < State::kGone) {
    const size_t bytes = ResultsFrameBytes(submit.results.size());
    SealFrame(call.reply, bytes);
    self.gathered_.Append(absl::MakeConstSpan(call.reply, bytes));
  }
  self.EndCall(call);
}

template <typename Answer>
Dispatcher::Done<Answer> Connection::Answers(Call& call) {
  // Two pointers: small enough for std::function not to allocate.
  return [this, &call](absl::StatusOr<Answer> answer) {
    if (!answer.ok()) {
      NotServed(call.request, answer.status());
    } else if (state_ < State::kGone) {
      BuildReply(context_.builder, call.request, *answer);
      AppendBuilt(call.request);
    }
    EndCall(call);
  };
}

void Connection::AppendBuilt(uint64_t request) {
  const size_t bytes = context_.builder.GetSize();
  if (bytes > kMaxFrameBytes) {
    return RefuseRequest(request, absl::StrCat("the answer has ", bytes,
                                               " bytes; a frame has at most ", kMaxFrameBytes));
  }
  gathered_.AppendFrame(context_.builder);
}

void Connection::RefuseRequest(uint64_t request, const std::string& message,
                               protocol::Missing missing) {
  BuildError(context_.builder, request, protocol::ErrorCode::refused, message, missing);
  gathered_.AppendFrame(context_.builder);
  Touch();
}

// A shard that has stopped may serve again when the server is started anew; what is not in the log
// will not come by itself.
void Connection::NotServed(uint64_t request, const absl::Status& status) {
  if (state_ >= State::kGone) return;
  const std::string message(status.message());
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kFailedPrecondition:
      return EndWith({request, protocol::ErrorCode::unavailable, message});
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return RefuseRequest(request, message);
    case absl::StatusCode::kNotFound:
      return RefuseRequest(request, message, protocol::Missing::removed);
    default:
      return RefuseRequest(request, message, protocol::Missing::unreadable);
  }
}

void Connection::EndWith(LastWords last_words) {
  if (!takes_requests() && !(state_ == State::kClosing && !last_words_.has_value())) return;
  state_ = State::kClosing;
  last_words_ = std::move(last_words);
  last_words_due_ = true;
  Touch();
}

// ---- sending and ending ----

void Connection::Send() {
  if (sending_ || state_ >= State::kGone) return;
  if (sent_ == outgoing_.size()) {
    if (gathered_.empty()) return;
    std::swap(gathered_, outgoing_);
    gathered_.Clear();
    sent_ = 0;
  }
  send_.data = outgoing_.data() + sent_;
  send_.size = static_cast<uint32_t>(outgoing_.size() - sent_);
  sending_ = true;
  io_.Submit(send_);
}

void Connection::OnSent(wal::IoRequest& request) {
  auto& self = *static_cast<Connection*>(request.owner);
  self.sending_ = false;
  if (request.result > 0) {
    self.sent_ += static_cast<size_t>(request.result);
    if (self.sent_ == self.outgoing_.size()) {
      self.outgoing_.Clear();
      self.sent_ = 0;
    } else {
      self.Send();  // it was short
    }
  } else if (TryAgain(request.result)) {
    self.Send();
  } else if (self.state_ < State::kGone) {
    self.HangUp();
  }
  self.Touch();
}

// No request on the socket outlives the shutdown for long; Turn closes it after the last.
void Connection::HangUp() {
  state_ = State::kGone;
  gathered_.Clear();
  io_.Shutdown(socket_);
  Touch();
}

void Connection::Touch() {
  if (touched_) return;
  touched_ = true;
  context_.ready.push_back(this);
}

}  // namespace tallystick
