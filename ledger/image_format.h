// The rows of an image of the state: docs/snapshot-format.md is the specification; this file is its
// C++.

#ifndef TALLYSTICK_LEDGER_IMAGE_FORMAT_H_
#define TALLYSTICK_LEDGER_IMAGE_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "ledger/holds.h"
#include "ledger/lots.h"
#include "ledger/program.h"
#include "ledger/totals.h"
#include "ledger/types.h"

namespace tallystick::ledger {

//   1: the foundation.
//   2: what engine 2 remembers: written_off in returns, and the rows behind kEnd.
//   3: transfers on their way.
inline constexpr uint16_t kImageVersion = 3;

// Each begins with its type, and takes a multiple of 8 bytes.
enum class ImageRow : uint8_t {
  kState = 1,  // the first
  kProgram,    // followed by its versions
  kVersion,
  kReceipt,
  kAccount,
  kLots,      // behind their account
  kEnd,       // the last
  kTakings,   // behind their receipt
  kStanding,  // behind their account, as are holds
  kHold,
  kTransit,  // behind its hold
  kArrivals
};

struct StateRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t image_version;
  uint16_t programs;
  uint16_t reserved2;
  uint32_t accounts;
  uint32_t reserved3;
  Position position;
  Instant log_time;
};
static_assert(sizeof(StateRow) == 32);

struct ProgramRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t program;
  uint16_t versions;
  uint16_t reserved2;
  Totals totals;
};
static_assert(sizeof(ProgramRow) == 8 + 18 * 8);
// Of version 1: without what it has apart of `expired`, and what members sent each other.
inline constexpr size_t kProgramRowBytesOfV1 = 8 + 14 * 8;
inline constexpr size_t kProgramRowBytesOfV2 = 8 + 16 * 8;

struct VersionRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t program;
  uint16_t version;  // from 1
  uint16_t reserved2;
  uint32_t bytes;  // of the program, which follows, and zeros up to a multiple of 8
  uint32_t reserved3;
  Id id;  // of the put
  Instant bound_before;
};
static_assert(sizeof(VersionRow) == 40);

// Those of one program and length of life stand in log order. Only receipts that live.
struct ReceiptRow {
  ImageRow type;
  Kind kind;
  uint16_t program;
  uint16_t version;  // from 1
  uint8_t flags;     // ResultFlag, and kHasReturns: a ReturnedRow follows
  uint8_t reserved;
  uint32_t account;  // its number
  uint32_t body;
  Id id;
  Instant key_time;
  Position position;
  int64_t amount;
  Points points;
  Points available;
  Points pending;
};
static_assert(sizeof(ReceiptRow) == 80);

struct ReturnedRow {
  int64_t amount;
  Points claimed;
  Points lost;
  Points written_off;
};
static_assert(sizeof(ReturnedRow) == 32);
inline constexpr size_t kReturnedRowBytesOfV1 = 24;

struct AccountRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t program;
  uint32_t account;  // its number: accounts are numbered from 0, as they were made
  uint32_t lots;     // in all, in whatever rows
  uint32_t reserved2;
  Id member;
  Points available;
  Points pending;
  Points lifetime_earned;
  Position last_position;
};
static_assert(sizeof(AccountRow) == 64);

// Some of an account's lots, in any order; `count` LotRows follow.
struct LotsRow {
  ImageRow type;
  uint8_t pending;  // 1: pending ones; 0: available ones
  uint16_t count;
  uint32_t account;
};
static_assert(sizeof(LotsRow) == 8);

struct LotRow {
  Position position;
  Instant activates_at;
  Instant expires_at;
  Points original;
  Points remaining;
};
static_assert(sizeof(LotRow) == 40);

// Of the redemption whose receipt is before it. `count` LotRows follow, in the order in which it
// took: the lots as they were, `remaining` is what was taken.
struct TakingsRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t count;
  uint32_t reserved2;
};
static_assert(sizeof(TakingsRow) == 8);

// Of an account that is not active.
struct StandingRow {
  ImageRow type;
  AccountStatus status;
  uint16_t reserved;
  uint32_t account;
};
static_assert(sizeof(StandingRow) == 8);

// An open hold, or, with a timeout of kNever, a transfer on its way; `count` LotRows follow: what
// it has, in spending order.
struct HoldRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t count;
  uint32_t account;
  Position position;
  Instant times_out_at;
};
static_assert(sizeof(HoldRow) == 24);

// Of the transfer whose hold is before it.
struct TransitRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t version;  // of the program, from 1
  uint32_t account;
  Id id;
  Id to;
  Instant base;
  Instant sent_at;
  uint64_t user_data;
};
static_assert(sizeof(TransitRow) == 64);

// What was received of a shard, and where it has received: rows of one shard ascend; each has
// `count` positions behind it, not settled there as far as is known, which ascend as well.
struct ArrivalsRow {
  ImageRow type;
  uint8_t reserved;
  uint16_t shard;
  uint32_t count;
  Position open_from;
  Position newest;
  Position delivered;
};
static_assert(sizeof(ArrivalsRow) == 32);
// Of one row, at most.
inline constexpr uint32_t kArrivalsPerRow = 1u << 12;

struct EndRow {
  ImageRow type;
  uint8_t reserved[7];
  uint64_t digest;  // of the state
  uint64_t lots;
  uint64_t receipts;
};
static_assert(sizeof(EndRow) == 32);

// Rows that are written at once: an account with all its lots and holds.
inline constexpr size_t kMaxImageRowBytes =
    sizeof(AccountRow) + 2 * sizeof(LotsRow) + kMaxLotsPerAccount * sizeof(LotRow) +
    sizeof(StandingRow) + kMaxHoldsPerAccount * (sizeof(HoldRow) + sizeof(TransitRow));
static_assert(kMaxImageRowBytes >= sizeof(ReceiptRow) + sizeof(ReturnedRow) + sizeof(TakingsRow) +
                                       kMaxLotsPerAccount * sizeof(LotRow));
static_assert(kMaxImageRowBytes >= sizeof(VersionRow) + kMaxProgramBytes);
static_assert(kMaxImageRowBytes >= sizeof(ArrivalsRow) + kArrivalsPerRow * sizeof(Position));

}  // namespace tallystick::ledger

#endif  // TALLYSTICK_LEDGER_IMAGE_FORMAT_H_
