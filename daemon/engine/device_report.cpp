#include "daemon/engine/device_report.hpp"

#include "base/log_line.hpp"

namespace peaknet::engine {

void DeviceReport::lost(const Error& error) const {
  log::error("device {}: {}", index_, error.text());
  if (auto* shown = this->shown()) shown->error.store(error.text());
  record_error(error);
}

void DeviceReport::publish_plan(const BatchPlan& plan) const {
  auto& record = this->record();
  record.batch.store(plan.largest());
  for (std::size_t i = 0; i < record.buckets.size(); ++i)
    record.buckets[i].store(i < plan.buckets().size() ? plan.buckets()[i] : 0);
  record.rows_at_once.store(plan.rows_at_once(plan.largest()));
}

void DeviceReport::shrank(const Error& why, const std::string& now, const BatchPlan& plan) const {
  log::warn("device {}: {}; {}", index_, why.text(), now);
  record_error(why);
  record().shrinks.fetch_add(1, std::memory_order_relaxed);
  publish_plan(plan);
}

}  // namespace peaknet::engine
