#include "daemon/model/torch_failure.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace peaknet::model {
namespace {

using Texts = std::string_view;

// Of what LibTorch itself throws when memory is not there. The second is the CUDA runtime's or the driver's, for memory
// that does not come from LibTorch's allocator.
constexpr std::array kMemoryBegins = {Texts("CUDA out of memory"), Texts("CUDA error: out of memory"),
                                      Texts("CUDA driver error: out of memory"),
                                      Texts("CUDA error: resource allocation failed"),  // cuSPARSE
                                      Texts("std::bad_alloc")};

// Names that nobody writes for another reason. cuBLAS and cuDNN say "not initialized" of a handle for which there was
// no memory; without a handle nothing of them works, so no other cause is hidden by it.
constexpr std::array kMemoryNames = {Texts("CUBLAS_STATUS_ALLOC_FAILED"),
                                     Texts("CUBLAS_STATUS_NOT_INITIALIZED when calling `cublas"),
                                     Texts("CUDNN_STATUS_ALLOC_FAILED"),  // before cuDNN 9
                                     Texts("CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
                                     Texts("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
                                     Texts("CUDNN_STATUS_NOT_INITIALIZED"),
                                     Texts("CUSOLVER_STATUS_ALLOC_FAILED"),
                                     Texts("CUFFT_ALLOC_FAILED"),
                                     Texts("DefaultCPUAllocator: can't allocate memory"),
                                     Texts("DefaultCPUAllocator: not enough memory")};

// Errors of which driver_types.h says that any further CUDA work returns the same error, and those of broken hardware.
constexpr std::array kStickyCauses = {Texts("uncorrectable ECC error encountered"),
                                      Texts("uncorrectable NVLink error detected"),
                                      Texts("Invalid access of peer GPU memory over nvlink or a hardware error"),
                                      Texts("an illegal memory access was encountered"),
                                      Texts("the launch timed out and was terminated"),
                                      Texts("context is destroyed"),
                                      Texts("device-side assert triggered"),
                                      Texts("hardware stack error"),
                                      Texts("an illegal instruction was encountered"),
                                      Texts("misaligned address"),
                                      Texts("operation not supported on global/shared address space"),
                                      Texts("invalid program counter"),
                                      Texts("unspecified launch failure"),
                                      Texts("tensor memory not completely freed"),
                                      Texts("the MPS client has been terminated by the server"),
                                      Texts("an async error has occured in external entity outside of CUDA")};

bool is_sticky(std::string_view cause) {
  for (const Texts source : {Texts("CUDA error: "), Texts("CUDA driver error: ")}) {
    if (!cause.starts_with(source)) continue;
    const auto error = cause.substr(source.size());
    return std::any_of(kStickyCauses.begin(), kStickyCauses.end(),
                       [&](Texts sticky) { return error.starts_with(sticky); });
  }
  return false;
}

}  // namespace

// The interpreter names the cause last, everybody else first (after an empty line, if the source could not be
// compiled).
std::string cause_of(std::string_view text) {
  constexpr std::string_view kInterpreter = "\nRuntimeError: ";
  const std::size_t last = text.rfind(kInterpreter);
  const std::size_t begin =
      last != std::string_view::npos ? last + kInterpreter.size() : std::min(text.find_first_not_of('\n'), text.size());
  return std::string(text.substr(begin, text.find('\n', begin) - begin));
}

TorchFault torch_fault(std::string_view text) {
  const std::string cause = cause_of(text);
  const auto begins = [&](Texts with) { return cause.starts_with(with); };
  const auto names = [&](Texts name) { return cause.find(name) != std::string::npos; };
  if (is_sticky(cause)) return TorchFault::device;
  if (std::any_of(kMemoryBegins.begin(), kMemoryBegins.end(), begins)) return TorchFault::memory;
  if (std::any_of(kMemoryNames.begin(), kMemoryNames.end(), names)) return TorchFault::memory;
  return TorchFault::work;
}

Error error_of_run(TorchFault fault, const std::string& run, const std::string& cause) {
  switch (fault) {
    case TorchFault::memory:
      return {"device.no-memory", run + " needs more memory than there is: " + cause,
              "its frames are tried again in smaller batches", "a smaller engine.batch"};
    case TorchFault::device:
      return {"device.lost", run + " broke the device: " + cause, "its frames go back to Q1",
              "see nvidia-smi and dmesg (Xid); restart peaknetd"};
    case TorchFault::work:
      break;
  }
  return {"model.failed", run + " failed: " + cause, "its frames are tried one by one",
          "check that the model takes (rows,1,H,W) of this size"};
}

Error error_of_load(TorchFault fault, const std::string& loading, const std::string& cause, const std::string& remedy) {
  switch (fault) {
    case TorchFault::memory:
      return {"device.no-memory", "there is no memory to load " + loading + ": " + cause, "no other model was touched",
              "a smaller engine.batch, a smaller model, or nothing else on the device"};
    case TorchFault::device:
      return {"device.lost", "the device broke while it loaded " + loading + ": " + cause, "no other model was touched",
              "see nvidia-smi and dmesg (Xid); restart peaknetd"};
    case TorchFault::work:
      break;
  }
  return {"model.unreadable", "cannot load " + loading + ": " + cause, "no other model was touched", remedy};
}

void warn(const Error& error) { spdlog::warn("{}", error.text()); }

}  // namespace peaknet::model
