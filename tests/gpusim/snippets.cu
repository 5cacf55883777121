// Kernels with one mistake each, and a few without: what execute.hpp must find (execute_test.cpp). Never launched on a
// GPU.
#include <cstdint>

namespace snippets {

constexpr int kThreads = 64;

// --- right ones ---

// Sums of the blocks: a tree in shared memory.
extern "C" __global__ void block_sums(const int* in, int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = in[blockIdx.x * kThreads + threadIdx.x];
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = shared[0];
}

// Bits of the values that are odd; the last warp is not whole.
extern "C" __global__ void odd_bits(const int* in, unsigned* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const bool odd = i < count && in[i] % 2 != 0;
  const unsigned bits = __ballot_sync(0xffffffffU, odd);
  if (threadIdx.x % 32 == 0) out[i / 32] = bits;
}

// Each lane with what others have: the one above, the one below, its partner, lane 5 of its half; any and all.
extern "C" __global__ void exchanges(const int* in, int* out) {
  const int lane = threadIdx.x;
  int* mine = out + 6 * lane;
  mine[0] = __shfl_down_sync(0xffffffffU, in[lane], 1);
  mine[1] = __shfl_up_sync(0xffffffffU, in[lane], 1);
  mine[2] = __shfl_xor_sync(0xffffffffU, in[lane], 16);
  mine[3] = __shfl_sync(0xffffffffU, in[lane], 5, 16);
  mine[4] = __any_sync(0xffffffffU, in[lane] == 7);
  mine[5] = __all_sync(0xffffffffU, in[lane] < 1000);
}

// Arithmetic that is easily translated wrongly: signs, widths, carries, shifts, conversions.
extern "C" __global__ void arithmetic(const long long* in, long long* out) {
  const long long a = in[0], b = in[1];
  out[0] = a / b;
  out[1] = a % b;
  out[2] = static_cast<long long>(static_cast<unsigned long long>(a) / static_cast<unsigned long long>(b));
  out[3] = a >> (b & 63);
  out[4] = static_cast<long long>(static_cast<unsigned long long>(a) >> (b & 63));
  out[5] = static_cast<short>(a);
  out[6] = static_cast<unsigned short>(a);
  out[7] = static_cast<long long>(static_cast<float>(a));
  out[8] = static_cast<int>(static_cast<double>(a) * 1e300);  // out of range: the nearest
  const __int128 product = static_cast<__int128>(a) * b;
  out[9] = static_cast<long long>(product >> 64);
  out[10] = static_cast<long long>((product + a) >> 3);
  out[11] = __popcll(a) + __clz(static_cast<int>(b));
}

// Four bytes a lane: side by side, four apart, everybody the same.
extern "C" __global__ void side_by_side(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }
extern "C" __global__ void far_apart(const int* in, int* out) { out[threadIdx.x * 8] = in[threadIdx.x * 8]; }
extern "C" __global__ void all_the_same(const int* in, int* out) { out[threadIdx.x] = in[3]; }

extern "C" __global__ void divides(unsigned long long* numbers, unsigned long long by) {
  numbers[threadIdx.x] /= by;
  if (threadIdx.x == 1) numbers[threadIdx.x] %= by + 1;
}

// --- wrong ones ---

extern "C" __global__ void one_word_too_many(int* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i <= count) out[i] = i;
}

extern "C" __global__ void reads_what_nobody_wrote(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }

extern "C" __global__ void misaligned(const char* in, int* out) {
  out[threadIdx.x] = *reinterpret_cast<const int*>(in + 4 * threadIdx.x + 2);
}

// The neighbour's value, without a barrier.
extern "C" __global__ void reads_too_early(const int* in, int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = shared[(threadIdx.x + 1) % kThreads];
}
// The second use begins before the first has been read.
extern "C" __global__ void writes_too_early(const int* in, int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  const int neighbour = shared[(threadIdx.x + 1) % kThreads];
  shared[threadIdx.x] = neighbour;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}
extern "C" __global__ void two_write_one_place(int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x / 2] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x / 2];
}
extern "C" __global__ void behind_a_shared_array(int* out, int i) {
  __shared__ int shared[kThreads];
  __shared__ int second[kThreads];
  shared[threadIdx.x + i] = 1;
  second[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x] + second[kThreads - 1 - threadIdx.x];
}
extern "C" __global__ void shared_that_nobody_wrote(int* out) {
  __shared__ int shared[kThreads];
  if (threadIdx.x > 0) shared[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

extern "C" __global__ void leaves_before_the_barrier(int* out) {
  __shared__ int shared[kThreads];
  shared[threadIdx.x] = 1;
  if (threadIdx.x == 5) return;
  __syncthreads();
  out[threadIdx.x] = shared[kThreads - 1 - threadIdx.x];
}
extern "C" __global__ void two_barriers(int* out) {
  __shared__ int shared[kThreads];
  if (threadIdx.x < 32) {
    shared[threadIdx.x] = 1;
    __syncthreads();
    shared[threadIdx.x] += 1;
  } else {
    shared[threadIdx.x] = 2;
    __syncthreads();
    shared[threadIdx.x] += 2;
  }
  out[threadIdx.x] = shared[threadIdx.x];
}

// Half of the warp asks for all of it.
extern "C" __global__ void a_lane_does_not_come(unsigned* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __ballot_sync(0xffffffffU, threadIdx.x % 2);
}
extern "C" __global__ void a_lane_is_not_in_the_mask(unsigned* out) {
  out[threadIdx.x] = __ballot_sync(0x7fffffffU, threadIdx.x % 2);
}
extern "C" __global__ void waits_at_a_barrier_instead(unsigned* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __ballot_sync(0xffffffffU, threadIdx.x % 2);
  }
  __syncthreads();
  out[threadIdx.x] += 1;
}

}  // namespace snippets
