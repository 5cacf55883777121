// The first line of every main: what the starter of a program left undone or set otherwise, set as our programs need
// it.
//
// - Descriptors 0 to 2 that came closed lead to /dev/null, opened the wrong way round: what is read or written there
//   fails, as it would have on a closed one. Otherwise the next file that is opened gets the number of stderr, and the
//   log goes into shared memory.
// - SIGXFSZ (ulimit -f) is ignored: the write fails with EFBIG and is told as any other.
// - SIGPIPE is ignored by daemons and services; the end of the log's reader is not theirs. A tool keeps the default
//   and ends quietly with the pipe that it writes to.
// - SIGHUP is ignored by services, which have nothing to read again. A daemon says itself what it does then; a tool
//   ends with its terminal.
// - The soft limit of open files is raised to the hard one. The usual soft one (1024) is there for select(2), which
//   nothing here calls; a master file of a long run, or a folder of single events, has more files than that.
//
// Threads: before any exists. Errors: none; what cannot be set stays as it is.
#pragma once

namespace peaknet {

enum class ProgramKind { daemon, service, tool };

void begin_program(ProgramKind kind);

// A command of a tool that serves until it is told to end: from here on as a service. Before a StopSignal is made.
void continue_as_service();

}  // namespace peaknet
