#include "api/tally/progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

namespace tallystick::tally {
namespace {

constexpr std::chrono::milliseconds kBetweenDrawings(100);
constexpr char kClearLine[] = "\r\x1b[K";

}  // namespace

Progress::Progress(std::string what, int64_t total)
    : what_(std::move(what)),
      total_(total),
      shown_(isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now() + kBetweenDrawings) {}

Progress::~Progress() {
  if (shown_) std::fputs(kClearLine, stderr);
}

void Progress::Update(int64_t done) {
  if (!shown_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + kBetweenDrawings;
  if (total_ > 0) {
    std::fprintf(stderr, "%s%s: %ld of %ld (%.0f %%)", kClearLine, what_.c_str(), done, total_,
                 100.0 * static_cast<double>(done) / static_cast<double>(total_));
  } else {
    std::fprintf(stderr, "%s%s: %ld", kClearLine, what_.c_str(), done);
  }
  std::fflush(stderr);
}

}  // namespace tallystick::tally
