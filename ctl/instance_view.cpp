#include "ctl/instance_view.hpp"

#include <vector>

#include "base/text.hpp"
#include "shm/instances.hpp"

namespace peaknet::ctl {

Error with_near_name(const std::string& instance, Error error) {
  if (error.id != "shm.absent" && error.id != "control.not-running") return error;
  std::vector<std::string> names;
  for (const auto& found : shm::list_instances()) names.push_back(found.name);
  const std::string near = nearest(instance, names);
  if (!near.empty() && near != instance) error.what += " (did you mean '" + near + "'?)";
  return error;
}

Result<std::shared_ptr<shm::ControlSegment>> InstanceView::open_control_segment(const std::string& instance) {
  auto control_segment = shm::ControlSegment::open(instance, shm::Access::read_only);
  if (!control_segment) return with_near_name(instance, control_segment.error());
  return std::shared_ptr<shm::ControlSegment>(std::move(*control_segment));
}

Result<InstanceView> InstanceView::open(const std::string& instance) {
  auto control_segment = open_control_segment(instance);
  if (!control_segment) return control_segment.error();
  InstanceView view{std::move(*control_segment), nullptr};
  auto pool = view.control_segment->open_pool(shm::Access::read_only);
  if (!pool && pool.error().id != "pool.none") return pool.error();
  if (pool) view.pool = std::move(*pool);
  return view;
}

std::uint32_t InstanceView::frames_on_their_way() const {
  if (!pool) return 0;
  const auto counts = pool->count_states();
  std::uint32_t frames = 0;
  for (const auto state : {shm::SlotState::ready, shm::SlotState::inferring, shm::SlotState::done,
                           shm::SlotState::writing, shm::SlotState::quarantined}) {
    frames += counts[static_cast<std::size_t>(state)];
  }
  return frames;
}

}  // namespace peaknet::ctl
