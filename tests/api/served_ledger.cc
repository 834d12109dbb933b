#include "tests/api/served_ledger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "api/encoding.h"
#include "tests/api/frames.h"
#include "wal/posix_io.h"

namespace tallystick {
namespace {

std::filesystem::path NewDirectory() {
  static std::atomic<int> count = 0;
  return std::filesystem::temp_directory_path() /
         ("tallystick_served." + std::to_string(getpid()) + "." + std::to_string(count++));
}

std::vector<uint8_t> ProgramBytes() {
  flatbuffers::FlatBufferBuilder builder;
  const auto name = builder.CreateString("Test");
  const auto currency = builder.CreateString("EUR");
  const auto zone = builder.CreateString("Europe/Berlin");
  const auto earn = CreateEarn(builder);
  ProgramBuilder program(builder);
  program.add_id(ServedLedger::kProgram);
  program.add_name(name);
  program.add_currency(currency);
  program.add_time_zone(zone);
  program.add_earn(earn);
  program.add_implicit_enrolment(true);
  builder.Finish(program.Finish());
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

}  // namespace

MakeIo PosixBackend() {
  return
      [](uint16_t) -> absl::StatusOr<std::unique_ptr<wal::Io>> { return wal::PosixIo::Create(); };
}

ServedLedger::ServedLedger(const ServedOptions& options)
    : directory_(NewDirectory()), server_options_(options.server) {
  std::filesystem::create_directories(directory_);
  LedgerOptions ledger_options;
  ledger_options.directory = directory_ / "ledger";
  ledger_options.create = true;
  ledger_options.shards = options.shards;
  ledger_options.threads = options.shards;
  ledger_options.make_io = options.make_io;
  ledger_options.durability = wal::Durability::kNone;
  ledger_options.segment_bytes = uint64_t{8} << 20;
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Open(ledger_options);
  if (!ledger.ok()) {
    ADD_FAILURE() << ledger.status();
    std::abort();
  }
  ledger_ = *std::move(ledger);
  const absl::StatusOr<ProgramPutAnswer> put = ledger_->PutProgram(Id(1, 1), ProgramBytes());
  EXPECT_TRUE(put.ok() && put->outcome == Outcome::Ok)
      << (put.ok() ? put->field + " " + put->message : put.status().ToString());
  listen_ = options.tcp ? "tcp:127.0.0.1:0" : "unix:" + (directory_ / "socket").string();
  StartServer();
}

ServedLedger::~ServedLedger() {
  server_.reset();
  ledger_.reset();
  std::filesystem::remove_all(directory_);
}

void ServedLedger::StartServer() {
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(*ledger_, listen_, server_options_);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  address_ = server_->address();
  listen_ = address_;  // the same port again
  now_ = server_->info().time;
}

void ServedLedger::StopServer() { server_.reset(); }

Operation ServedLedger::Accrue(uint64_t id, uint64_t member, int64_t amount) const {
  return Operation(Id(id, 0), Id(member, 0), Id(), amount, now_, 0, 0, kProgram, 0, Kind::Accrue, 0,
                   0);
}

RawSocket ServedLedger::Greet() const {
  RawSocket socket = Connect();
  EXPECT_TRUE(socket.Send(BuiltFrame(BuildHello, 1, "raw")));
  const protocol::Frame* reply = socket.ReadFrame();
  EXPECT_TRUE(reply != nullptr && reply->body_as_HelloReply() != nullptr);
  return socket;
}

std::unique_ptr<Client> ServedLedger::NewClient(int64_t reconnect_ms) const {
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Connect(address_, {.name = "test", .reconnect_ms = reconnect_ms});
  if (!client.ok()) {
    ADD_FAILURE() << client.status();
    std::abort();
  }
  return *std::move(client);
}

void ServedLedger::WaitForConnections(uint32_t count) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (server_->connections() != count) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << server_->connections() << " are open";
    std::this_thread::yield();
  }
}

ReadError AsError(const protocol::Frame* frame) {
  const protocol::Error* error = frame == nullptr ? nullptr : frame->body_as_Error();
  if (error == nullptr) {
    ADD_FAILURE() << (frame == nullptr ? "the connection has ended"
                                       : protocol::EnumNameBody(frame->body_type()));
    return {};
  }
  return {frame->request(), error->code(), Text(error->message())};
}

std::vector<Result> AsResults(const protocol::Frame* frame) {
  const protocol::Results* body = frame == nullptr ? nullptr : frame->body_as_Results();
  if (body == nullptr || body->results() == nullptr) {
    ADD_FAILURE() << (frame == nullptr ? "the connection has ended"
                                       : protocol::EnumNameBody(frame->body_type()));
    return {};
  }
  std::vector<Result> results;
  for (const Result* result : *body->results()) results.push_back(*result);
  return results;
}

}  // namespace tallystick
