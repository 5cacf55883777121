#include "ctl/exporter.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ostream>
#include <span>

#include "base/process_limits.hpp"
#include "base/program.hpp"
#include "base/stop_signal.hpp"
#include "base/unique_fd.hpp"
#include "base/write_all.hpp"
#include "control/metrics.hpp"
#include "ctl/document_output.hpp"
#include "ctl/instance_view.hpp"

namespace peaknet::ctl {
namespace {

// Errors: a segment that is there and cannot be read.
Result<std::string> metrics_of(const std::string& instance) {
  const auto view = InstanceView::open(instance);
  if (view) return control::metrics_text(*view->control_segment, view->pool.get());
  if (view.error().id == "shm.absent") return control::metrics_of_absent(instance);
  return view.error();
}

ExitCode listen(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  auto server = HttpServer::listen(options.listen);
  if (!server) return show_error(server.error(), options.json, out, err);
  StopSignal signals;
  const std::string host = options.listen.substr(0, options.listen.rfind(':'));
  out << "http://" << host << ":" << server->port() << "/metrics" << std::endl;
  server->serve(signals, [&](const HttpRequest& request) { return metrics_response(request.path, instance); });
  return ExitCode::ok;
}

Status write_once(const Options& options, const std::string& instance) {
  const auto metrics = metrics_of(instance);
  if (!metrics) return metrics.error();
  return write_textfile(options.textfile, *metrics);
}

}  // namespace

HttpResponse metrics_response(const std::string& path, const std::string& instance) {
  if (path != "/metrics") return HttpResponse::of(404, HttpResponse{}.type, "GET /metrics\n");
  const auto metrics = metrics_of(instance);
  if (!metrics) return HttpResponse::of(503, HttpResponse{}.type, metrics.error().text() + "\n");
  return HttpResponse::of(200, "text/plain; version=0.0.4; charset=utf-8", *metrics);
}

Status write_textfile(const std::string& file, const std::string& text) {
  const std::string part = file + ".part";
  const auto refused = [&](int cause) {
    return Error{"exporter.cannot-write", "cannot write " + file + ": " + std::strerror(cause),
                 "the file that was there is as it was",
                 remedy_for_write(cause, "check the folder: room, and who may write there")};
  };
  const UniqueFd out(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!out) return refused(errno);
  // Whatever the umask: the collector runs as somebody else.
  int cause = ::fchmod(out.get(), 0644) == 0 ? 0 : errno;
  if (cause == 0) cause = write_all(out.get(), std::as_bytes(std::span(text)));
  if (cause == 0 && std::rename(part.c_str(), file.c_str()) != 0) cause = errno;
  if (cause == 0) return {};
  ::unlink(part.c_str());
  return refused(cause);
}

ExitCode exporter(const Options& options, const std::string& instance, std::ostream& out, std::ostream& err) {
  if (!options.listen.empty() || options.repeat) continue_as_service();
  if (!options.listen.empty()) return listen(options, instance, out, err);
  if (!options.repeat) {
    const auto written = write_once(options, instance);
    return written ? ExitCode::ok : show_error(written.error(), options.json, out, err);
  }
  StopSignal signals;
  std::string trouble;
  do {
    const auto written = write_once(options, instance);
    const std::string now = written ? "" : written.error().id;
    if (now == trouble) continue;
    trouble = now;
    if (written) {
      err << "the metrics are written again\n" << std::flush;
    } else {
      show_error(written.error(), false, out, err);
      err << std::flush;
    }
  } while (!signals.wait(options.every));
  return ExitCode::ok;
}

}  // namespace peaknet::ctl
