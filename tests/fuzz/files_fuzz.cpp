// feed_files_fuzz INPUTS [FIRST]: whole files, changed at random, through replay's reader to their frames.
//
// Input n is the same on every machine: one of file_seeds(), with one of its files changed. Each is refused, or gives
// frames in which every byte was written; it is read into two slots of different old contents to see that. Children of
// this program read them, a thousand each, so that one that crashes costs its input alone. HDF5 files are looked
// through in another process first, as replay does it (Hdf5Rehearsal); what crashes inside of libhdf5 after that is
// counted apart from what is ours. Exit code 1: there is a fault of ours, and `feed_files_fuzz 1 N` shows it again.
//
// A million: several ranges at once, each with a TMPDIR of its own in memory. Most of the time is the kernel's, for the
// fresh process after each file that was refused.
#include <execinfo.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "feed/replay_inputs.hpp"
#include "tests/fuzz/take_all.hpp"
#include "tests/unit/feed/file_seeds.hpp"
#include "tests/unit/feed/files.hpp"
#include "tests/unit/feed/mutate.hpp"

namespace peaknet::feed {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t kInputsOfAChild = 1000, kMostFrames = 64;
constexpr unsigned kPatience = 15;
constexpr std::chrono::seconds kLookPatience{2};  // twice, and Sandbox's grace
enum : int { kThrew = 3, kUnwritten = 4, kFailed = 5 };

// What the children tell their parent.
struct Progress {
  std::atomic<std::uint64_t> input, played, refused, frames, bad_frames;
};

// Over what was there: some file systems wait for the disk where a file is cut to nothing first.
void write_file(const fs::path& path, const Bytes& bytes) {
  std::fstream out(path, std::ios::binary | std::ios::in | std::ios::out);
  if (!out) out.open(path, std::ios::binary | std::ios::out);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  out.close();
  fs::resize_file(path, bytes.size());
}

// One decoder for all inputs: each has a process.
class Lent : public Decoder {
 public:
  explicit Lent(Decoder& decoder) : decoder_(decoder) {}
  Result<std::unique_ptr<FrameSource>> open(std::span<const std::byte> message, const shm::Geometry& geometry,
                                            const DecodeBuffer& decode_buffer) override {
    return decoder_.open(message, geometry, decode_buffer);
  }

 private:
  Decoder& decoder_;
};

// What has a process of its own.
struct Readers {
  std::unique_ptr<Decoder> decoder = make_decoder(fuzz::small_limits());
  std::unique_ptr<Hdf5Rehearsal> strict =
      std::make_unique<Hdf5Rehearsal>("", false, config::FeedColumns{}, kLookPatience);
  std::unique_ptr<Hdf5Rehearsal> skipping =
      std::make_unique<Hdf5Rehearsal>("", true, config::FeedColumns{}, kLookPatience);
};

// True if something could be played. `told`: null for a seed, whose error is shown.
bool read_all(const std::string& path, const shm::Geometry& frames, const Readers& readers, bool skip_bad,
              Progress* told) {
  FeedCounters tally;
  Refusals refusals(tally, nullptr);
  ReplayReading reading;
  reading.bad = skip_bad ? BadFrames::skip : BadFrames::end;
  reading.rehearsal = (skip_bad ? readers.skipping : readers.strict).get();
  ReplayInputs inputs(std::move(reading), frames, std::make_unique<Lent>(*readers.decoder), tally, refusals);
  const auto sources = inputs.open({path});
  if (!sources) {
    if (told == nullptr) std::fprintf(stderr, "%s\n", sources.error().text().c_str());
    return false;
  }
  Bytes once(frames.image_bytes()), twice(frames.image_bytes());
  for (const auto& source : *sources) {
    for (std::uint64_t i = 0; i < std::min(source->size(), kMostFrames); ++i) {
      shm::FrameDescriptor info;
      std::fill(once.begin(), once.end(), std::byte{0x5a});
      std::fill(twice.begin(), twice.end(), std::byte{0xa5});
      const bool first = source->fill(i, {once, info}).ok();
      const bool second = source->fill(i, {twice, info}).ok();
      if (first != second || (first && once != twice)) {
        const auto at = std::mismatch(once.begin(), once.end(), twice.begin()).first - once.begin();
        std::fprintf(stderr, "frame %llu of %llu: taken %d and %d times, bytes from %td on were not written\n",
                     static_cast<unsigned long long>(i), static_cast<unsigned long long>(source->size()),
                     static_cast<int>(first), static_cast<int>(second), at);
        std::_Exit(kUnwritten);
      }
      if (told == nullptr) continue;
      told->frames.fetch_add(1);
      if (!first) told->bad_frames.fetch_add(1);
    }
  }
  return true;
}

// Where a crash happened, for the parent; only what a signal handler may call, backtrace having been called before.
void say_where(int signal) {
  std::array<void*, 64> stack{};
  const int depth = backtrace(stack.data(), stack.size());
  backtrace_symbols_fd(stack.data(), depth, STDERR_FILENO);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void prepare_child() {
  std::array<void*, 1> ready{};
  (void)backtrace(ready.data(), ready.size());  // loads what it needs
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) std::signal(signal, say_where);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit most{rlim_t{4} << 30, rlim_t{4} << 30};
  setrlimit(RLIMIT_AS, &most);
#endif
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

class Inputs {
 public:
  explicit Inputs(fs::path folder) : folder_(std::move(folder)), seeds_(test::file_seeds()) {
    for (const auto& seed : seeds_) {
      fs::create_directories(folder_ / seed.name);
      for (const auto& file : seed.files) write_file(folder_ / seed.name / file.name, file.bytes);
    }
  }

  // Every seed must be played as it is.
  bool seeds_are_sound(const Readers& readers) const {
    return std::all_of(seeds_.begin(), seeds_.end(), [&](const auto& seed) {
      const bool good = read_all(path_of(seed), seed.frames, readers, false, nullptr);
      if (!good) std::fprintf(stderr, "the seed %s is not played\n", seed.name.c_str());
      return good;
    });
  }

  std::string name_of(std::uint64_t input) const { return seeds_[input % seeds_.size()].name; }

  void run(std::uint64_t input, const Readers& readers, Progress& told) const {
    const auto& seed = seeds_[input % seeds_.size()];
    std::mt19937 random(static_cast<std::uint32_t>(input));
    const auto& file = seed.files[random() % seed.files.size()];
    write_file(folder_ / seed.name / file.name,
               test::mutate(file.bytes, random, random() % 4 == 0 ? test::Length::changes : test::Length::stays));
    const bool played = read_all(path_of(seed), seed.frames, readers, input % 2 == 1, &told);
    (played ? told.played : told.refused).fetch_add(1);
    write_file(folder_ / seed.name / file.name, file.bytes);
  }

  // The files of an input that failed, for people.
  void keep(std::uint64_t input) const {
    const fs::path kept = folder_ / ("failed_" + std::to_string(input));
    fs::copy(folder_ / name_of(input), kept, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
    std::fprintf(stderr, "its files: %s\n", kept.c_str());
  }

  // After a crash.
  void restore(std::uint64_t input) const {
    const auto& seed = seeds_[input % seeds_.size()];
    for (const auto& file : seed.files) write_file(folder_ / seed.name / file.name, file.bytes);
  }

 private:
  std::string path_of(const test::FileSeed& seed) const {
    return (folder_ / seed.name / seed.files.front().name).string();
  }
  fs::path folder_;
  std::vector<test::FileSeed> seeds_;
};

int run_child(const Inputs& inputs, std::uint64_t first, std::uint64_t end, Progress& told, const fs::path& log) {
  if (std::freopen(log.c_str(), "w", stderr) == nullptr) return kFailed;
  std::setvbuf(stderr, nullptr, _IONBF, 0);
  const Readers readers;
  prepare_child();
  H5set_free_list_limits(-1, -1, 0, 0, 0, 0);
  try {
    for (std::uint64_t input = first; input < end; ++input) {
      told.input = input;
      alarm(kPatience);
      inputs.run(input, readers, told);
    }
  } catch (const std::exception& thrown) {
    std::fprintf(stderr, "threw: %s\n", thrown.what());
    return kThrew;
  }
  return 0;
}

// Is the first function that is not the handler's, the C library's or a sanitizer's one of HDF5?
bool in_the_library(const fs::path& log) {
  std::ifstream in(log);
  bool handler = true;
  for (std::string line; std::getline(in, line);) {
    if (line.find("libhdf5") != std::string::npos) return true;
    if (line.find("feed_files_fuzz(") == std::string::npos) continue;
    if (!std::exchange(handler, false)) return false;
  }
  return false;
}

int fuzz_files(std::uint64_t count, std::uint64_t first) {
  spdlog::set_level(spdlog::level::off);
  const fs::path folder = fs::temp_directory_path() / ("feed-files-fuzz." + std::to_string(getpid()));
  const Inputs inputs(folder);
  void* const shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return kFailed;
  auto& told = *new (shared) Progress{};
  std::map<std::string, std::uint64_t> library;
  std::uint64_t ours = 0;
  const fs::path log = folder / "log";
  if (const pid_t child = fork(); child == 0) {
    std::_Exit(inputs.seeds_are_sound(Readers()) ? 0 : kFailed);
  } else if (int status = 0; waitpid(child, &status, 0) < 0 || status != 0) {
    return 1;
  }
  for (std::uint64_t next = first; next < first + count;) {
    const std::uint64_t end = std::min(first + count, next + kInputsOfAChild);
    const pid_t child = fork();
    if (child < 0) return kFailed;
    if (child == 0) std::_Exit(run_child(inputs, next, end, told, log));
    int status = 0;
    waitpid(child, &status, 0);
    if (status == 0) {
      next = end;
      continue;
    }
    const std::uint64_t input = told.input;
    if (WIFSIGNALED(status) && in_the_library(log)) {
      ++library[inputs.name_of(input)];
      std::fprintf(stderr, "input %llu (%s) crashed inside of libhdf5\n", static_cast<unsigned long long>(input),
                   inputs.name_of(input).c_str());
    } else {
      ++ours;
      std::ifstream in(log);
      const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      std::fprintf(stderr, "input %llu (%s) failed, status %d:\n%s\n", static_cast<unsigned long long>(input),
                   inputs.name_of(input).c_str(), status, text.c_str());
      inputs.keep(input);
    }
    inputs.restore(input);
    next = input + 1;
  }
  std::uint64_t in_library = 0;
  for (const auto& [seed, n] : library) in_library += n;
  std::printf("%llu inputs: %llu played, %llu refused; of %llu frames %llu refused; faults: %llu, of libhdf5: %llu\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(told.played.load()),
              static_cast<unsigned long long>(told.refused.load()), static_cast<unsigned long long>(told.frames.load()),
              static_cast<unsigned long long>(told.bad_frames.load()), static_cast<unsigned long long>(ours),
              static_cast<unsigned long long>(in_library));
  for (const auto& [seed, n] : library)
    std::printf("  libhdf5, %s: %llu\n", seed.c_str(), static_cast<unsigned long long>(n));
  std::error_code ignored;
  if (ours == 0) fs::remove_all(folder, ignored);
  return ours == 0 ? 0 : 1;
}

}  // namespace
}  // namespace peaknet::feed

extern "C" const char* __asan_default_options() {
  return "abort_on_error=1:handle_abort=0:handle_segv=0:handle_sigfpe=0:handle_sigbus=0:allocator_may_return_null=1:"
         "detect_leaks=0:max_allocation_size_mb=4096:quarantine_size_mb=16:"
         // Damaged files ask for huge blocks, and each refusal prints its stack: reading its symbols took a sixth of the
         // time. ASAN_OPTIONS=symbolize=1 has them back for one input.
         "symbolize=0:malloc_context_size=1";
}

int main(int argc, char** argv) {
  std::array<std::uint64_t, 2> numbers{0, 0};
  for (int i = 1; i < std::min(argc, 3); ++i) {
    const std::string_view text = argv[i];
    std::from_chars(text.data(), text.data() + text.size(), numbers[static_cast<std::size_t>(i - 1)]);
  }
  if (numbers[0] == 0) {
    std::fprintf(stderr, "feed_files_fuzz INPUTS [FIRST]\n");
    return 2;
  }
  return peaknet::feed::fuzz_files(numbers[0], numbers[1]);
}
