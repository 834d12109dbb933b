// The frame, what a message travels in (docs/protocol.md is the specification):
//
//   offset  size  field
//        0     4  length of the payload: a multiple of 8, 8 .. kMaxFrameBytes
//        4     4  CRC-32C of the payload
//        8     …  payload: a finished FlatBuffer protocol.Frame, identifier TLY1, padded with zeros
//
// Numbers are little-endian. Frames follow each other without gaps: in a buffer whose first frame
// is aligned to 8 bytes all are, and their structs are used in place.

#ifndef TALLYSTICK_API_FRAME_H_
#define TALLYSTICK_API_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "api/protocol_generated.h"
#include "flatbuffers/flatbuffers.h"
#include "ledger/types.h"

namespace tallystick {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kFrameHeaderBytes = 8;
inline constexpr size_t kFrameAlignment = 8;
// Of a payload at most: the largest Submit (8,192 operations, 720,896 bytes) fits with room to
// spare, and a receiver can hold a few whole ones for each connection.
inline constexpr size_t kMaxFrameBytes = size_t{1} << 20;

struct ReceivedFrame {
  const protocol::Frame* frame = nullptr;  // into the received bytes; null: not all of it is here
  size_t bytes = 0;  // header and payload; as far as is known while the header is not here
};

// The first frame of `received`, which is aligned to kFrameAlignment. The length is looked at
// before anything else, then CRC, identifier, and schema; what is returned is safe to read, its
// body is there (though it may be of a type unknown here), and vectors and structs in it are
// aligned. The error says which of them failed: nothing behind it can be trusted.
absl::StatusOr<ReceivedFrame> ReadFrame(absl::Span<const std::byte> received);

// Bytes for frames; grows as needed and keeps its memory. Aligned to kFrameAlignment.
class FrameBuffer {
 public:
  // Room for `bytes` (a multiple of kFrameAlignment) at the end. Valid until the next call.
  std::byte* Extend(size_t bytes);
  void Append(absl::Span<const std::byte> frame);
  // Takes a finished builder's buffer as a payload, padded and sealed.
  // REQUIRES: it is at most kMaxFrameBytes long.
  void AppendFrame(const flatbuffers::FlatBufferBuilder& finished);
  void Clear() { size_ = 0; }

  std::byte* data() { return reinterpret_cast<std::byte*>(words_.data()); }
  const std::byte* data() const { return reinterpret_cast<const std::byte*>(words_.data()); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  std::vector<uint64_t> words_;
  size_t size_ = 0;
};

// Writes the header of a frame of `bytes` in all whose payload is finished.
void SealFrame(std::byte* frame, size_t bytes);

// ---- the hot path: laid out in place, no builder ----
// Begin… writes all but the elements into `frame` (as many bytes as …FrameBytes says) and returns
// their place; SealFrame follows when they are filled. REQUIRES: count >= 1.
size_t SubmitFrameBytes(size_t count);
absl::Span<Operation> BeginSubmit(std::byte* frame, uint64_t request, uint32_t overloads_seen,
                                  size_t count);
size_t ResultsFrameBytes(size_t count);
absl::Span<Result> BeginResults(std::byte* frame, uint64_t request, size_t count);
// Of a frame that BeginSubmit made; seals it again.
void SetOverloadsSeen(std::byte* frame, size_t bytes, uint32_t overloads_seen);

}  // namespace tallystick

#endif  // TALLYSTICK_API_FRAME_H_
