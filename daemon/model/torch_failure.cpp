#include "daemon/model/torch_failure.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/log_line.hpp"

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

constexpr Texts kInterpreter = "The following operation failed in the TorchScript interpreter.";
constexpr std::size_t kLongestCause = 600;

// Does the line begin with the class of an exception, as "builtins.ValueError: "?
bool names_an_exception(Texts line) {
  const auto colon = line.find(": ");
  const Texts name = line.substr(0, colon);
  const bool plain = colon != Texts::npos && std::all_of(name.begin(), name.end(), [](unsigned char letter) {
                       return std::isalnum(letter) != 0 || letter == '_' || letter == '.';
                     });
  return plain && (name.ends_with("Error") || name.ends_with("Exception") || name.starts_with("builtins.") ||
                   name.starts_with("__torch__."));
}

// From the first line after the innermost traceback that names an exception.
Texts behind_the_traceback(Texts text) {
  constexpr Texts kMark = "<--- HERE\n";
  text.remove_prefix(text.rfind(kInterpreter) + kInterpreter.size());
  if (const auto last = text.rfind(kMark); last != Texts::npos) text.remove_prefix(last + kMark.size());
  for (Texts rest = text; !rest.empty();) {
    if (names_an_exception(rest.substr(0, rest.find('\n')))) return rest;
    const auto end = rest.find('\n');
    rest.remove_prefix(end == Texts::npos ? rest.size() : end + 1);
  }
  return text;
}

std::string one_line(Texts text) {
  std::string line;
  for (const char letter : text) {
    if (std::isspace(static_cast<unsigned char>(letter)) == 0)
      line += letter;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (line.ends_with(' ')) line.pop_back();
  if (line.size() > kLongestCause) line = line.substr(0, kLongestCause) + "...";
  return line;
}

// What LibTorch or the network say of itself -> what to do about it. The first that is found counts.
struct Advice {
  Texts text;
  const char* remedy;
};
constexpr const char* kSize =
    "pool.shape and preprocess.multiple must give images of a size that the network takes: (rows,1,H,W)";
constexpr const char* kPrecision =
    "engine.precision must be one that the network computes in; float32 always is, another is made with "
    "models/export.py --precision";
constexpr const char* kDevice =
    "the network keeps a tensor on the device it was exported on: make it a buffer (register_buffer), then "
    "models/export.py";
constexpr const char* kOperator =
    "the network needs an operator of another library, which peaknetd does not load: replace it, then models/export.py";
constexpr const char* kVersion = "the file is of a newer torch: export it with the torch of models/requirements.txt";
constexpr std::array kAdvice = {Advice{"expected scalar type", kPrecision},
                                Advice{"should be the same", kPrecision},
                                Advice{"not implemented for '", kPrecision},
                                Advice{"to have the same dtype", kPrecision},
                                Advice{"Expected all tensors to be on the same device", kDevice},
                                Advice{"Could not run '", kOperator},
                                Advice{"Unknown builtin op", kOperator},
                                Advice{"No such operator", kOperator},
                                Advice{"the maximum supported version", kVersion},
                                Advice{"Sizes of tensors must match", kSize},
                                Advice{"must match the size of tensor", kSize},
                                Advice{"is invalid for input of size", kSize},
                                Advice{"channels, but got", kSize},
                                Advice{"padded input size", kSize},
                                Advice{"mat1 and mat2 shapes", kSize},
                                Advice{"normalized_shape", kSize}};

// "": nothing that is known is said.
std::string advice_for(Texts cause) {
  for (const auto& advice : kAdvice) {
    if (cause.find(advice.text) != Texts::npos) return advice.remedy;
  }
  if (names_an_exception(cause)) return "the network itself refuses these images: its source says why";
  return {};
}

}  // namespace

// Around the cause stand stacks: LibTorch's own behind it, the interpreter's before it. The interpreter then writes the
// class of what was raised and its text, which may have several lines.
std::string cause_of(std::string_view text) {
  if (text.find(kInterpreter) != std::string_view::npos) text = behind_the_traceback(text);
  for (const Texts behind :
       {Texts("\nException raised from "), Texts("\nC++ CapturedTraceback"), Texts("\nSearch for `")})
    text = text.substr(0, text.find(behind));
  for (const Texts usual : {Texts("RuntimeError: "), Texts("builtins.")}) {
    if (text.starts_with(usual)) text.remove_prefix(usual.size());
  }
  return one_line(text);
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
  const std::string advice = advice_for(cause);
  return {"model.failed", run + " failed: " + cause, "its frames are tried one by one",
          advice.empty() ? "run the network on such a batch where it was made: it must take (rows,1,H,W)" : advice};
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
  const std::string advice = advice_for(cause);
  return {"model.unreadable", "cannot load " + loading + ": " + cause, "no other model was touched",
          advice.empty() ? remedy : advice};
}

void warn(const Error& error) { log::warn("{}", error.text()); }

}  // namespace peaknet::model
