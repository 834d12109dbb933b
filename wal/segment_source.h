// Reads one segment at a time, wherever its bytes lie: plain in N.log, or packed in N.arc.

#ifndef TALLYSTICK_WAL_SEGMENT_SOURCE_H_
#define TALLYSTICK_WAL_SEGMENT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "wal/aligned_bytes.h"
#include "wal/archive_file.h"
#include "wal/io.h"
#include "wal/segment_files.h"

namespace tallystick::wal {

class SegmentSource {
 public:
  SegmentSource(Io& io, LogFolders folders) : io_(io), folders_(std::move(folders)) {}
  ~SegmentSource() { Close(); }  // REQUIRES: !busy()
  SegmentSource(const SegmentSource&) = delete;
  SegmentSource& operator=(const SegmentSource&) = delete;

  // Turns to segment `number`: N.log if it is there, else N.arc. Where neither is, errors as of
  // MissingSegment; of archives as in archive_file.h. Reads the archive's head and table. REQUIRES:
  // !busy().
  absl::Status Open(uint64_t number);
  // NotFound: that one is not there.
  absl::Status OpenPlain(uint64_t number);
  absl::Status OpenArchive(uint64_t number);
  // Any file, as it is: its number is 0.
  absl::Status OpenFile(const std::string& path);
  void Close();

  bool is_open() const { return handle_ != kNoHandle || archive_ != nullptr; }
  // 0: none is open.
  uint64_t segment() const { return segment_; }
  bool archived() const { return archive_ != nullptr; }
  // Of the file that is open, and how many bytes of the segment it holds.
  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_bytes_; }

  // Fills all of `size` or returns fewer bytes at the end of the segment. Offset, address and size
  // are whole sectors.
  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::byte* data, size_t size);

  // The same without waiting: calls `done` from Io::Poll, or at once where all of it is at hand.
  // One at a time.
  using Done = void (*)(void* owner, const absl::StatusOr<size_t>& got);
  void Read(uint64_t offset, std::byte* data, size_t size, Done done, void* owner);
  bool busy() const { return done_ != nullptr; }

 private:
  // Reads in a row that may bring no whole sector, before that is taken for the segment's end.
  static constexpr uint32_t kMaxStalls = 16;

  void Submit();
  void OnRead();
  void Finish(const absl::StatusOr<size_t>& got);
  // Copies what is wanted of the frame that is unpacked; false: it is another's.
  bool CopyFromFrame();
  // What to read next of the archive; false: nothing is left to read.
  bool NextFrame();

  Io& io_;
  const LogFolders folders_;
  uint64_t segment_ = 0;
  std::string path_;
  uint64_t size_bytes_ = 0;
  Handle handle_ = kNoHandle;  // of a plain one
  std::unique_ptr<ArchiveFile> archive_;
  AlignedBytes packed_;
  AlignedBytes frame_;                  // unpacked
  std::optional<size_t> frame_number_;  // which it is

  // What is being read.
  uint64_t offset_ = 0;
  std::byte* data_ = nullptr;
  size_t wanted_ = 0;
  size_t got_ = 0;
  uint32_t stalls_ = 0;
  size_t next_frame_ = 0;
  IoRequest request_;
  Done done_ = nullptr;
  void* owner_ = nullptr;
};

}  // namespace tallystick::wal

#endif  // TALLYSTICK_WAL_SEGMENT_SOURCE_H_
