// Serving operations allocates nothing once its pools have grown.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "tests/api/frames.h"
#include "tests/api/raw_socket.h"
#include "tests/api/served_ledger.h"

namespace {

std::atomic<bool> counting = false;
std::atomic<size_t> allocations = 0;

void* Allocate(size_t size, size_t alignment) {
  if (counting) ++allocations;
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new[](size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace tallystick {
namespace {

constexpr size_t kRequests = 200;
constexpr int kRounds = 50;
// Pools and buffers that a fuller moment than any before lets grow: each to what is under way at
// most, a fiftieth of all.
constexpr size_t kGrowth = 2 * kRequests;

// Sends `frames` and reads as many bytes of replies, with no memory of its own.
bool Exchange(RawSocket& socket, const FrameBuffer& frames, size_t reply_bytes) {
  static std::byte replies[1 << 16];
  if (!socket.Send(frames)) return false;
  while (reply_bytes != 0) {
    const ssize_t count = recv(socket.fd(), replies, std::min(sizeof(replies), reply_bytes), 0);
    if (count <= 0) return false;
    reply_bytes -= static_cast<size_t>(count);
  }
  return true;
}

// The same operations again and again: their members and receipts are there, so that what is left
// is the way in and out.
TEST(Allocation, ServingOperationsDoesNotAllocateForEach) {
  ServedLedger served({.shards = 1});
  for (const size_t operations : {1, 50}) {
    RawSocket socket = served.Greet();
    FrameBuffer frames;
    for (uint64_t request = 1; request <= kRequests; ++request) {
      std::vector<Operation> batch;
      for (uint64_t index = 1; index <= operations; ++index) {
        batch.push_back(served.Accrue(request, index, 1));
      }
      frames.Append(BytesOf(SubmitFrame(request, batch)));
    }
    const size_t reply_bytes = kRequests * ResultsFrameBytes(operations);
    for (int round = 0; round < kRounds; ++round) {
      ASSERT_TRUE(Exchange(socket, frames, reply_bytes));
    }
    allocations = 0;
    counting = true;
    bool exchanged = true;
    for (int round = 0; round < kRounds; ++round) {
      exchanged = exchanged && Exchange(socket, frames, reply_bytes);
    }
    counting = false;
    EXPECT_TRUE(exchanged);
    EXPECT_LE(allocations, kGrowth) << operations << " operations a request";
  }
}

}  // namespace
}  // namespace tallystick
