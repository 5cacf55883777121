#include "ctl/gpu_findings.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/text.hpp"
#include "ctl/command_lines.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"

namespace peaknet::ctl {
namespace {

namespace fs = std::filesystem;

constexpr int kOldestDriver = 580;        // the first that runs CUDA 13
constexpr double kLeastCapability = 8.0;  // what the kernels are compiled for
constexpr const char* kPage = "docs/install.md, A node with GPUs";

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// A field of nvidia-smi --query-gpu for each GPU; nothing if it does not tell.
std::optional<std::vector<std::string>> query(const std::string& field) {
  auto lines = lines_of("nvidia-smi --query-gpu=" + field + " --format=csv,noheader,nounits");
  if (!lines || lines->empty()) return std::nullopt;
  for (auto& line : *lines) line = trimmed(line);
  return lines;
}

std::optional<double> number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

class GpuExamination {
 public:
  GpuExamination(const config::Config& config, const GpuPlaces& places) : config_(config), places_(places) {}

  std::vector<Finding> run() {
    if (!driver_is_there()) return std::move(findings_);
    const auto names = query("name");
    if (!names) {
      unknown("GPUs", "nvidia-smi does not answer", "run nvidia-smi by hand: it says what the driver lacks");
      return std::move(findings_);
    }
    add("GPUs", Verdict::good, joined(*names));
    driver_version();
    capability();
    memory_to_pin();
    numa();
    mig();
    persistence();
    fabric();
    return std::move(findings_);
  }

 private:
  void add(std::string subject, Verdict verdict, std::string text, std::string remedy = "") {
    findings_.push_back({std::move(subject), verdict, std::move(text), std::move(remedy)});
  }
  void unknown(const std::string& subject, const std::string& why, const std::string& remedy) {
    add(subject, Verdict::warning, "not known: " + why, remedy);
  }

  bool driver_is_there() {
    const bool wanted = std::any_of(config_.engine.devices.begin(), config_.engine.devices.end(),
                                    [](const std::string& name) { return name.starts_with("cuda"); });
    if (!fs::exists(places_.driver_device)) {
      if (wanted) {
        add("devices", Verdict::bad,
            "engine.devices names a CUDA device, and this machine has no " + places_.driver_device,
            "install the driver, or set engine.devices: cpu; in a container: nvidia-container-toolkit");
      } else {
        add("devices", Verdict::good, "no CUDA device here: the processor is used");
      }
      return false;
    }
    if (::access(places_.driver_device.c_str(), R_OK | W_OK) != 0) {
      add("devices", Verdict::bad, places_.driver_device + " may not be opened by this user",
          "add the user to the group of the device (video, render)");
      return false;
    }
    std::ifstream file(places_.driver_version);
    std::string line;
    std::getline(file, line);
    add("devices", Verdict::good, "CUDA driver is there: " + (line.empty() ? "version not known" : line));
    return true;
  }

  void driver_version() {
    const auto versions = query("driver_version");
    const auto major = versions ? number(versions->front()) : std::nullopt;
    const std::string wanted = std::to_string(kOldestDriver) + " or later is needed for CUDA 13";
    if (!major) return unknown("GPU driver", "nvidia-smi names no version; " + wanted, kPage);
    const bool good = *major >= kOldestDriver;
    add("GPU driver", good ? Verdict::good : Verdict::bad, versions->front() + (good ? "" : "; " + wanted),
        good ? "" : "install a newer driver");
  }

  void capability() {
    const auto all = query("compute_cap");
    if (!all) return unknown("GPU capability", "nvidia-smi does not tell it; 8.0 or later is needed", kPage);
    std::vector<std::string> older;
    for (std::size_t i = 0; i < all->size(); ++i) {
      const auto value = number((*all)[i]);
      if (!value) return unknown("GPU capability", "nvidia-smi says " + (*all)[i] + "; 8.0 or later is needed", kPage);
      if (*value < kLeastCapability) older.push_back("GPU " + std::to_string(i) + " has " + (*all)[i]);
    }
    if (older.empty()) return add("GPU capability", Verdict::good, joined(*all));
    add("GPU capability", Verdict::bad, joined(older) + "; 8.0 or later is needed",
        "name the others in engine.devices, or set engine.devices: cpu");
  }

  void memory_to_pin() {
    const std::uint64_t pool = shm::PoolOffsets(config_.geometry()).total;
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return unknown("memory to pin", "getrlimit failed", "ulimit -l");
    if (limit.rlim_cur == RLIM_INFINITY || ::geteuid() == 0)
      return add("memory to pin", Verdict::good, "ulimit -l does not bound the pool of " + human_bytes(pool));
    const bool good = limit.rlim_cur >= pool;
    add("memory to pin", good ? Verdict::good : Verdict::warning,
        "the pool takes " + human_bytes(pool) + ", ulimit -l is " + human_bytes(limit.rlim_cur) + " here",
        good ? ""
             : "LimitMEMLOCK=infinity in the unit, ulimit -l, or --ulimit memlock=-1 of a container: else copies are "
               "staged");
  }

  // nvidia-smi writes 00000000:3B:00.0, /sys 0000:3b:00.0.
  std::optional<std::string> node_of(std::string bus) const {
    if (bus.size() > 12) bus = bus.substr(bus.size() - 12);
    std::transform(bus.begin(), bus.end(), bus.begin(),
                   [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
    std::ifstream file(places_.pci_devices + "/" + bus + "/numa_node");
    std::string node;
    if (!(file >> node) || node == "-1") return std::nullopt;
    return node;
  }

  void numa() {
    const auto buses = query("pci.bus_id");
    if (!buses) return unknown("GPU NUMA node", "nvidia-smi does not tell the bus", kPage);
    std::vector<std::string> nodes;
    bool several = false;
    for (const auto& bus : *buses) {
      const auto node = node_of(bus);
      nodes.push_back(node ? "node" + *node : "not known");
      several = several || (node && *node != "0");
    }
    if (std::all_of(nodes.begin(), nodes.end(), [](const std::string& node) { return node == "not known"; }))
      return unknown("GPU NUMA node", "the kernel does not tell it (one node, or a virtual machine)", "");
    const bool unbound = several && config_.engine.cpus.empty();
    add("GPU NUMA node", unbound ? Verdict::warning : Verdict::good, joined(nodes),
        unbound ? "bind each worker beside its GPU: engine.cpus: [" + joined(nodes) + "]" : "");
  }

  void mig() {
    const auto modes = query("mig.mode.current");
    if (!modes) return unknown("MIG", "nvidia-smi does not tell it", kPage);
    const bool on = std::find(modes->begin(), modes->end(), "Enabled") != modes->end();
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    const bool named = visible != nullptr && std::string(visible).find("MIG-") != std::string::npos;
    if (!on) return add("MIG", Verdict::good, "off");
    add("MIG", named ? Verdict::good : Verdict::warning,
        std::string("on, CUDA_VISIBLE_DEVICES is ") + (visible != nullptr ? visible : "not set"),
        named ? "" : "set CUDA_VISIBLE_DEVICES to one MIG-UUID (nvidia-smi -L) for each daemon; cuda:0 is that part");
  }

  void persistence() {
    const auto modes = query("persistence_mode");
    if (!modes) return unknown("GPU persistence", "nvidia-smi does not tell it", kPage);
    const bool off = std::find(modes->begin(), modes->end(), "Disabled") != modes->end();
    add("GPU persistence", off ? Verdict::warning : Verdict::good, off ? "off: each start waits for the driver" : "on",
        off ? "systemctl enable --now nvidia-persistenced, or nvidia-smi -pm 1" : "");
  }

  // GPUs behind an NVSwitch cannot be used before the fabric manager has made the fabric: CUDA answers 802.
  void fabric() {
    const auto states = query("fabric.state");
    if (!states)
      return unknown("GPU fabric", "nvidia-smi does not tell it",
                     "with NVSwitch: systemctl status nvidia-fabricmanager");
    const bool waits = std::any_of(states->begin(), states->end(),
                                   [](const std::string& one) { return one == "Not Started" || one == "In Progress"; });
    add("GPU fabric", waits ? Verdict::bad : Verdict::good, joined(*states),
        waits ? "systemctl start nvidia-fabricmanager, of the driver's own version" : "");
  }

  const config::Config& config_;
  const GpuPlaces& places_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> examine_gpus(const config::Config& config, const GpuPlaces& places) {
  return GpuExamination(config, places).run();
}

}  // namespace peaknet::ctl
