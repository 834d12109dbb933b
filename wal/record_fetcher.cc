#include "wal/record_fetcher.h"

#include <algorithm>
#include <deque>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/open_files.h"
#include "wal/segment_files.h"

namespace tallystick::wal {
namespace {

constexpr std::align_val_t kAlignment{kSectorBytes};
constexpr uint32_t kMaxStalls = 16;

struct FreeAligned {
  void operator()(std::byte* data) const { operator delete[](data, kAlignment); }
};

std::string SegmentPath(const std::string& directory, uint64_t number) {
  return FilePath(directory, number, FileKind::kSegment);
}

}  // namespace

struct RecordFetcher::State {
  // One block that is looked for, waits for memory, or is read.
  struct Job {
    std::vector<uint64_t> positions;  // in it; they fall
    bool located = false;
    BlockPlace place;
    std::unique_ptr<std::byte[], FreeAligned> data;
    OpenFiles::File* file = nullptr;
    IoRequest request;
    uint32_t stalls = 0;
    State* state = nullptr;
  };

  State(Io& io_in, std::string directory_in, KeyIndexSet& indexes_in)
      : io(io_in),
        directory(std::move(directory_in)),
        indexes(indexes_in),
        files(io, directory, &SegmentPath, kMaxOpenSegments) {}

  void GoOn();
  void Begin(uint64_t position);
  // The job of a block that holds the position, if one is known.
  Job* Holding(uint64_t position);
  void OnPlace(Job* job, const absl::StatusOr<BlockPlace>& found);
  absl::Status Read(Job& job);
  void OnRead(Job& job);
  absl::Status Give(Job& job);
  const char* Fault(const Job& job) const;
  void Release(Job* job);

  Io& io;
  const std::string directory;
  KeyIndexSet& indexes;
  OpenFiles files;

  bool busy = false;
  bool going_on = false;
  std::vector<uint64_t> positions;
  size_t next = 0;  // position
  Visit visit;
  Done done;
  absl::Status status;
  std::vector<std::unique_ptr<Job>> jobs;
  std::deque<Job*> waiting;  // located
  size_t bytes_in_flight = 0;
};

RecordFetcher::State::Job* RecordFetcher::State::Holding(uint64_t position) {
  const auto found = std::find_if(jobs.begin(), jobs.end(), [position](const auto& job) {
    return job->located && job->place.first_position <= position &&
           position <= job->positions.front();
  });
  return found == jobs.end() ? nullptr : found->get();
}

// Begins with as many positions as may be under way, and ends the fetch when none is left.
void RecordFetcher::State::GoOn() {
  if (going_on) return;
  going_on = true;
  while (status.ok() && next < positions.size()) {
    if (Job* const job = Holding(positions[next])) {
      job->positions.push_back(positions[next++]);
    } else if (jobs.size() < kMaxFetches) {
      Begin(positions[next++]);
    } else {
      break;
    }
  }
  while (!waiting.empty()) {
    Job* const job = waiting.front();
    const bool fits = bytes_in_flight == 0 || bytes_in_flight + job->place.bytes <= kMaxFetchBytes;
    if (status.ok() && !fits) break;
    waiting.pop_front();
    if (status.ok()) status = Read(*job);
    if (!status.ok()) Release(job);
  }
  going_on = false;
  if (!jobs.empty() || (status.ok() && next < positions.size())) return;
  busy = false;
  std::exchange(done, nullptr)(std::exchange(status, absl::OkStatus()));
}

void RecordFetcher::State::Begin(uint64_t position) {
  jobs.push_back(std::make_unique<Job>());
  Job* const job = jobs.back().get();
  job->state = this;
  job->positions.push_back(position);
  indexes.Locate(position,
                 [this, job](const absl::StatusOr<BlockPlace>& found) { OnPlace(job, found); });
}

void RecordFetcher::State::OnPlace(Job* job, const absl::StatusOr<BlockPlace>& found) {
  if (!found.ok()) {
    status.Update(found.status());
    Release(job);
  } else {
    job->place = *found;
    job->located = true;
    waiting.push_back(job);
  }
  GoOn();
}

absl::Status RecordFetcher::State::Read(Job& job) {
  absl::StatusOr<OpenFiles::File*> file = files.Take(job.place.segment);
  if (!file.ok()) return file.status();
  job.file = *file;
  job.data.reset(static_cast<std::byte*>(operator new[](job.place.bytes, kAlignment)));
  bytes_in_flight += job.place.bytes;
  job.request = {.op = IoOp::kRead,
                 .handle = job.file->handle,
                 .data = job.data.get(),
                 .size = static_cast<uint32_t>(job.place.bytes),
                 .offset = job.place.offset,
                 .complete =
                     [](IoRequest& request) {
                       auto* read = static_cast<Job*>(request.owner);
                       read->state->OnRead(*read);
                     },
                 .owner = &job};
  io.Submit(job.request);
  return absl::OkStatus();
}

void RecordFetcher::State::OnRead(Job& job) {
  IoRequest& request = job.request;
  if (request.result >= 0 && static_cast<uint32_t>(request.result) < request.size) {
    // Direct reads go on at whole sectors only.
    const auto whole = static_cast<uint32_t>(request.result) / kSectorBytes * kSectorBytes;
    job.stalls = whole == 0 ? job.stalls + 1 : 0;
    request.data += whole;
    request.offset += whole;
    request.size -= whole;
    if (job.stalls < kMaxStalls) return io.Submit(request);
  }
  status.Update(Give(job));
  Release(&job);
  GoOn();
}

const char* RecordFetcher::State::Fault(const Job& job) const {
  if (static_cast<uint32_t>(job.request.result) < job.request.size) return "the segment ends here";
  const auto& header = *reinterpret_cast<const BlockHeader*>(job.data.get());
  if (const char* fault = HeaderFault(header)) return fault;
  if (header.segment != job.place.segment || header.first_position != job.place.first_position ||
      header.bytes != job.place.bytes ||
      job.positions.front() - header.first_position >= header.count) {
    return "it is not the one that the segment's index knows";
  }
  return BodyMatches(header, job.data.get()) ? nullptr : "the body's checksum is wrong";
}

absl::Status RecordFetcher::State::Give(Job& job) {
  const std::string path = SegmentPath(directory, job.place.segment);
  if (job.request.result < 0) {
    return absl::ErrnoToStatus(
        -job.request.result,
        absl::StrCat(path, ": offset ", job.place.offset, ": reading a block failed"));
  }
  if (const char* fault = Fault(job)) {
    return absl::DataLossError(absl::StrCat(path, ": offset ", job.place.offset,
                                            ": the block of position ", job.place.first_position,
                                            " is damaged: ", fault, ": verify the log"));
  }
  if (!status.ok()) return absl::OkStatus();
  const auto* header = reinterpret_cast<const BlockHeader*>(job.data.get());
  const BlockView view{
      .header = header,
      .slots = {reinterpret_cast<const Slot*>(job.data.get() + sizeof(BlockHeader)), header->count},
      .segment = job.place.segment,
      .offset = job.place.offset};
  for (const uint64_t position : job.positions) visit(position, view);
  return absl::OkStatus();
}

void RecordFetcher::State::Release(Job* job) {
  if (job->file != nullptr) files.Give(job->file);
  if (job->data != nullptr) bytes_in_flight -= job->place.bytes;
  jobs.erase(std::find_if(jobs.begin(), jobs.end(),
                          [job](const auto& item) { return item.get() == job; }));
}

RecordFetcher::RecordFetcher(Io& io, std::string directory, KeyIndexSet& indexes)
    : state_(std::make_unique<State>(io, std::move(directory), indexes)) {}

RecordFetcher::~RecordFetcher() { TALLYSTICK_CHECK(!busy()); }

bool RecordFetcher::busy() const { return state_->busy; }

void RecordFetcher::Fetch(std::vector<uint64_t> positions, Visit visit, Done done) {
  State& s = *state_;
  TALLYSTICK_CHECK(!s.busy);
  TALLYSTICK_CHECK(std::is_sorted(positions.rbegin(), positions.rend()));
  s.busy = true;
  s.positions = std::move(positions);
  s.next = 0;
  s.visit = std::move(visit);
  s.done = std::move(done);
  s.GoOn();
}

}  // namespace tallystick::wal
