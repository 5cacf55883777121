// peaknetctl-files: the verbs of peaknetctl that read the files of runs, or draw (ctl/hand_over.hpp). peaknetctl
// becomes it; it is not for people to start.
#include <ostream>

#include "base/program.hpp"
#include "ctl/files/audit_command.hpp"
#include "ctl/files/trace.hpp"
#include "ctl/files/view.hpp"
#include "ctl/hand_over.hpp"
#include "ctl/instance_config.hpp"
#include "ctl/place.hpp"
#include "ctl/program.hpp"
#include "ctl/show.hpp"

namespace peaknet::ctl {
namespace {

ExitCode carry_out_on_files(const Options& options, std::ostream& out, std::ostream& err) {
  if (!is_about_files(options.verb)) {
    return show_error({"cli.usage", "peaknetctl-files is the part of peaknetctl for audit, trace and view alone",
                       "nothing was done", "peaknetctl --help"},
                      options.json, out, err);
  }
  if (options.verb == "audit") return show_audit(options, out, err);
  const auto place = find_place(options);
  if (!place) return show_error(place.error(), options.json, out, err);
  if (options.verb == "view") return view(options, *place, out, err);
  const auto config = config_of(options, *place);  // unknown: the folders that are named, and the pool
  return trace(options, place->instance, config ? config->output.dir : "", out, err);
}

}  // namespace
}  // namespace peaknet::ctl

int main(int argc, char** argv) {
  peaknet::begin_program(peaknet::ProgramKind::tool);
  return peaknet::ctl::run(argc, argv, peaknet::ctl::carry_out_on_files);
}
