// Requests: which method of the control socket is carried out by whom. Requests that only read are answered on the
// server's thread, from the control segment; those that change something go to the supervisor.
//
// Threads: make_handler()'s result on the server's; obey() on the supervisor's. Errors: control.unknown-method.
// After a crash: the peer sees that its connection ended.
#pragma once

#include "control/server.hpp"
#include "daemon/supervisor/mailbox.hpp"
#include "daemon/supervisor/pool_manager.hpp"
#include "daemon/supervisor/run_control.hpp"

namespace peaknet::supervisor {

// `pool_manager` and `mailbox` outlive the server that uses it.
control::Handler make_handler(const PoolManager& pool_manager, Mailbox& mailbox);

// Carry out a request, or what a signal means: SIGHUP reloads, others end the daemon.
void obey(Message message, RunControl& control);

}  // namespace peaknet::supervisor
