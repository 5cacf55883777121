#include "tests/integration/system.hpp"

#include <hdf5.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "tests/support/instance.hpp"

namespace peaknet::test {
namespace {

namespace fs = std::filesystem;

std::vector<hsize_t> dimensions(hid_t dataset) {
  const hid_t space = H5Dget_space(dataset);
  std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  H5Sclose(space);
  return dims;
}

template <class T>
std::vector<T> read_all(hid_t file, const std::string& path, hid_t type) {
  const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (dataset < 0) throw std::runtime_error("no dataset " + path);
  std::size_t count = 1;
  for (const auto n : dimensions(dataset)) count *= n;
  std::vector<T> values(count);
  const bool good = H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0;
  H5Dclose(dataset);
  if (!good) throw std::runtime_error("cannot read " + path);
  return values;
}

std::vector<std::string> read_texts(hid_t file, const std::string& path) {
  const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
  if (dataset < 0) throw std::runtime_error("no dataset " + path);
  const hid_t type = H5Dget_type(dataset);
  const hid_t space = H5Dget_space(dataset);
  std::vector<char*> raw(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
  const bool good =
      H5Tis_variable_str(type) > 0 && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) >= 0;
  std::vector<std::string> texts;
  if (good) {
    for (const char* text : raw) texts.emplace_back(text);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
  }
  H5Sclose(space);
  H5Tclose(type);
  H5Dclose(dataset);
  if (!good) throw std::runtime_error("cannot read " + path);
  return texts;
}

}  // namespace

System::System(const Options& options) : instance_(TestInstance::unique_name()) {
  folder_ = fs::temp_directory_path() / ("peaknet-" + instance_);
  fs::create_directories(folder_);
  std::ofstream out(config());
  out << "instance: " << instance_ << "\n"
      << "pool: {slots: " << options.slots << ", shape: " << options.shape << ", dtype: " << options.dtype << "}\n"
      << "engine: {devices: cpu, batch: " << options.batch << ", depth: " << options.depth << "}\n"
      << "model: {path: \"" << options.model << "\"}\n"
      << "peaks: {min_num_peak: " << options.min_num_peak << "}\n"
      << "output: {dir: out, events_per_file: 50}\n"
      << "control: {endpoint: \"ipc://" << (folder_ / "ctl").string() << "\", monitor: \"ipc://"
      << (folder_ / "mon").string() << "\"}\n";
  for (const auto& line : options.more) out << line << "\n";
}

System::~System() {
  daemon_ = Child();
  writer_ = Child();
  remove_shared_memory(instance_);
  std::error_code ignored;  // a folder that cannot be removed is the next cleaning's business
  fs::remove_all(folder_, ignored);
}

Child System::launch(const std::string& program, std::vector<std::string> arguments,
                     const std::vector<std::string>& set, const std::vector<std::string>& environment) const {
  std::vector<std::string> command{bin_dir() + "/" + program};
  // Sentences in one line, so that tests find them; what fits a terminal is a matter of unit tests.
  std::vector<std::string> wide = environment;
  wide.emplace_back("COLUMNS=1000");
  if (program == "peaknet-feed") {  // its command comes first
    command.push_back(arguments.front());
    arguments.erase(arguments.begin());
  }
  command.insert(command.end(), {"--config", config()});
  for (const auto& value : set) command.insert(command.end(), {"--set", value});
  command.insert(command.end(), arguments.begin(), arguments.end());
  return Child::start(command, Child::Options{wide, folder_.string()});
}

Child System::run(const std::string& program, const std::vector<std::string>& arguments,
                  const std::vector<std::string>& set) const {
  Child child = launch(program, arguments, set);
  child.wait();
  return child;
}

Child& System::start_daemon(const std::vector<std::string>& set, const std::vector<std::string>& environment) {
  daemon_ = launch("peaknetd", {}, set, environment);
  const bool up = eventually([&] { return !daemon_.running() || ctl({"status"}).wait() == Exit::code(0); },
                             std::chrono::seconds(60));
  if (!up || !daemon_.running()) throw std::runtime_error("peaknetd did not come up: " + daemon_.err());
  const auto waited = ctl({"wait", "--for", "running", "--timeout", "60s"});
  if (!daemon_.running()) throw std::runtime_error("peaknetd ended: " + daemon_.err() + waited.err());
  return daemon_;
}

Child& System::start_writer(const std::vector<std::string>& set, const std::vector<std::string>& environment) {
  writer_ = launch("peaknet-writer", {}, set, environment);
  const auto pid = writer_.pid();
  const bool up = eventually([&] {
    if (!writer_.running()) return true;
    const auto stats_now = stats();
    return std::any_of(stats_now.at("writers").begin(), stats_now.at("writers").end(),
                       [&](const auto& writer) { return writer.at("pid") == pid; });
  });
  if (!up || !writer_.running()) throw std::runtime_error("peaknet-writer did not attach: " + writer_.err());
  return writer_;
}

nlohmann::json System::ctl_json(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{"--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto child = ctl(all);
  auto document = nlohmann::json::parse(child.out(), nullptr, false);
  if (document.is_discarded())
    throw std::runtime_error("peaknetctl " + arguments.front() + " printed no JSON: " + child.out() + child.err());
  return document;
}

std::vector<fs::path> System::files() const {
  std::vector<fs::path> found;
  if (!fs::exists(output())) return found;
  for (const auto& entry : fs::directory_iterator(output())) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".cxi") && !name.ends_with("_master.cxi")) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> System::unfinished() const {
  std::vector<fs::path> found;
  if (!fs::exists(output())) return found;
  for (const auto& entry : fs::directory_iterator(output())) {
    // A .ledger.new is a beginning that was cut off before it meant anything; writers remove it when it is old.
    const std::string end = entry.path().extension();
    if (end != ".cxi" && end != ".lst" && end != ".frames" && end != ".h5" && end != ".new")
      found.push_back(entry.path());
  }
  return found;
}

namespace {
std::string text_attribute(hid_t file, const char* group, const char* name) {
  const hid_t attribute = H5Aopen_by_name(file, group, name, H5P_DEFAULT, H5P_DEFAULT);
  if (attribute < 0) throw std::runtime_error(std::string("no attribute ") + name);
  const hid_t type = H5Aget_type(attribute);
  std::string text;
  if (H5Tis_variable_str(type) > 0) {
    char* value = nullptr;
    H5Aread(attribute, type, static_cast<void*>(&value));
    text = value == nullptr ? "" : value;
    H5free_memory(value);
  } else {
    text.resize(H5Tget_size(type));
    H5Aread(attribute, type, text.data());
    text.resize(std::min(text.find('\0'), text.size()));
  }
  H5Tclose(type);
  H5Aclose(attribute);
  return text;
}
}  // namespace

std::vector<System::Event> System::events_in_files() const {
  std::vector<Event> events;
  for (const auto& path : files()) {
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) throw std::runtime_error("a finished file does not open: " + path.string());
    const auto producers = read_all<std::uint64_t>(file, "/entry_1/peaknet/producer", H5T_NATIVE_UINT64);
    const auto sequences = read_all<std::uint64_t>(file, "/entry_1/peaknet/producer_seq", H5T_NATIVE_UINT64);
    const auto ids = read_all<std::uint64_t>(file, "/entry_1/peaknet/event_id", H5T_NATIVE_UINT64);
    const auto counts = read_all<int>(file, "/entry_1/result_1/nPeaks", H5T_NATIVE_INT);
    const auto x = read_all<float>(file, "/entry_1/result_1/peakXPosRaw", H5T_NATIVE_FLOAT);
    const auto y = read_all<float>(file, "/entry_1/result_1/peakYPosRaw", H5T_NATIVE_FLOAT);
    const auto runs = read_texts(file, "/entry_1/peaknet/run");
    const auto model = text_attribute(file, "/entry_1/peaknet", "model");
    const std::size_t most = producers.empty() ? 0 : x.size() / producers.size();
    for (std::size_t i = 0; i < producers.size(); ++i) {
      Event event{runs[i], {producers[i], sequences[i]}, ids[i], {}, {}, model};
      for (int k = 0; k < counts[i]; ++k) {
        event.x.push_back(x[i * most + static_cast<std::size_t>(k)]);
        event.y.push_back(y[i * most + static_cast<std::size_t>(k)]);
      }
      events.push_back(std::move(event));
    }
    H5Fclose(file);
  }
  return events;
}

std::map<FrameKey, int> System::frames_in_files() const {
  std::map<FrameKey, int> counts;
  for (const auto& event : events_in_files()) ++counts[event.key];
  return counts;
}

}  // namespace peaknet::test
