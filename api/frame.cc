#include "api/frame.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "wal/check.h"
#include "wal/checksum.h"

namespace tallystick {
namespace {

// A Frame and its body: no message nests deeper, or holds more tables.
constexpr flatbuffers::uoffset_t kMaxTables = 2;

struct Header {
  uint32_t length;
  uint32_t crc;
};
static_assert(sizeof(Header) == kFrameHeaderBytes);

absl::Status CheckLength(uint32_t length) {
  if (length == 0) {
    return absl::InvalidArgumentError("a frame says that its payload is empty (length 0)");
  }
  if (length > kMaxFrameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a frame says that its payload has ", length,
                                                   " bytes; the most is ", kMaxFrameBytes));
  }
  if (length % kFrameAlignment != 0) {
    return absl::InvalidArgumentError(absl::StrCat("a frame says that its payload has ", length,
                                                   " bytes, which is not a multiple of ",
                                                   kFrameAlignment));
  }
  return absl::OkStatus();
}

// The verifier looks at a vector's length field only, not at where its elements lie. One without
// elements may lie anywhere.
template <typename T>
bool IsAligned(const flatbuffers::Vector<const T*>* vector) {
  return vector == nullptr || vector->size() == 0 ||
         reinterpret_cast<uintptr_t>(vector->Data()) % alignof(T) == 0;
}

bool StructsAreAligned(const protocol::Frame& frame) {
  switch (frame.body_type()) {
    case protocol::Body::Submit:
      return IsAligned(frame.body_as_Submit()->operations());
    case protocol::Body::Results:
      return IsAligned(frame.body_as_Results()->results());
    case protocol::Body::BalanceReply:
      return IsAligned(frame.body_as_BalanceReply()->events());
    case protocol::Body::LotsReply:
      return IsAligned(frame.body_as_LotsReply()->lots()) &&
             IsAligned(frame.body_as_LotsReply()->holds()) &&
             IsAligned(frame.body_as_LotsReply()->held_lots());
    case protocol::Body::StatementReply:
      return IsAligned(frame.body_as_StatementReply()->movements()) &&
             IsAligned(frame.body_as_StatementReply()->details());
    case protocol::Body::TransactionReply:
      return IsAligned(frame.body_as_TransactionReply()->movement()) &&
             IsAligned(frame.body_as_TransactionReply()->details());
    case protocol::Body::TotalsReply:
      return IsAligned(frame.body_as_TotalsReply()->shards());
    case protocol::Body::ShardsReply:
      return IsAligned(frame.body_as_ShardsReply()->shards());
    case protocol::Body::SnapshotReply:
      return IsAligned(frame.body_as_SnapshotReply()->shards());
    case protocol::Body::RecordsReply:
      return IsAligned(frame.body_as_RecordsReply()->runs()) &&
             IsAligned(frame.body_as_RecordsReply()->slots());
    default:
      return true;
  }
}

absl::StatusOr<const protocol::Frame*> ReadPayload(const std::byte* payload, size_t size) {
  // At bytes 4 to 7; the shortest payload has 8.
  if (!protocol::FrameBufferHasIdentifier(payload)) {
    const absl::string_view found(reinterpret_cast<const char*>(payload) + 4, 4);
    return absl::InvalidArgumentError(absl::StrCat("a frame's payload has the identifier \"",
                                                   absl::CHexEscape(found), "\" instead of \"",
                                                   protocol::FrameIdentifier(), "\""));
  }
  flatbuffers::Verifier::Options options;
  options.max_depth = kMaxTables;
  options.max_tables = kMaxTables;
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(payload), size, options);
  if (!protocol::VerifyFrameBuffer(verifier)) {
    return absl::InvalidArgumentError("a frame's payload does not follow the schema");
  }
  const protocol::Frame* frame = protocol::GetFrame(payload);
  if (frame->body_type() == protocol::Body::NONE || frame->body() == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("the frame of request ", frame->request(), " has no body"));
  }
  if (!StructsAreAligned(*frame)) {
    return absl::InvalidArgumentError(absl::StrCat("in the frame of request ", frame->request(),
                                                   " a vector's elements are not aligned to ",
                                                   kFrameAlignment, " bytes"));
  }
  return frame;
}

// What precedes the elements in a frame whose body ends in a vector: made by FlatBuffers once, then
// copied and patched. FlatBuffers lays out from the back, so the vector, made first, comes last.
class FramePrefix {
 public:
  template <typename T, typename CreateBody>
  static FramePrefix Make(protocol::Body type, CreateBody create_body) {
    flatbuffers::FlatBufferBuilder builder;
    builder.ForceDefaults(true);  // so that each field has a place to patch
    const T element = {};
    const auto vector = builder.CreateVectorOfStructs(&element, 1);
    const auto body = create_body(builder, vector);
    protocol::FinishFrameBuffer(builder, protocol::CreateFrame(builder, 0, type, body));
    FramePrefix prefix;
    prefix.payload_.Append(absl::MakeConstSpan(
        reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize()));
    TALLYSTICK_CHECK(prefix.payload_.size() % kFrameAlignment == 0);
    prefix.bytes_ = prefix.payload_.size() - sizeof(T);
    return prefix;
  }

  size_t FrameBytes(size_t elements_bytes) const {
    return kFrameHeaderBytes + bytes_ + elements_bytes;
  }
  // Copies it behind the header and sets the request.
  protocol::Frame* CopyTo(std::byte* frame, uint64_t request) const {
    std::memcpy(frame + kFrameHeaderBytes, payload_.data(), bytes_);
    protocol::Frame* copy = protocol::GetMutableFrame(frame + kFrameHeaderBytes);
    copy->mutate_request(request);
    return copy;
  }

 private:
  FrameBuffer payload_;  // with one element, which is not copied
  size_t bytes_ = 0;
};

const FramePrefix& SubmitPrefix() {
  static const FramePrefix prefix =
      FramePrefix::Make<Operation>(protocol::Body::Submit, [](auto& builder, auto operations) {
        return protocol::CreateSubmit(builder, 0, operations).Union();
      });
  return prefix;
}

const FramePrefix& ResultsPrefix() {
  static const FramePrefix prefix =
      FramePrefix::Make<Result>(protocol::Body::Results, [](auto& builder, auto results) {
        return protocol::CreateResults(builder, results).Union();
      });
  return prefix;
}

// Sets the length of a vector that still has its template's.
template <typename T>
absl::Span<T> Resize(flatbuffers::Vector<const T*>* vector, size_t count) {
  flatbuffers::WriteScalar(vector, static_cast<flatbuffers::uoffset_t>(count));
  return absl::MakeSpan(reinterpret_cast<T*>(vector->Data()), count);
}

}  // namespace

absl::StatusOr<ReceivedFrame> ReadFrame(absl::Span<const std::byte> received) {
  ReceivedFrame result;
  result.bytes = kFrameHeaderBytes;
  Header header = {};
  if (received.size() < sizeof(header.length)) return result;
  std::memcpy(&header, received.data(), std::min(received.size(), sizeof(header)));
  if (absl::Status status = CheckLength(header.length); !status.ok()) return status;
  result.bytes = kFrameHeaderBytes + header.length;
  if (received.size() < result.bytes) return result;

  const std::byte* payload = received.data() + kFrameHeaderBytes;
  const uint32_t crc = wal::Crc32c(payload, header.length);
  if (crc != header.crc) {
    return absl::DataLossError(absl::StrCat("the CRC-32C of a frame's payload is ",
                                            absl::Hex(crc, absl::kZeroPad8), "; its header says ",
                                            absl::Hex(header.crc, absl::kZeroPad8)));
  }
  absl::StatusOr<const protocol::Frame*> frame = ReadPayload(payload, header.length);
  if (!frame.ok()) return frame.status();
  result.frame = *frame;
  return result;
}

std::byte* FrameBuffer::Extend(size_t bytes) {
  TALLYSTICK_CHECK(bytes % kFrameAlignment == 0);
  const size_t words = (size_ + bytes) / sizeof(uint64_t);
  if (words > words_.size()) words_.resize(std::max(words, words_.size() * 2));
  std::byte* place = data() + size_;
  size_ += bytes;
  return place;
}

void FrameBuffer::Append(absl::Span<const std::byte> frame) {
  std::memcpy(Extend(frame.size()), frame.data(), frame.size());
}

void FrameBuffer::AppendFrame(const flatbuffers::FlatBufferBuilder& finished) {
  const size_t size = finished.GetSize();
  TALLYSTICK_CHECK(size <= kMaxFrameBytes);
  const size_t padded = (size + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
  std::byte* frame = Extend(kFrameHeaderBytes + padded);
  std::memcpy(frame + kFrameHeaderBytes, finished.GetBufferPointer(), size);
  std::memset(frame + kFrameHeaderBytes + size, 0, padded - size);
  SealFrame(frame, kFrameHeaderBytes + padded);
}

void SealFrame(std::byte* frame, size_t bytes) {
  Header header;
  header.length = static_cast<uint32_t>(bytes - kFrameHeaderBytes);
  TALLYSTICK_CHECK(CheckLength(header.length).ok());
  header.crc = wal::Crc32c(frame + kFrameHeaderBytes, header.length);
  std::memcpy(frame, &header, sizeof(header));
}

size_t SubmitFrameBytes(size_t count) {
  return SubmitPrefix().FrameBytes(count * sizeof(Operation));
}

absl::Span<Operation> BeginSubmit(std::byte* frame, uint64_t request, uint32_t overloads_seen,
                                  size_t count) {
  protocol::Frame* copy = SubmitPrefix().CopyTo(frame, request);
  auto* submit = static_cast<protocol::Submit*>(copy->mutable_body());
  submit->mutate_overloads_seen(overloads_seen);
  return Resize<Operation>(submit->mutable_operations(), count);
}

size_t ResultsFrameBytes(size_t count) {
  return ResultsPrefix().FrameBytes(count * sizeof(Result));
}

absl::Span<Result> BeginResults(std::byte* frame, uint64_t request, size_t count) {
  protocol::Frame* copy = ResultsPrefix().CopyTo(frame, request);
  auto* results = static_cast<protocol::Results*>(copy->mutable_body());
  return Resize<Result>(results->mutable_results(), count);
}

void SetOverloadsSeen(std::byte* frame, size_t bytes, uint32_t overloads_seen) {
  protocol::Frame* sealed = protocol::GetMutableFrame(frame + kFrameHeaderBytes);
  static_cast<protocol::Submit*>(sealed->mutable_body())->mutate_overloads_seen(overloads_seen);
  SealFrame(frame, bytes);
}

}  // namespace tallystick
