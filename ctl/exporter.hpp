// peaknetctl exporter: the counters page for Prometheus by HTTP on this machine, or as a file for node_exporter's
// textfile collector. A process of its own: it needs no daemon, and a daemon that hangs is seen all the more.
//
// Answers GET /metrics and nothing else, HTTP/1.0, one request per connection, one after the other; a peer that sends
// nothing has two seconds.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// --listen: until a stop signal. --textfile: written whole or not at all, every --every; once without --every. Errors:
// exporter.not-loopback (other addresses than 127.0.0.1 are refused: there is no password), exporter.cannot-listen,
// exporter.cannot-write.
ExitCode exporter(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err);

// The whole answer to a request.
std::string http_answer(const std::string& request, const std::string& metrics);

// The file appears under its name whole. Errors: exporter.cannot-write.
Status write_textfile(const std::string& file, const std::string& text);

}  // namespace peaknet::ctl
