// RecordedModel: a network whose runs are replayed as graphs where that works (daemon/device/graphs.hpp), and run as
// they are where it does not: another batch size, another address, a device without graphs, a network that cannot be
// recorded. The results are the same; summary() says which it is.
//
// Used like the Model in it: from the context of the device's compute stream.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/device/graphs.hpp"
#include "daemon/model/model.hpp"

namespace peaknet::model {

class RecordedModel final : public Model {
 public:
  // `graphs` of the device, null: it has none. It outlives this.
  RecordedModel(std::unique_ptr<Model> inner, device::Graphs* graphs) : inner_(std::move(inner)), graphs_(graphs) {}

  const ModelInfo& info() const override { return inner_->info(); }
  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView& logits)>& use) override;

  Status run_unrecorded(const kernels::TensorView& input, void* stream,
                        const std::function<void(const kernels::TensorView& logits)>& use) {
    return inner_->run(input, stream, use);
  }

  void trim() override { inner_->trim(); }

  bool records() const { return graphs_ != nullptr; }
  bool replays(const kernels::TensorView& input) const {
    const auto found = recorded_.find(input.shape[0]);
    return found != recorded_.end() && found->second.input == input.data;
  }
  // From now on runs with this number of rows at this address are replays. The model has run with it before, so that
  // all it does the first time is done. Errors: why it cannot be; then such runs go on as they are.
  Status record(const kernels::TensorView& input, void* stream);
  // Those runs are not replayed after all, because of `why`.
  void forget(const kernels::TensorView& input, const std::string& why);

  // "replayed with 1, 2, 4 rows", with the reason where a size is not; "" without graphs.
  std::string summary() const;

 private:
  struct Recorded {
    const void* input = nullptr;
    kernels::TensorView logits{};
    std::unique_ptr<device::Graph> graph;
  };
  Status refuse(const kernels::TensorView& input, const std::string& why);

  std::unique_ptr<Model> inner_;  // before what it recorded: graphs go first
  device::Graphs* graphs_;
  std::map<std::int64_t, Recorded> recorded_;  // by rows
  std::map<std::int64_t, std::string> refused_;
};

}  // namespace peaknet::model
