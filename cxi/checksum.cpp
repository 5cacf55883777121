#include "cxi/checksum.hpp"

#include <array>
#include <cstring>

namespace peaknet::writer {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

std::uint64_t load(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, 8);
  return word;
}

struct PortableStep {
  static std::uint32_t byte(std::uint32_t crc, std::uint8_t value) { return kTable[(crc ^ value) & 0xffU] ^ crc >> 8; }
  static std::uint32_t word(std::uint32_t crc, std::uint64_t value) {
    for (int i = 0; i < 8; ++i) crc = byte(crc, static_cast<std::uint8_t>(value >> (8 * i)));
    return crc;
  }
};

template <class Step>
std::uint32_t sum(std::span<const std::byte> bytes) {
  std::uint32_t a = ~0U;
  std::uint32_t b = ~1U;
  std::uint32_t c = ~2U;
  std::uint32_t d = ~3U;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 32; left -= 32, at += 32) {
    a = Step::word(a, load(at));
    b = Step::word(b, load(at + 8));
    c = Step::word(c, load(at + 16));
    d = Step::word(d, load(at + 24));
  }
  std::uint32_t all = Step::word(Step::word(~0U, std::uint64_t{a} << 32 | b), std::uint64_t{c} << 32 | d);
  for (; left > 0; --left, ++at) all = Step::byte(all, static_cast<std::uint8_t>(*at));
  return ~Step::word(all, bytes.size());
}

#if defined(__x86_64__)
// The CRC32 instruction of SSE 4.2. As assembler text, since a function for another instruction set is never inlined
// into a template for this one; used only where the processor has it.
struct Sse42Step {
  static std::uint32_t byte(std::uint32_t crc, std::uint8_t value) {
    asm("crc32b %1, %0" : "+r"(crc) : "r"(value));
    return crc;
  }
  static std::uint32_t word(std::uint32_t crc, std::uint64_t value) {
    std::uint64_t wide = crc;
    asm("crc32q %1, %0" : "+r"(wide) : "r"(value));
    return static_cast<std::uint32_t>(wide);
  }
};
#endif

}  // namespace

std::uint32_t checksum_portable(std::span<const std::byte> bytes) { return sum<PortableStep>(bytes); }

std::uint32_t checksum(std::span<const std::byte> bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") != 0) return sum<Sse42Step>(bytes);
#endif
  return checksum_portable(bytes);
}

}  // namespace peaknet::writer
