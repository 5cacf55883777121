#include "feed/decoders/npy.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <limits>

namespace peaknet::feed {
namespace {

constexpr std::size_t kLongestHeader = 4096;
constexpr std::size_t kMostDimensions = 8;

Error damaged(const std::string& member, const std::string& what) {
  return {"npz.damaged", "the array '" + member + "' of an npz message has a damaged header: " + what,
          "the message was not used; the next one is served", "look at the sender and the network between"};
}
Error unsupported(const std::string& member, const std::string& what) {
  return {"npz.unsupported", "the array '" + member + "' of an npz message " + what,
          "the message was not used; the next one is served", "let the sender convert it with numpy.ascontiguousarray"};
}

// A cursor over the header's text, which is a Python dictionary with three known keys.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  void space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n')) text_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    space();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  std::optional<std::string_view> quoted() {
    space();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const std::size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return std::nullopt;
    const auto inside = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return inside;
  }
  std::optional<std::uint64_t> number() {
    space();
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc{}) return std::nullopt;
    text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
    return value;
  }
  bool empty() {
    space();
    return text_.empty();
  }

 private:
  std::string_view text_;
};

bool parse_shape(Parser& parser, std::vector<std::uint64_t>& dims) {
  if (!parser.take("(")) return false;
  while (!parser.take(")")) {
    const auto n = parser.number();
    if (!n || dims.size() == kMostDimensions) return false;
    dims.push_back(*n);
    if (!parser.take(",")) return parser.take(")");
  }
  return true;
}

}  // namespace

TextType numpy_text(std::string_view descr) {
  constexpr std::size_t kLongestText = 64;
  if (descr.starts_with('|') || descr.starts_with('<')) descr.remove_prefix(1);
  if (descr.size() < 2 || (descr[0] != 'S' && descr[0] != 'U')) return {};
  std::size_t characters = 0;
  const char* const end = descr.data() + descr.size();
  const auto read = std::from_chars(descr.data() + 1, end, characters);
  if (read.ec != std::errc{} || read.ptr != end || characters < 1 || characters > kLongestText) return {};
  const bool wide = descr[0] == 'U';
  return {wide ? 4 * characters : characters, wide};
}

Result<NpyHeader> parse_npy_header(std::string_view text, const std::string& member, Texts texts) {
  Parser parser(text);
  NpyHeader header;
  bool has_type = false, has_order = false, has_shape = false;
  if (!parser.take("{")) return damaged(member, "it is no dictionary");
  while (!parser.take("}")) {
    const auto key = parser.quoted();
    if (!key || !parser.take(":")) return damaged(member, "a key is missing");
    if (*key == "descr" && !has_type) {
      const auto descr = parser.quoted();
      if (!descr) return damaged(member, "its type is missing");
      const auto type = numpy_type(*descr);
      if (texts == Texts::allow) header.text = numpy_text(*descr);
      if (!type && header.text.width == 0)
        return unsupported(member, "has the type '" + std::string(*descr) + "', which is no number");
      if (type) header.element = *type;
      if (type) header.type = type->type;
      has_type = true;
    } else if (*key == "fortran_order" && !has_order) {
      header.fortran = parser.take("True");
      if (!header.fortran && !parser.take("False")) return damaged(member, "its order is missing");
      has_order = true;
    } else if (*key == "shape" && !has_shape) {
      if (!parse_shape(parser, header.dims)) return damaged(member, "its shape cannot be read");
      has_shape = true;
    } else {
      return damaged(member, "it has a key '" + std::string(*key) + "' too many");
    }
    if (!parser.take(",")) {
      if (!parser.take("}")) return damaged(member, "it does not end");
      break;
    }
  }
  if (!has_type || !has_order || !has_shape || !parser.empty()) return damaged(member, "it is not complete");
  header.bytes = header.text.width > 0 ? header.text.width : header.element.bytes;
  for (const std::uint64_t n : header.dims) {
    if (__builtin_mul_overflow(header.bytes, n, &header.bytes) ||
        header.bytes > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return damaged(member, "its shape is larger than any memory");
    }
  }
  return header;
}

Result<NpyHeader> read_npy_header(ZipReader& reader, const std::string& member, Texts texts) {
  std::array<std::byte, 12> begin{};
  const auto read = [&](std::size_t from, std::size_t bytes) {
    return reader.read(std::span(begin).subspan(from, bytes));
  };
  if (auto good = read(0, 8); !good) return good.error();
  if (std::memcmp(begin.data(), "\x93NUMPY", 6) != 0) return damaged(member, "it is no NumPy array");
  const auto version = static_cast<unsigned>(begin[6]);
  if (version < 1 || version > 3) return unsupported(member, "has NPY version " + std::to_string(version));
  // The length of the text has 16 bits in version 1, 32 bits later.
  if (auto good = read(8, version == 1 ? 2 : 4); !good) return good.error();
  std::uint32_t length = 0;
  std::memcpy(&length, begin.data() + 8, version == 1 ? 2 : 4);
  if (length > kLongestHeader) return damaged(member, "it claims " + std::to_string(length) + " bytes");
  std::array<std::byte, kLongestHeader> text{};
  if (auto good = reader.read(std::span(text).first(length)); !good) return good.error();
  auto header = parse_npy_header({reinterpret_cast<const char*>(text.data()), length}, member, texts);
  if (header.ok() && header->bytes != reader.left()) {
    return damaged(member, "its shape needs " + std::to_string(header->bytes) + " bytes, the member has " +
                               std::to_string(reader.left()));
  }
  return header;
}

}  // namespace peaknet::feed
