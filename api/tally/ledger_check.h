// Everything that can be wrong with a ledger's files.

#ifndef TALLYSTICK_API_TALLY_LEDGER_CHECK_H_
#define TALLYSTICK_API_TALLY_LEDGER_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "api/tally/ledger_log.h"
#include "api/tally/offline_ledger.h"
#include "api/tally/replay_report.h"

namespace tallystick::tally {

// A problem is told with what to do about it.
struct Problem {
  int shard = -1;        // -1: of no shard
  std::string path;      // file or folder
  uint64_t segment = 0;  // 0: the problem is not in a segment
  uint64_t offset = 0;   // in it
  Position first = 0;    // of the positions that it concerns; 0: none in particular
  Position last = 0;     // first - 1: what follows does not follow from what is before
  std::string cause;     // a phrase
  std::string to_do;     // a sentence
};

// Sentences for people: place, positions, cause, what to do.
std::string ProblemText(const Problem& problem);

struct LedgerCheck {
  std::vector<ShardLog> logs;  // of each shard that could be read; positions: as far as replayed
  Machines machines;           // behind them
  uint64_t snapshots = 0;      // that are sound, and the same as the log
  std::vector<std::string> notes;  // sentences: what is no problem, and should be known
  std::vector<Problem> problems;
};

// Every block, chain, record, digest and balance of every log, behind damage too, as far as it can
// be checked; every snapshot; what the shards sent each other; and that nothing else lies about. A
// torn tail is no problem. Costs one reading of all files, and the memory of the states and of a
// TransferCheck.
LedgerCheck CheckLedger(OfflineLedger& ledger);

}  // namespace tallystick::tally

#endif  // TALLYSTICK_API_TALLY_LEDGER_CHECK_H_
