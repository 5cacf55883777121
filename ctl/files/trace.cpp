#include "ctl/files/trace.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/text.hpp"
#include "ctl/document_output.hpp"
#include "ctl/files/finished_file.hpp"
#include "ctl/instance_view.hpp"
#include "ctl/render.hpp"
#include "cxi/outcome_log.hpp"
#include "shm/clock.hpp"

namespace peaknet::ctl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// What the operator named: a frame, or an event by the number that its producer gave it.
struct Wanted {
  std::optional<std::uint64_t> producer;
  std::uint64_t number = 0;
};

Result<Wanted> parse_frame(const std::string& text) {
  const auto colon = text.find(':');
  const auto producer =
      colon == std::string::npos ? std::nullopt : number_in<std::uint64_t>(std::string_view(text).substr(0, colon));
  const auto last = number_in<std::uint64_t>(std::string_view(text).substr(colon == std::string::npos ? 0 : colon + 1));
  if (!last || (colon != std::string::npos && !producer)) {
    return Error{"cli.usage", "'" + text + "' names no frame", "nothing was looked at",
                 "write PRODUCER:NUMBER as in logs (3:1207), or an event id"};
  }
  return Wanted{producer, *last};
}

bool is_it(const Wanted& wanted, const shm::FrameDescriptor& frame) {
  return wanted.producer ? frame.producer == *wanted.producer && frame.producer_seq == wanted.number
                         : frame.event_id == wanted.number;
}

const char* meaning_of(shm::SlotState state) {
  switch (state) {
    case shm::SlotState::ready:
      return "waits for a device";
    case shm::SlotState::inferring:
      return "on a device";
    case shm::SlotState::done:
      return "waits for a writer";
    case shm::SlotState::writing:
      return "with a writer, until it is on the disk";
    case shm::SlotState::quarantined:
      return "took its owners down; is about to be counted as failed";
    default:
      return "its life is over; its slot has not been used again";
  }
}

// A descriptor is copied while its owner may write; the word says before and after that it is still the same frame.
std::optional<std::pair<shm::StateWord, shm::FrameDescriptor>> look(const shm::Pool& pool, std::uint32_t slot) {
  const std::uint64_t before = pool.word(slot).load(std::memory_order_acquire);
  shm::FrameDescriptor copy;
  std::memcpy(static_cast<void*>(&copy), &pool.descriptor(slot), sizeof copy);
  std::atomic_thread_fence(std::memory_order_acquire);
  const auto word = shm::StateWord::unpack(before);
  const auto now = shm::StateWord::unpack(pool.word(slot).load(std::memory_order_relaxed));
  if (now.sequence != word.sequence || word.state == shm::SlotState::filling) return std::nullopt;
  // A free slot keeps the frame that was last in it; the descriptor says under which sequence that was committed.
  if (copy.sequence != word.sequence || copy.sequence == 0) return std::nullopt;
  return std::pair{word, copy};
}

json in_pool(const shm::Pool& pool, const Wanted& wanted) {
  for (std::uint32_t slot = 0; slot < pool.geometry().slots; ++slot) {
    const auto found = look(pool, slot);
    if (!found || !is_it(wanted, found->second)) continue;
    const auto& [word, frame] = *found;
    const auto us_since_commit = [&frame = frame](std::uint64_t then) -> json {
      if (then < frame.commit_ns || frame.commit_ns == 0) return nullptr;
      return (then - frame.commit_ns) / 1000;
    };
    return {{"place", "pool"},
            {"producer", frame.producer},
            {"number", frame.producer_seq},
            {"event_id", frame.event_id},
            {"run", std::string(frame.run_id())},
            {"slot", slot},
            {"state", shm::name(word.state)},
            {"meaning", meaning_of(word.state)},
            {"attempts", word.attempts},
            {"owner", word.owner},
            {"age_us", us_since_commit(static_cast<std::uint64_t>(shm::monotonic_ns()))},
            {"after_commit_us",
             {{"taken", us_since_commit(frame.take_ns)},
              {"inferred", us_since_commit(frame.done_ns)},
              {"written", us_since_commit(frame.write_ns)}}}};
  }
  return nullptr;
}

json in_file(const fs::path& path, const Wanted& wanted) {
  if (path.extension() == ".cxi") {
    const auto file = writer::read_finished_file(path, false);
    if (!file || !wanted.producer) return nullptr;
    for (std::size_t row = 0; row < file->events.size(); ++row) {
      const auto& key = file->events[row];
      if (key.producer == *wanted.producer && key.producer_seq == wanted.number)
        return {{"place", "file"},
                {"meaning", "in a finished file"},
                {"producer", key.producer},
                {"number", wanted.number},
                {"run", key.run},
                {"file", path.string()},
                {"row", row}};
    }
  } else if (path.extension() == writer::kOutcomeLogSuffix) {
    const auto log = writer::read_outcome_log(path);
    if (!log || !wanted.producer) return nullptr;
    for (const auto& range : log->ends) {
      if (range.producer == *wanted.producer && wanted.number >= range.first &&
          wanted.number - range.first < range.count)
        return {{"place", "book"},
                {"meaning", std::string("ended as ") + writer::name(range.end)},
                {"producer", range.producer},
                {"number", wanted.number},
                {"end", writer::name(range.end)},
                {"file", path.string()}};
    }
  }
  return nullptr;
}

json in_folder(const std::string& folder, const Wanted& wanted) {
  std::error_code none;
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder, none)) paths.push_back(entry.path());
  std::sort(paths.rbegin(), paths.rend());  // the latest first
  for (const auto& path : paths) {
    if (json found = in_file(path, wanted); !found.is_null()) return found;
  }
  return nullptr;
}

}  // namespace

ExitCode trace(const Options& options, const std::string& instance, const std::string& output_dir, std::ostream& out,
               std::ostream& err) {
  const auto wanted = parse_frame(options.frame);
  if (!wanted) return show_error(wanted.error(), options.json, out, err);
  json found = nullptr;
  std::string looked;
  const auto view = InstanceView::open(instance);
  if (view && view->pool) {
    found = in_pool(*view->pool, *wanted);
    looked = "the " + std::to_string(view->pool->geometry().slots) + " slots of the pool";
  }
  std::vector<std::string> folders = options.folders;
  if (!output_dir.empty()) folders.push_back(output_dir);
  for (const auto& folder : folders) {
    if (!found.is_null()) break;
    found = in_folder(folder, *wanted);
    looked += (looked.empty() ? "" : ", ") + folder;
  }
  if (found.is_null()) {
    return show_error(
        {"trace.not-found",
         "frame " + options.frame + " is in none of: " + (looked.empty() ? "no place to look at" : looked),
         wanted->producer ? "" : "files know frames as PRODUCER:NUMBER, not by event id",
         "name the folder of the files, or --config FILE; peaknetctl stats counts what was dropped"},
        options.json, out, err);
  }
  found["schema"] = "peaknet.trace/1";
  show(options, found, render_trace, out);
  return ExitCode::ok;
}

}  // namespace peaknet::ctl
