// The folder of the files, before the first frame is taken: it is there, this process may write into it, and its file
// system has locks.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace peaknet::writer {

// Makes the folder where it is not there; writes nothing into it. `unit`: the systemd unit that this process is, which
// may write into few folders alone; "" outside of one. Errors: output.denied (under systemd with the drop-in that
// allows it), output.folder-missing, output.no-locks and the others of disk_error().
Status prepare_output_folder(const std::filesystem::path& folder, const std::string& unit);

}  // namespace peaknet::writer
