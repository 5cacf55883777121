// FolderWatch: a descriptor that becomes readable when a file appears in a folder or in one that is followed there is
// appended to. A hint: file systems of other machines (NFS, Lustre) tell of nothing, so who follows looks once a second
// by himself too.
//
// Threads: one. Errors: live.cannot-watch.
#pragma once

#include <filesystem>

#include "base/result.hpp"
#include "live/descriptor.hpp"

namespace peaknet::live {

class FolderWatch {
 public:
  static Result<FolderWatch> open(const std::filesystem::path& folder);

  int fd() const { return inotify_.get(); }
  // Appending to this file counts too, until it has no name any more. One that cannot be watched is looked at in time.
  void follow(const std::filesystem::path& file) const;
  // Forget what has come until now. True: names have come or gone.
  bool drain() const;

 private:
  explicit FolderWatch(Descriptor inotify) : inotify_(std::move(inotify)) {}
  Descriptor inotify_;
};

}  // namespace peaknet::live
