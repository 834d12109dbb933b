// Frames for tests: made of messages, of parts, and of what is no message.

#ifndef TALLYSTICK_TESTS_API_FRAMES_H_
#define TALLYSTICK_TESTS_API_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/types/span.h"
#include "api/encoding.h"
#include "api/frame.h"
#include "ledger/types.h"
#include "wal/checksum.h"

namespace tallystick {

inline Operation TestOperation(uint64_t id, uint64_t member, int64_t amount, Kind kind) {
  return Operation(Id(id, 0), Id(member, 0), Id(0, 0), amount, 1'767'225'600'000'000, 0, 0, 1, 0,
                   kind, 0, 0);
}

// A frame around any payload, its length and CRC right.
inline FrameBuffer WrapPayload(absl::Span<const std::byte> payload) {
  FrameBuffer frame;
  const uint32_t header[2] = {static_cast<uint32_t>(payload.size()),
                              wal::Crc32c(payload.data(), payload.size())};
  std::memcpy(frame.Extend(sizeof(header)), header, sizeof(header));
  frame.Append(payload);
  return frame;
}

// Any header, with nothing behind it.
inline FrameBuffer HeaderOf(uint32_t length, uint32_t crc = 0) {
  FrameBuffer frame;
  const uint32_t header[2] = {length, crc};
  std::memcpy(frame.Extend(sizeof(header)), header, sizeof(header));
  return frame;
}

// BuiltFrame(BuildTotalsGet, 7, 1): the message as a frame.
template <typename Build, typename... Arguments>
FrameBuffer BuiltFrame(Build build, const Arguments&... arguments) {
  flatbuffers::FlatBufferBuilder builder;
  build(builder, arguments...);
  FrameBuffer frame;
  frame.AppendFrame(builder);
  return frame;
}

inline FrameBuffer SubmitFrame(uint64_t request, absl::Span<const Operation> operations,
                               uint32_t overloads_seen = 0) {
  FrameBuffer frame;
  const size_t bytes = SubmitFrameBytes(operations.size());
  std::byte* place = frame.Extend(bytes);
  const absl::Span<Operation> elements =
      BeginSubmit(place, request, overloads_seen, operations.size());
  std::memcpy(elements.data(), operations.data(), operations.size() * sizeof(Operation));
  SealFrame(place, bytes);
  return frame;
}

inline FrameBuffer ResultsFrame(uint64_t request, absl::Span<const Result> results) {
  FrameBuffer frame;
  const size_t bytes = ResultsFrameBytes(results.size());
  std::byte* place = frame.Extend(bytes);
  const absl::Span<Result> elements = BeginResults(place, request, results.size());
  std::memcpy(elements.data(), results.data(), results.size() * sizeof(Result));
  SealFrame(place, bytes);
  return frame;
}

inline absl::Span<const std::byte> BytesOf(const FrameBuffer& frame) {
  return {frame.data(), frame.size()};
}

}  // namespace tallystick

#endif  // TALLYSTICK_TESTS_API_FRAMES_H_
