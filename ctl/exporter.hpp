// peaknetctl exporter: the control segment for Prometheus by HTTP on this machine (http_server.hpp), or as a file for
// node_exporter's textfile collector. A process of its own: it needs no daemon, and a daemon that hangs is seen all the
// more. An instance that has no shared memory is `absent` in the metrics, not an error: it may come.
#pragma once

#include <iosfwd>
#include <string>

#include "base/result.hpp"
#include "ctl/exit_code.hpp"
#include "ctl/http_server.hpp"
#include "ctl/options.hpp"

namespace peaknet::ctl {

// --listen: until a stop signal. --textfile: written whole or not at all, every --every; once without --every. With
// --every it tries on for ever, and says each trouble once. Errors: those of HttpServer, exporter.cannot-write.
ExitCode exporter(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err);

// "/metrics" and nothing else.
HttpResponse metrics_response(const std::string& path, const std::string& instance);

// The file appears under its name whole, readable for all. Errors: exporter.cannot-write.
Status write_textfile(const std::string& file, const std::string& text);

}  // namespace peaknet::ctl
