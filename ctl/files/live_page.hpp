// peaknetctl page: one screen for a shift, in a browser: health, rates, pipeline, histories, the latest hits; and the
// same documents for programs under /api/v1. A reader of the control segment and of the Tap: it needs no daemon, and
// disturbs none. Read only. docs/page.md. With -H the same of many nodes, whose daemons are asked.
//
// Threads: the server's answers from what three others have made ready (page_sample.hpp, hit_reel.hpp,
// sum_pictures.hpp); nothing is computed for a request, so that no client can make work. Errors: those of HttpServer,
// and page.token. After a crash of peaknetd: the page says so, and goes on.
#pragma once

#include <iosfwd>
#include <memory>
#include <mutex>
#include <string>

#include "ctl/exit_code.hpp"
#include "ctl/files/hit_reel.hpp"
#include "ctl/files/openapi.hpp"
#include "ctl/files/page_sample.hpp"
#include "ctl/files/sum_pictures.hpp"
#include "ctl/http_server.hpp"
#include "ctl/options.hpp"
#include "ctl/target.hpp"

namespace peaknet::ctl {

// Until a stop signal.
ExitCode live_page(const Options& options, const Target& target, std::ostream& out, std::ostream& err);
// Of the nodes of options.hosts.
ExitCode live_page_of_nodes(const Options& options, std::ostream& out, std::ostream& err);

// What is answered: a path of its own list, or 404. Any thread.
class PageAnswers {
 public:
  // `token`: "" where none is asked for. Else who does not give it (?token= or Authorization: Bearer) gets 401.
  PageAnswers(const HitReel& reel, const SumPictures& sums, std::string token, PageScope scope = PageScope::instance)
      : reel_(reel), sums_(sums), token_(std::move(token)), scope_(scope) {}

  void set(PageSample sample);
  HttpResponse answer(const HttpRequest& request) const;

 private:
  HttpResponse open(const HttpRequest& request) const;
  HttpResponse of_programs(const std::string& path, const PageSample& sample) const;
  HttpResponse hit_picture(const std::string& name) const;
  HttpResponse sum_picture(const std::string& name) const;
  bool knows_the_token(const HttpRequest& request) const;

  const HitReel& reel_;
  const SumPictures& sums_;
  std::string token_;
  PageScope scope_;
  mutable std::mutex mutex_;
  std::shared_ptr<const PageSample> sample_ = std::make_shared<const PageSample>();
};

}  // namespace peaknet::ctl
