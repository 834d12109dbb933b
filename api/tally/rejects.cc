#include "api/tally/rejects.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/csv.h"

namespace tallystick::tally {

absl::Status RejectsFile::Open(const std::string& path) {
  auto file = OutputFile::Create(path, /*reading=*/nullptr);
  if (!file.ok()) return file.status();
  file_ = *std::move(file);
  file_->buffer() = CsvLine({"file", "line", "order", "reason"});
  return absl::OkStatus();
}

void RejectsFile::Add(absl::string_view file, int64_t line, absl::string_view order,
                      absl::string_view reason) {
  if (file_ == nullptr || !written_.ok()) return;
  file_->buffer() += CsvLine({file, absl::StrCat(line), order, reason});
  written_ = file_->FlushSome();
}

absl::Status RejectsFile::Close() {
  if (file_ == nullptr) return absl::OkStatus();
  const std::unique_ptr<OutputFile> file = std::move(file_);
  return written_.ok() ? file->Publish() : written_;
}

}  // namespace tallystick::tally
