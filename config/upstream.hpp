// The YAML files of the Ray pipeline that peaknetd replaces (peaknet-pipeline's and cxi-writer's), as a configuration
// of ours, with a word on each key that has no counterpart.
//
// Reads the files and nothing else; nothing is written. What comes out of a key is checked as if it stood in a file of
// ours, so the text that is made can be used as it is but for what `notes` say.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace peaknet::config {

struct Imported {
  struct Taken {
    std::string from;   // "mfx.yaml: runtime.batch_size"
    std::string key;    // ours
    std::string value;  // as YAML
  };
  struct Left {
    std::string from;
    std::string value;   // what stood there
    std::string reason;  // why there is no counterpart, or what to do
  };
  std::vector<Taken> taken;
  std::vector<Left> left;
  std::string yaml;  // our file: what was taken over, each with where it came from, and what was left as comments
};

// One or both files, in any order; the later wins where both say something. Errors: config.unreadable, config.syntax,
// config.not-upstream (a file that has no section of either), config.bad-value where a value is none that ours may
// have.
Result<Imported> import_upstream(const std::vector<std::string>& files);

}  // namespace peaknet::config
