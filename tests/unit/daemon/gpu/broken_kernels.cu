#include "tests/unit/daemon/gpu/broken_kernels.hpp"

namespace peaknet::test {
namespace {

constexpr unsigned long long kSpin = 10'000'000'000;  // nanoseconds

__global__ void store(int* nowhere) { *nowhere = 1; }

__device__ unsigned long long now() {
  unsigned long long nanoseconds = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(nanoseconds));
  return nanoseconds;
}

__global__ void spin() {
  const unsigned long long begin = now();
  while (now() - begin < kSpin) {
  }
}

}  // namespace

void launch_store_to_nowhere(cudaStream_t stream) { store<<<1, 1, 0, stream>>>(nullptr); }

void launch_spin(cudaStream_t stream) { spin<<<1, 1, 0, stream>>>(); }

}  // namespace peaknet::test
