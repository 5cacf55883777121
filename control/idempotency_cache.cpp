#include "control/idempotency_cache.hpp"

namespace peaknet::control {

const IdempotencyCache::Receipt* IdempotencyCache::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

void IdempotencyCache::open(const std::string& name, const std::string& request, std::uint64_t ticket) {
  by_name_.insert_or_assign(name, Receipt{ticket, request, std::nullopt});
  open_.insert_or_assign(ticket, name);
}

void IdempotencyCache::close(std::uint64_t ticket, const Reply& reply) {
  const auto opened = open_.extract(ticket);
  if (!opened) return;
  by_name_.at(opened.mapped()).reply = reply;
  finished_.push_back(opened.mapped());
  if (finished_.size() <= kMost) return;
  by_name_.erase(finished_.front());
  finished_.pop_front();
}

}  // namespace peaknet::control
