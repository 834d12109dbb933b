// Replaces the global operators. In a file of its own, so that no compiler sees through them and
// takes new and free for a mismatch.

#include "tests/ledger/counted_allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

size_t g_allocations = 0;

void* Allocate(size_t size, size_t alignment) {
  ++g_allocations;
  const size_t rounded = (std::max<size_t>(size, 1) + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

namespace tallystick::ledger {

size_t AllocationCount() { return g_allocations; }

}  // namespace tallystick::ledger

void* operator new(size_t size) { return Allocate(size, alignof(std::max_align_t)); }
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
