#include "live/live_geometry.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/must.hpp"
#include "cxi/crystfel_geometry.hpp"
#include "tests/unit/cxi/samples.hpp"

namespace peaknet::live {
namespace {

constexpr const char* kGeometry = R"(; a detector
photon_energy = /LCLS/photon_energy_eV eV
clen = /LCLS/detector_1/EncoderValue mm
coffset = 0.58
data = /entry_1/data_1/data
dim0 = %
dim1 = ss
dim2 = fs
mask = /entry_1/data_1/mask
mask_good = 0x0000
mask_bad = 0xffff
peak_list = /entry_1/result_1
res = 9090.9
fs = x
ss = y
corner_x = 0
corner_y = 0
rigid_group_q0 = p0,p1

p0/data = /entry_1/data_1/data   ; its own
p0/min_fs = 0
p0/max_fs = 64
p0/min_ss = 0
p0/max_ss = 31
p0/dim0 = %
p1/min_fs = 0
p1/max_fs = 64
p1/min_ss = 32
p1/max_ss = 63
bad_edge/min_fs = 0
)";

std::vector<std::string> in_force(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line.resize(std::min(line.find(';'), line.size()));
      if (!line.empty()) lines.push_back(line);
      line.clear();
    } else {
      line += c;
    }
  }
  return lines;
}

bool has(const std::vector<std::string>& lines, const std::string& line) {
  return std::find(lines.begin(), lines.end(), line) != lines.end();
}

TEST(LiveGeometry, NamesKeysOfTheMessageInPlaceOfPlacesInFiles) {
  const auto text = live_geometry(kGeometry, test::sample_facts(), "/out/mask.h5");
  const auto lines = in_force(text);
  for (const char* line : {"data = image", "peak_list = peak_list", "photon_energy = photon_energy_eV eV",
                           "clen = encoder_mm mm", "mask0_file = /out/mask.h5", "coffset = 0.58", "res = 9090.9",
                           "p1/max_ss = 63", "bad_edge/min_fs = 0", "rigid_group_q0 = p0,p1"})
    EXPECT_TRUE(has(lines, line)) << line << "\n" << text;
  // CrystFEL takes one array of two dimensions over MsgPack, and no place in a file.
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find("dim"), std::string::npos) << line;
    EXPECT_TRUE(line.starts_with("mask0_data") || line.find("= /entry") == std::string::npos) << line;
    EXPECT_FALSE(line.starts_with("mask_") || line.starts_with("mask =")) << line;
  }
  const auto before = must(writer::parse_crystfel_geometry(kGeometry, "before"));
  const auto after = must(writer::parse_crystfel_geometry(text, "after"));
  ASSERT_EQ(after.panels.size(), before.panels.size());
  for (std::size_t i = 0; i < after.panels.size(); ++i) {
    EXPECT_EQ(after.panels[i].max_ss, before.panels[i].max_ss);
    EXPECT_EQ(after.panels[i].data, "image");
    EXPECT_TRUE(after.panels[i].dim.empty());
  }
}

TEST(LiveGeometry, KeepsNumbersThatSomebodyWrote) {
  const auto lines = in_force(live_geometry("photon_energy = 9500\nclen = 0.2\n", test::sample_facts(), "/m.h5"));
  EXPECT_TRUE(has(lines, "photon_energy = 9500"));
  EXPECT_TRUE(has(lines, "clen = 0.2"));
  EXPECT_FALSE(has(lines, "photon_energy = photon_energy_eV eV"));
  EXPECT_FALSE(has(lines, "clen = encoder_mm mm"));
}

TEST(LiveGeometry, WritesTheMaskAsAFileThatCanBeReadAgain) {
  const test::TempFolder folder;
  const auto facts = test::sample_facts();
  std::vector<std::uint16_t> mask(64 * 65, 0);
  mask[70] = 1;
  for (int again = 0; again < 2; ++again) must(write_mask_file(folder.path() / "m.h5", facts, mask));
  const auto read = test::numbers_of(folder.path() / "m.h5", "/entry_1/data_1/mask");
  ASSERT_EQ(read.size(), mask.size());
  EXPECT_EQ(read[70], 1);
  EXPECT_EQ(std::count(read.begin(), read.end(), 0.0), 64 * 65 - 1);
}

}  // namespace
}  // namespace peaknet::live
