#include "cxi/bytes.hpp"

namespace peaknet::writer {

// Not in the header: what gcc 12 sees of an empty vector that grows, it takes for an overflow.
void ByteWriter::put_raw(const void* data, std::size_t size) {
  const auto* raw = static_cast<const std::byte*>(data);
  bytes_.insert(bytes_.end(), raw, raw + size);
}

}  // namespace peaknet::writer
