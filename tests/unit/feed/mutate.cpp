#include "tests/unit/feed/mutate.hpp"

#include <algorithm>
#include <iterator>

namespace peaknet::test {

std::vector<std::byte> mutate(std::vector<std::byte> bytes, std::mt19937& random, Length of) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  constexpr std::byte kTrips[] = {std::byte{0}, std::byte{1}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}};
  for (std::size_t change = 1 + below(8); change > 0 && !bytes.empty(); --change) {
    const std::size_t at = below(bytes.size());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto length = static_cast<std::ptrdiff_t>(1 + below(std::min<std::size_t>(16, bytes.size() - at)));
    switch (below(of == Length::changes ? 6 : 3)) {
      case 0:
        bytes[at] ^= std::byte{1} << below(8);
        break;
      case 1:
        bytes[at] = kTrips[below(std::size(kTrips))];
        break;
      case 2:
        std::fill(place, place + length, kTrips[below(std::size(kTrips))]);
        break;
      case 3:
        bytes.erase(place, place + length);
        break;
      case 4: {
        const std::vector<std::byte> run(place, place + length);
        bytes.insert(place, run.begin(), run.end());
        break;
      }
      default:
        if (below(8) == 0) bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace peaknet::test
