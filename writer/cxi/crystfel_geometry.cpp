#include "writer/cxi/crystfel_geometry.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

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
  std::array<bool, 4> placed{};                          // fs, ss, corner_x, corner_y: in the laboratory
  std::string data;
  std::map<int, std::string> dim;
};
constexpr std::array<std::string_view, 4> kLimits = {"min_fs", "max_fs", "min_ss", "max_ss"};
constexpr std::array<std::string_view, 4> kPlaces = {"fs", "ss", "corner_x", "corner_y"};

template <class Names>
std::optional<std::size_t> index_in(const Names& names, std::string_view name) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<std::size_t>(at - names.begin());
}

bool is_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc{} && rest == text.data() + text.size();
}

// "+0.99x -0.003y", "-y", "1.0 x + 2 y": a sum of numbers with the names of axes.
bool is_direction(std::string_view text) {
  std::string term;
  bool any = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t') continue;
    if (c != 'x' && c != 'y' && c != 'z') {
      term += c;
      continue;
    }
    if (!term.empty() && term != "+" && term != "-" && !is_number(term)) return false;
    term.clear();
    any = true;
  }
  return any && term.empty();
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
      return set(defaults_, key, value);
    }
    const auto name = key.substr(0, slash);
    if (name.starts_with("bad")) return "";  // a region to be left out, not a panel
    return set(panel(std::string(name)), trimmed(key.substr(slash + 1)), value);
  }

  // Errors: what a panel lacks.
  Result<CrystfelGeometry> finish() {
    const auto refuse = [&](const std::string& why) {
      return Error{"geometry.not-readable", geometry_.source + ": " + why, "no file was written",
                   "CrystFEL's own check-peak-detection or indexamajig says more about a geometry file"};
    };
    if (drafts_.empty()) return refuse("there is no panel in it");
    for (const Draft& draft : drafts_) {
      for (std::size_t i = 0; i < kLimits.size(); ++i) {
        if (!draft.limits[i]) return refuse("panel " + draft.name + " has no " + std::string(kLimits[i]));
        if (!draft.placed[i]) return refuse("panel " + draft.name + " has no " + std::string(kPlaces[i]));
      }
      GeometryPanel panel{draft.name,       *draft.limits[0], *draft.limits[1], *draft.limits[2],
                          *draft.limits[3], draft.data,       draft.dim};
      if (panel.min_fs > panel.max_fs || panel.min_ss > panel.max_ss)
        return refuse("panel " + draft.name + " ends before it begins");
      geometry_.panels.push_back(std::move(panel));
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

  static std::string set(Draft& draft, std::string_view key, std::string_view value) {
    if (const auto limit = index_in(kLimits, key)) {
      std::uint32_t number = 0;
      const auto [rest, failed] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (failed != std::errc{} || rest != value.data() + value.size() || number >= kMostPixels)
        return std::string(key) + " is not the number of a pixel: '" + std::string(value) + "'";
      draft.limits[*limit] = number;
    } else if (const auto place = index_in(kPlaces, key)) {
      if (*place < 2 ? !is_direction(value) : !is_number(value))
        return std::string(key) + (*place < 2 ? " is not a direction" : " is not a number") + ": '" +
               std::string(value) + "'";
      draft.placed[*place] = true;
    } else if (key == "data") {
      draft.data = value;
    } else if (key.starts_with("dim") && key.size() == 4 && key[3] >= '0' && key[3] <= '9') {
      draft.dim[key[3] - '0'] = value;
    }
    return "";
  }

  CrystfelGeometry geometry_;
  Draft defaults_;
  std::vector<Draft> drafts_;
};

}  // namespace

Result<CrystfelGeometry> parse_crystfel_geometry(std::string_view text, const std::string& source) {
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
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    return Error{"geometry.not-readable",
                 "the geometry file " + path.string() + " cannot be read: " + std::system_category().message(errno),
                 "no file was written", "set output.geometry to a CrystFEL geometry file, or leave it empty"};
  }
  return parse_crystfel_geometry(text.str(), path.string());
}

}  // namespace peaknet::writer
