#include "ctl/exit_code.hpp"

#include <array>
#include <utility>

namespace peaknet::ctl {

ExitCode exit_code(std::string_view error_id) {
  constexpr std::array<std::pair<std::string_view, ExitCode>, 14> kCodes = {{
      {"cli.usage", ExitCode::usage},
      {"instance.bad-name", ExitCode::usage},
      {"instance.several", ExitCode::usage},
      {"control.not-running", ExitCode::not_running},
      {"shm.absent", ExitCode::not_running},
      {"control.no-answer", ExitCode::unknown},
      {"control.unreachable", ExitCode::unknown},
      {"control.daemon-gone", ExitCode::unknown},
      {"wait.timeout", ExitCode::unknown},
      {"view.no-hit", ExitCode::unknown},
      {"control.denied", ExitCode::denied},
      {"shm.denied", ExitCode::denied},
      {"directory.other-version", ExitCode::version},
      {"pool.other-version", ExitCode::version},
  }};
  for (const auto& [id, code] : kCodes) {
    if (error_id == id) return code;
  }
  return error_id.starts_with("config.") ? ExitCode::usage : ExitCode::failed;
}

}  // namespace peaknet::ctl
