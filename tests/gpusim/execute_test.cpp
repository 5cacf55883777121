// Does the simulation find what it says it finds? Small kernels with one mistake each (snippets.cu), and right ones,
// of which it must say nothing, in any order of their threads.
#include "tests/gpusim/execute.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <map>
#include <numeric>

namespace peaknet::gpusim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Kernel& snippet(const std::string& name) {
  static const auto kernels = [] {
    std::map<std::string, const Kernel*> all;
    void* library = ::dlopen(PEAKNET_SNIPPETS, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    unsigned count = 0;
    const Kernel* first = reinterpret_cast<KernelTable*>(::dlsym(library, "gpusim_kernels"))(&count);
    for (unsigned i = 0; i < count; ++i) all[first[i].name] = &first[i];
    return all;
  }();
  return *kernels.at(name);
}

// Memory at addresses of its own, with nothing between the pieces.
class Pieces final : public MemoryMap {
 public:
  // What is not given was never written.
  template <class Value>
  std::uint64_t add(std::size_t count, const std::vector<Value>& values = {}) {
    Piece& piece = pieces_[next_];
    piece.data.resize(count * sizeof(Value));
    std::memcpy(piece.data.data(), values.data(), values.size() * sizeof(Value));
    piece.written.assign(piece.data.size(), 0);
    std::fill_n(piece.written.begin(), values.size() * sizeof(Value), 1);
    return std::exchange(next_, next_ + 0x10000);
  }
  template <class Value>
  std::vector<Value> values(std::uint64_t address) const {
    const auto& data = pieces_.at(address).data;
    std::vector<Value> all(data.size() / sizeof(Value));
    std::memcpy(all.data(), data.data(), data.size());
    return all;
  }
  std::size_t written(std::uint64_t address) const {
    const auto& marks = pieces_.at(address).written;
    return static_cast<std::size_t>(std::accumulate(marks.begin(), marks.end(), 0));
  }

  Region resolve(std::uint64_t address, std::uint32_t bytes, bool write) override {
    auto piece = pieces_.upper_bound(address);
    if (piece != pieces_.begin()) {
      --piece;
      const std::uint64_t end = piece->first + piece->second.data.size();
      if (address + bytes <= end) return {piece->first, end, piece->second.data.data(), piece->second.written.data()};
    }
    throw Fault{write ? "store outside" : "load outside"};
  }
  void complain(const std::string& /*kernel*/, const std::string& text) override { complaints.push_back(text); }

  std::vector<std::string> complaints{};

 private:
  struct Piece {
    std::vector<char> data;
    std::vector<std::uint8_t> written;
  };
  std::map<std::uint64_t, Piece> pieces_{};
  std::uint64_t next_ = 0x10000;
};

std::vector<int> counted(int count) {
  std::vector<int> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

class Execute : public ::testing::Test {
 protected:
  template <class... Arguments>
  LaunchReport run(const std::string& name, std::uint32_t blocks, std::uint32_t threads, Arguments... arguments) {
    const Kernel& kernel = snippet(name);
    std::vector<char> params(kernel.parameter_bytes);
    std::uint32_t i = 0;
    const auto place = [&](const auto& argument) {
      EXPECT_EQ(kernel.parameters[i].bytes, sizeof argument);
      std::memcpy(params.data() + kernel.parameters[i++].offset, &argument, sizeof argument);
    };
    (place(arguments), ...);
    return execute(kernel, {{blocks, 1, 1}, {threads, 1, 1}}, params, memory, ++seed_);
  }
  // The one thing that is said of a launch, whatever the order of its threads.
  template <class... Arguments>
  void expect_complaint(const std::string& what, const std::string& name, Arguments... arguments) {
    for (int order = 0; order < 20; ++order) {
      memory.complaints.clear();
      run(name, 1, 64, arguments...);
      EXPECT_THAT(memory.complaints, ::testing::Contains(HasSubstr(what))) << name << ", order " << order;
    }
  }
  template <class... Arguments>
  void expect_fault(const std::string& what, const std::string& name, Arguments... arguments) {
    for (int order = 0; order < 20; ++order) {
      try {
        run(name, 1, 64, arguments...);
        ADD_FAILURE() << name << " ended well";
      } catch (const Fault& fault) {
        EXPECT_THAT(fault.why, HasSubstr(what));
      }
    }
  }
  Pieces memory;

 private:
  std::uint64_t seed_ = 0;
};

TEST_F(Execute, a_right_kernel_with_barriers_is_right_in_any_order_and_nothing_is_said) {
  const auto in = memory.add<int>(192, counted(192));
  const auto out = memory.add<int>(3);
  for (int order = 0; order < 50; ++order) {
    run("block_sums", 3, 64, in, out);
    EXPECT_THAT(memory.values<int>(out), ElementsAre(2016, 6112, 10208));
  }
  EXPECT_THAT(memory.complaints, ElementsAre());
}

TEST_F(Execute, lanes_of_a_warp_vote_together_also_where_the_last_warp_is_not_whole) {
  const auto in = memory.add<int>(80, counted(80));
  const auto out = memory.add<unsigned>(3);
  for (int order = 0; order < 50; ++order) {
    run("odd_bits", 1, 80, in, out, 70);
    EXPECT_THAT(memory.values<unsigned>(out), ElementsAre(0xaaaaaaaaU, 0xaaaaaaaaU, 0x2aU));
  }
  EXPECT_THAT(memory.complaints, ElementsAre());
}

TEST_F(Execute, lanes_of_a_warp_exchange_values) {
  const auto in = memory.add<int>(32, counted(32));
  const auto out = memory.add<int>(6 * 32);
  for (int order = 0; order < 50; ++order) {
    run("exchanges", 1, 32, in, out);
    const auto got = memory.values<int>(out);
    for (int lane = 0; lane < 32; ++lane) {
      const auto* mine = &got[static_cast<std::size_t>(6 * lane)];
      EXPECT_EQ(mine[0], lane < 31 ? lane + 1 : lane);
      EXPECT_EQ(mine[1], lane > 0 ? lane - 1 : lane);
      EXPECT_EQ(mine[2], lane ^ 16);
      EXPECT_EQ(mine[3], lane / 16 * 16 + 5);
      EXPECT_EQ(mine[4], 1);
      EXPECT_EQ(mine[5], 1);
    }
  }
  EXPECT_THAT(memory.complaints, ElementsAre());
}

TEST_F(Execute, arithmetic_is_that_of_the_processor_and_conversions_saturate) {
  __extension__ using Wide = __int128;
  for (const auto& [a, b] : std::vector<std::pair<long long, long long>>{
           {7, 3}, {-7, 3}, {7, -3}, {-1, 65}, {1LL << 62, 5}, {-123456789123456789, 987654321}, {65535, 16}}) {
    const auto in = memory.add<long long>(2, {a, b});
    const auto out = memory.add<long long>(12);
    run("arithmetic", 1, 1, in, out);
    const auto x = static_cast<unsigned long long>(a), y = static_cast<unsigned long long>(b);
    EXPECT_THAT(
        memory.values<long long>(out),
        ElementsAre(
            a / b, a % b, static_cast<long long>(x / y), a >> (b & 63), static_cast<long long>(x >> (b & 63)),
            static_cast<short>(a), static_cast<unsigned short>(a), static_cast<long long>(static_cast<float>(a)),
            a > 0 ? std::numeric_limits<int>::max() : std::numeric_limits<int>::min(),
            static_cast<long long>((Wide{a} * b) >> 64), static_cast<long long>((Wide{a} * b + a) >> 3),
            __builtin_popcountll(x) + (static_cast<int>(b) == 0 ? 32 : __builtin_clz(static_cast<unsigned>(b)))));
  }
  EXPECT_THAT(memory.complaints, ElementsAre());
}

TEST_F(Execute, sectors_are_counted_by_what_a_warp_touches_at_once) {
  const auto in = memory.add<int>(1024, counted(1024));
  const auto out = memory.add<int>(1024);
  const auto expect = [](const Traffic& traffic, std::uint64_t instructions, std::uint64_t sectors,
                         std::uint64_t least) {
    EXPECT_EQ(traffic.instructions, instructions);
    EXPECT_EQ(traffic.sectors, sectors);
    EXPECT_EQ(traffic.least, least);
  };
  auto report = run("side_by_side", 1, 64, in, out);
  expect(report.loads, 2, 8, 8);
  expect(report.stores, 2, 8, 8);
  report = run("far_apart", 1, 64, in, out);
  expect(report.loads, 2, 64, 8);
  expect(report.stores, 2, 64, 8);
  report = run("all_the_same", 1, 64, in, out);
  expect(report.loads, 2, 2, 2);
  report = run("side_by_side", 1, 64, in + 4, out);
  expect(report.loads, 2, 10, 8);  // one word beside the begin of a sector
}

TEST_F(Execute, what_was_touched_is_reported_and_what_was_written_is_known_as_written) {
  const auto in = memory.add<int>(64, counted(64));
  const auto out = memory.add<int>(100);
  const auto report = run("side_by_side", 1, 64, in, out + 8);
  ASSERT_EQ(report.touched.size(), 2U);
  for (const Range& range : report.touched) {
    EXPECT_EQ(range.low, range.write ? out + 8 : in);
    EXPECT_EQ(range.high, (range.write ? out + 8 : in) + 256);
  }
  EXPECT_EQ(memory.written(out), 256U);
}

TEST_F(Execute, divisions_of_64_bits_are_counted) {
  std::vector<unsigned long long> numbers(64, 1ULL << 60);
  const auto address = memory.add<unsigned long long>(64, numbers);
  const auto report = run("divides", 1, 64, address, 10ULL);
  EXPECT_EQ(report.most_wide_divisions, 2U);
  EXPECT_EQ(snippet("divides").wide_division_sites, 2U);
  EXPECT_EQ(snippet("block_sums").wide_division_sites, 0U);
}

TEST_F(Execute, one_word_too_many_ends_the_launch) {
  const auto out = memory.add<int>(40);
  run("one_word_too_many", 1, 64, out, 39);
  expect_fault("store outside", "one_word_too_many", out, 40);
}

TEST_F(Execute, memory_that_nobody_wrote_is_reported_but_for_the_part_that_somebody_did) {
  const auto in = memory.add<int>(64, counted(63));
  const auto out = memory.add<int>(64);
  expect_complaint("nobody has written, thread (63,0,0)", "reads_what_nobody_wrote", in, out);
  memory.complaints.clear();
  run("reads_what_nobody_wrote", 1, 63, in, out);
  EXPECT_THAT(memory.complaints, ElementsAre());
}

TEST_F(Execute, a_misaligned_load_ends_the_launch) {
  const auto in = memory.add<int>(100, counted(100));
  const auto out = memory.add<int>(64);
  expect_fault("misaligned load", "misaligned", in, out);
}

TEST_F(Execute, races_in_shared_memory_are_reported_also_where_this_order_was_right) {
  const auto in = memory.add<int>(64, counted(64));
  const auto out = memory.add<int>(64);
  expect_complaint("shared", "reads_too_early", in, out);
  expect_complaint("shared race", "writes_too_early", in, out);
  expect_complaint("shared race: two writes", "two_write_one_place", out);
}

TEST_F(Execute, shared_memory_has_an_end_and_a_beginning) {
  const auto out = memory.add<int>(64);
  run("behind_a_shared_array", 1, 64, out, 0);
  EXPECT_THAT(memory.complaints, ElementsAre());
  expect_fault("outside the arrays in shared memory", "behind_a_shared_array", out, 1);
  expect_fault("outside the arrays in shared memory", "behind_a_shared_array", out, -1);
  expect_complaint("shared memory that nobody has written", "shared_that_nobody_wrote", out);
}

TEST_F(Execute, threads_that_leave_or_wait_elsewhere_are_missed_at_a_barrier) {
  const auto out = memory.add<int>(64);
  expect_complaint("left while others wait", "leaves_before_the_barrier", out);
  expect_complaint("different barriers", "two_barriers", out);
}

TEST_F(Execute, lanes_that_a_mask_names_must_come_and_others_must_not) {
  const auto out = memory.add<unsigned>(64);
  expect_complaint("does not come", "a_lane_does_not_come", out);
  expect_complaint("leaves it out", "a_lane_is_not_in_the_mask", out);
  expect_complaint("does not come", "waits_at_a_barrier_instead", out);
}

}  // namespace
}  // namespace peaknet::gpusim
