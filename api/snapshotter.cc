#include "api/snapshotter.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ledger/check.h"
#include "ledger/image_format.h"
#include "wal/snapshot_files.h"

namespace tallystick {
namespace {

static_assert(wal::kMaxPartBytes >= ledger::kMaxImageRowBytes);

constexpr int64_t kNoTime = std::numeric_limits<int64_t>::max();

}  // namespace

class Snapshotter::Sink : public ledger::ImageSink {
 public:
  explicit Sink(wal::SnapshotWriter& writer) : writer_(writer) {}
  absl::Span<std::byte> TakePart() override { return writer_.TakePart(); }
  void PutPart(size_t size_bytes) override { writer_.PutPart(size_bytes); }
  bool crowded() const override { return writer_.crowded(); }

 private:
  wal::SnapshotWriter& writer_;
};

Snapshotter::Snapshotter(wal::Io& io, wal::SnapshotOptions options,
                         const SnapshotSchedule& schedule, ledger::StateMachine& machine,
                         const wal::LogWriter& log, std::function<void(const std::string&)> report,
                         std::function<void(ShardRequest&)> answer)
    : io_(io),
      options_(std::move(options)),
      schedule_(schedule),
      machine_(machine),
      log_(log),
      report_(std::move(report)),
      answer_(std::move(answer)),
      next_us_(kNoTime),
      not_before_us_(std::numeric_limits<int64_t>::min()) {
  if (schedule.interval_us == 0) return;
  // The shards of a ledger take theirs one after the other.
  const wal::LogIdentity& identity = options_.identity;
  next_us_ = io.MonotonicMicros() +
             schedule.interval_us * (identity.shard + 1) / std::max<int>(identity.shard_count, 1);
}

Snapshotter::~Snapshotter() {
  if (image_under_way_) machine_.AbandonImage();
}

void Snapshotter::Recovered(Position position, uint64_t log_bytes) {
  last_.position = position;
  unsaved_bytes_ = log_bytes;
}

int64_t Snapshotter::UntilDue(int64_t monotonic_us) const {
  if (!waiting_.empty()) return 0;
  if (unsaved_bytes_ == 0) return -1;
  const bool grown = schedule_.log_bytes != 0 && unsaved_bytes_ >= schedule_.log_bytes;
  const int64_t due_us = std::max(grown ? monotonic_us : next_us_, not_before_us_);
  return due_us == kNoTime ? -1 : std::max<int64_t>(due_us - monotonic_us, 0);
}

int64_t Snapshotter::Step(int64_t monotonic_us, bool busy) {
  if (writer_ == nullptr) {
    const int64_t wait_us = UntilDue(monotonic_us);
    if (wait_us != 0) return wait_us;
    Begin(monotonic_us);
    if (writer_ == nullptr) return 0;
  }
  const bool portion_is_due = !busy || monotonic_us >= next_portion_us_;
  absl::Status status;
  if (image_under_way_ && portion_is_due) {
    status = Continue(busy);
    const int64_t now_us = io_.MonotonicMicros();
    next_portion_us_ = now_us + (now_us - monotonic_us) * (100 - kBusyPercent) / kBusyPercent;
    monotonic_us = now_us;
  }
  int64_t wait_us = writer_->Tick(monotonic_us, !busy);
  status.Update(writer_->failure());
  if (!status.ok()) {
    End(monotonic_us, status);
    return 0;
  }
  if (writer_->durable() && log_.durable_position() > writer_->position()) {
    Publish(monotonic_us);
    return 0;
  }
  if (image_under_way_ && !writer_->crowded()) {
    const int64_t portion_us =
        busy ? std::max<int64_t>(next_portion_us_ - monotonic_us, 0) : int64_t{0};
    wait_us = wait_us < 0 ? portion_us : std::min(wait_us, portion_us);
  }
  return wait_us;
}

void Snapshotter::Begin(int64_t monotonic_us) {
  served_ = std::exchange(waiting_, RequestQueue());
  if (unsaved_bytes_ == 0 && last_.position != 0) {
    SnapshotState state = last_;
    state.took_us = 0;
    return Answer(state);
  }
  began_us_ = monotonic_us;
  absl::StatusOr<std::unique_ptr<wal::SnapshotWriter>> writer =
      wal::SnapshotWriter::Begin(io_, options_, log_.place());
  if (!writer.ok()) return End(monotonic_us, writer.status());
  writer_ = *std::move(writer);
  sink_ = std::make_unique<Sink>(*writer_);
  // A writer that has just begun has room.
  image_under_way_ = machine_.BeginImage(writer_->position(), *sink_);
  TALLYSTICK_LEDGER_CHECK(image_under_way_);
  saving_bytes_ = std::exchange(unsaved_bytes_, 0);
}

absl::Status Snapshotter::Continue(bool busy) {
  switch (machine_.ContinueImage(busy ? kBusyPortionBytes : kIdlePortionBytes)) {
    case ledger::ImageProgress::kMore:
    case ledger::ImageProgress::kWaiting:
      return absl::OkStatus();
    case ledger::ImageProgress::kDone:
      image_under_way_ = false;
      writer_->Finish();
      return absl::OkStatus();
    case ledger::ImageProgress::kAbandoned:
      image_under_way_ = false;
      return absl::ResourceExhaustedError(
          absl::StrCat("the ledger changes faster than the disk takes the snapshot, and ",
                       options_.buffer_bytes >> 20, " MiB of memory for what waits are full"));
  }
  return absl::OkStatus();
}

void Snapshotter::Publish(int64_t monotonic_us) {
  if (absl::Status published = writer_->Publish(); !published.ok()) {
    return End(monotonic_us, published);
  }
  last_.position = writer_->position();
  last_.size_bytes = writer_->size_bytes();
  last_.took_us = io_.MonotonicMicros() - began_us_;
  last_.memory_bytes = writer_->memory_bytes();
  End(monotonic_us, wal::RemoveOldSnapshots(io_, options_.directory, kSnapshotsKept));
}

// A snapshot that was published counts, whatever became of the old ones.
void Snapshotter::End(int64_t monotonic_us, const absl::Status& failure) {
  const bool published = writer_ != nullptr && last_.position == writer_->position();
  if (image_under_way_) machine_.AbandonImage();
  image_under_way_ = false;
  if (schedule_.interval_us != 0) next_us_ = monotonic_us + schedule_.interval_us;
  if (!published) unsaved_bytes_ += saving_bytes_;
  saving_bytes_ = 0;
  SnapshotState state = last_;
  if (!failure.ok()) {
    if (!published) {
      state = SnapshotState{};
      state.failure = std::string(failure.message());
    }
    not_before_us_ = monotonic_us + kRetryUs;
    if (report_) {
      report_(absl::StrCat(
          "shard ", options_.identity.shard, ": ",
          published ? "an old snapshot could not be removed: " : "no snapshot was taken: ",
          failure.message()));
    }
  }
  writer_.reset();
  sink_.reset();
  Answer(state);
}

void Snapshotter::Answer(const SnapshotState& state) {
  while (!served_.empty()) {
    auto* request = static_cast<ControlRequest*>(served_.Pop());
    request->answer = state;
    answer_(*request);
  }
}

void Snapshotter::Fail(const absl::Status& failure) {
  if (image_under_way_) machine_.AbandonImage();
  image_under_way_ = false;
  writer_.reset();
  sink_.reset();
  for (RequestQueue* requests : {&served_, &waiting_}) {
    while (!requests->empty()) {
      ShardRequest* request = requests->Pop();
      request->status = failure;
      answer_(*request);
    }
  }
}

// One that is under way leaves out what came behind it.
void Snapshotter::TakeLast() {
  FinishUnderWay();
  if (unsaved_bytes_ > 0 && log_.failure().ok()) Begin(io_.MonotonicMicros());
  FinishUnderWay();
}

void Snapshotter::FinishUnderWay() {
  while (writer_ != nullptr && log_.failure().ok()) {
    if (Step(io_.MonotonicMicros(), /*busy=*/false) != 0) io_.Poll(-1);
  }
}

}  // namespace tallystick
