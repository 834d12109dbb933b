#include "tests/wal/log_harness.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tallystick::wal {

LogCopy ReadLog(Io& io, const std::string& directory) {
  LogCopy log;
  absl::StatusOr<std::unique_ptr<LogReader>> reader = LogReader::Open(io, directory, kIdentity);
  if (!reader.ok()) {
    log.status = reader.status();
    return log;
  }
  for (BlockView block;;) {
    absl::StatusOr<bool> more = (*reader)->Next(&block);
    log.status = more.status();
    if (!more.ok()) return log;
    if (!*more) break;
    log.blocks.push_back({.header = *block.header,
                          .slots = {block.slots.begin(), block.slots.end()},
                          .segment = block.segment,
                          .offset = block.offset});
  }
  log.tail = (*reader)->TakeTail();
  return log;
}

Slot MakeSlot(uint64_t seed) {
  Slot slot;
  for (size_t i = 0; i < sizeof(Slot); i += sizeof(uint64_t)) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(slot.bytes + i, &seed, sizeof(seed));
  }
  return slot;
}

bool Equal(const Slot& a, const Slot& b) { return std::memcmp(&a, &b, sizeof(Slot)) == 0; }

bool Matches(const BlockCopy& block, const Written& written) {
  if (block.header.first_position != written.first_position ||
      block.header.timestamp_us != written.timestamp_us ||
      block.slots.size() != written.seeds.size()) {
    return false;
  }
  for (size_t i = 0; i < block.slots.size(); ++i) {
    if (!Equal(block.slots[i], MakeSlot(written.seeds[i]))) return false;
  }
  return true;
}

std::vector<BlockCopy> Records(const LogCopy& log) {
  std::vector<BlockCopy> records;
  for (const BlockCopy& block : log.blocks) {
    if (block.header.type == BlockType::kRecords) records.push_back(block);
  }
  return records;
}

LogWriterOptions SmallOptions(Durability durability) {
  return {.directory = kLogDirectory,
          .identity = kIdentity,
          .segment_bytes = 8 * kSectorBytes,
          .blocks_in_flight = 4,
          .spare_segments = 1,
          .witness_after_us = 1'000,
          .durability = durability};
}

absl::Status LogSession::Open() {
  LogTail tail;
  if (io.Exists(options.directory)) {
    LogCopy log = ReadLog(io);
    mismatch = Compare(log);
    if (!log.status.ok()) return log.status;
    history.resize(std::min(history.size(), Records(log).size()));
    tail = std::move(log.tail);
  }
  return OpenAt(std::move(tail));
}

absl::Status LogSession::OpenAt(LogTail tail) {
  last_tail = tail;
  absl::StatusOr<std::unique_ptr<LogWriter>> opened = LogWriter::Open(io, options, std::move(tail));
  if (!opened.ok()) return opened.status();
  writer = *std::move(opened);
  acknowledged = writer->durable_position();
  return absl::OkStatus();
}

bool LogSession::Append(size_t slots) {
  if (!writer->CanOpenBlock(slots)) return false;
  const OpenedBlock block = writer->OpenBlock(slots);
  Written written = {.first_position = block.first_position,
                     .timestamp_us = std::max(writer->last_timestamp_us(), io.WallMicros()),
                     .seeds = {}};
  for (size_t i = 0; i < slots; ++i) {
    written.seeds.push_back(next_seed);
    block.slots[i] = MakeSlot(next_seed++);
  }
  const int64_t timestamp_us = written.timestamp_us;
  history.push_back(std::move(written));
  writer->SealBlock(slots, {.timestamp_us = timestamp_us, .digest = next_seed});
  return true;
}

void LogSession::Turn() {
  io.Poll(0);
  io.AdvanceMicros(10);
  writer->Tick(io.MonotonicMicros());
  acknowledged = std::max(acknowledged, writer->durable_position());
}

bool LogSession::Settle(int turns) {
  for (int i = 0; i < turns && writer->failure().ok(); ++i) {
    if (writer->blocks_in_flight() == 0) return true;
    Turn();
  }
  return writer->failure().ok() && writer->blocks_in_flight() == 0;
}

bool LogSession::Run(int blocks, std::mt19937_64& random) {
  int turns = 0;
  for (int written = 0; written < blocks;) {
    if (!writer->failure().ok() || ++turns > 100'000) return false;
    if (random() % 10 == 0) io.AdvanceMicros(options.witness_after_us);
    const size_t slots = 1 + random() % (random() % 4 == 0 ? writer->max_block_slots() : 8);
    if (random() % 3 != 0 && Append(slots)) {
      ++written;
    } else {
      Turn();
    }
  }
  return true;
}

std::string LogSession::Compare(const LogCopy& log) const {
  if (!log.status.ok()) return absl::StrCat("refused: ", log.status.ToString());
  const std::vector<BlockCopy> records = Records(log);
  if (records.size() > history.size()) return "the log holds blocks that were never written";
  for (size_t i = 0; i < records.size(); ++i) {
    if (!Matches(records[i], history[i])) return absl::StrCat("block ", i, " is another");
  }
  if (log.tail.next_position < acknowledged) {
    return absl::StrCat("ends at ", log.tail.next_position, ", acknowledged up to ", acknowledged,
                        "; ", log.tail.cut_reason);
  }
  return "";
}

}  // namespace tallystick::wal
