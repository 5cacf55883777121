// C++17, no torch headers. Errors of the launches are sticky in the runtime and are read by CudaDevice::health.
#include <cuda_runtime.h>

#include <cstdint>

#include "daemon/kernels/cuda_kernels.hpp"

namespace peaknet::kernels {
namespace cuda_detail {  // not anonymous: nvcc would put a hash of the path into the names of kernels

constexpr int kThreads = 256;
constexpr int kBlocks = 256;       // of a reduction: partial sums of one event
constexpr int kEventsAtOnce = 64;  // addresses travel as a launch argument

struct EventAddresses {
  const void* event[kEventsAtOnce];
};
struct MaskAddresses {
  unsigned long long* mask[kEventsAtOnce];
};

// Partial sums of one block. Integers are summed exactly; the order of the sum over blocks is fixed, so a result never
// depends on scheduling.
struct Partial {
  long long sum;
  long long square;
  double real;
};

template <class T>
__device__ T block_sum(T value) {
  __shared__ T shared[kThreads];
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  const T total = shared[0];
  __syncthreads();
  return total;
}

template <class Pixel>
__global__ void integer_sums(const FrameLayout layout, const EventAddresses events, Partial* partials) {
  const unsigned long long count = 1ULL * layout.panels * layout.height * layout.width;
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  long long sum = 0;
  long long square = 0;
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += 1ULL * gridDim.x * blockDim.x) {
    const long long x = pixels[i];
    sum += x;
    square += x * x;
  }
  sum = block_sum(sum);
  square = block_sum(square);
  if (threadIdx.x == 0) partials[blockIdx.y * kBlocks + blockIdx.x] = {sum, square, 0.0};
}

__global__ void integer_finish(const FrameLayout layout, const Partial* partials, Normalisation* normals) {
  long long sum = 0;
  long long square = 0;
  for (int i = 0; i < kBlocks; ++i) {
    sum += partials[blockIdx.x * kBlocks + i].sum;
    square += partials[blockIdx.x * kBlocks + i].square;
  }
  const long long padded = 1LL * layout.panels * layout.padded_height * layout.padded_width;
  const double n = static_cast<double>(padded);
  const __int128 spread = static_cast<__int128>(padded) * square - static_cast<__int128>(sum) * sum;
  const double variance = static_cast<double>(spread) / n / n;
  normals[blockIdx.x] = {static_cast<float>(static_cast<double>(sum) / n),
                         static_cast<float>(1.0 / sqrt(variance + kNormEpsilon))};
}

template <class Pixel>
__device__ float counts_of(const FrameLayout& layout, const Pixel* pixels, unsigned long long i) {
  return calibrated(static_cast<float>(pixels[i]), i, layout.calibration);
}

template <class Pixel>
__global__ void float_sums(const FrameLayout layout, const EventAddresses events, Partial* partials) {
  const unsigned long long count = 1ULL * layout.panels * layout.height * layout.width;
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  double sum = 0.0;
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += 1ULL * gridDim.x * blockDim.x)
    sum += counts_of(layout, pixels, i);
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.y * kBlocks + blockIdx.x] = {0, 0, sum};
}

__global__ void float_mean(const FrameLayout layout, const Partial* partials, double* means) {
  double sum = 0.0;
  for (int i = 0; i < kBlocks; ++i) sum += partials[blockIdx.x * kBlocks + i].real;
  means[blockIdx.x] = sum / (1.0 * layout.panels * layout.padded_height * layout.padded_width);
}

template <class Pixel>
__global__ void float_spread(const FrameLayout layout, const EventAddresses events, const double* means,
                             Partial* partials) {
  const unsigned long long count = 1ULL * layout.panels * layout.height * layout.width;
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const double mean = means[blockIdx.y];
  double spread = 0.0;
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += 1ULL * gridDim.x * blockDim.x) {
    const double apart = counts_of(layout, pixels, i) - mean;
    spread += apart * apart;
  }
  spread = block_sum(spread);
  if (threadIdx.x == 0) partials[blockIdx.y * kBlocks + blockIdx.x] = {0, 0, spread};
}

__global__ void float_finish(const FrameLayout layout, const Partial* partials, const double* means,
                             Normalisation* normals) {
  const double count = 1.0 * layout.panels * layout.height * layout.width;
  const double padded = 1.0 * layout.panels * layout.padded_height * layout.padded_width;
  const double mean = means[blockIdx.x];
  double spread = (padded - count) * mean * mean;
  for (int i = 0; i < kBlocks; ++i) spread += partials[blockIdx.x * kBlocks + i].real;
  normals[blockIdx.x] = {static_cast<float>(mean), static_cast<float>(1.0 / sqrt(spread / padded + kNormEpsilon))};
}

__device__ void put(float* out, float value) { *out = value; }
struct Bfloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};
__device__ void put(Bfloat16* out, float value) { out->bits = to_bfloat16(value); }
__device__ void put(Float16* out, float value) { out->bits = to_float16(value); }
__device__ float get(const float* in) { return *in; }
__device__ float get(const Bfloat16* in) { return from_bfloat16(in->bits); }
__device__ float get(const Float16* in) { return from_float16(in->bits); }

template <class Pixel, class Stored>
__global__ void fill(const FrameLayout layout, const EventAddresses events, const Normalisation* normals,
                     std::uint32_t first, TensorView input) {
  const unsigned long long plane = 1ULL * layout.padded_height * layout.padded_width;
  const auto* pixels = static_cast<const Pixel*>(events.event[blockIdx.y]);
  const Normalisation normal = layout.normalise ? normals[blockIdx.y] : Normalisation{};
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < plane * layout.panels;
       i += 1ULL * gridDim.x * blockDim.x) {
    const auto panel = static_cast<std::uint32_t>(i / plane);
    const auto y = static_cast<std::uint32_t>(i % plane / layout.padded_width);
    const auto x = static_cast<std::uint32_t>(i % plane % layout.padded_width);
    const bool inside =
        y >= layout.top && y < layout.top + layout.height && x >= layout.left && x < layout.left + layout.width;
    const unsigned long long from =
        (1ULL * panel * layout.height + (y - layout.top)) * layout.width + (x - layout.left);
    const float counts = inside ? counts_of(layout, pixels, from) : 0.0F;
    const long long row = 1LL * (first + blockIdx.y) * layout.panels + panel;
    put(static_cast<Stored*>(input.data) + row * input.strides[0] + y * input.strides[2] + x * input.strides[3],
        normalised(counts, normal));
  }
}

template <class Stored>
__global__ void pack(const FrameLayout layout, TensorView logits, std::uint32_t first, const MaskAddresses masks) {
  const unsigned long long words_per_row = layout.words_per_row();
  for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < layout.mask_words();
       i += 1ULL * gridDim.x * blockDim.x) {
    const unsigned long long line = i / words_per_row;
    const auto panel = static_cast<std::uint32_t>(line / layout.height);
    const auto y = static_cast<std::uint32_t>(line % layout.height);
    const auto x0 = static_cast<std::uint32_t>(i % words_per_row * 64);
    const std::uint32_t count = layout.width - x0 < 64 ? layout.width - x0 : 64;
    const long long row = 1LL * (first + blockIdx.y) * layout.panels + panel;
    const Stored* at = static_cast<const Stored*>(logits.data) + row * logits.strides[0] +
                       (y + layout.top) * logits.strides[2] + (x0 + layout.left) * logits.strides[3];
    unsigned long long word = 0;
    for (std::uint32_t bit = 0; bit < count; ++bit, at += logits.strides[3]) {
      const float one = get(at + logits.strides[1]);
      bool peak = peak_beats(one, get(at), 0);
      for (int k = 2; k < logits.shape[1] && peak; ++k) peak = peak_beats(one, get(at + k * logits.strides[1]), k);
      word |= static_cast<unsigned long long>(peak) << bit;
    }
    masks.mask[blockIdx.y][i] = word;
  }
}

// Device memory of the reductions, for as many events as travel at once.
class Scratch {
 public:
  Scratch() {
    cudaMalloc(&partials_, sizeof(Partial) * kBlocks * kEventsAtOnce);  // a failure shows at the first launch
    cudaMalloc(&means_, sizeof(double) * kEventsAtOnce);
    cudaMalloc(&normals_, sizeof(Normalisation) * kEventsAtOnce);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    cudaFree(partials_);
    cudaFree(means_);
    cudaFree(normals_);
  }
  Partial* partials() const { return static_cast<Partial*>(partials_); }
  double* means() const { return static_cast<double*>(means_); }
  Normalisation* normals() const { return static_cast<Normalisation*>(normals_); }

 private:
  void* partials_ = nullptr;
  void* means_ = nullptr;
  void* normals_ = nullptr;
};

class CudaKernels final : public Kernels {
 public:
  void before(const FrameLayout& layout, const std::byte* const* events, std::uint32_t count, const TensorView& input,
              void* stream) override {
    for (std::uint32_t first = 0; first < count; first += kEventsAtOnce) {
      const std::uint32_t some = count - first < kEventsAtOnce ? count - first : kEventsAtOnce;
      EventAddresses addresses{};
      for (std::uint32_t i = 0; i < some; ++i) addresses.event[i] = events[first + i];
      auto* on = static_cast<cudaStream_t>(stream);
      switch (layout.pixel_type) {  // peaknet::PixelType
        case 1:
          chunk<std::uint16_t>(layout, addresses, some, first, input, on);
          break;
        case 2:
          chunk<std::int16_t>(layout, addresses, some, first, input, on);
          break;
        case 3:
          chunk<float>(layout, addresses, some, first, input, on);
          break;
        default:
          break;
      }
    }
  }

  void after(const FrameLayout& layout, const TensorView& logits, std::uint64_t* const* masks, std::uint32_t count,
             void* stream) override {
    for (std::uint32_t first = 0; first < count; first += kEventsAtOnce) {
      const std::uint32_t some = count - first < kEventsAtOnce ? count - first : kEventsAtOnce;
      MaskAddresses addresses{};
      for (std::uint32_t i = 0; i < some; ++i)
        addresses.mask[i] = reinterpret_cast<unsigned long long*>(masks[first + i]);
      const dim3 grid(blocks_for(layout.mask_words()), some);
      auto* on = static_cast<cudaStream_t>(stream);
      switch (logits.element) {
        case Element::float32:
          pack<float><<<grid, kThreads, 0, on>>>(layout, logits, first, addresses);
          break;
        case Element::bfloat16:
          pack<Bfloat16><<<grid, kThreads, 0, on>>>(layout, logits, first, addresses);
          break;
        case Element::float16:
          pack<Float16><<<grid, kThreads, 0, on>>>(layout, logits, first, addresses);
          break;
      }
    }
  }

 private:
  static unsigned blocks_for(std::uint64_t items) {
    const std::uint64_t blocks = (items + kThreads - 1) / kThreads;
    return static_cast<unsigned>(blocks < 4096 ? blocks : 4096);
  }

  template <class Pixel>
  void chunk(const FrameLayout& layout, const EventAddresses& events, std::uint32_t count, std::uint32_t first,
             const TensorView& input, cudaStream_t on) {
    if (layout.normalise) normalise<Pixel>(layout, events, count, on);
    const dim3 grid(blocks_for(std::uint64_t{layout.panels} * layout.padded_height * layout.padded_width), count);
    switch (input.element) {
      case Element::float32:
        fill<Pixel, float><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input);
        break;
      case Element::bfloat16:
        fill<Pixel, Bfloat16><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input);
        break;
      case Element::float16:
        fill<Pixel, Float16><<<grid, kThreads, 0, on>>>(layout, events, scratch_.normals(), first, input);
        break;
    }
  }

  template <class Pixel>
  void normalise(const FrameLayout& layout, const EventAddresses& events, std::uint32_t count, cudaStream_t on) {
    const dim3 grid(kBlocks, count);
    if constexpr (sizeof(Pixel) == 2) {
      if (!layout.calibration.any()) {
        integer_sums<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.partials());
        integer_finish<<<count, 1, 0, on>>>(layout, scratch_.partials(), scratch_.normals());
        return;
      }
    }
    float_sums<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.partials());
    float_mean<<<count, 1, 0, on>>>(layout, scratch_.partials(), scratch_.means());
    float_spread<Pixel><<<grid, kThreads, 0, on>>>(layout, events, scratch_.means(), scratch_.partials());
    float_finish<<<count, 1, 0, on>>>(layout, scratch_.partials(), scratch_.means(), scratch_.normals());
  }

  Scratch scratch_;
};

}  // namespace cuda_detail

std::unique_ptr<Kernels> make_cuda_kernels() { return std::make_unique<cuda_detail::CudaKernels>(); }

}  // namespace peaknet::kernels
