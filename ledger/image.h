// The state at one log position, as a stream of rows: docs/snapshot-format.md is its
// specification.
//
// It is taken while operations go on. What an operation is about to change, and is not in the
// stream yet, is written to the stream first, an account with its lots or what was returned of a
// purchase, so that rows stand in it in any order, each once, all as they were at the position.

#ifndef TALLYSTICK_LEDGER_IMAGE_H_
#define TALLYSTICK_LEDGER_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "ledger/types.h"

namespace tallystick::ledger {

class StateMachine;

// ---- writing ----

// Where the stream goes, part by part. Rows are not divided between parts.
class ImageSink {
 public:
  virtual ~ImageSink() = default;
  // Room for the next part, of kMaxImageRowBytes (image_format.h) at least; empty: there is none
  // now.
  virtual absl::Span<std::byte> TakePart() = 0;
  // The part that was taken has so many bytes.
  virtual void PutPart(size_t size_bytes) = 0;
  // Room is getting short: what can wait does.
  virtual bool crowded() const = 0;
};

enum class ImageProgress : uint8_t {
  kMore,
  kWaiting,    // for room in the sink
  kDone,       // all parts have been put
  kAbandoned,  // an operation found no room in the sink: nothing more is put
};

// ---- reading ----

// Fills an empty state machine with an image.
class ImageReader {
 public:
  // REQUIRES: nothing was applied to `machine`.
  explicit ImageReader(StateMachine& machine);
  ~ImageReader();

  // The next part. DataLoss: it is none, or not of this image; FailedPrecondition: of a newer
  // version. After an error the state machine is good for nothing.
  absl::Status Read(absl::Span<const std::byte> part);
  // Behind the last part: whether it was all, gives the digest that was written, and adds up.
  absl::Status Finish();

  // Known when Read has taken the first part.
  Position position() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_IMAGE_H_
