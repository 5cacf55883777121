// What the bytes of a model file are: their SHA-256, and whether each record is what was written. ModelFiles remembers
// it, so that a file is read once however many devices load it. A file counts as the same while its place on the disk,
// its size and its times are. ModelFiles: any thread; who asks for a file that is being read waits for it.
#pragma once

#include <future>
#include <map>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace peaknet::model {

// SHA-256 of a file as 64 hex digits. Errors: model.unreadable.
Result<std::string> sha256_of(const std::string& path);

class ModelFiles {
 public:
  // SHA-256 of a file that is a model by its form and whose records are undamaged. Errors: those of sha256_of,
  // check_model_form and ModelArchive::check; they are not remembered.
  Result<std::string> sound_sha256(const std::string& path);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_future<Result<std::string>>> known_;  // by the file's identity
};

}  // namespace peaknet::model
