#include "daemon/model/builtin_model.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace peaknet::model {
namespace {

using kernels::Element;
using kernels::TensorView;

constexpr double kLongestDelayMs = 3'600'000;  // an hour: what is longer is a slip of the pen

class ThresholdModel final : public Model {
 public:
  ThresholdModel(std::string path, float threshold) : info_{std::move(path), "builtin", ""}, threshold_(threshold) {}
  const ModelInfo& info() const override { return info_; }

  Status run(const TensorView& input, void* /*stream*/, const std::function<void(const TensorView&)>& use) override {
    if (auto good = check_builtin_input(input); !good) return good;
    const std::int64_t plane = input.shape[2] * input.shape[3];
    if (std::exchange(plane_, plane) != plane) logits_.clear();
    logits_.resize(static_cast<std::size_t>(2 * input.shape[0] * plane));  // the even planes, class 0, stay zero
    for (std::int64_t row = 0; row < input.shape[0]; ++row) {
      float* peak = logits_.data() + (2 * row + 1) * plane;
      for (std::int64_t y = 0; y < input.shape[2]; ++y) {
        const float* in = static_cast<const float*>(input.data) + row * input.strides[0] + y * input.strides[2];
        for (std::int64_t x = 0; x < input.shape[3]; ++x) *peak++ = in[x] - threshold_;
      }
    }
    use(kernels::contiguous(logits_.data(), Element::float32, input.shape[0], 2, input.shape[2], input.shape[3]));
    return {};
  }

 private:
  ModelInfo info_;
  float threshold_;
  std::int64_t plane_ = 0;  // pixels of a plane in logits_
  std::vector<float> logits_;
};

class DelayModel final : public Model {
 public:
  DelayModel(std::string path, std::chrono::nanoseconds delay) : info_{std::move(path), "builtin", ""}, delay_(delay) {}
  const ModelInfo& info() const override { return info_; }

  Status run(const TensorView& input, void* /*stream*/, const std::function<void(const TensorView&)>& use) override {
    logits_.resize(static_cast<std::size_t>(2 * input.shape[0] * input.shape[2] * input.shape[3]));
    std::this_thread::sleep_for(delay_);  // the sleep is what this model is for
    use(kernels::contiguous(logits_.data(), Element::float32, input.shape[0], 2, input.shape[2], input.shape[3]));
    return {};
  }

 private:
  ModelInfo info_;
  std::chrono::nanoseconds delay_;
  std::vector<float> logits_;
};

std::optional<double> number(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

Status check_builtin_input(const TensorView& input) {
  if (input.element == Element::float32 && input.shape[1] == 1 && input.strides[3] == 1) return {};
  return Error{"model.failed",
               "a builtin model got an input with " + std::to_string(input.shape[1]) +
                   " channels or of another type than float32",
               "the frames are counted as failed", "use engine.precision: float32 with builtin models"};
}

Result<Builtin> parse_builtin(const std::string& path) {
  const std::string_view name = std::string_view(path).substr(std::strlen("builtin:"));
  if (name == "identity") return Builtin{Builtin::Kind::threshold};
  const std::size_t equals = name.find('=');
  if (equals != std::string_view::npos) {
    const auto value = number(name.substr(equals + 1));
    const auto kind = name.substr(0, equals);
    if (kind == "threshold" && value) return Builtin{Builtin::Kind::threshold, static_cast<float>(*value)};
    if (kind == "delay" && value && *value >= 0.0 && *value <= kLongestDelayMs) {
      const std::chrono::duration<double, std::milli> delay(*value);
      return Builtin{Builtin::Kind::delay, 0.0F, std::chrono::duration_cast<std::chrono::nanoseconds>(delay)};
    }
  }
  return Error{"model.unknown-builtin", "there is no model '" + path + "'", "",
               "builtin:identity, builtin:threshold=COUNTS or builtin:delay=MS, or the path of a TorchScript file"};
}

Result<std::unique_ptr<Model>> make_builtin_model(const ModelRequest& request) {
  if (request.device != "cpu") {
    return Error{
        "model.unknown-kind",
        request.path + " runs on the device cpu, not on " + request.device + ": this peaknetd was built without CUDA",
        "", "set engine.devices: cpu"};
  }
  const auto builtin = parse_builtin(request.path);
  if (!builtin) return builtin.error();
  if (builtin->kind == Builtin::Kind::threshold)
    return std::unique_ptr<Model>(new ThresholdModel(request.path, builtin->threshold));
  return std::unique_ptr<Model>(new DelayModel(request.path, builtin->delay));
}

}  // namespace peaknet::model
