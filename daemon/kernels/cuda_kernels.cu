// C++17, no torch headers. Errors of the launches are sticky in the runtime and are read by CudaDevice::health.
#include <cuda_runtime.h>

#include <cstdint>

#include "daemon/kernels/cuda_kernels.hpp"
#include "daemon/kernels/sum_order.hpp"

namespace peaknet::kernels {
namespace cuda_detail {  // not anonymous: nvcc would put a hash of the path into the names of kernels

constexpr std::uint32_t kThreads = 256;
constexpr std::uint32_t kWarp = 32;
// Of an event: enough for a large GPU. What a warp does once, it then does for more pixels.
constexpr std::uint32_t kMostBlocks = 1024;
constexpr int kEventsAtOnce = 64;  // addresses travel as a launch argument
static_assert(kThreads == kSumLanes && kThreads == kSumParts, "a block sums a part, and one block the parts");

struct EventAddresses {
  const void* event[kEventsAtOnce];
};
struct WordAddresses {
  unsigned long long* word[kEventsAtOnce];
};

// Integers are summed exactly, in any order; floating counts in that of sum_order.hpp.
struct alignas(16) IntegerSums {  // read at once
  long long sum;
  long long square;
};

__device__ std::uint32_t warp_of_grid() { return (blockIdx.x * kThreads + threadIdx.x) / kWarp; }
__device__ std::uint32_t warps_of_grid() { return gridDim.x * (kThreads / kWarp); }

// The sum over the threads of a block, folded as in sum_order.hpp.
template <class T>
__device__ T block_sum(T value) {
  __shared__ T shared[kThreads];
  shared[threadIdx.x] = value;
  __syncthreads();
  for (std::uint32_t half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const T total = shared[0];
  __syncthreads();
  return total;
}

__device__ PixelSpan my_part(const FrameLayout& layout) {
  return part_of(1ULL * layout.panels * layout.height * layout.width, blockIdx.x);
}

// --- sums: a block for each part of each event, then a block for each event ---

template <class Pixel>
__global__ void integer_sums(const FrameLayout layout, const EventAddresses events, IntegerSums* parts) {
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const PixelSpan part = my_part(layout);
  long long sum = 0;
  long long square = 0;
  for (std::uint64_t i = part.begin + threadIdx.x; i < part.end; i += kSumLanes) {
    const long long x = pixels[i];
    sum += x;
    square += x * x;
  }
  sum = block_sum(sum);
  square = block_sum(square);
  if (threadIdx.x == 0) parts[blockIdx.y * kSumParts + blockIdx.x] = {sum, square};
}

__global__ void integer_finish(const FrameLayout layout, const IntegerSums* parts, Normalisation* normals) {
  const IntegerSums part = parts[blockIdx.x * kSumParts + threadIdx.x];
  const long long sum = block_sum(part.sum);
  const long long square = block_sum(part.square);
  if (threadIdx.x != 0) return;
  const long long padded = 1LL * layout.panels * layout.padded_height * layout.padded_width;
  const double n = static_cast<double>(padded);
  const __int128 spread = static_cast<__int128>(padded) * square - static_cast<__int128>(sum) * sum;
  const double variance = static_cast<double>(spread) / n / n;
  normals[blockIdx.x] = {static_cast<float>(static_cast<double>(sum) / n),
                         static_cast<float>(1.0 / sqrt(variance + kNormEpsilon))};
}

template <class Pixel>
__device__ float counts_of(const FrameLayout& layout, const Pixel* pixels, std::uint64_t i) {
  return calibrated(static_cast<float>(pixels[i]), i, layout.calibration);
}
template <class Pixel>
__device__ float sound_counts_of(const FrameLayout& layout, const Pixel* pixels, std::uint64_t i) {
  return zero_if_odd(counts_of(layout, pixels, i));
}

template <class Pixel>
__global__ void float_sums(const FrameLayout layout, const EventAddresses events, double* parts) {
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const PixelSpan part = my_part(layout);
  double sum = 0.0;
  for (std::uint64_t i = part.begin + threadIdx.x; i < part.end; i += kSumLanes)
    sum += sound_counts_of(layout, pixels, i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * kSumParts + blockIdx.x] = sum;
}

__global__ void float_mean(const FrameLayout layout, const double* parts, double* means) {
  const double sum = block_sum(parts[blockIdx.x * kSumParts + threadIdx.x]);
  if (threadIdx.x == 0) means[blockIdx.x] = sum / (1.0 * layout.panels * layout.padded_height * layout.padded_width);
}

template <class Pixel>
__global__ void float_spread(const FrameLayout layout, const EventAddresses events, const double* means,
                             double* parts) {
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const PixelSpan part = my_part(layout);
  const double mean = means[blockIdx.y];
  double spread = 0.0;
  for (std::uint64_t i = part.begin + threadIdx.x; i < part.end; i += kSumLanes) {
    const double apart = sound_counts_of(layout, pixels, i) - mean;
    spread += apart * apart;
  }
  spread = block_sum(spread);
  if (threadIdx.x == 0) parts[blockIdx.y * kSumParts + blockIdx.x] = spread;
}

__global__ void float_finish(const FrameLayout layout, const double* parts, const double* means,
                             Normalisation* normals) {
  const double of_pixels = block_sum(parts[blockIdx.x * kSumParts + threadIdx.x]);
  if (threadIdx.x != 0) return;
  const double count = 1.0 * layout.panels * layout.height * layout.width;
  const double padded = 1.0 * layout.panels * layout.padded_height * layout.padded_width;
  const double mean = means[blockIdx.x];
  const double spread = (padded - count) * mean * mean + of_pixels;
  normals[blockIdx.x] = {static_cast<float>(mean), static_cast<float>(1.0 / sqrt(spread / padded + kNormEpsilon))};
}

__device__ void put(float* out, float value) { *out = value; }
struct Bfloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};
__device__ void put(Bfloat16* out, float value) { out->bits = input_bfloat16(value); }
__device__ void put(Float16* out, float value) { out->bits = input_float16(value); }
__device__ float get(const float* in) { return *in; }
__device__ float get(const Bfloat16* in) { return from_bfloat16(in->bits); }
__device__ float get(const Float16* in) { return from_float16(in->bits); }

// --- counts -> input ---

constexpr std::uint32_t kSpan = 4 * kWarp;  // pixels of a line that a warp fills at once
constexpr PEAKNET_HD std::uint32_t spans_of(std::uint32_t width) { return (width + kSpan - 1) / kSpan; }

// A thread for each event.
__global__ void clear_words(const WordAddresses words) { *words.word[threadIdx.x] = 0; }

// A warp fills neighbouring pixels of one line, so what it divides it divides once for several of them. Lines are fewer
// than 2^32: their pixels are in memory. Odd pixels are counted in a word of each event, where there is one.
template <class Pixel, class Stored>
__global__ void fill(const FrameLayout layout, const EventAddresses events, const Normalisation* normals,
                     std::uint32_t first, const TensorView input, const WordAddresses odd) {
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const Normalisation normal = layout.normalise ? normals[blockIdx.y] : Normalisation{};
  const std::uint32_t spans = spans_of(layout.padded_width);
  const std::uint32_t all = layout.panels * layout.padded_height * spans;
  std::uint32_t mine = 0;  // odd pixels of this thread
  for (std::uint32_t i = warp_of_grid(); i < all; i += warps_of_grid()) {
    const std::uint32_t line = i / spans;
    const std::uint32_t panel = line / layout.padded_height;
    const std::uint32_t y = line - panel * layout.padded_height;
    const std::uint32_t image_y = y - layout.top;  // beyond every height where the line is above the image
    const std::uint64_t from = (1ULL * panel * layout.height + image_y) * layout.width;
    const long long row = 1LL * (first + blockIdx.y) * layout.panels + panel;
    Stored* out = static_cast<Stored*>(input.data) + row * input.strides[0] + y * input.strides[2];
    const std::uint32_t x0 = (i - line * spans) * kSpan + threadIdx.x % kWarp;
#pragma unroll
    for (std::uint32_t x = x0; x < x0 + kSpan; x += kWarp) {
      if (x >= layout.padded_width) break;
      const std::uint32_t image_x = x - layout.left;
      const bool inside = image_y < layout.height && image_x < layout.width;
      const float counts = inside ? counts_of(layout, pixels, from + image_x) : 0.0F;
      mine += is_odd(counts);
      put(out + x * input.strides[3], normalised(zero_if_odd(counts), normal));
    }
  }
  if (mine != 0 && odd.word[blockIdx.y] != nullptr) atomicAdd(odd.word[blockIdx.y], 1ULL * mine);
}

// --- logits -> bits ---

constexpr std::uint32_t kWordsAtOnce = 4;  // of a warp: it stores a whole sector

// Where a word of a mask lies; the next one is found without a division.
struct WordPlace {
  std::uint32_t words_per_row, word, y, panel;
  __device__ WordPlace(const FrameLayout& layout, std::uint32_t i)
      : words_per_row(static_cast<std::uint32_t>(layout.words_per_row())) {
    const std::uint32_t line = i / words_per_row;
    word = i - line * words_per_row;
    panel = line / layout.height;
    y = line - panel * layout.height;
  }
  __device__ void next(const FrameLayout& layout) {
    if (++word < words_per_row) return;
    word = 0;
    if (++y < layout.height) return;
    y = 0;
    ++panel;
  }
};

// With kFinite all logits of the pixel are looked at, and `finite` becomes false if one is not.
template <bool kFinite, class Stored>
__device__ bool is_peak(const Stored* at, const TensorView& logits, bool& finite) {
  const float one = get(at + logits.strides[1]);
  const float zero = get(at);
  bool peak = peak_beats(one, zero, 0);
  if (kFinite) finite = finite && is_finite(one) && is_finite(zero);
  for (int k = 2; k < logits.shape[1] && (kFinite || peak); ++k) {
    const float other = get(at + k * logits.strides[1]);
    peak = peak && peak_beats(one, other, k);
    if (kFinite) finite = finite && is_finite(other);
  }
  return peak;
}

// A warp packs neighbouring words: each lane looks at the pixels lane, lane + 32, ... of them, and a ballot makes half
// a word of what the lanes found. Words of an event are fewer than 2^32.
template <bool kFinite, class Stored>
__global__ void pack(const FrameLayout layout, const TensorView logits, std::uint32_t first, const WordAddresses masks,
                     const WordAddresses not_finite) {
  const auto words = static_cast<std::uint32_t>(layout.mask_words());
  const std::uint32_t lane = threadIdx.x % kWarp;
  for (std::uint32_t i = warp_of_grid() * kWordsAtOnce; i < words; i += warps_of_grid() * kWordsAtOnce) {
    WordPlace place(layout, i);
    bool peaks[2 * kWordsAtOnce];  // of this lane: all loads come before the first ballot
    bool finite = true;
#pragma unroll
    for (std::uint32_t half = 0; half < 2 * kWordsAtOnce; ++half) {
      const std::uint32_t x = place.word * 64 + half % 2 * kWarp + lane;
      const long long row = 1LL * (first + blockIdx.y) * layout.panels + place.panel;
      const bool inside = i + half / 2 < words && x < layout.width;
      const Stored* at = static_cast<const Stored*>(logits.data) + row * logits.strides[0] +
                         (place.y + layout.top) * logits.strides[2] + (x + layout.left) * logits.strides[3];
      peaks[half] = inside && is_peak<kFinite>(at, logits, finite);
      if (half % 2 == 1) place.next(layout);
    }
    unsigned long long mine = 0;
#pragma unroll
    for (std::uint32_t half = 0; half < 2 * kWordsAtOnce; ++half) {
      const unsigned long long bits = __ballot_sync(0xffffffffU, peaks[half]);
      if (lane == half / 2) mine |= bits << half % 2 * kWarp;
    }
    if (lane < kWordsAtOnce && i + lane < words) masks.word[blockIdx.y][i + lane] = mine;
    if (kFinite && !finite) *not_finite.word[blockIdx.y] = 1;
  }
}

// Device memory of the sums, for as many events as travel at once.
class Scratch {
 public:
  Scratch() {
    cudaMalloc(&integers_, sizeof(IntegerSums) * kSumParts * kEventsAtOnce);  // a failure shows at the first launch
    cudaMalloc(&reals_, sizeof(double) * kSumParts * kEventsAtOnce);
    cudaMalloc(&means_, sizeof(double) * kEventsAtOnce);
    cudaMalloc(&normals_, sizeof(Normalisation) * kEventsAtOnce);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    cudaFree(integers_);
    cudaFree(reals_);
    cudaFree(means_);
    cudaFree(normals_);
  }
  IntegerSums* integers() const { return static_cast<IntegerSums*>(integers_); }
  double* reals() const { return static_cast<double*>(reals_); }
  double* means() const { return static_cast<double*>(means_); }
  Normalisation* normals() const { return static_cast<Normalisation*>(normals_); }

 private:
  void* integers_ = nullptr;
  void* reals_ = nullptr;
  void* means_ = nullptr;
  void* normals_ = nullptr;
};

class CudaKernels final : public Kernels {
 public:
  void before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count, const TensorView& input,
              std::uint64_t* const* odd, void* stream) override {
    for (std::uint32_t first = 0; first < count; first += kEventsAtOnce) {
      const std::uint32_t some = count - first < kEventsAtOnce ? count - first : kEventsAtOnce;
      EventAddresses addresses{};
      for (std::uint32_t i = 0; i < some; ++i) addresses.event[i] = events[first + i];
      auto* on = static_cast<cudaStream_t>(stream);
      const WordAddresses counts = odd == nullptr ? WordAddresses{} : words_at(odd + first, some);
      if (odd != nullptr) clear_words<<<1, some, 0, on>>>(counts);
      switch (layout.pixel_type) {  // peaknet::PixelType
        case 1:
          chunk<std::uint16_t>(layout, addresses, some, first, input, counts, on);
          break;
        case 2:
          chunk<std::int16_t>(layout, addresses, some, first, input, counts, on);
          break;
        case 3:
          chunk<float>(layout, addresses, some, first, input, counts, on);
          break;
        default:
          break;
      }
    }
  }

  void after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks,
             std::uint64_t* const* not_finite, std::uint32_t count, void* stream) override {
    auto* on = static_cast<cudaStream_t>(stream);
    for (std::uint32_t first = 0; first < count; first += kEventsAtOnce) {
      const std::uint32_t some = count - first < kEventsAtOnce ? count - first : kEventsAtOnce;
      const WordAddresses places = words_at(masks + first, some);
      if (not_finite == nullptr) {
        pack_any<false>(layout, logits, first, places, {}, some, on);
        continue;
      }
      const WordAddresses flags = words_at(not_finite + first, some);
      clear_words<<<1, some, 0, on>>>(flags);
      pack_any<true>(layout, logits, first, places, flags, some, on);
    }
  }

 private:
  static unsigned blocks_for(std::uint64_t warps) {
    const std::uint64_t blocks = (warps * kWarp + kThreads - 1) / kThreads;
    return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
  }

  static WordAddresses words_at(std::uint64_t* const* addresses, std::uint32_t count) {
    WordAddresses words{};
    for (std::uint32_t i = 0; i < count; ++i) words.word[i] = reinterpret_cast<unsigned long long*>(addresses[i]);
    return words;
  }

  template <bool kFinite>
  static void pack_any(const FrameLayout& layout, const TensorView& logits, std::uint32_t first,
                       const WordAddresses& masks, const WordAddresses& flags, std::uint32_t count, cudaStream_t on) {
    const dim3 grid(blocks_for((layout.mask_words() + kWordsAtOnce - 1) / kWordsAtOnce), count);
    switch (logits.element) {
      case Element::float32:
        pack<kFinite, float><<<grid, kThreads, 0, on>>>(layout, logits, first, masks, flags);
        break;
      case Element::bfloat16:
        pack<kFinite, Bfloat16><<<grid, kThreads, 0, on>>>(layout, logits, first, masks, flags);
        break;
      case Element::float16:
        pack<kFinite, Float16><<<grid, kThreads, 0, on>>>(layout, logits, first, masks, flags);
        break;
    }
  }

  template <class Pixel>
  void chunk(const FrameLayout& layout, const EventAddresses& events, std::uint32_t count, std::uint32_t first,
             const TensorView& input, const WordAddresses& odd, cudaStream_t on) {
    if (layout.normalise) normalise<Pixel>(layout, events, count, on);
    const dim3 grid(blocks_for(std::uint64_t{layout.panels} * layout.padded_height * spans_of(layout.padded_width)),
                    count);
    switch (input.element) {
      case Element::float32:
        fill<Pixel, float><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input, odd);
        break;
      case Element::bfloat16:
        fill<Pixel, Bfloat16><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input, odd);
        break;
      case Element::float16:
        fill<Pixel, Float16><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input, odd);
        break;
    }
  }

  template <class Pixel>
  void normalise(const FrameLayout& layout, const EventAddresses& events, std::uint32_t count, cudaStream_t on) {
    const dim3 grid(kSumParts, count);
    if constexpr (sizeof(Pixel) == 2) {
      if (!layout.calibration.any()) {
        integer_sums<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.integers());
        integer_finish<<<count, kThreads, 0, on>>>(layout, scratch_.integers(), scratch_.normals());
        return;
      }
    }
    float_sums<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.reals());
    float_mean<<<count, kThreads, 0, on>>>(layout, scratch_.reals(), scratch_.means());
    float_spread<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.means(), scratch_.reals());
    float_finish<<<count, kThreads, 0, on>>>(layout, scratch_.reals(), scratch_.means(), scratch_.normals());
  }

  Scratch scratch_;
};

}  // namespace cuda_detail

std::unique_ptr<Kernels> make_cuda_kernels() { return std::make_unique<cuda_detail::CudaKernels>(); }

}  // namespace peaknet::kernels
