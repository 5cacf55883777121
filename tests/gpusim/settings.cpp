#include "tests/gpusim/settings.hpp"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace peaknet::gpusim {
namespace {

[[noreturn]] void refuse(const char* name, std::string_view text) {
  std::fprintf(stderr, "gpusim: %s='%.*s' cannot be read\n", name, static_cast<int>(text.size()), text.data());
  ::_exit(98);
}

template <class Number>
Number number_in(const char* name, std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) refuse(name, text);
  return value;
}

std::string_view text_of(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::string_view(text) : std::string_view();
}

template <class Number>
void read(const char* name, Number& into) {
  if (const auto text = text_of(name); !text.empty()) into = number_in<Number>(name, text);
}

bool flag(const char* name) {
  int value = 0;
  read(name, value);
  return value != 0;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

Trigger trigger(const char* name) {
  const std::string_view text = text_of(name);
  if (text.empty()) return {};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {"", number_in<std::uint64_t>(name, text)};
  return {std::string(text.substr(0, colon)), number_in<std::uint64_t>(name, text.substr(colon + 1))};
}

Timing timing() {
  Timing timing;
  read("GPUSIM_COPY_GBPS_UP", timing.up_gbps);
  read("GPUSIM_COPY_GBPS_DOWN", timing.down_gbps);
  for (const auto part : split(text_of("GPUSIM_KERNEL_MS"), ',')) {
    const std::size_t colon = part.rfind(':');
    if (colon == std::string_view::npos) refuse("GPUSIM_KERNEL_MS", part);
    timing.kernels_ms.emplace_back(part.substr(0, colon),
                                   number_in<double>("GPUSIM_KERNEL_MS", part.substr(colon + 1)));
  }
  return timing;
}

}  // namespace

Settings settings_from_environment() {
  Settings settings;
  for (const auto path : split(text_of("GPUSIM_KERNELS"), ':')) settings.kernels.emplace_back(path);
  read("GPUSIM_SEED", settings.seed);
  read("GPUSIM_DEVICES", settings.devices);
  std::uint64_t mib = 0;
  read("GPUSIM_MEMORY_MIB", mib);
  if (mib > 0) settings.memory = mib << 20;
  read("GPUSIM_CAPABILITY", settings.capability);
  read("GPUSIM_COUNT_ERROR", settings.count_error);
  long microseconds = settings.delay.count();
  read("GPUSIM_DELAY_US", microseconds);
  settings.delay = std::chrono::microseconds(microseconds);
  microseconds = settings.late.count();
  read("GPUSIM_LATE_US", microseconds);
  settings.late = std::chrono::microseconds(microseconds);
  settings.sticky = trigger("GPUSIM_STICKY_AT");
  settings.hang = trigger("GPUSIM_HANG_AT");
  settings.block = trigger("GPUSIM_BLOCK_AT");
  settings.exit_waits = flag("GPUSIM_EXIT_WAITS");
  settings.registers = !flag("GPUSIM_NO_REGISTER");
  mib = 0;
  read("GPUSIM_REGISTER_MIB", mib);
  if (mib > 0) settings.largest_registration = mib << 20;
  settings.pins = !flag("GPUSIM_NO_PINNED");
  read("GPUSIM_POISON", settings.poison);
  settings.statistics = flag("GPUSIM_STATS");
  settings.timing = timing();
  return settings;
}

}  // namespace peaknet::gpusim
