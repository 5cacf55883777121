#include "daemon/model/model_path.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

namespace peaknet::model {

bool is_builtin(const std::string& path) { return path.starts_with("builtin:"); }

Status check_model_path(const std::string& path) {
  if (path.empty()) {
    return Error{"model.missing", "model.path is not set", "nothing was started",
                 "set model.path to a TorchScript file (models/contrast.pt is one) or to builtin:threshold=COUNTS"};
  }
  if (is_builtin(path)) return {};
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return Error{"model.missing", "cannot read the model file " + path + ": " + std::strerror(errno),
                 "nothing was started",
                 "correct model.path (a relative path is taken from the folder of the configuration file)"};
  }
  if (!S_ISREG(info.st_mode))
    return Error{"model.missing", path + " is not a file", "nothing was started", "correct model.path"};
  if ((info.st_mode & S_IWOTH) != 0) {
    return Error{"model.unsafe",
                 "the model file " + path + " may be written by everybody on this machine, and a model is code",
                 "it was not loaded", "chmod o-w " + path};
  }
  if (!path.ends_with(".pt")) {
    return Error{"model.unknown-kind", path + " is not of a kind this peaknetd can load", "it was not loaded",
                 "a TorchScript file ends in .pt"};
  }
  return {};
}

}  // namespace peaknet::model
