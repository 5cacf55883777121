// The folders that systemd's units give an instance, as all its programs know them, in the unit or outside of it.
#pragma once

#include <string>

namespace peaknet::config {

// Where the installed units look for NAME.yaml, and where their writer may write (systemd/).
constexpr const char* kConfigFolder = "/etc/peaknet";
constexpr const char* kStateFolder = "/var/lib/peaknet";

// Where the CXI files go if `file`, an absolute path, does not say: $STATE_DIRECTORY (systemd), else
// /var/lib/peaknet/NAME for /etc/peaknet/NAME.yaml, so that tools outside the unit find the same, else peaknet_output
// beside the file. Not created here.
std::string output_folder(const std::string& file);

// The first folder of an environment variable of systemd (a list with colons); "" outside of a unit.
std::string folder_of_unit(const char* variable);

}  // namespace peaknet::config
