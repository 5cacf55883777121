#include "daemon/model/recorded_model.hpp"

#include <utility>

namespace peaknet::model {

Status RecordedModel::run(const kernels::TensorView& input, void* stream,
                          const std::function<void(const kernels::TensorView& logits)>& use) {
  if (!replays(input)) return inner_->run(input, stream, use);
  const Recorded& recorded = recorded_.at(input.shape[0]);
  if (auto replayed = recorded.graph->replay(stream); !replayed) return replayed;
  use(recorded.logits);
  return {};
}

Status RecordedModel::record(const kernels::TensorView& input, void* stream) {
  recorded_.erase(input.shape[0]);
  if (!inner_->begin_recording(stream))
    return refuse(input, "networks of the kind " + info().kind + " are not recorded");
  Recorded recorded{.input = input.data, .logits = {}, .graph = nullptr};
  Status outcome = graphs_->begin(stream);
  if (outcome.ok()) {
    outcome = inner_->run(input, stream, [&](const kernels::TensorView& logits) { recorded.logits = logits; });
    auto graph = graphs_->end(stream);  // also after a failure: the stream must work again
    if (outcome.ok() && !graph) outcome = graph.error();
    if (outcome.ok()) recorded.graph = std::move(*graph);
  }
  inner_->end_recording();
  if (!outcome) return refuse(input, outcome.error().what);
  refused_.erase(input.shape[0]);
  recorded_[input.shape[0]] = std::move(recorded);
  return {};
}

void RecordedModel::forget(const kernels::TensorView& input, const std::string& why) {
  recorded_.erase(input.shape[0]);
  refused_[input.shape[0]] = why;
}

Status RecordedModel::refuse(const kernels::TensorView& input, const std::string& why) {
  refused_[input.shape[0]] = why;
  return Error{"graph.refused", info().path + " with " + std::to_string(input.shape[0]) + " rows: " + why,
               "it runs without a graph", ""};
}

std::string RecordedModel::summary() const {
  if (!records()) return "";
  std::string rows;
  for (const auto& [count, recorded] : recorded_) rows += (rows.empty() ? "" : ", ") + std::to_string(count);
  std::string text = rows.empty() ? "none" : "replayed with " + rows + " rows";
  if (!refused_.empty())
    text += "; not with " + std::to_string(refused_.begin()->first) + ": " + refused_.begin()->second;
  return text;
}

}  // namespace peaknet::model
