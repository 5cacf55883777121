// Config: the one YAML file that serves peaknetd, peaknet-writer, peaknet-live, peaknet-feed and peaknetctl, as checked
// values.
//
// Every key has the default that stands here; docs/configuration.md is checked against `documented_keys()` by a test. A
// key that is not known is refused by name, with the nearest known one; a value of the wrong kind or out of range is
// refused with what is allowed, and the line of the file. Values given as `--set key=value` (dotted key, YAML value)
// win over the file. Reading happens once at the start of a program; a Config never changes afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "shm/columns.hpp"
#include "shm/geometry.hpp"
#include "shm/layout.hpp"

namespace peaknet::config {

enum class Precision { float32, bfloat16, float16 };
enum class Normalize { none, instance };
enum class PadStyle { bottom_right, center };
enum class Centroid { unweighted, weighted };
enum class Images { hits, none };
enum class Compression { none, bitshuffle_lz4 };
enum class HugePages { none, transparent };
enum class LiveOrder { all, newest };
enum class SimplonNames { pr51, main };
enum class WavelengthUnit { nm, angstrom };

// What is kept of an event beside image, time and energy.
struct FeedColumns {
  shm::ColumnTable table = {};
  // For each of them, where peaknet-feed finds it: the name of a field of messages, or a dataset of files.
  std::vector<std::string> from = {};
};

struct Config {
  std::string instance = "default";  // names the shared memory and the sockets: one daemon each

  struct Pool {
    std::uint32_t slots = 64;
    std::array<std::uint32_t, 3> shape{1, 512, 512};  // panels, height, width
    PixelType dtype = PixelType::uint16;
    shm::FullPolicy full = shm::FullPolicy::block;  // block | drop_newest | drop_oldest
    std::string group;                              // group that may attach; "": that of the daemon
    std::uint32_t mode = 0660;                      // written as octal text, "0660"
    HugePages hugepages = HugePages::none;          // none | transparent
    std::string folder;                             // a tmpfs or hugetlbfs mount for the frames; "": /dev/shm
    std::string numa_node;                          // its number: all frames on this node; "": wherever
    bool lock = false;                              // mlock
  } pool;

  struct Engine {
    std::vector<std::string> devices{"auto"};  // auto | cpu | a list of cpu, cuda:0, cuda:1, ...
    std::uint32_t depth = 3;                   // lanes in flight per device, 1..8
    std::uint32_t batch = 8;                   // largest batch in events, 1..256
    double max_delay_ms = 5.0;                 // a waiting frame is not held back longer than this for a fuller batch
    double stuck_seconds = 60.0;               // a batch that takes longer: its device is stuck, and lost; 0: never
    std::vector<std::string> cpus;             // where the workers run, one for each device: "0-15", "node1" or ""
    Precision precision = Precision::float32;  // float32 | bfloat16 | float16
    double memory_fraction = 0.5;              // of a device's memory, that peaknetd tune recommends at most
    std::uint32_t cpu_threads = 0;             // of one model run on the device cpu; 0: usable_processors()
  } engine;

  // What to leave out when more frames come than the devices can process.
  struct Shedding {
    bool enabled = false;
    double raise_at = 0.7, lower_at = 0.4;  // backlog: the part of the slots left to producers
    double raise_seconds = 2.0, lower_seconds = 10.0;
    std::string model;              // a smaller one, loaded at the start; "": none
    std::uint32_t keep_one_of = 8;  // at the highest level; 1: no frame is ever left out

    bool has_smaller_model() const { return enabled && !model.empty(); }
  } shedding;

  struct Model {
    // a TorchScript file (.pt), a compiled package (.pt2), or builtin:identity, builtin:threshold=COUNTS,
    // builtin:delay=MS
    std::string path;
    std::vector<std::string> allow;  // SHA-256 of the files that may be loaded; empty: any
  } model;

  struct Preprocess {
    Normalize normalize = Normalize::none;  // none | instance
    PadStyle pad = PadStyle::bottom_right;  // bottom-right | center
    std::uint32_t multiple = 32;            // height and width are zero-padded to multiples of this
    // Values of each pixel, as FILE:DATASET of HDF5, in the shape of the pool; "": nothing to do.
    std::string pedestal;    // is subtracted
    std::string gain;        // is multiplied by
    std::string bad_pixels;  // not 0 (as NaN): the pixel counts 0
  } preprocess;

  struct Peaks {
    std::uint32_t min_num_peak = 10;    // events with fewer peaks are filtered
    std::uint32_t max_num_peak = 2048;  // of events with more, the strongest are kept
    Centroid centroid = Centroid::unweighted;
  } peaks;

  struct Output {
    std::string dir = "peaknet_output";
    std::string file_prefix = "peaknet_cxi";
    std::string run_name = "{run}";  // what stands for the run in file names (run_name.hpp)
    std::uint32_t events_per_file = 100;
    double max_seconds = 60.0;                    // an open file is finished after this time even if it is not full
    Images images = Images::hits;                 // hits | none (peaks only)
    bool segmentation = false;                    // the network's masks beside the peaks
    Compression compression = Compression::none;  // none | bitshuffle-lz4
    std::uint32_t threads = 2;                    // that compress
    std::string geometry;                // CrystFEL geometry file for the panels' places; "": panels are stacked
    std::string sensor_material = "Si";  // Si | GaAs | CdTe, for the NXmx tree of files with a geometry
    double sensor_thickness_um = 320.0;
    // An event is on the disk, and its slot free again, at most about this long after it was written
    double durable_ms = 100.0;
    double stop_seconds = 60.0;  // how long a writer that is asked to end waits for frames that are on their way
    bool sums = true;            // virtual powder, sum and maximum of the hits of a run
    bool keep_cached = false;    // images stay in the page cache when they are on the disk
  } output;

  struct Live {
    std::string crystfel = "tcp://127.0.0.1:12322";   // where indexamajig asks peaknet-live; "": nowhere
    std::string simplon;                              // where Simplon messages go; "": nowhere
    SimplonNames simplon_names = SimplonNames::pr51;  // pr51 | main
    bool simplon_lead = false;                        // a byte before each message
    LiveOrder order = LiveOrder::all;                 // all | newest
    std::uint32_t keep = 1000;                        // newest: older hits than so many are skipped
    std::string state_dir;  // of its books and of the geometry that it writes; "": output.dir/live
  } live;

  struct Feed {
    std::vector<std::string> endpoints;  // for `listen`: "bind tcp://0.0.0.0:12321" or "connect tcp://host:port"
    WavelengthUnit wavelength_unit = WavelengthUnit::nm;  // nm | angstrom
    double idle_seconds = 0.0;                            // `listen` ends after this time without a message; 0: never
    FeedColumns columns;                                  // beside image, time and energy
  } feed;

  struct Control {
    std::string endpoint;  // "": ipc socket `ctl` in the runtime folder (see runtime_folder)
    std::string monitor;   // read-only; "": `mon` there
    // For tcp:// alone (docs/protocol.md, "Over the network").
    std::string curve_key;         // peaknetd's secret key: a file, or credential:NAME
    std::string curve_clients;     // file with the public keys of those who may ask
    std::string curve_server;      // peaknetd's public key, for peaknetctl
    std::string curve_client_key;  // peaknetctl's secret key: a file
  } control;

  bool autostart = true;  // the daemon goes to `running` by itself once the model is warm

  struct Log {
    std::string level = "info";  // trace | debug | info | warn | error
  } log;

  shm::Geometry geometry() const {
    return {pool.slots,
            pool.shape[0],
            pool.shape[1],
            pool.shape[2],
            pool.dtype,
            static_cast<std::uint32_t>(feed.columns.table.size()),
            static_cast<std::uint32_t>(feed.columns.table.side_bytes())};
  }
};

// Read `file` ("" : defaults alone) and apply `overrides` ("engine.depth=5") in order. Relative paths (model.path,
// output.dir, output.geometry) are from the folder of the file. What is not given: runtime_folder(), unit_folders.hpp.
// Errors: config.unreadable, config.syntax, config.unknown-key, config.bad-value, config.bad-override.
Result<Config> load(const std::string& file, const std::vector<std::string>& overrides);

// Where sockets live: $RUNTIME_DIRECTORY (systemd), else /run/peaknet/<instance> for root, else
// $XDG_RUNTIME_DIR/peaknet/<instance> if that folder is this user's own and may be written, else
// /tmp/peaknet-<uid>/<instance>. A folder for each instance: systemd removes the one of a unit when the unit stops. Not
// created here.
std::string runtime_folder(const std::string& instance);

// Why $XDG_RUNTIME_DIR was passed over, for the log of who makes the folder: batch systems hand on the one of the login
// node, su that of another user. "": it was not, or it has no say.
std::string why_no_session_folder();

// Every key with its default as YAML and one line of explanation, in the order of the file.
struct DocumentedKey {
  std::string key;       // "pool.slots"
  std::string fallback;  // "64"
  std::string meaning;
};
std::vector<DocumentedKey> documented_keys();

// The whole configuration as YAML text, for --check, the log and the files' `peaknet` group. load(to_yaml(c)) == c.
std::string to_yaml(const Config& config);

}  // namespace peaknet::config
