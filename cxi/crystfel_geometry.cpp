#include "cxi/crystfel_geometry.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/photon.hpp"
#include "base/small_file.hpp"

namespace peaknet::writer {
namespace {

constexpr std::uint32_t kMostPixels = 1U << 20;  // of a side: nothing that is computed from it overflows

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f\v";
  const auto begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

// What is known of a panel so far; what none of its keys nor a default has said is missing.
struct Draft {
  std::string name;
  std::array<std::optional<std::uint32_t>, 4> limits{};  // in the order of kLimits
  std::array<std::optional<Direction>, 2> directions{};  // in the order of kDirections
  std::array<std::optional<double>, 2> corner{};         // in the order of kCorner
  std::string data;
  std::map<int, std::string> dim;
  double pixels_per_metre = 0;
  CameraLength length;
  bool left_out = false;
};
constexpr std::array<std::string_view, 4> kLimits = {"min_fs", "max_fs", "min_ss", "max_ss"};
constexpr std::array<std::string_view, 2> kDirections = {"fs", "ss"};
constexpr std::array<std::string_view, 2> kCorner = {"corner_x", "corner_y"};

struct RegionDraft {
  BadRegion region;
  std::optional<bool> in_array;
};
constexpr std::array<std::string_view, 8> kBounds = {"min_fs", "max_fs", "min_ss", "max_ss",
                                                     "min_x",  "max_x",  "min_y",  "max_y"};

template <class Names>
std::optional<std::size_t> index_in(const Names& names, std::string_view name) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<std::size_t>(at - names.begin());
}

// "nan" and "inf" are no numbers here.
std::optional<double> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || rest != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "95" or "95.0".
std::optional<std::uint32_t> pixel_number(std::string_view text) {
  const auto value = number(text);
  if (!value || !(*value >= 0) || *value >= kMostPixels || *value != std::floor(*value)) return std::nullopt;
  return static_cast<std::uint32_t>(*value);
}

// "+0.99x -0.003y", "-y", "1.0 x + 2 y": a sum of numbers with the names of axes.
std::optional<Direction> direction(std::string_view text) {
  Direction sum;
  std::string term;
  bool any = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    if (c != 'x' && c != 'y' && c != 'z') {
      term += c;
      continue;
    }
    const bool one = term.empty() || term == "+" || term == "-";
    const auto factor = one ? std::optional(term == "-" ? -1.0 : 1.0) : number(term);
    if (!factor) return std::nullopt;
    if (c == 'x') sum.x += *factor;
    if (c == 'y') sum.y += *factor;
    if (c == 'z') sum.z += *factor;
    term.clear();
    any = true;
  }
  if (!any || !term.empty()) return std::nullopt;
  return sum;
}

struct Unit {
  std::string_view name;
  double factor;
};

// "0.1 m", "9.5 keV": a number of the first unit where none is said. Nothing: it cannot be read.
template <std::size_t Count>
std::optional<double> quantity(std::string_view text, const std::array<Unit, Count>& units) {
  const auto space = text.find_first_of(" \t");
  const auto value = number(text.substr(0, space));
  const auto unit = space == std::string_view::npos ? units[0].name : trimmed(text.substr(space));
  const auto known = std::find_if(units.begin(), units.end(), [&](const Unit& each) { return each.name == unit; });
  if (!value || known == units.end()) return std::nullopt;
  return *value * known->factor;
}

constexpr std::array<Unit, 2> kLengths = {{{"m", 1}, {"mm", 1e-3}}};
constexpr std::array<Unit, 3> kEnergies = {{{"eV", 1}, {"keV", 1e3}, {"MeV", 1e6}}};
constexpr std::array<Unit, 2> kWavelengths = {{{"m", 1e10}, {"A", 1}}};  // to angstrom

// "0.1 m", or "/LCLS/detector_1/EncoderValue mm".
CameraLength camera_length(std::string_view text, double offset) {
  CameraLength length;
  length.offset = offset;
  if (!text.starts_with('/')) {
    length.metres = quantity(text, kLengths);
    return length;
  }
  const auto space = text.find_first_of(" \t");
  length.dataset = text.substr(0, space);
  if (space != std::string_view::npos && trimmed(text.substr(space)) == "m") length.dataset_unit = 1;
  return length;
}

// What a panel is that is neither searched for peaks nor indexed.
BadRegion all_of(const GeometryPanel& panel) {
  BadRegion region;
  region.name = "no_index of " + panel.name;
  region.panel = panel.name;
  region.in_array = true;
  region.min_fs = panel.min_fs;
  region.max_fs = panel.max_fs;
  region.min_ss = panel.min_ss;
  region.max_ss = panel.max_ss;
  return region;
}

// "mask", "mask_file", "mask0_data": where CrystFEL has bad pixels from, beside what it is of images.
constexpr std::string_view kOwnMask = "/entry_1/data_1/mask";
bool names_a_mask(std::string_view key) {
  if (!key.starts_with("mask")) return false;
  key.remove_prefix(4);
  while (!key.empty() && key.front() >= '0' && key.front() <= '9') key.remove_prefix(1);
  return key.empty() || key == "_file" || key == "_data";
}

class Parser {
 public:
  explicit Parser(std::string source) { geometry_.source = std::move(source); }

  // "" or what is wrong with the line.
  std::string line(std::string_view text) {
    text = trimmed(text.substr(0, text.find(';')));
    if (text.empty()) return "";
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) return "there is no '=' in it";
    const auto key = trimmed(text.substr(0, equals));
    const auto value = trimmed(text.substr(equals + 1));
    const auto slash = key.find('/');
    if (slash == std::string_view::npos) {
      if (key.starts_with("group") || key.starts_with("rigid_group")) return "";
      if (key == "photon_energy" || key == "wavelength") {
        set_energy(key, value);
        return "";
      }
      if (key == "detector_shift_x" || key == "detector_shift_y") {
        set_shift(key.back(), value);
        return "";
      }
      return set(defaults_, key, value);
    }
    const auto name = key.substr(0, slash);
    if (name.starts_with("bad")) return set(region(std::string(name)), trimmed(key.substr(slash + 1)), value);
    return set(panel(std::string(name)), trimmed(key.substr(slash + 1)), value);
  }

  // Errors: what a panel or a region lacks.
  Result<CrystfelGeometry> finish() {
    const auto refuse = [&](const std::string& why) {
      return Error{"geometry.not-readable", geometry_.source + ": " + why, "no file was written",
                   "CrystFEL's own check-peak-detection or indexamajig says more about a geometry file"};
    };
    if (drafts_.empty()) return refuse("there is no panel in it");
    for (const Draft& draft : drafts_) {
      if (const std::string missing = lacks(draft); !missing.empty())
        return refuse("panel " + draft.name + " has no " + missing);
      GeometryPanel panel{draft.name,
                          *draft.limits[0],
                          *draft.limits[1],
                          *draft.limits[2],
                          *draft.limits[3],
                          draft.data,
                          draft.dim,
                          {*draft.corner[0], *draft.corner[1]},
                          *draft.directions[0],
                          *draft.directions[1],
                          draft.pixels_per_metre,
                          draft.length};
      if (panel.min_fs > panel.max_fs || panel.min_ss > panel.max_ss)
        return refuse("panel " + draft.name + " ends before it begins");
      if (draft.left_out) geometry_.bad.push_back(all_of(panel));
      geometry_.panels.push_back(std::move(panel));
    }
    for (const RegionDraft& draft : regions_) {
      const BadRegion& region = draft.region;
      if (!draft.in_array) return refuse("the bad region " + region.name + " has no limits");
      const bool known =
          region.panel.empty() || std::any_of(geometry_.panels.begin(), geometry_.panels.end(),
                                              [&](const GeometryPanel& panel) { return panel.name == region.panel; });
      if (!known)
        return refuse("the bad region " + region.name + " is of a panel '" + region.panel + "' that is not in it");
      geometry_.bad.push_back(region);
    }
    return std::move(geometry_);
  }

 private:
  Draft& panel(const std::string& name) {
    const auto known =
        std::find_if(drafts_.begin(), drafts_.end(), [&](const Draft& draft) { return draft.name == name; });
    if (known != drafts_.end()) return *known;
    drafts_.push_back(defaults_);
    drafts_.back().name = name;
    return drafts_.back();
  }

  // A dataset is no number: the energy of an event is known from the event.
  void set_energy(std::string_view key, std::string_view value) {
    std::optional<double> energy;
    if (key == "wavelength") {
      const auto angstrom = quantity(value, kWavelengths);
      if (angstrom) energy = kElectronVoltAngstrom / *angstrom;
    } else {
      energy = quantity(value, kEnergies);
    }
    geometry_.photon_energy_ev = energy && std::isfinite(*energy) && *energy > 0 ? energy : std::nullopt;
  }

  void set_shift(char axis, std::string_view value) {
    const auto metres = quantity(value, kLengths);
    if (!metres || !geometry_.shift) {
      geometry_.shift.reset();
    } else {
      (axis == 'x' ? geometry_.shift->x : geometry_.shift->y) = *metres;
    }
  }

  // The first key that none has said, or "".
  static std::string lacks(const Draft& draft) {
    for (std::size_t i = 0; i < kLimits.size(); ++i) {
      if (!draft.limits[i]) return std::string(kLimits[i]);
    }
    for (std::size_t i = 0; i < kDirections.size(); ++i) {
      if (!draft.directions[i]) return std::string(kDirections[i]);
      if (!draft.corner[i]) return std::string(kCorner[i]);
    }
    return "";
  }

  RegionDraft& region(const std::string& name) {
    const auto known = std::find_if(regions_.begin(), regions_.end(),
                                    [&](const RegionDraft& draft) { return draft.region.name == name; });
    if (known != regions_.end()) return *known;
    regions_.emplace_back().region.name = name;
    return regions_.back();
  }

  static std::string set(RegionDraft& draft, std::string_view key, std::string_view value) {
    if (key == "panel") {
      draft.region.panel = value;
      return "";
    }
    const auto bound = index_in(kBounds, key);
    if (!bound) return "a bad region has no '" + std::string(key) + "'";
    const auto found = number(value);
    if (!found) return std::string(key) + " is not a number: '" + std::string(value) + "'";
    const bool in_array = *bound < kLimits.size();
    if (draft.in_array && *draft.in_array != in_array)
      return "a bad region is given in fs and ss or in x and y, not in both";
    draft.in_array = draft.region.in_array = in_array;
    BadRegion& region = draft.region;
    const std::array<double*, 8> bounds = {&region.min_fs, &region.max_fs, &region.min_ss, &region.max_ss,
                                           &region.min_x,  &region.max_x,  &region.min_y,  &region.max_y};
    *bounds[*bound] = *found;
    return "";
  }

  std::string set(Draft& draft, std::string_view key, std::string_view value) {
    const auto wrong = [&](const char* what) {
      return std::string(key) + " is not " + what + ": '" + std::string(value) + "'";
    };
    if (const auto limit = index_in(kLimits, key)) {
      draft.limits[*limit] = pixel_number(value);
      if (!draft.limits[*limit]) return wrong("the number of a pixel");
    } else if (const auto axis = index_in(kDirections, key)) {
      draft.directions[*axis] = direction(value);
      if (!draft.directions[*axis]) return wrong("a direction");
    } else if (const auto coordinate = index_in(kCorner, key)) {
      draft.corner[*coordinate] = number(value);
      if (!draft.corner[*coordinate]) return wrong("a number");
    } else if (key == "res") {
      const auto pixels = number(value);
      draft.pixels_per_metre = pixels && *pixels > 0 ? *pixels : 0;
    } else if (key == "clen") {
      draft.length = camera_length(value, draft.length.offset);
    } else if (key == "coffset") {
      draft.length.offset = number(value).value_or(std::numeric_limits<double>::quiet_NaN());
    } else if (key == "data") {
      draft.data = value;
    } else if (key == "no_index") {
      draft.left_out = value != "0" && value != "false";
    } else if (names_a_mask(key) && value != kOwnMask) {
      geometry_.unread_mask = value;
    } else if (key.starts_with("dim") && key.size() == 4 && key[3] >= '0' && key[3] <= '9') {
      draft.dim[key[3] - '0'] = value;
    }
    return "";
  }

  CrystfelGeometry geometry_;
  Draft defaults_;
  std::vector<Draft> drafts_;
  std::vector<RegionDraft> regions_;
};

}  // namespace

bool BadRegion::holds(const GeometryPanel& of, std::uint32_t column, std::uint32_t row) const {
  if (!panel.empty() && panel != of.name) return false;
  if (in_array) return column >= min_fs && column <= max_fs && row >= min_ss && row <= max_ss;
  const double along_fs = column - of.min_fs;
  const double along_ss = row - of.min_ss;
  const double x = of.corner.x + along_fs * of.fs.x + along_ss * of.ss.x;
  const double y = of.corner.y + along_fs * of.fs.y + along_ss * of.ss.y;
  return x >= min_x && x <= max_x && y >= min_y && y <= max_y;
}

double distance_of(const CameraLength& length, double encoder_value_mm) {
  if (length.metres) return *length.metres + length.offset;
  if (length.dataset != kEncoderValue) return std::numeric_limits<double>::quiet_NaN();
  return encoder_value_mm * length.dataset_unit + length.offset;
}

Result<CrystfelGeometry> parse_crystfel_geometry(std::string_view text, const std::string& source) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  Parser parser(source);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.find('\n'), text.size());
    if (const std::string wrong = parser.line(text.substr(0, end)); !wrong.empty()) {
      return Error{"geometry.not-readable", source + ", line " + std::to_string(number) + ": " + wrong,
                   "no file was written", "see crystfel_geometry(5)"};
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parser.finish();
}

Result<CrystfelGeometry> read_crystfel_geometry(const std::filesystem::path& path) {
  constexpr std::uint64_t kMost = std::uint64_t{64} << 20;
  const SmallFile file = read_small_file(path.string(), kMost);
  if (!file.problem.empty()) {
    return Error{"geometry.not-readable", "the geometry file " + path.string() + " cannot be read: " + file.problem,
                 "no file was written", "set output.geometry to a CrystFEL geometry file, or leave it empty"};
  }
  return parse_crystfel_geometry(file.text, path.string());
}

}  // namespace peaknet::writer
