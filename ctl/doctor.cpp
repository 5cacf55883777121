#include "ctl/doctor.hpp"

#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/control_groups.hpp"
#include "base/small_floats.hpp"
#include "base/text.hpp"
#include "config/model_file.hpp"
#include "config/model_form.hpp"
#include "config/model_path.hpp"
#include "control/health.hpp"
#include "control/status_documents.hpp"
#include "ctl/gpu_findings.hpp"
#include "ctl/instance_view.hpp"
#include "ctl/reach.hpp"
#include "ctl/target.hpp"
#include "shm/clock.hpp"
#include "shm/errors.hpp"
#include "shm/frame_accounting.hpp"
#include "shm/instances.hpp"

namespace peaknet::ctl {
namespace {

namespace fs = std::filesystem;

class Examination {
 public:
  Examination(const config::Config& config, const ServiceUnits& services)
      : config_(config), services_(services), view_(InstanceView::open(config.instance)) {}

  std::vector<Finding> run() {
    memory();
    locked_memory();
    group();
    logind();
    model("model", "model.path", config_.model.path);
    if (config_.shedding.has_smaller_model()) model("smaller model", "shedding.model", config_.shedding.model);
    output();
    control();
    devices();
    precision();
    instance();
    recent_errors();
    leftovers();
    return std::move(findings_);
  }

 private:
  void add(std::string subject, Verdict verdict, std::string text, std::string remedy = "") {
    findings_.push_back({std::move(subject), verdict, std::move(text), std::move(remedy)});
  }

  std::uint64_t pool_bytes() const { return shm::PoolOffsets(config_.geometry()).total; }

  void memory() {
    if (auto good = config_.geometry().check(); !good)
      return add("pool memory", Verdict::bad, good.error().what, good.error().remedy);
    const std::string folder = config_.pool.folder.empty() ? "/dev/shm" : config_.pool.folder;
    struct statvfs space {};
    if (::statvfs(folder.c_str(), &space) != 0)
      return add("pool memory", Verdict::bad, folder + ": " + std::strerror(errno), "correct pool.folder");
    const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
    const std::string text =
        "the pool takes " + human_bytes(pool_bytes()) + ", " + folder + " has " + human_bytes(free) + " free";
    if (view_ && view_->pool) return add("pool memory", Verdict::good, text + "; it has been made already");
    if (free < pool_bytes()) {
      return add("pool memory", Verdict::bad, text,
                 "fewer pool.slots, or a larger " + folder + " (mount -o remount,size=...)");
    }
    add("pool memory", Verdict::good, text);
    group_memory_left(folder);
  }

  // The shell's group may be another than that of the daemon, so this is no verdict over it.
  void group_memory_left(const std::string& folder) {
    const auto memory = group_memory();
    if (!memory) return;
    if (auto room = group_has_room(pool_bytes(), folder); !room) {
      return add("memory of the control group", Verdict::warning, room.error().what,
                 room.error().remedy + "; started by systemd it has its unit's: systemctl show -p MemoryMax peaknetd@" +
                     config_.instance);
    }
    add("memory of the control group", Verdict::good, memory->text());
  }

  void locked_memory() {
    if (!config_.pool.lock) return;
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < pool_bytes() && ::geteuid() != 0) {
      return add(
          "locked memory", Verdict::warning,
          "pool.lock wants " + human_bytes(pool_bytes()) + ", RLIMIT_MEMLOCK here is " + human_bytes(limit.rlim_cur),
          "LimitMEMLOCK=infinity in the unit, or ulimit -l");
    }
    add("locked memory", Verdict::good, "RLIMIT_MEMLOCK allows the pool");
  }

  void group() {
    if (config_.pool.group.empty()) return;
    const struct group* entry = ::getgrnam(config_.pool.group.c_str());
    if (entry == nullptr) {
      return add("group", Verdict::bad, "there is no group '" + config_.pool.group + "' on this machine",
                 "create it (systemd-sysusers does), or correct pool.group");
    }
    std::vector<gid_t> mine(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
    const int found = ::getgroups(static_cast<int>(mine.size()), mine.data());
    mine.resize(static_cast<std::size_t>(std::max(0, found)));
    const bool member = ::geteuid() == 0 || ::getegid() == entry->gr_gid ||
                        std::find(mine.begin(), mine.end(), entry->gr_gid) != mine.end();
    add("group", member ? Verdict::good : Verdict::warning,
        std::string("you are ") + (member ? "" : "not ") + "in the group '" + config_.pool.group + "'",
        member ? "" : "usermod -aG " + config_.pool.group + " USER, and log in again, to attach producers");
  }

  // logind removes the shared memory of an ordinary user when his last session ends.
  void logind() {
    if (::geteuid() < 1000) return;
    std::ifstream conf("/etc/systemd/logind.conf");
    for (std::string line; std::getline(conf, line);) {
      if (line == "RemoveIPC=no") return add("logind", Verdict::good, "RemoveIPC=no");
    }
    if (!fs::exists("/run/systemd/seats")) return;  // no logind here
    add("logind", Verdict::warning,
        "logind removes shared memory of this user at the end of his last session (RemoveIPC)",
        "run peaknetd as a system user (peaknetd@.service), or set RemoveIPC=no in /etc/systemd/logind.conf");
  }

  void model(const std::string& subject, const std::string& key, const std::string& path) {
    if (auto good = model::check_model_path(path, key); !good)
      return add(subject, Verdict::bad, good.error().what, good.error().remedy);
    if (model::is_builtin(path))
      return add(subject, Verdict::warning, path + " is for tests: no network looks at the images", "set " + key);
    struct stat info {};
    const Trial trial = try_as(services_.daemon, path, R_OK);
    if (::stat(path.c_str(), &info) != 0 || ::access(path.c_str(), R_OK) != 0)
      return add(subject, Verdict::bad, "cannot read " + path + ": " + std::strerror(errno),
                 "correct its mode or owner");
    if (trial.code != 0) {
      return add(subject, Verdict::bad, "cannot read " + path + trial.who + ": " + std::strerror(trial.code),
                 "correct its mode or owner, and those of the folders above it");
    }
    if (services_.daemon && services_.daemon->hides(path)) {
      return add(subject, Verdict::bad, services_.daemon->name + " has a /tmp of its own: it does not see " + path,
                 "move the model, to /var/lib/peaknet for example");
    }
    if (auto good = model::check_model_form(path); !good)
      return add(subject, Verdict::bad, good.error().what, good.error().remedy);
    const auto sha256 = model::sha256_of(path);
    if (!sha256) return add(subject, Verdict::bad, sha256.error().what, sha256.error().remedy);
    if (auto good = model::check_allowed(path, *sha256, config_.model.allow); !good)
      return add(subject, Verdict::bad, good.error().what, good.error().remedy);
    add(subject, Verdict::good,
        path + ", " + human_bytes(static_cast<std::uint64_t>(info.st_size)) + ", SHA-256 " + *sha256);
  }

  // What access(path, mode) says to the service, or to us where there is none.
  struct Trial {
    int code = 0;      // errno; 0: allowed
    std::string who;   // " as 'peaknet'", for a text
    bool done = true;  // false: this process may not take the service's rights
  };
  static Trial try_as(const std::optional<ServiceUnit>& unit, const fs::path& path, int mode) {
    if (!unit) return {::access(path.c_str(), mode) == 0 ? 0 : errno, "", true};
    const auto rights = unit->rights();
    const auto code = rights ? access_as(*rights, path, mode) : std::nullopt;
    return {code.value_or(0), " as '" + (unit->user.empty() ? "root" : unit->user) + "'", code.has_value()};
  }

  // May the writer's service write into `dir`, of which `there` is the part that exists? Adds what speaks against it.
  bool service_may_write(const fs::path& dir, const fs::path& there) {
    const auto& unit = services_.writer;
    if (unit && unit->hides(dir)) {
      add("output folder", Verdict::bad,
          unit->name + " has a /tmp of its own: files in " + dir.string() + " would go when it stops",
          "set output.dir to another folder");
      return false;
    }
    if (unit && !unit->may_write(dir)) {
      add("output folder", Verdict::bad, unit->name + " may not write into " + dir.string() + " (ProtectSystem=strict)",
          "make the folder for its user, and systemctl edit " + unit->name +
              ": [Service] ReadWritePaths=" + dir.string());
      return false;
    }
    if (unit && unit->makes(dir) && there != dir) return true;  // systemd makes it at the start
    const Trial trial = try_as(unit, there, W_OK | X_OK);
    if (!trial.done) {
      add("output folder", Verdict::warning, "could not be tried" + trial.who + ", who writes there",
          "sudo peaknetctl doctor, with the same --config");
    } else if (trial.code != 0) {
      add("output folder", Verdict::bad,
          "cannot write into " + there.string() + trial.who + ": " + std::strerror(trial.code),
          "correct output.dir, or its owner");
    }
    return trial.code == 0;
  }

  void output() {
    const fs::path dir = fs::absolute(config_.output.dir);
    fs::path there = dir;
    std::error_code ignored;
    const bool made = fs::is_directory(there, ignored);
    while (!fs::exists(there, ignored) && there.has_parent_path() && there != there.parent_path())
      there = there.parent_path();
    if (!fs::is_directory(there, ignored))
      return add("output folder", Verdict::bad, there.string() + " is not a folder", "correct output.dir");
    struct statvfs space {};
    if (::statvfs(there.c_str(), &space) != 0) {
      return add("output folder", Verdict::bad, "cannot look at " + there.string() + ": " + std::strerror(errno),
                 "correct output.dir, or its owner");
    }
    if ((space.f_flag & ST_RDONLY) != 0)
      return add("output folder", Verdict::bad, there.string() + " is mounted read-only", "correct output.dir");
    if (!service_may_write(dir, there)) return;
    const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
    const std::uint64_t frame = config_.geometry().image_bytes();
    const std::uint64_t frames =
        config_.output.images == config::Images::none ? 0 : free / std::max<std::uint64_t>(1, frame);
    std::string text = (made ? "" : "it is not there yet; ") + human_bytes(free) + " free";
    if (frames > 0) text += ", room for about " + std::to_string(frames) + " images";
    const bool scarce =
        free < std::uint64_t{1} << 30 || (frames > 0 && frames < 10 * std::uint64_t{config_.output.events_per_file});
    add("output folder", scarce ? Verdict::warning : Verdict::good, text,
        scarce ? "the writer holds frames when the disk is full: make room" : "");
  }

  void control() {
    const Target target = target_of(config_);
    const auto answer = ask(target, "version", nlohmann::json::object(), std::chrono::seconds(2));
    if (answer) return add("control", Verdict::good, "peaknetd answers on " + target.endpoint);
    const std::string& id = answer.error().id;
    if (id == "control.not-running") return add("control", Verdict::good, answer.error().what);
    add("control", id == "control.denied" ? Verdict::warning : Verdict::bad, answer.error().what,
        answer.error().remedy);
  }

  void devices() {
    for (auto& found : examine_gpus(config_)) findings_.push_back(std::move(found));
  }

  // On the processor; what a GPU is too old for is told with the GPUs.
  void precision() {
    if (config_.engine.precision == config::Precision::float32) return;
    const bool bfloat16 = config_.engine.precision == config::Precision::bfloat16;
    const auto& names = config_.engine.devices;
    const bool automatic = std::find(names.begin(), names.end(), "auto") != names.end();
    if (std::find(names.begin(), names.end(), "cpu") == names.end() && (!automatic || gpu_driver_is_there())) return;
    if (computes_itself(bfloat16 ? SmallFloat::bfloat16 : SmallFloat::float16) != false) return;
    const std::string name = bfloat16 ? "bfloat16" : "float16";
    add("precision", Verdict::warning,
        "engine.precision is " + name + ", and this processor has no units for it: each operation converts",
        "engine.precision: float32 is faster here; peaknetd tune measures both");
  }

  static bool gpu_driver_is_there() { return fs::exists(GpuPlaces{}.driver_device); }

  void instance() {
    if (!view_) {
      const bool absent = view_.error().id == "shm.absent";
      return add("instance", absent ? Verdict::good : Verdict::bad,
                 absent ? "'" + config_.instance + "' has no shared memory: peaknetd has not been started"
                        : view_.error().what,
                 absent ? "" : view_.error().remedy);
    }
    const std::string state = control::state_now(*view_->control_segment);
    const auto accounting = shm::read_accounting(*view_->control_segment, view_->pool.get());
    const auto health = control::judge(*view_->control_segment, view_->pool.get(),
                                       control::daemon_alive(*view_->control_segment), accounting);
    for (const auto& [how_bad, error] : health.reasons) {
      if (error.id == "health.errors") continue;  // they have a line of their own
      // One that was stopped is not at fault.
      const bool bad = how_bad == control::HealthState::failing && error.id != "health.absent";
      add("health", bad ? Verdict::bad : Verdict::warning, error.what, error.remedy);
    }
    if (state == "absent" || state == "failed") return;
    const auto& columns = config_.feed.columns.table;
    if (view_->pool && (view_->pool->geometry() != config_.geometry() || view_->pool->columns() != columns)) {
      return add("instance", Verdict::warning,
                 "it is " + state + " with a pool of " + shm::describe(view_->pool->geometry()) +
                     ", the configuration says " + shm::describe(config_.geometry()) +
                     (view_->pool->columns() == columns ? "" : " (feed.columns is another)"),
                 "restart peaknetd when it is drained");
    }
    add("instance", Verdict::good, "'" + config_.instance + "' is " + state);
  }

  void recent_errors() {
    if (!view_) return;
    const auto errors = shm::read_errors(*view_->control_segment);
    if (errors.empty()) return add("errors", Verdict::good, "none since the instance was made");
    add("errors", Verdict::warning,
        std::to_string(errors.size()) + (errors.size() == 1 ? " kind, " : " kinds, the latest ") + errors.front().id +
            " (" + std::to_string(errors.front().count) + (errors.front().count == 1 ? " time)" : " times)"),
        "peaknetctl errors");
  }

  // Those of others are theirs to remove; root looks after all.
  void leftovers() {
    constexpr std::size_t kMostNamed = 5;
    std::string names;
    std::size_t count = 0;
    for (const auto& found : shm::list_instances()) {
      const bool mine = ::geteuid() == 0 || found.owner_uid == ::geteuid();
      if (!mine || found.name == config_.instance || found.daemon != false || found.attached != 0) continue;
      if (++count <= kMostNamed) names += (names.empty() ? "" : ", ") + found.name;
    }
    if (count == 0) return;
    if (count > kMostNamed) names += " and " + std::to_string(count - kMostNamed) + " more";
    add("leftovers", Verdict::warning, "shared memory that nobody uses: " + names,
        "peaknetctl instances, then --remove NAME");
  }

  const config::Config& config_;
  const ServiceUnits& services_;
  Result<InstanceView> view_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> examine(const config::Config& config, const ServiceUnits& services) {
  return Examination(config, services).run();
}

nlohmann::json doctor_document(const config::Config& config, const ServiceUnits& services) {
  auto findings = nlohmann::json::array();
  bool bad = false;
  for (const auto& found : examine(config, services)) {
    bad = bad || found.verdict == Verdict::bad;
    const char* verdict = found.verdict == Verdict::good      ? "good"
                          : found.verdict == Verdict::warning ? "warning"
                                                              : "bad";
    findings.push_back(
        {{"subject", found.subject}, {"verdict", verdict}, {"text", found.text}, {"remedy", found.remedy}});
  }
  return {
      {"schema", "peaknet.doctor/1"}, {"instance", config.instance}, {"good", !bad}, {"findings", std::move(findings)}};
}

}  // namespace peaknet::ctl
