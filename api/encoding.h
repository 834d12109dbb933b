// Messages of the protocol, from and to the plain types of api/messages.h.
//
// Build… makes a whole Frame in `builder`, whatever that held before; Decode… reads a verified
// body.

#ifndef TALLYSTICK_API_ENCODING_H_
#define TALLYSTICK_API_ENCODING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/messages.h"
#include "api/protocol_generated.h"
#include "flatbuffers/flatbuffers.h"
#include "ledger/types.h"

namespace tallystick {

using Builder = flatbuffers::FlatBufferBuilder;

// ---- requests ----
void BuildHello(Builder& builder, uint64_t request, absl::string_view client);
void BuildProgramPut(Builder& builder, uint64_t request, const Id& id,
                     absl::Span<const uint8_t> program);
void BuildProgramGet(Builder& builder, uint64_t request, uint16_t program);
void BuildBalanceGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                     Instant as_of);
void BuildScheduleGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                      Instant as_of);
void BuildLotsGet(Builder& builder, uint64_t request, uint16_t program, const Id& member);
void BuildStatementGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                       Position before, uint32_t limit);
void BuildTransactionGet(Builder& builder, uint64_t request, uint16_t program, const Id& member,
                         const Id& id);
void BuildTotalsGet(Builder& builder, uint64_t request, uint16_t program);
void BuildOwedGet(Builder& builder, uint64_t request, uint16_t program, Instant as_of);
void BuildShardsGet(Builder& builder, uint64_t request);
void BuildSnapshotTake(Builder& builder, uint64_t request);
void BuildRecordsGet(Builder& builder, uint64_t request, uint16_t shard, Position from,
                     uint32_t wait_ms);
void BuildDryRun(Builder& builder, uint64_t request, absl::Span<const Operation> operations);
void BuildTickTo(Builder& builder, uint64_t request, const Id& id, Instant to);

// ---- replies ----
void BuildReply(Builder& builder, uint64_t request, const ServerInfo& info);
void BuildReply(Builder& builder, uint64_t request, const ProgramPutAnswer& answer);
// The answer to ProgramGet: empty is an unknown program.
void BuildReply(Builder& builder, uint64_t request, const std::vector<uint8_t>& program);
void BuildReply(Builder& builder, uint64_t request, const BalanceAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const LotsAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const StatementAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const TransactionAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const TotalsAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const OwedAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const ShardsAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const SnapshotsAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const RecordsAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const DryRunAnswer& answer);
void BuildReply(Builder& builder, uint64_t request, const TickAnswer& answer);
void BuildError(Builder& builder, uint64_t request, protocol::ErrorCode code,
                absl::string_view message, protocol::Missing missing = protocol::Missing::none);

ServerInfo Decode(const protocol::HelloReply& reply);
ProgramPutAnswer Decode(const protocol::ProgramPutReply& reply);
std::vector<uint8_t> Decode(const protocol::ProgramReply& reply);
BalanceAnswer Decode(const protocol::BalanceReply& reply);
LotsAnswer Decode(const protocol::LotsReply& reply);
StatementAnswer Decode(const protocol::StatementReply& reply);
TransactionAnswer Decode(const protocol::TransactionReply& reply);
TotalsAnswer Decode(const protocol::TotalsReply& reply);
OwedAnswer Decode(const protocol::OwedReply& reply);
ShardsAnswer Decode(const protocol::ShardsReply& reply);
SnapshotsAnswer Decode(const protocol::SnapshotReply& reply);
RecordsAnswer Decode(const protocol::RecordsReply& reply);
DryRunAnswer Decode(const protocol::DryRunReply& reply);
TickAnswer Decode(const protocol::TickReply& reply);

// "" for an absent string.
std::string Text(const flatbuffers::String* text);

}  // namespace tallystick

#endif  // TALLYSTICK_API_ENCODING_H_
