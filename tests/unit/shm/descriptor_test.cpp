#include "shm/descriptor.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/shm/documented_offsets.hpp"

namespace peaknet::shm {
namespace {

const Geometry kPool{8, 2, 100, 200, PixelType::int16};

FrameDescriptor good() {
  FrameDescriptor d;
  d.producer = 3;
  d.producer_seq = 1207;
  d.pixel_type = static_cast<std::uint32_t>(PixelType::int16);
  d.panels = 2;
  d.height = d.original_height = 100;
  d.width = d.original_width = 200;
  d.photon_energy_ev = std::numeric_limits<double>::quiet_NaN();
  return d;
}

void expect_refused(const FrameDescriptor& d, const std::string& field) {
  const Status status = d.check(kPool);
  ASSERT_FALSE(status) << field;
  EXPECT_EQ(status.error().id, "frame.bad-descriptor");
  EXPECT_NE(status.error().what.find(field), std::string::npos) << status.error().text();
  EXPECT_NE(status.error().what.find("producer 3 frame 1207"), std::string::npos) << status.error().text();
}

TEST(FrameDescriptor, one_of_this_pool_is_accepted) {
  FrameDescriptor d = good();
  EXPECT_TRUE(d.check(kPool));
  d.photon_energy_ev = 9500.0;
  d.encoder_value = -572.5;
  d.fiducial = 0;
  d.original_height = 90;
  d.pad_top = 10;
  d.original_width = 1;
  d.pad_left = 199;
  EXPECT_TRUE(d.check(kPool)) << "a padded frame up to the very edge";
}

TEST(FrameDescriptor, each_damaged_field_is_named) {
  FrameDescriptor d = good();
  d.pixel_type = 99;
  expect_refused(d, "pixel type");
  d = good();
  for (std::uint32_t FrameDescriptor::*size :
       {&FrameDescriptor::panels, &FrameDescriptor::height, &FrameDescriptor::width}) {
    d = good();
    d.*size += 1;
    expect_refused(d, "shape");
  }
  d = good();
  d.original_width = 0;
  expect_refused(d, "valid area");
  d = good();
  d.pad_top = 1;
  expect_refused(d, "valid area");
  d = good();
  d.pad_left = 0xffffffffU;  // would wrap round in 32 bits
  expect_refused(d, "valid area");
  d = good();
  for (const double energy : {0.0, -1.0, std::numeric_limits<double>::infinity()}) {
    d.photon_energy_ev = energy;
    expect_refused(d, "photon energy");
  }
  d = good();
  d.encoder_value = std::numeric_limits<double>::infinity();
  expect_refused(d, "encoder value");
  d = good();
  d.fiducial = 0x8000'0000U;  // would be negative in a file
  expect_refused(d, "fiducial");
}

TEST(FrameDescriptor, texts_are_cut_and_always_end) {
  FrameDescriptor d;
  d.set_run("run 17");
  EXPECT_EQ(d.run_id(), "run 17");
  d.set_run(std::string(100, 'x'));
  EXPECT_EQ(d.run_id(), std::string(31, 'x'));
  d.set_run("short");
  EXPECT_EQ(d.run_id(), "short") << "nothing of the longer text may stay";
  d.source_run.fill('y');  // scribbled over: no zero at the end
  EXPECT_EQ(d.source_run_id().size(), 32U);
}

// docs/formats/segment.md says where each field lies.
TEST(FrameDescriptor, lies_in_memory_as_the_document_of_its_format_says) {
  using D = FrameDescriptor;
  const std::vector<std::size_t> offsets = {offsetof(D, run),          offsetof(D, producer),
                                            offsetof(D, producer_seq), offsetof(D, event_id),
                                            offsetof(D, timestamp),    offsetof(D, photon_energy_ev),
                                            offsetof(D, pixel_type),   offsetof(D, original_height),
                                            offsetof(D, flags),        offsetof(D, result_status),
                                            offsetof(D, claim_ns),     offsetof(D, last_writer),
                                            offsetof(D, source_run),   offsetof(D, user),
                                            offsetof(D, sequence),     offsetof(D, encoder_value),
                                            offsetof(D, fiducial),     offsetof(D, model)};
  EXPECT_EQ(test::documented_offsets("Descriptor"), offsets);
}

}  // namespace
}  // namespace peaknet::shm
