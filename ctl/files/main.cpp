// peaknetctl-files: the commands of peaknetctl that read the files of runs, or draw (ctl/exec_files_tool.hpp).
// peaknetctl becomes it; it is not for people to start.
#include <ostream>

#include "base/program.hpp"
#include "ctl/cli.hpp"
#include "ctl/document_output.hpp"
#include "ctl/exec_files_tool.hpp"
#include "ctl/files/audit_command.hpp"
#include "ctl/files/live_page.hpp"
#include "ctl/files/trace.hpp"
#include "ctl/files/view.hpp"
#include "ctl/instance_config.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {
namespace {

ExitCode carry_out_on_files(const Options& options, std::ostream& out, std::ostream& err) {
  if (!is_about_files(options.command)) {
    return show_error({"cli.usage", "peaknetctl-files is the part of peaknetctl for audit, page, trace and view alone",
                       "nothing was done", "peaknetctl --help"},
                      options.json, out, err);
  }
  if (options.command == "audit") return show_audit(options, out, err);
  if (options.command == "page" && !options.hosts.empty()) return live_page_of_nodes(options, out, err);
  const auto target = find_target(options);
  if (!target) return show_error(target.error(), options.json, out, err);
  if (options.command == "page") return live_page(options, *target, out, err);
  if (options.command == "view") return view(options, *target, out, err);
  const auto config = config_of(options, *target);  // unknown: the folders that are named, and the pool
  return trace(options, target->instance, config ? config->output.dir : "", out, err);
}

}  // namespace
}  // namespace peaknet::ctl

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::tool);
  return peaknet::ctl::run(argc, argv, peaknet::ctl::carry_out_on_files);
}
