#include "ctl/files/hit_picture.hpp"

#include <utility>

#include "ctl/instance_config.hpp"
#include "cxi/placement.hpp"
#include "imaging/detector_view.hpp"

namespace peaknet::ctl {
namespace {

// The image that is shown, and what of it is no data.
struct Shown {
  std::vector<std::byte> pixels;  // of the slab; empty where the frame is one as it is
  std::vector<std::uint8_t> no_data;
};

bool is_set(const std::vector<std::uint64_t>& bits, std::size_t words_per_row, std::size_t row, std::uint32_t x) {
  return !bits.empty() && (bits[row * words_per_row + x / 64] >> x % 64 & 1U) != 0;
}

Shown pixels_of(const shm::TapFrame& frame, const writer::SlabLayout& slab, const writer::BadMask& bad) {
  const shm::Geometry& frames = frame.geometry;
  Shown shown;
  if (!writer::is_stacked(slab, frames.height, frames.width)) {
    const std::size_t bytes = size_of(frames.pixel_type);
    shown.pixels.resize(std::size_t{slab.height} * slab.width * bytes);
    writer::fill_slab(slab, frames.height, frames.width, bytes, frame.image, shown.pixels);
  }
  const shm::FrameDescriptor& of = frame.descriptor;
  shown.no_data.assign(std::size_t{slab.height} * slab.width, 0);
  for (std::uint32_t panel = 0; panel < frames.panels; ++panel) {
    const writer::PanelPlace& target = slab.places[panel];
    for (std::uint32_t y = 0; y < frames.height; ++y) {
      for (std::uint32_t x = 0; x < frames.width; ++x) {
        const bool padding = y < of.pad_top || y >= of.pad_top + of.original_height || x < of.pad_left ||
                             x >= of.pad_left + of.original_width;
        const std::size_t row = std::size_t{panel} * frames.height + y;
        if (padding || is_set(bad.words, frames.words_per_row(), row, x))
          shown.no_data[(std::size_t{target.y} + y) * slab.width + target.x + x] = 1;
      }
    }
  }
  return shown;
}

}  // namespace

std::string png_of(const imaging::Canvas& canvas) {
  std::string png;
  const auto written = canvas.encode_png([&](const unsigned char* bytes, unsigned size) {
    png.append(reinterpret_cast<const char*>(bytes), size);
    return true;
  });
  return written ? png : std::string{};
}

PictureSettings picture_settings(const Options& options, const Target& target) {
  auto config = config_of(options, target);
  if (config) return {std::move(*config)};
  return {{},
          "the configuration of " + target.instance + " is not known (" + config.error().id +
              "): no geometry, no bad pixels, hits as by default; --config FILE tells"};
}

HitPictures::HitPictures(PictureSettings settings)
    : settings_(std::move(settings)), examiner_(settings_.config.peaks), bad_pixels_(settings_.config) {}

// What does not fit is left out: panels are then as they are in the frame, pixels all good.
void HitPictures::lay_out(const shm::Geometry& frames) {
  slab_ = writer::stacked(frames.panels, frames.height, frames.width);
  remark_.clear();
  std::vector<std::uint64_t> left_out;
  if (const std::string& file = settings_.config.output.geometry; !file.empty()) {
    const auto geometry = writer::read_crystfel_geometry(file);
    auto placed = geometry ? writer::place_panels(*geometry, frames.panels, frames.height, frames.width)
                           : Result<writer::Placement>(geometry.error());
    if (placed) {
      slab_ = std::move(placed->slab);
      left_out = std::move(placed->bad);
    }
  }
  const auto found = bad_pixels_.of(frames, left_out, std::nullopt);
  if (found) {
    bad_ = found->mask;
  } else {
    bad_ = std::make_shared<writer::BadMask>(writer::BadMask{.words = std::move(left_out)});
    remark_ = "preprocess.bad_pixels cannot be used (" + found.error().id + "): they are shown, and may be peaks";
  }
  laid_out_ = frames;
}

std::optional<std::vector<writer::PeakRow>> HitPictures::peaks_of(const shm::TapFrame& frame) {
  if (!frame.descriptor.check(frame.geometry) || frame.mask.size() != frame.geometry.mask_words()) return std::nullopt;
  if (bad_ == nullptr || !frame.geometry.same_frames(laid_out_)) lay_out(frame.geometry);
  auto verdict = examiner_.examine({frame.descriptor, frame.geometry, frame.mask, frame.image.data()}, slab_, *bad_);
  if (verdict.outcome) return std::nullopt;
  return std::move(verdict.event.peaks);
}

Result<imaging::FramePicture> HitPictures::draw(const shm::TapFrame& frame, const std::vector<writer::PeakRow>& peaks,
                                                std::vector<std::string> header, std::uint32_t largest_side) const {
  const shm::Geometry& frames = frame.geometry;
  const shm::FrameDescriptor& of = frame.descriptor;
  const Shown shown = pixels_of(frame, slab_, *bad_);
  auto view = writer::view_detector({.geometry = settings_.config.output.geometry,
                                     .slab = slab_,
                                     .panel_height = frames.height,
                                     .panel_width = frames.width,
                                     .beam = {of.photon_energy_ev, of.encoder_value}});
  imaging::FrameRequest request;
  const void* const pixels = shown.pixels.empty() ? frame.image.data() : shown.pixels.data();
  request.image = {pixels, frames.pixel_type, slab_.height, slab_.width, shown.no_data.data()};
  request.assembly = std::move(view.assembly);
  request.diffraction = view.diffraction;
  for (const auto& peak : peaks) request.peaks.push_back({peak.x, peak.y});
  request.header = std::move(header);
  for (const std::string& remark : {settings_.remark, view.remark, remark_}) {
    if (!remark.empty()) request.header.push_back(remark);
  }
  request.largest_side = largest_side;
  return imaging::draw_frame(request);
}

Result<imaging::FramePicture> HitPictures::draw_slab(const shm::Geometry& frames, const Slab& slab,
                                                     writer::EventBeam beam, std::uint32_t largest_side) {
  if (bad_ == nullptr || !frames.same_frames(laid_out_)) lay_out(frames);
  if (slab.height != slab_.height || slab.width != slab_.width) {
    return Error{"picture.not-made", "the image is not one of these frames in this geometry", "nothing was drawn",
                 "is the writer's configuration another one?"};
  }
  auto view = writer::view_detector({.geometry = settings_.config.output.geometry,
                                     .slab = slab_,
                                     .panel_height = frames.height,
                                     .panel_width = frames.width,
                                     .beam = beam});
  imaging::FrameRequest request;
  request.image = {slab.values.data(), PixelType::float32, slab.height, slab.width, nullptr};
  request.assembly = std::move(view.assembly);
  request.diffraction = view.diffraction;
  if (!view.remark.empty()) request.header.push_back(view.remark);
  request.largest_side = largest_side;
  return imaging::draw_frame(request);
}

}  // namespace peaknet::ctl
