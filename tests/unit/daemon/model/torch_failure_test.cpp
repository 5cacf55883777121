#include "daemon/model/torch_failure.hpp"

#include <gtest/gtest.h>
#if PEAKNET_HAVE_CUDART
#include <cuda_runtime_api.h>
#endif

#include "daemon/device/fault.hpp"

namespace peaknet::model {
namespace {

// As the interpreter of TorchScript gives on what a step threw.
std::string interpreted(const std::string& what) {
  return "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call "
         "last):\n  File \"model.py\", line 3, in forward\n    return F.conv2d(x)\n           ~~~ <--- HERE\n"
         "RuntimeError: " +
         what + "\nException raised from foo at bar.cpp:7 (most recent call first):\nframe #0: ...\n";
}

TEST(TorchFailure, missing_memory_is_known_wherever_it_was_noticed) {
  for (const char* text :
       {"CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB",
        "CUDA out of memory. Tried to allocate more than 1EB memory.",
        "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs.nvidia.com/",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasLtCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "cuDNN Frontend error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "CUDA error: resource allocation failed when calling `cusparseCreate(handle)`", "std::bad_alloc",
        "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 4503599627370496 bytes. Error code 12 (Cannot allocate memory)"}) {
    EXPECT_EQ(torch_fault(text), TorchFault::memory) << text;
    EXPECT_EQ(torch_fault(interpreted(text)), TorchFault::memory) << text;
  }
}

TEST(TorchFailure, what_no_later_call_survives_is_the_devices) {
  for (const char* text :
       {"CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in ...",
        "CUDA error: unspecified launch failure", "CUDA error: device-side assert triggered",
        "CUDA error: misaligned address", "CUDA driver error: an illegal instruction was encountered",
        "CUDA error: uncorrectable ECC error encountered"}) {
    EXPECT_EQ(torch_fault(text), TorchFault::device) << text;
    EXPECT_EQ(torch_fault(interpreted(text)), TorchFault::device) << text;
  }
}

TEST(TorchFailure, all_else_is_the_work) {
  for (const char* text :
       {"", "\n", "Sizes of tensors must match except in dimension 1", "the seed crystal is missing",
        "CUDA error: invalid argument", "CUDA error: no kernel image is available for execution on the device",
        "CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasSgemm(handle)`",
        "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmul(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
        "run_func_(container_handle_) API call failed at runner.cpp, line 147",
        "this network was trained where CUDA out of memory was common",
        "it says: CUDA error: misaligned address of the panel"}) {
    EXPECT_EQ(torch_fault(text), TorchFault::work) << text;
    EXPECT_EQ(torch_fault(interpreted(text)), TorchFault::work) << text;
  }
}

TEST(TorchFailure, only_the_cause_counts_and_not_the_source_that_is_shown_around_it) {
  const std::string text =
      "The following operation failed in the TorchScript interpreter.\n    # CUDA error: misaligned address\n"
      "    # CUDNN_STATUS_ALLOC_FAILED\nRuntimeError: the seed crystal is missing\n";
  EXPECT_EQ(cause_of(text), "the seed crystal is missing");
  EXPECT_EQ(torch_fault(text), TorchFault::work);
}

TEST(TorchFailure, what_a_network_raises_keeps_its_class_and_all_lines_of_its_text) {
  const std::string before =
      "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, serialized code (most "
      "recent call last):\n  File \"code/__torch__/ours.py\", line 7, in forward\n    raise ValueError(\"...\")\n    "
      "~~~~~~~~~~ <--- HERE\n\nTraceback of TorchScript, original code (most recent call last):\n  File \"ours.py\"\n  "
      "  ~~~~ <--- HERE\n";
  EXPECT_EQ(cause_of(before + "builtins.ValueError: the panel is dark:\n  mean 0.1\n"),
            "ValueError: the panel is dark: mean 0.1");
  EXPECT_EQ(cause_of(before + "RuntimeError: AssertionError: 480 rows\n"), "AssertionError: 480 rows");
  EXPECT_EQ(cause_of("The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, "
                     "serialized code (most recent call last):\nbuiltins.IndexError: no records of the source\n"),
            "IndexError: no records of the source");
}

TEST(TorchFailure, each_kind_of_failure_has_a_remedy_of_its_own) {
  const auto remedy = [](const std::string& cause) {
    return error_of_run(TorchFault::work, "the network", cause).remedy;
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(remedy("Sizes of tensors must match except in dimension 1"), "pool.shape"));
  EXPECT_TRUE(has(remedy("Given groups=1, expected input[2, 1, 4, 8] to have 3 channels, but got 1 channels instead"),
                  "pool.shape"));
  EXPECT_TRUE(has(remedy("Input type (c10::BFloat16) and bias type (float) should be the same"), "engine.precision"));
  EXPECT_TRUE(has(remedy("\"erfinv\" not implemented for 'Half'"), "engine.precision"));
  EXPECT_TRUE(
      has(remedy("Expected all tensors to be on the same device, but found cpu and cuda:0"), "register_buffer"));
  EXPECT_TRUE(has(remedy("ValueError: the panel is dark"), "refuses these images"));
  EXPECT_TRUE(has(remedy("an unheard-of thing"), "where it was made"));
  const auto load = [](const std::string& cause) {
    return error_of_load(TorchFault::work, "the model", cause, "a remedy").remedy;
  };
  EXPECT_TRUE(has(load("Unknown builtin op: torchvision::nms."), "another library"));
  EXPECT_EQ(load("an unheard-of thing"), "a remedy");
}

TEST(TorchFailure, each_fault_has_the_id_that_the_engine_acts_on) {
  const auto fault_of_run = [](TorchFault fault) {
    return device::fault_of(error_of_run(fault, "the network a.pt with a batch of 2 rows of 4x8", "why"));
  };
  EXPECT_EQ(fault_of_run(TorchFault::work), device::Fault::frame);
  EXPECT_EQ(fault_of_run(TorchFault::memory), device::Fault::memory);
  EXPECT_EQ(fault_of_run(TorchFault::device), device::Fault::device);
  EXPECT_EQ(error_of_load(TorchFault::work, "the model a.pt on cuda:0", "why", "look").id, "model.unreadable");
  EXPECT_EQ(error_of_load(TorchFault::memory, "the model a.pt on cuda:0", "why", "look").id, "device.no-memory");
  EXPECT_EQ(error_of_load(TorchFault::device, "the model a.pt on cuda:0", "why", "look").id, "device.lost");
}

#if PEAKNET_HAVE_CUDART
// The texts are those of the runtime that this is built with. LibTorch puts its own before them.
TEST(TorchFailure, the_sticky_errors_of_the_runtime_are_known_by_their_own_texts) {
  const auto fault = [](cudaError_t code) {
    return torch_fault(std::string("CUDA error: ") + cudaGetErrorString(code));
  };
  for (const auto code :
       {cudaErrorECCUncorrectable, cudaErrorNvlinkUncorrectable, cudaErrorContained, cudaErrorIllegalAddress,
        cudaErrorLaunchTimeout, cudaErrorContextIsDestroyed, cudaErrorAssert, cudaErrorHardwareStackError,
        cudaErrorIllegalInstruction, cudaErrorMisalignedAddress, cudaErrorInvalidAddressSpace, cudaErrorInvalidPc,
        cudaErrorLaunchFailure, cudaErrorTensorMemoryLeak, cudaErrorMpsClientTerminated, cudaErrorExternalDevice}) {
    EXPECT_EQ(fault(code), TorchFault::device) << cudaGetErrorName(code);
  }
  EXPECT_EQ(fault(cudaErrorMemoryAllocation), TorchFault::memory);
  for (const auto code : {cudaErrorInvalidValue, cudaErrorLaunchOutOfResources, cudaErrorNoKernelImageForDevice,
                          cudaErrorNotSupported, cudaErrorStreamCaptureUnsupported}) {
    EXPECT_EQ(fault(code), TorchFault::work) << cudaGetErrorName(code);
  }
}
#endif

}  // namespace
}  // namespace peaknet::model
