#include "api/load_image.h"

#include "absl/strings/str_cat.h"
#include "ledger/image.h"

namespace tallystick {

absl::Status LoadImage(wal::SnapshotReader& snapshot, ledger::StateMachine& machine,
                       const std::function<void()>& progress) {
  ledger::ImageReader image(machine);
  absl::Span<const std::byte> part;
  absl::Status status;
  while (status.ok()) {
    const absl::StatusOr<bool> more = snapshot.Next(&part);
    if (!more.ok()) return more.status();
    if (!*more) break;
    status = image.Read(part);
    progress();
  }
  if (status.ok()) status = image.Finish();
  if (status.ok() && image.position() != snapshot.position()) {
    status = absl::DataLossError("the image is of another position");
  }
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(snapshot.path(), ": ", status.message()));
}

}  // namespace tallystick
