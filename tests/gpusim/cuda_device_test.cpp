// CudaDevice on the simulated runtime: images across the ends of what the driver registers at once, the ways without
// registration, one registration for all devices, and what is refused.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/device/cuda_device.hpp"
#include "daemon/device/cuda_driver.hpp"
#include "tests/gpusim/simulator.hpp"

namespace peaknet::device {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kPage = 4096;

std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Memory as a pool is of.
class Pages {
 public:
  explicit Pages(std::size_t bytes) : bytes_(bytes) {
    address_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (address_ == MAP_FAILED) throw std::bad_alloc();
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(address_, bytes_); }
  std::span<std::byte> span() const { return {static_cast<std::byte*>(address_), bytes_}; }

 private:
  void* address_;
  std::size_t bytes_;
};

// Slots as a pool has them, of a size that a seed chooses: an image of any length, then its mask.
struct Slots {
  std::size_t image, words, mask_at, stride, count;
  Pages pages;
  std::span<std::byte> memory;

  explicit Slots(std::mt19937& random)
      : image(kPage * (1 + random() % 300) - random() % 4000),
        words(1 + random() % std::min<std::size_t>(image / 8, 2000)),
        mask_at(whole_pages(image)),
        stride(mask_at + whole_pages(8 * words)),
        count(6 * kMiB / stride + 2),
        pages(count * stride),
        memory(pages.span()) {
    for (std::size_t at = 0; at + 8 <= memory.size(); at += 8) {
      const std::uint64_t value = at * 2'654'435'761U + random();
      std::memcpy(memory.data() + at, &value, 8);
    }
  }

  ImageRun run(std::size_t first, std::uint32_t some) const { return {at(first), image, stride, some}; }
  std::byte* at(std::size_t slot) const { return memory.data() + slot * stride; }
  std::span<std::uint64_t> mask(std::size_t slot) const {
    return {reinterpret_cast<std::uint64_t*>(at(slot) + mask_at), words};
  }
  bool mask_is_begin_of_image(std::size_t slot) const {
    return std::memcmp(at(slot), at(slot) + mask_at, 8 * words) == 0;
  }
};

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!gpusim::simulated()) GTEST_SKIP() << "this is no simulated CUDA runtime";
  }
  // The simulated machine, begun anew with this in its environment.
  void machine(const std::vector<std::pair<std::string, std::string>>& settings = {}) {
    for (const char* name : {"GPUSIM_NO_REGISTER", "GPUSIM_NO_PINNED", "GPUSIM_REGISTER_MIB", "GPUSIM_CAPABILITY",
                             "GPUSIM_COUNT_ERROR", "GPUSIM_MEMORY_MIB"})
      ::unsetenv(name);
    for (const auto& [name, value] : settings) ::setenv(name.c_str(), value.c_str(), 1);
    gpusim::reset();
  }
  // The stream hangs at the next operation of this kind, which is put there by `put`.
  static void hang_in(const char* what, const std::function<void()>& put) {
    const auto hangs = gpusim::counted("hangs");
    gpusim::hang_after(what, 1);
    put();
    while (gpusim::counted("hangs") == hangs) std::this_thread::yield();
  }
  static std::unique_ptr<Device> device(const std::shared_ptr<CudaRegistrar>& registrar,
                                        const std::string& name = "cuda:0") {
    return make_cuda_device(name, registrar).value();
  }

  // Runs of neighbouring images to the device; the begin of each comes back as its mask. The transfers that it took.
  static std::uint32_t there_and_back(Device& device, const Slots& slots, std::mt19937& random) {
    const auto most = static_cast<std::uint32_t>(std::min<std::size_t>(slots.count, 24));
    std::uint32_t transfers = 0;
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t some = 1 + static_cast<std::uint32_t>(random() % most);
      const std::size_t first = random() % (slots.count - some + 1);
      // Not a byte behind the last image.
      const auto lane = device.reserve((some - 1) * slots.mask_at + slots.image).value();
      const auto up = device.upload(slots.run(first, some), lane->address(), slots.mask_at);
      transfers += up.transfers;
      const Event uploaded = device.make_event();
      device.record(uploaded, Stream::upload);
      device.wait(Stream::download, uploaded);
      for (std::uint32_t k = 0; k < some; ++k)
        device.download(reinterpret_cast<const std::uint64_t*>(up.images.image(k)), slots.mask(first + k));
      const auto reached = device.synchronize();
      EXPECT_TRUE(reached.ok()) << reached.error().text();
      for (std::uint32_t k = 0; k < some; ++k)
        EXPECT_TRUE(slots.mask_is_begin_of_image(first + k)) << "slot " << first + k << " of " << slots.count;
    }
    return transfers;
  }
};

TEST_F(CudaDeviceTest, runs_of_images_go_across_the_ends_of_registered_chunks) {
  machine();
  std::uint32_t transfers = 0;
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Slots slots(random);
    const auto before = gpusim::counted("registrations");
    const auto gpu = device(std::make_shared<CudaRegistrar>(kMiB));
    ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride).ok());
    EXPECT_EQ(gpu->h2d_mode(), "registered");
    EXPECT_FALSE(gpu->detour().has_value());
    EXPECT_GT(gpusim::counted("registrations"), before + 1) << "one chunk alone has no end inside";
    transfers += there_and_back(*gpu, slots, random);
  }
  EXPECT_GT(transfers, 8U * 4U) << "no run was cut";
}

TEST_F(CudaDeviceTest, chunks_become_smaller_until_the_driver_takes_them) {
  machine({{"GPUSIM_REGISTER_MIB", "2"}});
  std::mt19937 random(1);
  const Slots slots(random);
  const auto before = gpusim::counted("registrations");
  const auto refused = CudaRegistrar().cover(slots.memory, slots.stride);
  ASSERT_FALSE(refused.ok()) << "no chunk of 16 MiB is taken here";
  EXPECT_EQ(gpusim::counted("registrations"), before) << "what was registered on the way stays for ever";

  machine({{"GPUSIM_REGISTER_MIB", "40"}});
  const Pages memory(96 * kMiB);
  const auto covered = CudaRegistrar(128 * kMiB).cover(memory.span(), kMiB);
  ASSERT_TRUE(covered.ok()) << covered.error().text();
  const std::byte* begin = memory.span().data();
  EXPECT_EQ((*covered)->up_to_chunk_end(begin + 30 * kMiB, kMiB), 2U) << "chunks of 32 MiB";
  EXPECT_EQ((*covered)->up_to_chunk_end(begin + 32 * kMiB, kMiB), 32U);
}

TEST_F(CudaDeviceTest, what_cannot_be_registered_goes_through_pinned_memory_and_says_why) {
  machine({{"GPUSIM_NO_REGISTER", "1"}});
  for (unsigned seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const Slots slots(random);
    const auto gpu = device(std::make_shared<CudaRegistrar>());
    ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride).ok());
    EXPECT_EQ(gpu->h2d_mode(), "staged");
    const auto detour = gpu->detour();
    ASSERT_TRUE(detour.has_value());
    EXPECT_EQ(detour->id, "device.not-registered");
    EXPECT_NE(detour->what.find("cuda:0"), std::string::npos) << detour->text();
    EXPECT_NE(detour->what.find("(801)"), std::string::npos) << detour->text();
    EXPECT_NE(detour->remedy.find("LimitMEMLOCK"), std::string::npos) << detour->text();
    there_and_back(*gpu, slots, random);
  }
  EXPECT_EQ(gpusim::counted("copies that blocked the caller"), 0U);
}

TEST_F(CudaDeviceTest, memory_of_the_host_goes_up_in_one_transfer_though_slots_are_not_registered) {
  machine({{"GPUSIM_NO_REGISTER", "1"}});
  std::mt19937 random(1);
  const Slots slots(random);
  const auto gpu = device(std::make_shared<CudaRegistrar>());
  ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride).ok());
  const std::size_t image = slots.mask_at;
  const auto straight = gpu->reserve_on_host(3 * image).value();
  std::memcpy(straight->address(), slots.memory.data(), 3 * image);
  const auto lane = gpu->reserve(3 * image).value();
  const auto up = gpu->upload({straight->address(), image, image, 3}, lane->address(), image);
  EXPECT_EQ(up.transfers, 1U);
  EXPECT_TRUE(gpu->synchronize().ok());
  gpu->download(reinterpret_cast<const std::uint64_t*>(up.images.image(0)), slots.mask(0));
  EXPECT_TRUE(gpu->synchronize().ok());
  EXPECT_TRUE(slots.mask_is_begin_of_image(0));
  EXPECT_EQ(gpusim::counted("copies that blocked the caller"), 0U);
}

TEST_F(CudaDeviceTest, a_device_for_which_nothing_can_be_pinned_is_refused) {
  machine({{"GPUSIM_NO_PINNED", "1"}});
  const auto gpu = make_cuda_device("cuda:0");
  ASSERT_FALSE(gpu.ok()) << "its copies would hold up the worker, and a hang would not be noticed";
  EXPECT_EQ(gpu.error().id, "device.no-pinned-memory");
  EXPECT_NE(gpu.error().what.find("cuda:0: the driver could not pin 17.00 MiB of memory"), std::string::npos)
      << gpu.error().text();
  EXPECT_NE(gpu.error().remedy.find("ulimit -l"), std::string::npos) << gpu.error().text();
}

// As a golden input, calibration or the masks of a trial are.
TEST_F(CudaDeviceTest, no_copy_of_ordinary_memory_waits_for_a_device_that_hangs) {
  machine();
  std::mt19937 random(3);
  const Slots slots(random);
  std::vector<std::byte> image(25 * kMiB);  // goes around the ring
  for (auto& byte : image) byte = static_cast<std::byte>(random());
  std::vector<std::uint64_t> mask(image.size() / 8);
  const auto gpu = device(std::make_shared<CudaRegistrar>());
  ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride).ok());
  const auto lane = gpu->reserve(image.size()).value();
  const Event uploaded = gpu->make_event();
  const Event downloaded = gpu->make_event();
  hang_in("upload", [&] {
    gpu->upload({image.data(), image.size(), image.size(), 1}, lane->address(), image.size());
    gpu->record(uploaded, Stream::upload);
    gpu->wait(Stream::download, uploaded);
    gpu->download(reinterpret_cast<const std::uint64_t*>(lane->address()), mask);
    gpu->record(downloaded, Stream::download);
    EXPECT_FALSE(gpu->done(downloaded)) << "it cannot have been done, and we are here all the same";
  });
  EXPECT_FALSE(gpu->idle_within(50ms)) << "time to fill a piece again that is not sent";
  gpusim::free_hung();
  ASSERT_TRUE(gpu->synchronize().ok());
  EXPECT_EQ(std::memcmp(mask.data(), image.data(), image.size()), 0);
  EXPECT_EQ(gpusim::counted("copies that blocked the caller"), 0U);
}

// Who freed memory there would wait for the one that hangs.
TEST_F(CudaDeviceTest, none_lets_go_of_a_gpu_on_which_another_hangs_and_none_is_made_there) {
  machine({{"GPUSIM_DEVICES", "2"}});
  const auto registrar = std::make_shared<CudaRegistrar>();
  const auto hung = device(registrar);
  const auto beside = device(registrar);
  const auto elsewhere = device(registrar, "cuda:1");
  std::vector<std::byte> image(kMiB, std::byte{7});
  const auto lane = hung->reserve(image.size()).value();
  gpusim::hang_after("upload", 1);
  hung->upload({image.data(), image.size(), image.size(), 1}, lane->address(), image.size());
  EXPECT_FALSE(hung->release(std::chrono::milliseconds(20)));
  EXPECT_FALSE(beside->release(std::chrono::seconds(1)));
  EXPECT_TRUE(elsewhere->release(std::chrono::seconds(1)));
  const auto refused = make_cuda_device("cuda:0", registrar);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "device.stuck");
  gpusim::free_hung();
  EXPECT_TRUE(hung->release(std::chrono::seconds(20)));
  EXPECT_TRUE(make_cuda_device("cuda:0", registrar));
  EXPECT_TRUE(beside->release(std::chrono::seconds(20)));
}

TEST_F(CudaDeviceTest, all_devices_of_a_process_share_one_registration) {
  machine({{"GPUSIM_DEVICES", "2"}});
  std::mt19937 random(5);
  const Slots slots(random);
  const auto before = gpusim::counted("registrations");
  const auto registrar = std::make_shared<CudaRegistrar>();
  auto first = device(registrar);
  const auto second = device(registrar, "cuda:1");
  for (Device* gpu : {first.get(), second.get()}) {
    ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride).ok());
    EXPECT_EQ(gpu->h2d_mode(), "registered");
  }
  EXPECT_EQ(gpusim::counted("registrations"), before + 1);
  first.reset();
  const auto again = device(registrar, "cuda:1");  // selects it for this thread
  there_and_back(*again, slots, random);
  ASSERT_TRUE(again->adopt_payload(slots.memory, slots.stride).ok());
  there_and_back(*again, slots, random);
  EXPECT_EQ(gpusim::counted("registrations"), before + 1) << "it ends with the last device that uses it";
}

TEST_F(CudaDeviceTest, a_driver_that_hangs_in_the_registration_for_one_device_leaves_another_the_detour) {
  machine({{"GPUSIM_DEVICES", "2"}});
  std::mt19937 random(6);
  const Slots slots(random);
  const auto registrar = std::make_shared<CudaRegistrar>(CudaRegistrar::kChunk, 50ms);
  const auto second = device(registrar, "cuda:1");
  const auto hangs = gpusim::counted("calls that hang");
  gpusim::block_after("device 0: cudaHostRegister", 1);
  std::jthread hanging([&] {
    const auto first = device(registrar);
    EXPECT_TRUE(first->adopt_payload(slots.memory, slots.stride));
  });
  while (gpusim::counted("calls that hang") == hangs) std::this_thread::yield();
  ASSERT_TRUE(second->adopt_payload(slots.memory, slots.stride));
  EXPECT_EQ(second->h2d_mode(), "staged");
  EXPECT_NE(second->detour()->what.find("for another GPU"), std::string::npos);
  there_and_back(*second, slots, random);
  gpusim::free_hung();
}

TEST_F(CudaDeviceTest, before_memory_is_said_to_be_missing_what_others_keep_of_it_is_given_back) {
  machine({{"GPUSIM_MEMORY_MIB", "64"}});
  void* kept = nullptr;
  int asked = 0;
  const auto gpu = make_cuda_device("cuda:0", nullptr, [&] {
                     ++asked;
                     cudaFree(std::exchange(kept, nullptr));
                   }).value();
  const std::size_t most = gpu->memory().free;
  ASSERT_EQ(cudaMalloc(&kept, most / 2), cudaSuccess);
  EXPECT_TRUE(gpu->reserve(most / 4));
  EXPECT_EQ(asked, 0) << "there was enough";
  EXPECT_TRUE(gpu->reserve(most / 4 * 3));
  EXPECT_EQ(asked, 1);
  const auto none = gpu->reserve(2 * most);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().id, "device.no-memory");
  EXPECT_EQ(asked, 2) << "once for each request";
  gpu->compute([](void*) {});
  EXPECT_TRUE(gpu->health()) << "a request that failed is no fault of the device";
}

// Its streams have nothing to do any more, and its events look done.
TEST_F(CudaDeviceTest, who_asks_a_device_that_broke_down_for_an_event_or_its_streams_learns_it) {
  for (const bool by_event : {true, false}) {
    SCOPED_TRACE(by_event);
    machine();
    const auto gpu = device(nullptr);
    const auto lane = gpu->reserve(kPage).value();
    const Event computed = gpu->make_event();
    gpusim::break_after("memset", 1);
    hang_in("memset", [&] {  // so that none of these calls learns of it
      gpu->clear(lane->address(), kPage);
      gpu->record(computed, Stream::compute);
    });
    gpusim::free_hung();
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (gpu->health() && std::chrono::steady_clock::now() < end) {
      if (by_event) {
        EXPECT_FALSE(gpu->done(computed));
      } else {
        gpu->idle_within(1ms);
      }
    }
    ASSERT_FALSE(gpu->health());
    EXPECT_EQ(gpu->health().error().id, "device.lost");
    EXPECT_FALSE(gpu->done(computed)) << "nobody knows what became of it";
    EXPECT_FALSE(gpu->done(computed)) << "also the second time";
    EXPECT_TRUE(gpu->idle_within(0ms)) << "nobody has to wait for it";
    EXPECT_FALSE(gpu->release(0ms)) << "a copy that had begun may be under way";
  }
}

TEST_F(CudaDeviceTest, a_device_is_idle_when_each_of_its_streams_is) {
  std::mt19937 random(4);
  const Slots slots(random);
  for (const char* work : {"upload", "memset", "download"}) {
    SCOPED_TRACE(work);
    machine();
    const auto gpu = device(nullptr);
    ASSERT_TRUE(gpu->adopt_payload(slots.memory, slots.stride));
    const auto lane = gpu->reserve(slots.mask_at).value();
    gpu->clear(lane->address(), slots.mask_at);
    ASSERT_TRUE(gpu->idle_within(20s));
    hang_in(work, [&] {
      if (work == std::string("upload")) gpu->upload(slots.run(0, 1), lane->address(), slots.mask_at);
      if (work == std::string("memset")) gpu->clear(lane->address(), kPage);
      if (work == std::string("download"))
        gpu->download(reinterpret_cast<const std::uint64_t*>(lane->address()), slots.mask(0));
    });
    EXPECT_FALSE(gpu->idle_within(20ms));
    EXPECT_FALSE(gpu->release(20ms));
    gpusim::free_hung();
    EXPECT_TRUE(gpu->idle_within(20s));
    EXPECT_TRUE(gpu->release(0ms));
  }
}

TEST_F(CudaDeviceTest, a_lost_device_does_not_let_go_before_a_function_that_it_called_is_over) {
  machine();
  const auto gpu = device(nullptr);
  const auto lane = gpu->reserve(kPage).value();
  const Event downloaded = gpu->make_event();
  std::promise<void> begun, may_end;
  gpu->record(downloaded, Stream::download);
  gpu->on_done(downloaded, Stream::download, [&] {
    begun.set_value();
    may_end.get_future().wait();
  });
  begun.get_future().wait();
  gpusim::break_after("memset", 1);
  gpu->clear(lane->address(), kPage);
  ASSERT_TRUE(gpu->idle_within(20s));
  ASSERT_FALSE(gpu->health());
  EXPECT_FALSE(gpu->release(1500ms));
  may_end.set_value();
  EXPECT_TRUE(gpu->release(20s));
}

TEST_F(CudaDeviceTest, a_recording_that_is_refused_spoils_neither_the_stream_nor_the_device) {
  machine();
  const auto gpu = device(nullptr);
  const auto lane = gpu->reserve(kPage).value();
  gpu->compute([&](void* stream) {
    ASSERT_TRUE(gpu->graphs()->begin(stream));
    void* memory = nullptr;
    EXPECT_NE(cudaMalloc(&memory, kPage), cudaSuccess) << "not while something is recorded";
    const auto graph = gpu->graphs()->end(stream);
    ASSERT_FALSE(graph);
    EXPECT_EQ(graph.error().id, "graph.refused");
  });
  EXPECT_TRUE(gpu->health());
  gpu->compute([&](void* stream) {
    ASSERT_TRUE(gpu->graphs()->begin(stream)) << "the next may record";
    cudaMemsetAsync(lane->address(), 7, kPage, static_cast<cudaStream_t>(stream));
    const auto graph = gpu->graphs()->end(stream);
    ASSERT_TRUE(graph);
    EXPECT_TRUE((*graph)->replay(stream));
  });
  EXPECT_TRUE(gpu->synchronize());
}

TEST_F(CudaDeviceTest, an_error_that_only_the_last_error_shows_is_seen_after_the_work_that_made_it) {
  machine();
  const auto gpu = device(nullptr);
  gpu->compute([](void*) { cudaSetDevice(99); });
  ASSERT_FALSE(gpu->health());
  EXPECT_NE(gpu->health().error().what.find("a kernel failed"), std::string::npos) << gpu->health().error().text();
}

TEST_F(CudaDeviceTest, events_that_were_given_back_are_numbers_for_others_one_each) {
  machine();
  const auto alive = [] { return gpusim::counted("events made") - gpusim::counted("events destroyed"); };
  const auto before = alive();
  {
    const auto gpu = device(nullptr);
    const auto own = alive();
    const Event first = gpu->make_event();
    gpu->free_event(first);
    EXPECT_EQ(alive(), own);
    const Event second = gpu->make_event();
    const Event third = gpu->make_event();
    EXPECT_NE(second, third);
    gpu->record(second, Stream::upload);
    gpu->record(third, Stream::compute);
    EXPECT_TRUE(gpu->synchronize());
    EXPECT_TRUE(gpu->done(second) && gpu->done(third));
  }
  EXPECT_EQ(alive(), before) << "all end with their device";
}

TEST_F(CudaDeviceTest, devices_that_are_too_old_are_refused_by_name) {
  machine({{"GPUSIM_CAPABILITY", "75"}});
  const auto gpu = make_cuda_device("cuda:0");
  ASSERT_FALSE(gpu.ok());
  EXPECT_EQ(gpu.error().id, "device.too-old");
  EXPECT_NE(gpu.error().what.find("cuda:0 (simulated device 0) has compute capability 7.5"), std::string::npos)
      << gpu.error().text();
  machine({{"GPUSIM_CAPABILITY", "80"}});
  EXPECT_TRUE(make_cuda_device("cuda:0").ok());
}

TEST_F(CudaDeviceTest, a_driver_that_cannot_count_its_devices_is_no_machine_without_devices) {
  for (const auto& [code, remedy] :
       {std::pair{"802", "nvidia-fabricmanager"}, std::pair{"999", "nvidia-modprobe"}, std::pair{"35", "newer NVIDIA"},
        std::pair{"803", "reboot"}, std::pair{"46", "COMPUTE"}, std::pair{"3", "dmesg"}}) {
    machine({{"GPUSIM_COUNT_ERROR", code}});
    const auto names = cuda_device_names();
    ASSERT_FALSE(names.ok()) << code;
    EXPECT_EQ(names.error().id, "device.driver");
    EXPECT_NE(names.error().what.find("(" + std::string(code) + ")"), std::string::npos) << names.error().text();
    EXPECT_NE(names.error().remedy.find(remedy), std::string::npos) << names.error().text();
  }
  machine({{"GPUSIM_COUNT_ERROR", "100"}});
  EXPECT_EQ(cuda_device_names().value(), std::vector<std::string>{});
  machine({{"GPUSIM_DEVICES", "2"}});
  EXPECT_EQ(cuda_device_names().value(), (std::vector<std::string>{"cuda:0", "cuda:1"}));
}

}  // namespace
}  // namespace peaknet::device
