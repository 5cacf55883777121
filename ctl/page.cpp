#include "ctl/page.hpp"

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

Result<std::shared_ptr<shm::Directory>> Page::open_directory(const std::string& instance) {
  auto directory = shm::Directory::open(instance, shm::Access::read_only);
  if (!directory) return with_near_name(instance, directory.error());
  return std::shared_ptr<shm::Directory>(std::move(*directory));
}

Result<Page> Page::open(const std::string& instance) {
  auto directory = open_directory(instance);
  if (!directory) return directory.error();
  Page page{std::move(*directory), nullptr};
  auto pool = page.directory->open_pool(shm::Access::read_only);
  if (!pool && pool.error().id != "pool.none") return pool.error();
  if (pool) page.pool = std::move(*pool);
  return page;
}

std::uint32_t Page::frames_on_their_way() const {
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
