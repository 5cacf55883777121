// PackageCache: where the code of packages lies unpacked: one folder for each package file, named by its SHA-256. A
// package is unpacked once; every later load, on every device and in every process of this user, maps the same files.
//
// The folder belongs to this user and nobody else may write it (0700; otherwise it is refused): what lies in it is run.
// A folder that has its final name is whole: it is written under another name, synced and then renamed. Sizes are
// compared at every use; what does not fit is unpacked again. No torch. Any thread, any process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::model {

// $CACHE_DIRECTORY (systemd), else $XDG_CACHE_HOME/peaknetd, else ~/.cache/peaknetd, else /tmp/peaknet-<uid>; models/
// in it.
std::filesystem::path model_cache();

struct PackedFile {
  std::string name;  // where it goes inside the folder, as "rows_4/code.so"
  std::uint64_t bytes = 0;
};

// The folder with those files. `write` writes one of them to a path that does not exist yet. Errors: model.cache, and
// those of `write`. A name that leaves the folder is refused (model.bad-package).
Result<std::filesystem::path> unpacked(const std::filesystem::path& cache, const std::string& sha256,
                                       const std::vector<PackedFile>& files,
                                       const std::function<Status(const PackedFile&, const std::string& path)>& write);

}  // namespace peaknet::model
