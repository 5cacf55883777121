// A compiled network as AOTInductor makes them, written by hand, so that packages can be made without Python: logits
// (0, x - 100) for any input (rows, 1, H, W) of float32, through the C interface that compiled networks have. A library
// of its own, loaded by the test from the packages it makes.
#include <torch/csrc/inductor/aoti_runtime/interface.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {
constexpr AOTIRuntimeError kGood = 0;
constexpr AOTIRuntimeError kBad = 1;
constexpr std::int64_t kClasses = PEAKNET_STAND_IN_CLASSES;

AOTIRuntimeError run(AtenTensorHandle input, AtenTensorHandle* output) {
  std::int64_t* shape = nullptr;
  void* in = nullptr;
  void* out = nullptr;
  if (aoti_torch_get_sizes(input, &shape) != 0 || aoti_torch_get_data_ptr(input, &in) != 0) return kBad;
  const std::int64_t plane = shape[2] * shape[3];
  const std::array<std::int64_t, 4> sizes = {shape[0], kClasses, shape[2], shape[3]};
  const std::array<std::int64_t, 4> strides = {kClasses * plane, plane, shape[3], 1};
  if (aoti_torch_empty_strided(4, sizes.data(), strides.data(), aoti_torch_dtype_float32(),
                               aoti_torch_device_type_cpu(), -1, output) != 0 ||
      aoti_torch_get_data_ptr(*output, &out) != 0) {
    return kBad;
  }
  for (std::int64_t i = 0; i < sizes[0] * kClasses * plane; ++i) {
    const std::int64_t row = i / (kClasses * plane);
    const bool peak = i / plane % kClasses == 1;
    static_cast<float*>(out)[i] = peak ? static_cast<const float*>(in)[row * plane + i % plane] - 100.0F : 0.0F;
  }
  aoti_torch_delete_tensor_object(input);  // the inputs are ours
  return kGood;
}
}  // namespace

extern "C" {
AOTIRuntimeError AOTInductorModelContainerCreateWithDevice(AOTInductorModelContainerHandle* container, size_t models,
                                                           const char*, const char*) {
  static std::size_t one = 1;
  static std::size_t several = 2;
  *container = reinterpret_cast<AOTInductorModelContainerHandle>(models == 1 ? &one : &several);
  return kGood;
}
AOTIRuntimeError AOTInductorModelContainerDelete(AOTInductorModelContainerHandle) { return kGood; }
AOTIRuntimeError AOTInductorModelContainerGetNumOutputs(AOTInductorModelContainerHandle, size_t* count) {
  *count = 1;
  return kGood;
}
// The mode in which a run waits until a model is free: good where there are several.
AOTIRuntimeError AOTInductorModelContainerRun(AOTInductorModelContainerHandle container, AtenTensorHandle* inputs,
                                              size_t num_inputs, AtenTensorHandle* outputs, size_t num_outputs,
                                              AOTInductorStreamHandle, AOTIProxyExecutorHandle) {
  const std::size_t models = *reinterpret_cast<const std::size_t*>(container);
  return models > 1 && num_inputs == 1 && num_outputs == 1 ? run(inputs[0], &outputs[0]) : kBad;
}
AOTIRuntimeError AOTInductorModelContainerRunSingleThreaded(AOTInductorModelContainerHandle, AtenTensorHandle* inputs,
                                                            size_t num_inputs, AtenTensorHandle* outputs,
                                                            size_t num_outputs, AOTInductorStreamHandle,
                                                            AOTIProxyExecutorHandle) {
  return num_inputs == 1 && num_outputs == 1 ? run(inputs[0], &outputs[0]) : kBad;
}
AOTIRuntimeError AOTInductorModelContainerGetNumConstants(AOTInductorModelContainerHandle, size_t* count) {
  *count = 0;
  return kGood;
}
AOTIRuntimeError AOTInductorModelContainerGetConstantName(AOTInductorModelContainerHandle, size_t, const char**) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerGetConstantOriginalFQN(AOTInductorModelContainerHandle, size_t,
                                                                 const char**) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerGetConstantDtype(AOTInductorModelContainerHandle, size_t, int32_t*) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerUpdateConstantBuffer(AOTInductorModelContainerHandle,
                                                               AOTInductorConstantMapHandle, bool, bool) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerUpdateInactiveConstantBuffer(AOTInductorModelContainerHandle,
                                                                       AOTInductorConstantMapHandle) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerRunConstantFolding(AOTInductorModelContainerHandle, bool,
                                                             AOTInductorStreamHandle, AOTIProxyExecutorHandle) {
  return kGood;
}
AOTIRuntimeError AOTInductorModelContainerSwapConstantBuffer(AOTInductorModelContainerHandle) { return kGood; }
AOTIRuntimeError AOTInductorModelContainerFreeInactiveConstantBuffer(AOTInductorModelContainerHandle) { return kGood; }
AOTIRuntimeError AOTInductorModelContainerExtractConstantsMap(AOTInductorModelContainerHandle,
                                                              AOTInductorConstantMapHandle, bool) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerUpdateUserManagedConstantBuffer(AOTInductorModelContainerHandle,
                                                                          AOTInductorConstantMapHandle, bool, bool) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerGetConstantsBlobSize(AOTInductorModelContainerHandle, uint64_t* size) {
  *size = 0;
  return kGood;
}
AOTIRuntimeError AOTInductorModelUpdateConstantsFromBlob(AOTInductorModelContainerHandle, const uint8_t*) {
  return kBad;
}
AOTIRuntimeError AOTInductorModelContainerGetCallSpec(AOTInductorModelContainerHandle, const char** in,
                                                      const char** out) {
  *in = "";
  *out = "";
  return kGood;
}
}
