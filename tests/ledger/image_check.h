#ifndef TALLYSTICK_TESTS_LEDGER_IMAGE_CHECK_H_
#define TALLYSTICK_TESTS_LEDGER_IMAGE_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ledger/image.h"
#include "ledger/state_machine.h"
#include "tests/ledger/logged_ledger.h"

namespace tallystick::ledger {

// Parts in memory.
class MemorySink : public ImageSink {
 public:
  MemorySink();
  absl::Span<std::byte> TakePart() override;
  void PutPart(size_t size_bytes) override;
  bool crowded() const override { return crowded_; }

  // So many more parts are taken before there is no room.
  void set_room(size_t parts) { room_ = parts; }
  void set_crowded(bool crowded) { crowded_ = crowded; }
  const std::vector<std::vector<std::byte>>& parts() const { return parts_; }
  void Clear() { parts_.clear(); }

 private:
  std::unique_ptr<std::byte[]> buffer_;
  std::vector<std::vector<std::byte>> parts_;
  size_t room_ = SIZE_MAX;
  bool crowded_ = false;
};

absl::Status ReadImage(const std::vector<std::vector<std::byte>>& parts, StateMachine& machine);

// Takes images of a ledger while it goes on, reads each back into another one, and holds that
// against what the ledger was when the image began. Differences are failures of the test.
class ImageCheck {
 public:
  explicit ImageCheck(StateMachine& machine) : machine_(machine) {}
  ~ImageCheck();

  bool active() const { return active_; }
  // REQUIRES: !active(); no block is open.
  void Begin(Position position);
  void Continue(size_t budget_bytes);
  // With what the log has behind the last image it comes to the same as the ledger.
  void CompareRest(const std::vector<LogBlock>& log);
  // Throws away the one that is being taken.
  void Abandon();
  // The ledger begins anew from this log. An image of what it lost is of no use.
  void Restart(const std::vector<LogBlock>& log);
  size_t taken() const { return taken_; }

 private:
  void Compare();

  StateMachine& machine_;
  MemorySink sink_;
  bool active_ = false;
  Position position_ = 0;
  Position restored_position_ = 0;
  uint64_t digest_ = 0;
  size_t taken_ = 0;
  std::unique_ptr<StateMachine> restored_;  // from the last image
};

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_TESTS_LEDGER_IMAGE_CHECK_H_
