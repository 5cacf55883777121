// What a program says when memory that it has mapped is taken from under it: another process truncated the shared
// memory (or the model file), or the memory is defective. The kernel then sends SIGBUS to whoever touches a page that
// is gone. There is nothing to go on with, so the program says so in one paragraph on stderr and ends with
// kExitSoftware: systemd starts it again, and a restarted peaknetd finds that its pool was truncated and replaces it.
//
// Called once, first thing in main, before any thread exists. The handler uses async-signal-safe calls only.
#pragma once

namespace peaknet {

// `program`: a literal; it is used until the process ends.
void end_clearly_on_bus_error(const char* program);

}  // namespace peaknet
