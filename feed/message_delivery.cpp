#include "feed/message_delivery.hpp"

#include <utility>

namespace peaknet::feed {

Result<std::unique_ptr<FrameSource>> MessageDelivery::open(Decoder& decoder, std::span<const std::byte> message) {
  rows_.release_old_pool();
  return decoder.open(message, producer_.geometry(), [this](std::size_t lead, std::uint64_t frames) {
    row_ = rows_.claim(frames, lead);
    return row_ ? row_->memory() : std::span<std::byte>();
  });
}

Delivery MessageDelivery::deliver(FrameSource& source, std::uint64_t index, const std::stop_token& stop,
                                  SlotWait* wait) {
  if (!row_) return feed::deliver(source, index, producer_, stop, {}, wait);
  if (stop.stop_requested()) return {Delivery::Outcome::stopped, false, {}};
  return deliver_into(source, index, std::move(row_->frames().at(index)), row_->image(index));
}

}  // namespace peaknet::feed
