#include "config/keys.hpp"

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "config/column_list.hpp"
#include "config/key_access.hpp"
#include "config/run_name.hpp"

namespace peaknet::config {
namespace {

bool is_control_endpoint(const std::string& text) {
  return text.empty() || (text.starts_with("ipc:///") && text.size() > 7) ||
         (text.starts_with("tcp://") && text.size() > 6);
}

bool is_instance(const std::string& text) { return is_plain_name(text, 64) && text.find('.') == std::string::npos; }

// Adds keys to one section of the table.
class Section {
 public:
  Section(std::vector<Key>& table, const char* name) : table_(table), name_(name) {}
  void operator()(const char* leaf, Access access, const char* meaning) const {
    table_.push_back({name_, leaf, meaning, std::move(access.read), std::move(access.write)});
  }

 private:
  std::vector<Key>& table_;
  const char* name_;
};

constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();

bool is_node(const std::string& t) { return t.size() <= 3 && t.find_first_not_of("0123456789") == std::string::npos; }

bool a_file_name(const std::string& t) { return is_plain_name(t, 128); }

void program_keys(std::vector<Key>& table) {
  const Section add(table, "");
  add("instance",
      checked_text(
          [](auto& c) -> auto& { return c.instance; }, is_instance,
          "1 to 64 letters, digits, '_' or '-', not starting with '-'"),
      "Names the shared memory and the sockets; one peaknetd each.");
  add("autostart", boolean([](auto& c) -> auto& { return c.autostart; }),
      "The daemon goes to `running` by itself once the model is warm.");
}

void pool_keys(std::vector<Key>& table) {
  const Section add(table, "pool");
  add("slots",
      integer(
          [](auto& c) -> auto& { return c.pool.slots; }, kMinSlots, kMaxSlots),
      "Frames that the pool holds: those that wait and those in work. 2 to 4096.");
  add("shape", shape(), "Panels, height and width of a frame in pixels.");
  add("dtype",
      choice(
          [](auto& c) -> auto& { return c.pool.dtype; },
          Names<PixelType>{
              {"uint16", PixelType::uint16}, {"int16", PixelType::int16}, {"float32", PixelType::float32}}),
      "Type of the producers' pixels: `uint16`, `int16` or `float32`.");
  add("full",
      choice(
          [](auto& c) -> auto& { return c.pool.full; },
          Names<shm::FullPolicy>{{"block", shm::FullPolicy::block},
                                 {"drop_newest", shm::FullPolicy::drop_newest},
                                 {"drop_oldest", shm::FullPolicy::drop_oldest}}),
      "When no slot is free: `block` (the producer waits), `drop_newest` (the new frame is refused) or `drop_oldest` "
      "(the oldest frame in Q1 is dropped). Every drop is counted.");
  add("group", text([](auto& c) -> auto& { return c.pool.group; }),
      "Group that may attach to the shared memory and use the sockets; empty: that of the daemon.");
  add("mode", file_mode(), "Permissions of the shared memory and the sockets, in octal.");
  add("hugepages",
      choice(
          [](auto& c) -> auto& { return c.pool.hugepages; },
          Names<HugePages>{{"none", HugePages::none}, {"transparent", HugePages::transparent}}),
      "`transparent` asks the kernel for huge pages; where its policy for shared memory forbids them nothing changes.");
  add("folder", text([](auto& c) -> auto& { return c.pool.folder; }),
      "Folder on a tmpfs or hugetlbfs mount for the frames, instead of /dev/shm: for huge pages, or for a quota of "
      "their own.");
  add("numa_node",
      checked_text(
          [](auto& c) -> auto& { return c.pool.numa_node; }, is_node, "the number of a NUMA node, or \"\""),
      "Keep the frames on this NUMA node, best that of the GPU; empty: wherever the kernel puts them.");
  add("lock", boolean([](auto& c) -> auto& { return c.pool.lock; }),
      "Lock the frames into memory. Where that is not allowed the daemon warns and continues.");
}

void engine_keys(std::vector<Key>& table) {
  const Section add(table, "engine");
  add("devices", devices(),
      "`auto` (all GPUs; the CPU where there is no driver or no GPU; a driver that does not work is refused), `cpu`, "
      "or a list of `cpu`, `cuda:0`, `cuda:1`, ...");
  add("depth",
      integer(
          [](auto& c) -> auto& { return c.engine.depth; }, 1, kMaxDepth),
      "Lanes in flight per device (N-way buffering), 1 to 8. `peaknetctl rebuffer` changes it while frames flow.");
  add("batch",
      integer(
          [](auto& c) -> auto& { return c.engine.batch; }, 1, kMaxBatch),
      "Largest batch, in events, 1 to 256.");
  add("max_delay_ms",
      number(
          [](auto& c) -> auto& { return c.engine.max_delay_ms; }, 0, 60000),
      "A waiting frame is not held back longer than this for a fuller batch.");
  add("stuck_seconds",
      number(
          [](auto& c) -> auto& { return c.engine.stuck_seconds; }, 0, 86400),
      "A device that is not done with a batch after this time is stuck: it is given up, its frames go to the others. "
      "0: never. A call of the driver and a run of a warm-up may take four times as long, loading ten times (0: of 60 "
      "s).");
  add("cpus", cpus(),
      "Processors for the worker of each device, in their order: a list as `0-15`, a NUMA node as `node1`, or empty: "
      "any. Best those next to the GPU (`nvidia-smi topo -m`).");
  add("precision",
      choice(
          [](auto& c) -> auto& { return c.engine.precision; },
          Names<Precision>{
              {"float32", Precision::float32}, {"bfloat16", Precision::bfloat16}, {"float16", Precision::float16}}),
      "Arithmetic of the network: `float32`, `bfloat16` or `float16`.");
  add("memory_fraction",
      number(
          [](auto& c) -> auto& { return c.engine.memory_fraction; }, 0.01, 1),
      "`peaknetd tune` recommends no batch that takes more than this part of a device's memory.");
  add("cpu_threads",
      integer(
          [](auto& c) -> auto& { return c.engine.cpu_threads; }, 0, 1024),
      "Threads of one model run on the device `cpu`; 0: the processors that affinity mask and control groups leave.");
}

void shedding_keys(std::vector<Key>& table) {
  const Section add(table, "shedding");
  add("enabled", boolean([](auto& c) -> auto& { return c.shedding.enabled; }),
      "When more frames come than the devices can process: `false` lets them wait and holds producers back as "
      "`pool.full` says; `true` raises the level of shedding: no waiting for full batches, then the smaller model, then one frame "
      "of 2, 4, ... is processed and the others are skipped, named and counted as dropped{shed}.");
  add("raise_at",
      number(
          [](auto& c) -> auto& { return c.shedding.raise_at; }, 0.01, 1),
      "One level up when the backlog was above this for `raise_seconds`. Backlog: of the slots that are neither on a "
      "device nor with a writer, the part that waits for a device.");
  add("raise_seconds",
      number(
          [](auto& c) -> auto& { return c.shedding.raise_seconds; }, 0, 3600),
      "See `raise_at`.");
  add("lower_at",
      number(
          [](auto& c) -> auto& { return c.shedding.lower_at; }, 0, 0.99),
      "One level down when the backlog was below this for `lower_seconds`. Below `raise_at`.");
  add("lower_seconds",
      number(
          [](auto& c) -> auto& { return c.shedding.lower_seconds; }, 0, 3600),
      "See `lower_at`.");
  add("model", text([](auto& c) -> auto& { return c.shedding.model; }),
      "Smaller model for the second level, as `model.path`; it is loaded and checked at the start, beside the other. "
      "Empty: there is no such level.");
  add("keep_one_of",
      integer(
          [](auto& c) -> auto& { return c.shedding.keep_one_of; }, 1, 1024),
      "Highest level: of so many frames one is processed. 1: no frame is ever skipped.");
}

void model_keys(std::vector<Key>& table) {
  const Section add(table, "model");
  add("path", text([](auto& c) -> auto& { return c.model.path; }),
      "TorchScript file (`.pt`), compiled package (`.pt2`), or `builtin:identity`, `builtin:threshold=COUNTS`, "
      "`builtin:delay=MS`. `peaknetctl model load` changes it while frames flow, until the daemon ends.");
  add("allow", digests(),
      "SHA-256 of the model files that may be loaded, as a list of 64 hex digits each; empty: any file that others "
      "cannot write.");
}

void preprocess_keys(std::vector<Key>& table) {
  const Section add(table, "preprocess");
  add("normalize",
      choice(
          [](auto& c) -> auto& { return c.preprocess.normalize; },
          Names<Normalize>{{"none", Normalize::none}, {"instance", Normalize::instance}}),
      "`instance`: mean 0 and variance 1 over the padded event. `none`: raw counts.");
  add("pad",
      choice(
          [](auto& c) -> auto& { return c.preprocess.pad; },
          Names<PadStyle>{{"bottom-right", PadStyle::bottom_right}, {"center", PadStyle::center}}),
      "Where zero padding goes: `bottom-right` or `center`.");
  add("multiple",
      integer(
          [](auto& c) -> auto& { return c.preprocess.multiple; }, 1, 1024),
      "Height and width are padded to multiples of this.");
  add("pedestal", dataset([](auto& c) -> auto& { return c.preprocess.pedestal; }),
      "Subtracted from the counts of each pixel before the network sees them: `FILE:DATASET`, HDF5, in the shape of an "
      "event as panels (C, H, W) or stacked (C * H, W). Files keep the counts as they came.");
  add("gain", dataset([](auto& c) -> auto& { return c.preprocess.gain; }),
      "Multiplied by, after the pedestal: `FILE:DATASET`.");
  add("bad_pixels", dataset([](auto& c) -> auto& { return c.preprocess.bad_pixels; }),
      "Pixels that are not 0 here (NaN is not 0) count 0 for the network, are bad in files, in no peak, and refuse no "
      "frame of the feed: `FILE:DATASET`. A warning from 30 % on; all of them are refused.");
}

void peaks_keys(std::vector<Key>& table) {
  const Section add(table, "peaks");
  add("min_num_peak",
      integer(
          [](auto& c) -> auto& { return c.peaks.min_num_peak; }, 0, kMost),
      "Events with fewer peaks are filtered, and counted.");
  add("max_num_peak",
      integer(
          [](auto& c) -> auto& { return c.peaks.max_num_peak; }, 1, 1'000'000),
      "Of events with more peaks the strongest are kept, and the rest counted.");
  add("centroid",
      choice(
          [](auto& c) -> auto& { return c.peaks.centroid; },
          Names<Centroid>{{"unweighted", Centroid::unweighted}, {"weighted", Centroid::weighted}}),
      "Centre of a peak: mean of its pixels, `unweighted` or `weighted` by the intensities above zero.");
}

void output_name_keys(std::vector<Key>& table) {
  const Section add(table, "output");
  add("dir",
      checked_text(
          [](auto& c) -> auto& { return c.output.dir; }, [](const std::string& t) { return !t.empty(); }, "a folder"),
      "Folder of the CXI files. Where it is not given: `$STATE_DIRECTORY` if it is set (systemd does), else "
      "`/var/lib/peaknet/NAME` for `/etc/peaknet/NAME.yaml`, else `peaknet_output` beside the file.");
  add("file_prefix",
      checked_text(
          [](auto& c) -> auto& { return c.output.file_prefix; }, a_file_name,
          "1 to 128 letters, digits, '.', '_' or '-', not starting with '.' or '-'"),
      "First part of every file name.");
  add("run_name",
      checked_text(
          [](auto& c) -> auto& { return c.output.run_name; }, is_run_name, kRunNameForm),
      "What stands for the run in file names: `{run}`, its id, and where they are wanted `{run_number}`, `{proposal}` "
      "and `{user}`, which `peaknetctl start` takes; `unknown` where it was not told.");
}

void output_keys(std::vector<Key>& table) {
  const Section add(table, "output");
  add("events_per_file",
      integer(
          [](auto& c) -> auto& { return c.output.events_per_file; }, 1, 10'000'000),
      "A file is finished when it holds so many events.");
  add("max_seconds",
      number(
          [](auto& c) -> auto& { return c.output.max_seconds; }, 0, 86400, true),
      "An open file is finished after this time even if it is not full.");
  add("images",
      choice(
          [](auto& c) -> auto& { return c.output.images; },
          Names<Images>{{"hits", Images::hits}, {"none", Images::none}}),
      "`hits`: raw images beside the peaks. `none`: peaks alone.");
  add("segmentation", boolean([](auto& c) -> auto& { return c.output.segmentation; }),
      "`true`: the network's mask of each event, one byte a pixel, beside the peaks.");
  add("compression",
      choice(
          [](auto& c) -> auto& { return c.output.compression; },
          Names<Compression>{{"none", Compression::none}, {"bitshuffle-lz4", Compression::bitshuffle_lz4}}),
      "Compression of images and masks: `none` or `bitshuffle-lz4`.");
  add("threads",
      integer(
          [](auto& c) -> auto& { return c.output.threads; }, 1, 64),
      "Threads of a writer that compress images.");
  add("geometry", text([](auto& c) -> auto& { return c.output.geometry; }),
      "CrystFEL geometry file for the places of the panels; empty: panels are stacked.");
  add("sensor_material",
      checked_text(
          [](auto& c) -> auto& { return c.output.sensor_material; },
          [](const std::string& t) { return t == "Si" || t == "GaAs" || t == "CdTe"; }, "Si, GaAs or CdTe"),
      "What the detector's sensor is made of, for DIALS: it is in the NXmx tree of files with a geometry.");
  add("sensor_thickness_um",
      number(
          [](auto& c) -> auto& { return c.output.sensor_thickness_um; }, 1, 10000),
      "How thick it is, in micrometres: 320 is that of the JUNGFRAU, 500 that of ePix10k and CSPAD.");
}

// How files come to the disk, and what lies beside them.
void output_disk_keys(std::vector<Key>& table) {
  const Section add(table, "output");
  add("durable_ms",
      number(
          [](auto& c) -> auto& { return c.output.durable_ms; }, 1, 60000),
      "An event is on the disk, and its slot free again, at most about this long after it was written.");
  add("stop_seconds",
      number(
          [](auto& c) -> auto& { return c.output.stop_seconds; }, 0, 3600),
      "A writer that is asked to end continues for so long while frames are on their way to it; 0: it ends at once.");
  add("sums", boolean([](auto& c) -> auto& { return c.output.sums; }),
      "Virtual powder, sum and maximum of the hits of a run beside its files, and in its master at the end "
      "(docs/formats/sums.md): 16 bytes of memory a pixel, and at most 3 % of the writer's time.");
  add("keep_cached", boolean([](auto& c) -> auto& { return c.output.keep_cached; }),
      "`true`: images stay in this node's page cache when they are on the disk, for programs here that read them at "
      "once.");
}

void live_keys(std::vector<Key>& table) {
  const Section add(table, "live");
  const auto is_tcp = [](const std::string& t) {
    return t.starts_with("tcp://") && t.rfind(':') > 5 && t.back() != ':';
  };
  add("crystfel",
      checked_text(
          [](auto& c) -> auto& { return c.live.crystfel; },
          [=](const std::string& t) { return t.empty() || is_tcp(t); }, "tcp://HOST:PORT, or empty"),
      "Where `peaknet-live` listens to the workers of indexamajig (`--zmq-input`); empty: nowhere. They show no key: "
      "leave it to networks that you trust.");
  add("simplon",
      checked_text(
          [](auto& c) -> auto& { return c.live.simplon; },
          [=](const std::string& t) {
            const std::size_t space = t.find(' ');
            return t.empty() || ((t.starts_with("bind ") || t.starts_with("connect ")) && is_tcp(t.substr(space + 1)));
          },
          "\"bind tcp://0.0.0.0:12323\" or \"connect tcp://host:port\", or empty"),
      "Where `peaknet-live` passes hits on as Simplon messages (PUSH, for DIALS): `bind tcp://0.0.0.0:12323` or "
      "`connect tcp://host:port`; empty: nowhere.");
  add("simplon_names",
      choice(
          [](auto& c) -> auto& { return c.live.simplon_names; },
          Names<SimplonNames>{{"pr51", SimplonNames::pr51}, {"main", SimplonNames::main}}),
      "Names in these messages: `pr51`: `run_id`, `image_dtype`, `end` (lclstreamer's pull request 51). `main`: "
      "`run_number`, `run`, `dtype`, `stop`.");
  add("simplon_lead", boolean([](auto& c) -> auto& { return c.live.simplon_lead; }),
      "`true`: a byte `c` or `m` stands before each of them.");
  add("order",
      choice(
          [](auto& c) -> auto& { return c.live.order; },
          Names<LiveOrder>{{"all", LiveOrder::all}, {"newest", LiveOrder::newest}}),
      "`all`: every hit once, in the order of the files. `newest`: the newest hit first; old ones are skipped, and "
      "counted.");
  add("keep",
      integer(
          [](auto& c) -> auto& { return c.live.keep; }, 1, 10'000'000),
      "With `order: newest`, so many hits wait at most.");
  add("state_dir", text([](auto& c) -> auto& { return c.live.state_dir; }),
      "Folder of what `peaknet-live` writes: which hits it has served, and the geometry for indexamajig; empty: "
      "`live` in `$STATE_DIRECTORY` if that is set (systemd does), else in `output.dir`.");
}

void feed_keys(std::vector<Key>& table) {
  const Section add(table, "feed");
  add("endpoints", feed_endpoints(),
      "For `peaknet-feed listen`: `bind tcp://0.0.0.0:12321` or `connect tcp://host:port`.");
  add("wavelength_unit",
      choice(
          [](auto& c) -> auto& { return c.feed.wavelength_unit; },
          Names<WavelengthUnit>{{"nm", WavelengthUnit::nm}, {"angstrom", WavelengthUnit::angstrom}}),
      "Unit of the wavelengths that come in: `nm` or `angstrom`.");
  add("idle_seconds",
      number(
          [](auto& c) -> auto& { return c.feed.idle_seconds; }, 0, 1e6),
      "`listen` ends after this time without a message; 0: never.");
  add("columns", feed_columns(),
      "What is kept of an event beside image, time and energy: a list of `{name, from, dataset, dtype, length, unit, "
      "unknown}`; see below. The pool's slots become longer by it.");
}

void control_keys(std::vector<Key>& table) {
  const Section add(table, "control");
  const std::string an_endpoint = "ipc:///full/path of a socket, or empty for the default";
  add("endpoint",
      checked_text(
          [](auto& c) -> auto& { return c.control.endpoint; }, is_control_endpoint, an_endpoint),
      "Control socket; empty: `ctl` in the runtime folder.");
  add("monitor",
      checked_text(
          [](auto& c) -> auto& { return c.control.monitor; }, is_control_endpoint, an_endpoint),
      "Read-only control socket; empty: `mon` in the runtime folder.");
  add("curve_key", text([](auto& c) -> auto& { return c.control.curve_key; }),
      "For tcp:// sockets: file with peaknetd's secret key (mode 0400), or `credential:NAME` of systemd.");
  add("curve_clients", text([](auto& c) -> auto& { return c.control.curve_clients; }),
      "For tcp:// sockets: file with a line `PUBLICKEY NAME [read]` for each who may ask.");
  add("curve_server", text([](auto& c) -> auto& { return c.control.curve_server; }),
      "For tcp:// sockets, read by peaknetctl: peaknetd's public key.");
  add("curve_client_key", text([](auto& c) -> auto& { return c.control.curve_client_key; }),
      "For tcp:// sockets, read by peaknetctl: file with its secret key (mode 0400).");
}

void log_keys(std::vector<Key>& table) {
  const Section add(table, "log");
  add("level",
      choice(
          [](auto& c) -> auto& { return c.log.level; },
          Names<std::string>{
              {"trace", "trace"}, {"debug", "debug"}, {"info", "info"}, {"warn", "warn"}, {"error", "error"}}),
      "`trace`, `debug`, `info`, `warn` or `error`.");
}

std::vector<Key> make_keys() {
  std::vector<Key> table;
  for (const auto add : {program_keys, pool_keys, engine_keys, shedding_keys, model_keys, preprocess_keys, peaks_keys,
                         output_name_keys, output_keys, output_disk_keys, live_keys, feed_keys, control_keys, log_keys})
    add(table);
  return table;
}

}  // namespace

std::span<const Key> keys() {
  static const std::vector<Key> table = make_keys();
  return table;
}

}  // namespace peaknet::config
