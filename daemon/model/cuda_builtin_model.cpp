#include "daemon/model/cuda_builtin_model.hpp"

#include <utility>

#include "daemon/kernels/cuda_builtin.hpp"
#include "daemon/model/builtin_model.hpp"

namespace peaknet::model {
namespace {

class CudaBuiltinModel final : public Model {
 public:
  CudaBuiltinModel(std::string path, Builtin builtin)
      : info_{std::move(path), "builtin", ""}, builtin_(builtin), kernels_(kernels::make_cuda_builtin_kernels()) {}
  const ModelInfo& info() const override { return info_; }
  bool begin_recording(void* /*stream*/) override { return true; }

  Status run(const kernels::TensorView& input, void* stream,
             const std::function<void(const kernels::TensorView&)>& use) override {
    if (auto good = check_builtin_input(input); !good) return good;
    if (!kernels_->make_room(input)) {
      return Error{"device.no-memory",
                   info_.path + " has no memory for the logits of " + std::to_string(input.shape[0]) + " rows of " +
                       std::to_string(input.shape[2]) + "x" + std::to_string(input.shape[3]) + " pixels",
                   "its frames are tried again in smaller batches", "a smaller engine.batch"};
    }
    use(builtin_.kind == Builtin::Kind::threshold ? kernels_->threshold(input, builtin_.threshold, stream)
                                                  : kernels_->nothing(input, builtin_.delay, stream));
    return {};
  }

 private:
  ModelInfo info_;
  Builtin builtin_;
  std::unique_ptr<kernels::BuiltinKernels> kernels_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_cuda_builtin_model(const ModelRequest& request) {
  const auto builtin = parse_builtin(request.path);
  if (!builtin) return builtin.error();
  return std::unique_ptr<Model>(new CudaBuiltinModel(request.path, *builtin));
}

}  // namespace peaknet::model
