// PageSampler: what the live page and its interface for programs show of one moment, as texts that are ready to be
// sent: however many ask, the segment is read twice a second.
//
// Threads: one. Errors: an instance that is not there, or cannot be read, is said in the sample.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "ctl/instance_view.hpp"

namespace peaknet::ctl {

struct PageSample {
  using Text = std::shared_ptr<const std::string>;
  std::map<std::string, Text> documents;  // "status", "stats", ...: as `peaknetctl --json` says them
  Text trouble;                           // a peaknet.error/1 document, where there are no documents
  Text metrics;
  Text event;  // for the page: a server-sent event with a peaknet.page/1 document
};

// A document as it is sent, and as a server-sent event.
PageSample::Text text_of(const nlohmann::json& document);
PageSample::Text event_of(const nlohmann::json& document);

// Of a list of errors, the latest first, as many as the page shows.
nlohmann::json latest_errors(nlohmann::json list);

class PageSampler {
 public:
  // `minimum`: peaks.min_num_peak, which the page draws into the histogram; nullopt: not known.
  PageSampler(std::string instance, std::optional<std::uint32_t> minimum)
      : instance_(std::move(instance)), minimum_(minimum) {}

  PageSample look(const nlohmann::json& hits, const nlohmann::json& sums);

 private:
  struct Before {
    std::chrono::steady_clock::time_point at;
    nlohmann::json stats;
  };
  nlohmann::json page_of(const InstanceView& page, const nlohmann::json& status, const nlohmann::json& stats,
                         const nlohmann::json& errors);
  nlohmann::json newest_frame(const InstanceView& page, const nlohmann::json& stats);

  std::string instance_;
  std::optional<std::uint32_t> minimum_;
  std::optional<Before> before_;
  std::optional<double> committed_;       // as of the last look
  std::optional<std::int64_t> newest_s_;  // since 1970: when the newest frame was seen to have come
};

}  // namespace peaknet::ctl
