// The guard of accept: libzmq 4.3.4 aborts the process when an ipc:// listener has no descriptor left for a new
// connection (its accept() asserts that EMFILE never happens). So whoever links the server has an accept4 of ours,
// which libzmq calls in place of the C library's: a connection that would leave the process too few descriptors for
// its own work is closed at once, and libzmq is told ECONNABORTED, which it takes calmly.
//
// "Too few": a quarter of the soft limit of open files is kept back. Every accept4 of the process is guarded alike;
// none but libzmq's is known. Any thread.
#pragma once

namespace peaknet::control {

// Sets one descriptor aside, with which a connection can be taken and closed when there is none left. Once per process;
// further calls do nothing. False: there is not even one.
bool guard_accept();

// Connections that were closed because descriptors ran short, since the process began.
unsigned long refused_connections();

}  // namespace peaknet::control
