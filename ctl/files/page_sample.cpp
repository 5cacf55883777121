#include "ctl/files/page_sample.hpp"

#include <algorithm>
#include <utility>

#include "control/history.hpp"
#include "control/metrics.hpp"
#include "control/protocol.hpp"
#include "control/status_documents.hpp"
#include "ctl/files/pipeline.hpp"
#include "ctl/health.hpp"
#include "ctl/members.hpp"
#include "shm/clock.hpp"
#include "shm/history.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;

// Seconds of the history in each event: a page that missed some has them all the same.
constexpr std::int64_t kTail = 8;

// What the fullest output folder has left.
json disk(const shm::ControlSegment& control_segment, const json& status) {
  json least;
  for (const json& writer : status["writers"]) {
    const json& free = writer["output_free_bytes"];
    if (free.is_number() && (least.is_null() || free < least)) least = free;
  }
  const double rate = control_segment.layout().daemon.file_bytes_per_s.load();
  const bool known = least.is_number() && rate > 1;
  return {{"free_bytes", least},
          {"bytes_per_s", rate >= 0 ? json(rate) : json(nullptr)},
          {"left_s", known ? json(least.get<double>() / rate) : json(nullptr)}};
}

}  // namespace

PageSample::Text text_of(const json& document) {
  return std::make_shared<const std::string>(control::to_text(document));
}

PageSample::Text event_of(const json& document) {
  return std::make_shared<const std::string>("data: " + control::to_text(document) + "\n\n");
}

json latest_errors(json list) {
  constexpr std::size_t kErrors = 3;
  if (list.size() > kErrors) list.erase(list.begin() + kErrors, list.end());
  return list;
}

PageSample PageSampler::look(const json& hits, const json& sums) {
  PageSample sample;
  const auto opened = InstanceView::open(instance_);
  json event = {{"schema", "peaknet.page/1"},
                {"instance", instance_},
                {"now", static_cast<double>(shm::realtime_ns() / 1'000'000) / 1e3},
                {"hits", hits},
                {"sums", sums}};
  if (!opened) {
    const bool absent = opened.error().id == "shm.absent";
    before_.reset();
    committed_.reset();
    newest_s_.reset();
    const std::string trouble = opened.error().text() + "\n";
    sample.trouble = text_of(control::error_document(opened.error()));
    sample.metrics =
        std::make_shared<const std::string>(absent ? control::metrics_of_absent(instance_) : "# " + trouble);
    event.update(control::error_document(opened.error()));
    event["schema"] = "peaknet.page/1";
    sample.event = event_of(event);
    return sample;
  }
  const shm::ControlSegment& control_segment = *opened->control_segment;
  const json status = control::status_document(control_segment, opened->pool.get(), control::kSourceSegment);
  const json stats = control::stats_document(control_segment, opened->pool.get(), control::kSourceSegment);
  const json errors = control::errors_document(control_segment);
  json model = control::model_document(control_segment);
  model["schema"] = "peaknet.model/1";
  sample.documents = {{"status", text_of(status)},
                      {"stats", text_of(stats)},
                      {"health", text_of(health_document(status, ExitCode::ok))},
                      {"errors", text_of(errors)},
                      {"history", text_of(control::history_document(control_segment))},
                      {"model", text_of(model)},
                      {"producers", text_of(control::participants_document("producers", stats))},
                      {"writers", text_of(control::participants_document("writers", stats))}};
  sample.metrics = std::make_shared<const std::string>(control::metrics_text(control_segment, opened->pool.get()));
  event.update(page_of(*opened, status, stats, errors["errors"]));
  sample.event = event_of(event);
  return sample;
}

json PageSampler::page_of(const InstanceView& page, const json& status, const json& stats, const json& errors) {
  const auto now = std::chrono::steady_clock::now();
  const double seconds = before_ ? std::chrono::duration<double>(now - before_->at).count() : 0;
  json out = {{"health", status["health"]},
              {"state", status["state"]},
              {"daemon", status["daemon"]},
              {"run", status["run"]},
              {"rates", status["rates"]},
              {"frames", status["frames"]},
              {"hit_rate", status["hit_rate"]},
              {"indexing", stats["indexing"]},
              {"pool", status["pool"]},
              {"devices", status["devices"]},
              {"disk", disk(*page.control_segment, status)},
              {"newest_frame", newest_frame(page, stats)},
              {"pipeline", pipeline_of(before_ ? before_->stats : json(), stats, seconds)},
              {"latency_us", stats["latency_us"]["total"]},
              {"errors", latest_errors(errors)},
              {"history", control::latest_history(*page.control_segment, kTail)},
              {"peaks_per_frame", control::peak_histogram(*page.control_segment)},
              {"min_num_peak", minimum_ ? json(*minimum_) : json(nullptr)}};
  // Rates over less than a second jump with the writers' batches.
  if (!before_ || seconds >= 2) before_ = Before{now, stats};
  return out;
}

// When it came, in seconds since 1970: as this process saw it, before that as the history has it.
json PageSampler::newest_frame(const InstanceView& page, const json& stats) {
  const std::int64_t now = shm::realtime_ns() / 1'000'000'000;
  const double committed = number(stats, {"lifetime", "committed"});
  if (committed_ && committed > *committed_) newest_s_ = now;
  committed_ = committed;
  if (!newest_s_) {
    for (const shm::Past& past : shm::seconds_of(page.control_segment->layout().history, now)) {
      if (past.counts[static_cast<std::size_t>(shm::Measure::committed)] > 0) newest_s_ = past.at;
    }
  }
  return newest_s_ ? json(*newest_s_) : json(nullptr);
}

}  // namespace peaknet::ctl
