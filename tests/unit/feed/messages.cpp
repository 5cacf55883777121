#include "tests/unit/feed/messages.hpp"

#include <zlib.h>

#include <stdexcept>

namespace peaknet::test {
namespace {

template <class Number>
void put(std::vector<std::byte>& out, Number value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}
void append(std::vector<std::byte>& out, const void* bytes, std::size_t size) {
  if (size == 0) return;
  const std::size_t at = out.size();
  out.resize(at + size);
  std::memcpy(out.data() + at, bytes, size);
}
void put(std::vector<std::byte>& out, const std::string& text) { append(out, text.data(), text.size()); }

std::vector<std::byte> deflate_raw(const std::vector<std::byte>& content) {
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflate");
  std::vector<std::byte> packed(deflateBound(&stream, content.size()));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int said = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (said != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

}  // namespace

std::string NpzWriter::header(const std::string& descr, const std::vector<std::uint64_t>& dims, bool fortran) {
  std::string shape = "(";
  for (const auto n : dims) shape += std::to_string(n) + (dims.size() == 1 ? "," : ", ");
  if (dims.size() > 1) shape.resize(shape.size() - 2);
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + "), }";
}

std::vector<std::byte> NpzWriter::npy(const std::string& header, const std::vector<std::byte>& raw) {
  std::string text = header;
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::vector<std::byte> out;
  put(out, std::string("\x93NUMPY\x01\x00", 8));
  put(out, static_cast<std::uint16_t>(text.size()));
  put(out, text);
  append(out, raw.data(), raw.size());
  return out;
}

NpzWriter& NpzWriter::add_member(const std::string& name, const std::vector<std::byte>& content,
                                 std::uint64_t claimed) {
  const auto crc =
      static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size()));
  const auto packed = deflate_ ? deflate_raw(content) : content;
  const std::uint64_t unpacked = claimed == ~std::uint64_t{0} ? content.size() : claimed;
  entries_.push_back({name, crc, packed.size(), unpacked, out_.size()});
  put(out_, std::uint32_t{0x04034b50});
  put(out_, std::uint16_t{45});
  put(out_, std::uint16_t{0});
  put(out_, static_cast<std::uint16_t>(deflate_ ? 8 : 0));
  put(out_, std::uint32_t{0x21});
  put(out_, crc);
  put(out_, ~std::uint32_t{0});
  put(out_, ~std::uint32_t{0});
  put(out_, static_cast<std::uint16_t>(name.size()));
  put(out_, std::uint16_t{20});
  put(out_, name);
  put(out_, std::uint16_t{1});
  put(out_, std::uint16_t{16});
  put(out_, unpacked);
  put(out_, static_cast<std::uint64_t>(packed.size()));
  append(out_, packed.data(), packed.size());
  return *this;
}

std::vector<std::byte> NpzWriter::bytes() const {
  std::vector<std::byte> out = out_;
  for (const Entry& entry : entries_) {
    // Sizes that 32 bits cannot hold go into a ZIP64 field here, too.
    const bool large = entry.unpacked >= ~std::uint32_t{0};
    put(out, std::uint32_t{0x02014b50});
    put(out, std::uint32_t{45U << 16 | 45U});
    put(out, std::uint16_t{0});
    put(out, static_cast<std::uint16_t>(deflate_ ? 8 : 0));
    put(out, std::uint32_t{0x21});
    put(out, entry.crc);
    put(out, static_cast<std::uint32_t>(entry.packed));
    put(out, large ? ~std::uint32_t{0} : static_cast<std::uint32_t>(entry.unpacked));
    put(out, static_cast<std::uint16_t>(entry.name.size()));
    put(out, static_cast<std::uint16_t>(large ? 12 : 0));
    put(out, std::uint16_t{0});
    put(out, std::uint16_t{0});
    put(out, std::uint16_t{0});
    put(out, std::uint32_t{0});
    put(out, static_cast<std::uint32_t>(entry.offset));
    put(out, entry.name);
    if (large) {
      put(out, std::uint16_t{1});
      put(out, std::uint16_t{8});
      put(out, entry.unpacked);
    }
  }
  const auto control_segment_bytes = static_cast<std::uint32_t>(out.size() - out_.size());
  put(out, std::uint32_t{0x06054b50});
  put(out, std::uint32_t{0});
  put(out, static_cast<std::uint16_t>(entries_.size()));
  put(out, static_cast<std::uint16_t>(entries_.size()));
  put(out, control_segment_bytes);
  put(out, static_cast<std::uint32_t>(out_.size()));
  put(out, std::uint16_t{0});
  return out;
}

}  // namespace peaknet::test
