#include "config/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "config/unit_folders.hpp"

namespace peaknet::config {
namespace {

using testing::HasSubstr;

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& text) {
    const std::string name = (folder_ / "mfx.yaml").string();
    std::ofstream(name) << text;
    return name;
  }
  Result<Config> from(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return load(file(text), overrides);
  }
  Error refused(const std::string& text, const std::vector<std::string>& overrides = {}) {
    auto config = from(text, overrides);
    if (config) {
      ADD_FAILURE() << "was taken: " << text;
      return {};
    }
    EXPECT_FALSE(config.error().remedy.empty()) << config.error().text();
    return config.error();
  }

  std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("peaknet_config_" + std::to_string(::getpid()));
};

// For every key: a value that is not its default, as it is written, and one that must be refused.
struct Sample {
  std::string good, bad;
};
const std::map<std::string, Sample>& samples() {
  static const std::map<std::string, Sample> all = {
      {"instance", {"mfx_2", "a.b"}},
      {"autostart", {"false", "maybe"}},
      {"pool.slots", {"16", "1"}},
      {"pool.shape", {"[8, 512, 1024]", "[512, 512]"}},
      {"pool.dtype", {"float32", "uint8"}},
      {"pool.full", {"drop_oldest", "drop"}},
      {"pool.group", {"peaknet", "[a]"}},
      {"pool.mode", {"\"0640\"", "\"0666\""}},
      {"pool.hugepages", {"transparent", "yes"}},
      {"pool.folder", {"/dev/hugepages", "[a]"}},
      {"pool.numa_node", {"\"1\"", "all"}},
      {"pool.lock", {"true", "maybe"}},
      {"engine.devices", {"[\"cuda:0\", \"cuda:1\"]", "[auto, cpu]"}},
      {"engine.depth", {"5", "9"}},
      {"engine.batch", {"16", "0"}},
      {"engine.max_delay_ms", {"2.5", "-1"}},
      {"engine.stuck_seconds", {"0.5", "-1"}},
      {"engine.cpus", {"[\"0-3,8\", node1, \"\"]", "[all]"}},
      {"engine.precision", {"bfloat16", "fp16"}},
      {"engine.cpu_threads", {"2", "two"}},
      {"engine.memory_fraction", {"0.25", "1.5"}},
      {"shedding.enabled", {"true", "maybe"}},
      {"shedding.raise_at", {"0.9", "1.5"}},
      {"shedding.raise_seconds", {"0.5", "-1"}},
      {"shedding.lower_at", {"0.2", "1"}},
      {"shedding.lower_seconds", {"60", "-1"}},
      {"shedding.model", {"/models/small.pt", "[x]"}},
      {"shedding.keep_one_of", {"4", "0"}},
      {"model.path", {"/models/contrast.pt", "[x]"}},
      {"model.allow", {"[" + std::string(64, 'a') + "]", "[abc]"}},
      {"preprocess.normalize", {"instance", "batch"}},
      {"preprocess.pad", {"center", "left"}},
      {"preprocess.multiple", {"64", "0"}},
      {"preprocess.pedestal", {"\"/calib/dark.h5:/pedestal\"", "dark.h5"}},
      {"preprocess.gain", {"\"/calib/gain.h5:gain\"", "\":gain\""}},
      {"preprocess.bad_pixels", {"\"/calib/bad.h5:/bad\"", "\"bad.h5:\""}},
      {"peaks.min_num_peak", {"3", "-3"}},
      {"peaks.max_num_peak", {"100", "0"}},
      {"peaks.centroid", {"weighted", "1"}},
      {"output.dir", {"/data/out", "\"\""}},
      {"output.file_prefix", {"run", "a/b"}},
      {"output.run_name", {"\"{proposal}_{run}\"", "\"{proposal}\""}},
      {"output.events_per_file", {"1000", "1e3"}},
      {"output.max_seconds", {"30", "0"}},
      {"output.images", {"none", "all"}},
      {"output.segmentation", {"true", "maybe"}},
      {"output.compression", {"bitshuffle-lz4", "gzip"}},
      {"output.geometry", {"/geom/mfx.geom", "{a: b}"}},
      {"output.sensor_material", {"CdTe", "Ge"}},
      {"output.sensor_thickness_um", {"500", "0"}},
      {"output.threads", {"8", "0"}},
      {"output.durable_ms", {"250", "nan"}},
      {"output.stop_seconds", {"20", "-1"}},
      {"output.sums", {"false", "some"}},
      {"output.keep_cached", {"true", "maybe"}},
      {"live.crystfel", {"\"tcp://0.0.0.0:12400\"", "\"ipc:///x\""}},
      {"live.simplon", {"\"bind tcp://0.0.0.0:12323\"", "\"tcp://0.0.0.0:12323\""}},
      {"live.simplon_names", {"main", "old"}},
      {"live.simplon_lead", {"true", "maybe"}},
      {"live.order", {"newest", "oldest"}},
      {"live.keep", {"20", "0"}},
      {"live.state_dir", {"/var/lib/live", "{a: b}"}},
      {"feed.endpoints", {"[\"bind tcp://0.0.0.0:12321\", \"connect tcp://host:1\"]", "[\"tcp://host:1\"]"}},
      {"feed.wavelength_unit", {"angstrom", "m"}},
      {"feed.idle_seconds", {"2.5", "-0.1"}},
      {"feed.columns",
       {"[{name: laser_on, from: \"evr:laser\", dataset: /LCLS/laser, dtype: uint8, length: 0, unit: \"\", unknown: "
        "255}]",
        "[{name: laser_on, dtype: bool}]"}},
      {"control.endpoint", {"\"ipc:///run/x/ctl\"", "\"ipc://ctl\""}},
      {"control.monitor", {"\"ipc:///run/x/mon\"", "udp"}},
      {"control.curve_key", {"/etc/peaknet/mfx.key", "[x]"}},
      {"control.curve_clients", {"/etc/peaknet/clients", "[x]"}},
      {"control.curve_server", {"\"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"", "[x]"}},
      {"control.curve_client_key", {"/home/anna/.peaknet.key", "[x]"}},
      {"log.level", {"debug", "loud"}},
  };
  return all;
}

std::string as_yaml(const std::string& key, const std::string& value) {
  const auto dot = key.find('.');
  return dot == std::string::npos ? key + ": " + value + "\n"
                                  : key.substr(0, dot) + ":\n  " + key.substr(dot + 1) + ": " + value + "\n";
}

// The line of to_yaml that a key has.
std::string line_of(const Config& config, const std::string& key) {
  std::istringstream lines(to_yaml(config));
  const auto dot = key.find('.');
  const std::string section = dot == std::string::npos ? "" : key.substr(0, dot) + ":";
  const std::string leaf = dot == std::string::npos ? key + ": " : "  " + key.substr(dot + 1) + ": ";
  bool inside = section.empty();
  for (std::string line; std::getline(lines, line);) {
    if (line == section) inside = true;
    if (inside && line.starts_with(leaf)) return line.substr(leaf.size());
  }
  return "absent";
}

TEST_F(ConfigFile, every_key_has_a_sample_here) {
  for (const auto& key : documented_keys()) EXPECT_EQ(samples().count(key.key), 1U) << key.key;
  EXPECT_EQ(samples().size(), documented_keys().size());
}

TEST_F(ConfigFile, every_key_is_read_from_the_file) {
  for (const auto& [key, sample] : samples()) {
    const auto config = from(as_yaml(key, sample.good));
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(line_of(*config, key), sample.good) << key;
  }
}

TEST_F(ConfigFile, every_key_can_be_set_on_the_command_line) {
  for (const auto& [key, sample] : samples()) {
    const auto config = from("", {key + "=" + sample.good});
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(line_of(*config, key), sample.good) << key;
  }
}

TEST_F(ConfigFile, every_key_refuses_a_wrong_value_by_name_and_line_and_says_what_is_allowed) {
  for (const auto& [key, sample] : samples()) {
    const Error error = refused("# a comment\n" + as_yaml(key, sample.bad));
    EXPECT_EQ(error.id, "config.bad-value") << key;
    const std::string line = key.find('.') == std::string::npos ? ":2: " : ":3: ";
    EXPECT_THAT(error.what, HasSubstr("mfx.yaml" + line + key + " is ")) << key;
    EXPECT_THAT(error.remedy, HasSubstr("allowed: ")) << key;
  }
}

TEST_F(ConfigFile, an_empty_file_and_no_file_are_the_defaults) {
  const auto none = load("", {});
  const auto empty = from("");
  const auto comment = from("# nothing\npool:\n");
  ASSERT_TRUE(none && empty && comment);
  EXPECT_EQ(none->pool.slots, 64U);
  EXPECT_EQ(none->geometry().pixels(), 512U * 512U);
  EXPECT_EQ(empty->engine.depth, 3U);
  EXPECT_EQ(comment->engine.devices, std::vector<std::string>{"auto"});
}

TEST_F(ConfigFile, what_is_written_out_reads_back_as_the_same) {
  std::string text;
  std::string section;
  for (const auto& key : documented_keys()) {
    const auto dot = key.key.find('.');
    const std::string its_section = dot == std::string::npos ? "" : key.key.substr(0, dot);
    if (its_section != section) text += (section = its_section) + ":\n";
    text += (section.empty() ? "" : "  ") + key.key.substr(dot == std::string::npos ? 0 : dot + 1) + ": " +
            samples().at(key.key).good + "\n";
  }
  const auto config = from(text);
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(to_yaml(*config), text);
  const auto again = from(to_yaml(*config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(to_yaml(*again), text);
}

TEST_F(ConfigFile, odd_texts_survive_the_round_trip) {
  for (const std::string path : {"/a b/c", "/with # hash", "/quote\"s", "/ümlaut", "/colon: x", "/back\\slash", "/~"}) {
    Config config = *load("", {});
    config.model.path = path;
    const auto again = from(to_yaml(config));
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->model.path, path);
  }
  for (const std::string group : {"true", "null", "12", "1e3", "no", ""}) {
    Config config = *load("", {});
    config.pool.group = group;
    const auto again = from(to_yaml(config));
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->pool.group, group);
  }
}

TEST_F(ConfigFile, an_unknown_key_is_refused_with_the_nearest_known_one) {
  Error error = refused("pool:\n  slot: 12\n");
  EXPECT_EQ(error.id, "config.unknown-key");
  EXPECT_THAT(error.what, HasSubstr("mfx.yaml:2: there is no key 'pool.slot' (did you mean 'pool.slots'?)"));
  EXPECT_THAT(refused("enigne:\n  depth: 3\n").what, HasSubstr("(did you mean 'engine'?)"));
  EXPECT_THAT(refused("depth: 3\n").what, HasSubstr("(did you mean 'engine.depth'?)"));
  EXPECT_THAT(refused("pool:\n  depth: 3\n").what, HasSubstr("(did you mean 'engine.depth'?)"));
  EXPECT_THAT(refused("pool.slots: 3\n").remedy, HasSubstr("write 'pool:'"));
  error = refused("completely_different: 1\n");
  EXPECT_THAT(error.what, HasSubstr(":1: there is no key 'completely_different'"));
  EXPECT_THAT(error.remedy, HasSubstr("docs/configuration.md"));
}

TEST_F(ConfigFile, an_unknown_key_on_the_command_line_is_refused_the_same_way) {
  EXPECT_THAT(refused("", {"engine.deth=3"}).what,
              HasSubstr("--set engine.deth=3: there is no key 'engine.deth' (did you mean 'engine.depth'?)"));
  EXPECT_EQ(refused("", {"engine.depth"}).id, "config.bad-override");
  EXPECT_EQ(refused("", {"=3"}).id, "config.bad-override");
  EXPECT_EQ(refused("", {"engine=3"}).id, "config.bad-override");
  EXPECT_EQ(refused("", {"engine.depth=[1"}).id, "config.syntax");
  EXPECT_EQ(refused("", {"engine.depth="}).id, "config.bad-value");
}

TEST_F(ConfigFile, overrides_win_over_the_file_and_later_over_earlier) {
  const auto config = from("engine:\n  depth: 2\n  batch: 4\n", {"engine.depth=5", "engine.depth=6"});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->engine.depth, 6U);
  EXPECT_EQ(config->engine.batch, 4U);
}

TEST_F(ConfigFile, broken_yaml_is_refused_with_its_line) {
  const Error error = refused("pool:\n  slots: 12\n bad\n");
  EXPECT_EQ(error.id, "config.syntax");
  EXPECT_THAT(error.what, testing::ContainsRegex("mfx.yaml:[0-9]+: "));
  EXPECT_NE(refused("pool:\n\tslots: 4\n").what.find(":2: a tab stands before the key"), std::string::npos);
  EXPECT_EQ(refused("- a\n- b\n").id, "config.syntax");
  EXPECT_EQ(refused("just text\n").id, "config.syntax");
  EXPECT_EQ(refused("[a]: 1\n").id, "config.syntax");
  EXPECT_EQ(refused("pool: 3\n").id, "config.bad-value");
}

TEST_F(ConfigFile, a_key_that_stands_twice_is_refused) {
  const Error error = refused("pool:\n  slots: 12\n  slots: 13\n");
  EXPECT_EQ(error.id, "config.syntax");
  EXPECT_THAT(error.what, HasSubstr(":3: 'pool.slots' stands here again"));
  EXPECT_EQ(refused("pool:\n  slots: 12\npool:\n  slots: 13\n").id, "config.syntax");
}

TEST_F(ConfigFile, a_file_that_cannot_be_read_is_named) {
  auto missing = load((folder_ / "absent.yaml").string(), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().id, "config.unreadable");
  EXPECT_THAT(missing.error().what, HasSubstr("absent.yaml: No such file"));
  auto is_folder = load(folder_.string(), {});
  ASSERT_FALSE(is_folder);
  EXPECT_EQ(is_folder.error().id, "config.unreadable");
  const std::string pipe = folder_ / "pipe.yaml";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(load(pipe, {}).error().what, HasSubstr("it is a pipe")) << "and nobody waits for its writer";
  EXPECT_THAT(load("/dev/zero", {}).error().what, HasSubstr("more than 4.00 MiB"));
}

TEST_F(ConfigFile, devices_may_be_one_or_a_list) {
  EXPECT_EQ(from("engine: {devices: cpu}")->engine.devices, std::vector<std::string>{"cpu"});
  EXPECT_EQ(from("engine: {devices: [cpu, cpu]}")->engine.devices, (std::vector<std::string>{"cpu", "cpu"}));
  EXPECT_EQ(from("engine: {devices: cuda:3}")->engine.devices, std::vector<std::string>{"cuda:3"});
  for (const char* bad : {"[]", "gpu", "cuda", "\"cuda:\"", "\"cuda:x\"", "[\"cuda:0\", \"cuda:0\"]", "[auto, auto]"}) {
    refused(std::string("engine:\n  devices: ") + bad + "\n");
  }
}

TEST_F(ConfigFile, the_file_mode_is_octal_however_it_is_written) {
  EXPECT_EQ(from("pool: {mode: 0660}")->pool.mode, 0660U);
  EXPECT_EQ(from("pool: {mode: \"640\"}")->pool.mode, 0640U);
  for (const char* bad : {"0o660", "888", "0060", "0777", "0662", "\"\""})
    refused(std::string("pool: {mode: ") + bad + "}");
}

TEST_F(ConfigFile, numbers_are_what_a_person_would_call_one) {
  for (const char* bad : {"0x10", "1.0", "1_000", "+5", "4294967296", "-1", "5 "}) {
    const auto config = from(std::string("pool: {slots: \"") + bad + "\"}");
    EXPECT_FALSE(config) << bad;
  }
  EXPECT_EQ(from("output: {max_seconds: 1.5e1}")->output.max_seconds, 15.0);
}

TEST_F(ConfigFile, values_that_do_not_fit_each_other_are_refused) {
  EXPECT_THAT(refused("peaks: {min_num_peak: 20, max_num_peak: 10}").remedy,
              HasSubstr("at most peaks.max_num_peak, which is 10"));
  EXPECT_THAT(refused("pool: {shape: [1024, 32768, 32768]}").what, HasSubstr("larger than"));
  refused("control: {endpoint: \"ipc:///run/x\", monitor: \"ipc:///run/x\"}");
}

TEST_F(ConfigFile, relative_paths_are_taken_from_the_folder_of_the_file) {
  const auto config = from("model: {path: m/contrast.pt}\noutput: {dir: ../out, geometry: mfx.geom}\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->model.path, (folder_ / "m/contrast.pt").string());
  EXPECT_EQ(config->output.dir, (folder_.parent_path() / "out").string());
  EXPECT_EQ(config->output.geometry, (folder_ / "mfx.geom").string());
  EXPECT_EQ(from("model: {path: \"builtin:threshold=100\"}")->model.path, "builtin:threshold=100");
  EXPECT_EQ(from("")->model.path, "");
  EXPECT_EQ(from("output: {dir: /data}")->output.dir, "/data");
}

TEST_F(ConfigFile, files_go_where_the_unit_may_write_if_nothing_else_is_said_and_tools_outside_of_it_know_where) {
  EXPECT_EQ(from("instance: mfx\n")->output.dir, (folder_ / "peaknet_output").string());
  EXPECT_EQ(output_folder("/etc/peaknet/cxi.yaml"), "/var/lib/peaknet/cxi") << "the name of the file is the unit's";
  EXPECT_EQ(output_folder("/home/anna/etc/peaknet/cxi.yaml"), "/home/anna/etc/peaknet/peaknet_output");
  ::setenv("STATE_DIRECTORY", "/var/lib/peaknet/mfx:/var/lib/more", 1);
  EXPECT_EQ(from("instance: mfx\n")->output.dir, "/var/lib/peaknet/mfx");
  EXPECT_EQ(from("output: {dir: /data}")->output.dir, "/data");
  ::unsetenv("STATE_DIRECTORY");
}

TEST_F(ConfigFile, empty_endpoints_get_their_place_in_the_runtime_folder) {
  ::setenv("RUNTIME_DIRECTORY", "/run/somewhere:/run/else", 1);
  const auto config = from("instance: mfx\n");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->control.endpoint, "ipc:///run/somewhere/ctl");
  EXPECT_EQ(config->control.monitor, "ipc:///run/somewhere/mon");
  ::unsetenv("RUNTIME_DIRECTORY");
  if (::geteuid() == 0) {
    EXPECT_EQ(runtime_folder("mfx"), "/run/peaknet/mfx");
  }
}

// Root has a place of its own, so this is asked in a child that is nobody. "FOLDER|WHY".
std::string without_root(const std::string& session) {
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setresuid(64321, 64321, 64321) != 0) ::_exit(1);
    ::unsetenv("RUNTIME_DIRECTORY");
    ::setenv("XDG_RUNTIME_DIR", session.c_str(), 1);
    const std::string said = runtime_folder("mfx") + "|" + why_no_session_folder();
    static_cast<void>(!::write(ends[1], said.data(), said.size()));
    ::_exit(0);
  }
  ::close(ends[1]);
  std::array<char, 1024> said{};
  const ssize_t size = ::read(ends[0], said.data(), said.size());
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return {said.data(), size > 0 ? static_cast<std::size_t>(size) : 0U};
}

TEST_F(ConfigFile, a_session_folder_that_cannot_be_used_is_passed_over_and_named) {
  const uid_t user = ::geteuid() == 0 ? 64321 : ::geteuid();
  const std::string fallback = "/tmp/peaknet-" + std::to_string(user) + "/mfx|XDG_RUNTIME_DIR is ";
  EXPECT_EQ(without_root("/run/user/nowhere"),
            fallback + "/run/user/nowhere, which cannot be looked at: No such file or directory");
  EXPECT_EQ(without_root("/"), fallback + "/, which belongs to uid 0");
  const std::string own = (folder_ / "own").string();
  std::filesystem::create_directory(own);
  ASSERT_EQ(::chown(own.c_str(), user, static_cast<gid_t>(-1)), 0);
  EXPECT_EQ(without_root(own), own + "/peaknet/mfx|");
  ASSERT_EQ(::chmod(own.c_str(), 0500), 0);
  EXPECT_EQ(without_root(own), fallback + own + ", which cannot be written: Permission denied");
  EXPECT_EQ(without_root(""), "/tmp/peaknet-" + std::to_string(user) + "/mfx|") << "it is not set: nothing to say";
}

TEST_F(ConfigFile, a_column_has_defaults_for_all_but_its_name) {
  const auto config = from("feed: {columns: [{name: delay}, {name: codes, dtype: uint16, length: 256, unknown: 7}]}");
  ASSERT_TRUE(config) << config.error().text();
  const auto& [table, sources] = config->feed.columns;
  ASSERT_EQ(table.size(), 2U);
  EXPECT_EQ(table[0].dataset, "/LCLS/delay");
  EXPECT_EQ(table[0].type, shm::ColumnType::float64);
  EXPECT_EQ(table[0].unknown, shm::usual_unknown(shm::ColumnType::float64));
  EXPECT_EQ(table[1].bytes(), 512U);
  EXPECT_EQ(table[1].unknown[0], std::byte{7});
  EXPECT_THAT(sources, testing::ElementsAre("delay", "codes"));
  EXPECT_EQ(config->geometry().columns, 2U);
  EXPECT_EQ(config->geometry().side_bytes, table.side_bytes());
  EXPECT_EQ(Config{}.geometry().side_bytes, 0U);
  const auto again = from(to_yaml(*config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->feed.columns.table, table);
  EXPECT_EQ(again->feed.columns.from, sources);
}

TEST_F(ConfigFile, a_column_that_cannot_be_is_refused_with_what_is_allowed) {
  const auto remedy = [&](const std::string& columns) { return refused("feed: {columns: [" + columns + "]}").remedy; };
  EXPECT_THAT(remedy("{name: a, datset: /LCLS/a}"), HasSubstr("did you mean 'dataset'?"));
  EXPECT_THAT(remedy("{dtype: uint8}"), HasSubstr("`name`"));
  EXPECT_THAT(remedy("{name: a, dtype: bool}"), HasSubstr("uint8"));
  EXPECT_THAT(remedy("{name: a, dtype: uint8, unknown: 0}"), HasSubstr("other than 0"));
  EXPECT_THAT(remedy("{name: a, dtype: uint8, unknown: 256}"), HasSubstr("uint8"));
  EXPECT_THAT(remedy("{name: a, dtype: uint8, unknown: nan}"), HasSubstr("uint8"));
  EXPECT_THAT(remedy("{name: a, dataset: /LCLS/photon_energy_eV}"), HasSubstr("things of its own"));
  EXPECT_THAT(remedy("{name: a, dataset: /LCLS/detector_1}"), HasSubstr("things of its own"));
  EXPECT_THAT(remedy("{name: a, dataset: /entry_1/result_1/nPeaks}"), HasSubstr("things of its own"));
  EXPECT_THAT(remedy("{name: a}, {name: a}"), HasSubstr("two columns"));
  EXPECT_THAT(remedy("{name: a, length: 65537}"), HasSubstr("65536"));
  EXPECT_THAT(remedy("laser_on"), HasSubstr("[{name: laser_on"));
}

}  // namespace
}  // namespace peaknet::config
