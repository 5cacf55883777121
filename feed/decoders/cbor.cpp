#include "feed/decoders/cbor.hpp"

#include <cbor.h>

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace peaknet::feed {
namespace {

constexpr std::size_t kMostKeys = 256, kDeepest = 16, kMostItems = std::size_t{1} << 24;

Error damaged(const std::string& what) {
  return {"simplon.damaged", "a Simplon message is damaged: " + what, "it was not used; the next message is served",
          "look at the sender and the network between"};
}

// Told of each item in turn; knows how many are still to come in each map and array around it.
class Walker {
 public:
  void value(CborValue item) {
    if (!take(item)) return;
    complete();
  }
  void begin(std::size_t items, bool map) {
    const bool root = open_.empty();
    if (root ? !map : !take(std::monostate{})) return fail("it is no map of names");
    if (items > kMostItems || (root && items > kMostKeys)) return fail("a map or array claims too many items");
    if (open_.size() == kDeepest) return fail("its maps and arrays are nested too deep");
    open_.push_back(map ? 2 * items : items);
    if (items == 0) close();
  }
  void fail(const std::string& what) {
    if (!error_) error_ = damaged(what);
  }
  void refuse_open_length() {
    if (!error_) {
      error_ = Error{"simplon.unsupported", "a Simplon message has items of open length",
                     "it was not used; the next message is served", "let the sender write items of definite length"};
    }
  }
  bool ended() const { return ended_; }
  const std::optional<Error>& error() const { return error_; }
  CborMap take_map() { return std::move(map_); }

 private:
  // An item of the outermost map is a name or the value of one; deeper ones are skipped.
  bool take(const CborValue& item) {
    if (open_.empty()) {
      fail("it is no map");
      return false;
    }
    if (open_.size() > 1) return true;
    if (name_) {
      map_.emplace(*std::exchange(name_, std::nullopt), item);
      return true;
    }
    const auto* name = std::get_if<std::string_view>(&item);
    if (name == nullptr || map_.contains(*name)) {
      fail(name == nullptr ? "a name in its map is no text" : "a name is there twice");
      return false;
    }
    name_ = *name;
    return true;
  }
  void complete() {
    if (--open_.back() == 0) close();
  }
  void close() {
    do {
      open_.pop_back();
    } while (!open_.empty() && --open_.back() == 0);
    ended_ = open_.empty();
  }

  std::vector<std::size_t> open_;
  std::optional<std::string_view> name_;
  CborMap map_;
  bool ended_ = false;
  std::optional<Error> error_;
};

Walker& walker(void* context) { return *static_cast<Walker*>(context); }
template <class Number>
void unsigned_item(void* context, Number number) {
  walker(context).value(std::uint64_t{number});
}
// CBOR's negative numbers are -1-n.
template <class Number>
void negative_item(void* context, Number number) {
  if (std::uint64_t{number} > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
    return walker(context).fail("a number is too large");
  walker(context).value(-1 - static_cast<std::int64_t>(number));
}
void float_item(void* context, float number) { walker(context).value(static_cast<double>(number)); }
void double_item(void* context, double number) { walker(context).value(number); }
void other_item(void* context) { walker(context).value(std::monostate{}); }
void open_length(void* context) { walker(context).refuse_open_length(); }

cbor_callbacks callbacks() {
  cbor_callbacks all{};
  all.uint8 = unsigned_item<std::uint8_t>;
  all.uint16 = unsigned_item<std::uint16_t>;
  all.uint32 = unsigned_item<std::uint32_t>;
  all.uint64 = unsigned_item<std::uint64_t>;
  all.negint8 = negative_item<std::uint8_t>;
  all.negint16 = negative_item<std::uint16_t>;
  all.negint32 = negative_item<std::uint32_t>;
  all.negint64 = negative_item<std::uint64_t>;
  all.byte_string = [](void* context, cbor_data data, auto size) {
    walker(context).value(std::span(reinterpret_cast<const std::byte*>(data), size));
  };
  all.string = [](void* context, cbor_data data, auto size) {
    walker(context).value(std::string_view(reinterpret_cast<const char*>(data), size));
  };
  all.array_start = [](void* context, auto items) { walker(context).begin(items, false); };
  all.map_start = [](void* context, auto items) { walker(context).begin(items, true); };
  all.byte_string_start = open_length;
  all.string_start = open_length;
  all.indef_array_start = open_length;
  all.indef_map_start = open_length;
  all.indef_break = [](void* context) { walker(context).fail("an item ends that never began"); };
  all.tag = [](void*, std::uint64_t) {};  // says what the next item means; the item is there all the same
  all.float2 = float_item;
  all.float4 = float_item;
  all.float8 = double_item;
  all.undefined = other_item;
  all.null = other_item;
  all.boolean = [](void* context, bool) { other_item(context); };
  return all;
}

}  // namespace

Result<CborMap> read_cbor_map(std::span<const std::byte> message) {
  const cbor_callbacks tell = callbacks();
  Walker walker;
  const auto* data = reinterpret_cast<cbor_data>(message.data());
  std::size_t at = 0;
  for (std::size_t items = 0; !walker.ended(); ++items) {
    if (items == kMostItems) return damaged("it has more items than anybody sends");
    if (at == message.size()) return damaged("it ends before its map does");
    const auto step = cbor_stream_decode(data + at, message.size() - at, &tell, &walker);
    if (walker.error()) return *walker.error();
    if (step.status == CBOR_DECODER_NEDATA) return damaged("it ends before its map does");
    if (step.status != CBOR_DECODER_FINISHED || step.read == 0)
      return damaged("byte " + std::to_string(at) + " begins no item");
    at += step.read;
  }
  if (at != message.size()) return damaged(std::to_string(message.size() - at) + " bytes follow its map");
  return walker.take_map();
}

}  // namespace peaknet::feed
