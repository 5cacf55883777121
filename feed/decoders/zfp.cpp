#include "feed/decoders/zfp.hpp"

#include <zfp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

namespace peaknet::feed {
namespace {

constexpr std::size_t kMostValues = 10;  // of the filter; the first is its version

template <class Object, void (*close)(Object*)>
struct Closes {
  void operator()(Object* object) const { close(object); }
};
template <class Object, void (*close)(Object*)>
using Owned = std::unique_ptr<Object, Closes<Object, close>>;
using Bits = Owned<bitstream, stream_close>;
using Stream = Owned<zfp_stream, zfp_stream_close>;
using Field = Owned<zfp_field, zfp_field_free>;

std::optional<zfp_type> zfp_type_of(SampleType type) {
  switch (type) {
    case SampleType::f32:
      return zfp_type_float;
    case SampleType::f64:
      return zfp_type_double;
    // The filter packs unsigned numbers as if they were signed.
    case SampleType::i32:
    case SampleType::u32:
      return zfp_type_int32;
    case SampleType::i64:
    case SampleType::u64:
      return zfp_type_int64;
    default:
      return std::nullopt;
  }
}

}  // namespace

bool unpack_zfp(std::span<const std::byte> packed, const std::vector<unsigned>& values, SampleType type,
                std::span<std::byte> out, Scratch& padded) {
  const auto scalar = zfp_type_of(type);
  if (!scalar || values.size() < 2 || values.size() > kMostValues) return false;
  std::array<std::uint64_t, kMostValues> head{};  // longer than any head, so that zfp stays inside
  std::memcpy(head.data(), values.data() + 1, (values.size() - 1) * sizeof values[0]);
  const Bits head_bits(stream_open(head.data(), sizeof head));
  const Stream stream(zfp_stream_open(head_bits.get()));
  const Field field(zfp_field_alloc());
  if (!head_bits || !stream || !field || zfp_read_header(stream.get(), field.get(), ZFP_HEADER_FULL) == 0) return false;
  std::uint64_t bytes = size_of(type);
  for (const std::uint64_t n : {field->nx, field->ny, field->nz, field->nw}) {
    if (__builtin_mul_overflow(bytes, std::max<std::uint64_t>(1, n), &bytes)) return false;
  }
  if (field->type != *scalar || bytes != out.size()) return false;

  const std::size_t most = zfp_stream_maximum_size(stream.get(), field.get());
  if (most == 0 || packed.size() > most) return false;
  const auto input = padded.get(most + sizeof(std::uint64_t));
  std::memcpy(input.data(), packed.data(), packed.size());
  std::fill(input.begin() + static_cast<std::ptrdiff_t>(packed.size()), input.end(), std::byte{0});
  const Bits bits(stream_open(input.data(), input.size()));
  if (!bits) return false;
  zfp_stream_set_bit_stream(stream.get(), bits.get());
  zfp_stream_rewind(stream.get());
  zfp_stream_set_execution(stream.get(), zfp_exec_serial);
  zfp_field_set_pointer(field.get(), out.data());
  const bool good = zfp_decompress(stream.get(), field.get()) != 0;
  return good;
}

}  // namespace peaknet::feed
