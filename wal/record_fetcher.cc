#include "wal/record_fetcher.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "wal/aligned_bytes.h"
#include "wal/archive_file.h"
#include "wal/block.h"
#include "wal/check.h"
#include "wal/open_files.h"

namespace tallystick::wal {
namespace {

constexpr uint32_t kMaxStalls = 16;

}  // namespace

struct RecordFetcher::State {
  // One block that is looked for, waits for memory, or is read.
  struct Job {
    std::vector<uint64_t> positions;  // in it; they fall
    bool located = false;
    BlockPlace place;
    AlignedBytes data;
    // Of an archived segment: a frame as it lies there, and unpacked; and what of the block is
    // here.
    AlignedBytes packed;
    AlignedBytes frame;
    size_t frame_number = 0;
    size_t got = 0;
    bool reopened = false;
    OpenFiles::File* file = nullptr;
    IoRequest request;
    uint32_t stalls = 0;
    State* state = nullptr;
  };

  State(Io& io_in, LogFolders folders_in, KeyIndexSet& indexes_in)
      : io(io_in),
        folders(std::move(folders_in)),
        indexes(indexes_in),
        files(io, folders, kMaxOpenSegments) {}

  void GoOn();
  void Begin(uint64_t position);
  // The job of a block that holds the position, if one is known.
  Job* Holding(uint64_t position);
  void OnPlace(Job* job, const absl::StatusOr<BlockPlace>& found);
  absl::Status Read(Job& job);
  void SubmitFrame(Job& job);
  void OnRead(Job& job);
  // A frame is here; true: that was the last that the block needs.
  absl::StatusOr<bool> TakeFrame(Job& job) const;
  bool ReadAgain(Job& job, const absl::Status& given);
  absl::Status Give(Job& job);
  const char* Fault(const Job& job) const;
  void Release(Job* job);

  Io& io;
  const LogFolders folders;
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
  if (job.data.size() == 0) {
    job.data = AlignedBytes(job.place.bytes);
    bytes_in_flight += job.place.bytes;
  }
  job.got = 0;
  job.stalls = 0;
  job.request = {.op = IoOp::kRead,
                 .handle = job.file->handle,
                 .data = job.data.data(),
                 .size = static_cast<uint32_t>(job.place.bytes),
                 .offset = job.place.offset,
                 .complete =
                     [](IoRequest& request) {
                       auto* read = static_cast<Job*>(request.owner);
                       read->state->OnRead(*read);
                     },
                 .owner = &job};
  if (job.file->archive == nullptr) {
    io.Submit(job.request);
    return absl::OkStatus();
  }
  const ArchiveFile& archive = *job.file->archive;
  if (job.place.offset + job.place.bytes > archive.head().segment_bytes) {
    return absl::DataLossError(absl::StrCat(archive.path(), ": the segment ends before offset ",
                                            job.place.offset + job.place.bytes,
                                            ", where its index knows a block: verify the log"));
  }
  job.packed = AlignedBytes(archive.MostPackedBytes());
  job.frame = AlignedBytes(archive.head().frame_bytes);
  job.frame_number = archive.FrameAt(job.place.offset);
  SubmitFrame(job);
  return absl::OkStatus();
}

void RecordFetcher::State::SubmitFrame(Job& job) {
  const ArchiveFile& archive = *job.file->archive;
  job.request.data = job.packed.data();
  job.request.size = static_cast<uint32_t>(archive.PackedBytes(job.frame_number));
  job.request.offset = archive.PackedOffset(job.frame_number);
  io.Submit(job.request);
}

absl::StatusOr<bool> RecordFetcher::State::TakeFrame(Job& job) const {
  const ArchiveFile& archive = *job.file->archive;
  if (job.request.result < 0) {
    return absl::ErrnoToStatus(
        -job.request.result,
        absl::StrCat(archive.path(), ": offset ", job.request.offset, ": reading a frame failed"));
  }
  const auto last = static_cast<uint32_t>(job.request.result);
  if (last < job.request.size) return archive.CutShort(job.frame_number);
  const absl::Status unpacked =
      archive.Unpack(job.frame_number, {job.packed.data(), archive.PackedBytes(job.frame_number)},
                     job.frame.data());
  if (!unpacked.ok()) return unpacked;
  const auto skip =
      static_cast<size_t>(job.place.offset + job.got - archive.FrameBegin(job.frame_number));
  const size_t size =
      std::min(job.place.bytes - job.got, archive.FrameBytes(job.frame_number) - skip);
  std::memcpy(job.data.data() + job.got, job.frame.data() + skip, size);
  job.got += size;
  ++job.frame_number;
  return job.got == job.place.bytes;
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
  if (job.file->archive != nullptr) {
    const absl::StatusOr<bool> whole = TakeFrame(job);
    if (whole.ok() && !*whole) return SubmitFrame(job);
    status.Update(whole.status());
  }
  const absl::Status given = status.ok() ? Give(job) : status;
  if (ReadAgain(job, given)) return;
  status.Update(given);
  Release(&job);
  GoOn();
}

// What was opened as a plain file may have gone into the archive since, and been written over.
bool RecordFetcher::State::ReadAgain(Job& job, const absl::Status& given) {
  if (!absl::IsDataLoss(given) || !status.ok() || job.file->archive != nullptr ||
      std::exchange(job.reopened, true)) {
    return false;
  }
  files.Forget(job.place.segment);
  files.Give(std::exchange(job.file, nullptr));
  status = Read(job);
  if (status.ok()) return true;
  Release(&job);
  GoOn();
  return true;
}

const char* RecordFetcher::State::Fault(const Job& job) const {
  const bool is_short =
      job.file->archive == nullptr && static_cast<uint32_t>(job.request.result) < job.request.size;
  if (is_short) return "the segment ends here";
  const auto& header = *reinterpret_cast<const BlockHeader*>(job.data.data());
  if (const char* fault = HeaderFault(header)) return fault;
  if (header.segment != job.place.segment || header.first_position != job.place.first_position ||
      header.bytes != job.place.bytes ||
      job.positions.front() - header.first_position >= header.count) {
    return "it is not the one that the segment's index knows";
  }
  return BodyMatches(header, job.data.data()) ? nullptr : "the body's checksum is wrong";
}

absl::Status RecordFetcher::State::Give(Job& job) {
  const bool archived = job.file->archive != nullptr;
  const std::string path = archived ? job.file->archive->path()
                                    : FilePath(folders.log, job.place.segment, FileKind::kSegment);
  if (!archived && job.request.result < 0) {
    return absl::ErrnoToStatus(
        -job.request.result,
        absl::StrCat(path, ": offset ", job.place.offset, ": reading a block failed"));
  }
  if (const char* fault = Fault(job)) {
    return absl::DataLossError(absl::StrCat(path, ": offset ", job.place.offset,
                                            ": the block of position ", job.place.first_position,
                                            " is damaged: ", fault, ": verify the log"));
  }
  const auto* header = reinterpret_cast<const BlockHeader*>(job.data.data());
  const BlockView view{
      .header = header,
      .slots = {reinterpret_cast<const Slot*>(job.data.data() + sizeof(BlockHeader)),
                header->count},
      .segment = job.place.segment,
      .offset = job.place.offset};
  for (const uint64_t position : job.positions) visit(position, view);
  return absl::OkStatus();
}

void RecordFetcher::State::Release(Job* job) {
  if (job->file != nullptr) files.Give(job->file);
  bytes_in_flight -= job->data.size();
  jobs.erase(std::find_if(jobs.begin(), jobs.end(),
                          [job](const auto& item) { return item.get() == job; }));
}

RecordFetcher::RecordFetcher(Io& io, LogFolders folders, KeyIndexSet& indexes)
    : state_(std::make_unique<State>(io, std::move(folders), indexes)) {}

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
