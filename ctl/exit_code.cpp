#include "ctl/exit_code.hpp"

#include "base/error_ids.hpp"

namespace peaknet::ctl {

ExitCode exit_code(std::string_view error_id) {
  const ErrorId* known = find_error_id(error_id);
  return known == nullptr ? ExitCode::failed : static_cast<ExitCode>(known->exit_code);
}

}  // namespace peaknet::ctl
