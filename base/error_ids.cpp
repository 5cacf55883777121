#include "base/error_ids.hpp"

#include <algorithm>

namespace peaknet {
namespace {

constexpr ErrorId kErrorIds[] = {
#define PEAKNET_ERROR(id, exit_code, c_status, meaning, remedy) {id, exit_code, c_status, meaning, remedy},
#include "base/error_ids.inc"
#undef PEAKNET_ERROR
};
static_assert(std::ranges::is_sorted(kErrorIds, {}, &ErrorId::id) &&
                  std::ranges::adjacent_find(kErrorIds, {}, &ErrorId::id) == std::ranges::end(kErrorIds),
              "base/error_ids.inc is sorted by id, each id once");

}  // namespace

std::span<const ErrorId> error_ids() { return kErrorIds; }

const ErrorId* find_error_id(std::string_view id) {
  const auto* found = std::ranges::lower_bound(kErrorIds, id, {}, &ErrorId::id);
  return found != std::ranges::end(kErrorIds) && found->id == id ? found : nullptr;
}

}  // namespace peaknet
