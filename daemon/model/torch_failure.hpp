// What an exception of LibTorch means for the frames behind it, by its text: most exceptions arrive as a text alone,
// because TorchScript's interpreter turns what a step of a network throws into a std::runtime_error with the old text
// in it. Pure; any thread.
//
//   memory  there was not enough of it, wherever that was noticed: by LibTorch's allocator, inside cuBLAS, cuDNN,
//           cuSPARSE, cuSOLVER or cuFFT, which take memory of their own when they are first used, or on the host
//   device  an error after which each call to the device fails, as the CUDA runtime says of it
//   work    all else: the network cannot do what it was given
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace peaknet::model {

enum class TorchFault : std::uint8_t { work, memory, device };

// What says why, in one line, with the class of what a network raised; around it are stacks of no use to an operator.
std::string cause_of(std::string_view text);
inline std::string cause_of(const std::exception& failure) { return cause_of(std::string_view(failure.what())); }

// `text`: all of it. What a network says of itself in the middle of a sentence does not count.
TorchFault torch_fault(std::string_view text);

// Of a run: `run` names the network and its batch. Ids: model.failed, device.no-memory, device.lost.
Error error_of_run(TorchFault fault, const std::string& run, const std::string& cause);
// Of loading; `loading`: "the model PATH on cuda:0"; `remedy` against a bad file. Ids: model.unreadable,
// device.no-memory, device.lost.
Error error_of_load(TorchFault fault, const std::string& loading, const std::string& cause, const std::string& remedy);

// To the log. Files that include torch cannot include spdlog: each brings its own fmt.
void warn(const Error& error);

}  // namespace peaknet::model
