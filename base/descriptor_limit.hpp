// The limit on open files: the usual soft one (1024) is there for programs that call select(2); ours do not. A master
// file of a long run, or a folder of single events, has more files than that.
//
// Call it at the start of main. Errors: none; where the limit cannot be raised it stays as it is.
#pragma once

namespace peaknet {

// Raises the soft limit of this process to its hard one.
void raise_descriptor_limit();

}  // namespace peaknet
