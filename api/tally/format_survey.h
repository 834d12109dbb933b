// Which format each file of a ledger's directory is of, and in which version.

#ifndef TALLYSTICK_API_TALLY_FORMAT_SURVEY_H_
#define TALLYSTICK_API_TALLY_FORMAT_SURVEY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/tally/offline_ledger.h"

namespace tallystick::tally {

struct FileFormat {
  std::string path;
  std::string what;  // "log segment"
  // 0: it does not say: it has no version, or nothing is written in it yet.
  uint16_t version = 0;
  uint16_t newest = 0;  // that this program knows; 0: it knows nothing of the format but its name
};

// Every file of the directory and of its shards' folders that a ledger may have; what does not
// belong there is left out (tally log verify names it). Only headers are read. DataLoss: a file's
// first bytes are not those of its format.
absl::StatusOr<std::vector<FileFormat>> SurveyFormats(OfflineLedger& ledger);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_FORMAT_SURVEY_H_
