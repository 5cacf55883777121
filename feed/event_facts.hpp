// Event facts: what sources say about time and photon energy, brought to the one form that a descriptor has. What is
// not known, or cannot be true, stays unknown: timestamp 0, energy NaN. Values only; no state.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <system_error>

#include "base/photon.hpp"
#include "config/config.hpp"

namespace peaknet::feed {

inline constexpr double kJoulePerElectronVolt = 1.602176634e-19;
inline constexpr double kUnknownEnergy = std::numeric_limits<double>::quiet_NaN();

// What can be a photon energy at an X-ray source. Sources write 0, -999 or NaN where they know nothing, or another
// unit.
inline constexpr double kLowestEnergy = 100.0, kHighestEnergy = 1e6;
inline double energy_from_ev(double ev) { return ev >= kLowestEnergy && ev <= kHighestEnergy ? ev : kUnknownEnergy; }
inline double energy_from_joule(double joule) { return energy_from_ev(joule / kJoulePerElectronVolt); }
inline double energy_from_wavelength(double wavelength, config::WavelengthUnit unit) {
  const double angstrom = unit == config::WavelengthUnit::nm ? wavelength * 10.0 : wavelength;
  return angstrom > 0.0 ? energy_from_ev(kElectronVoltAngstrom / angstrom) : kUnknownEnergy;
}

// A photon energy or a wavelength in a unit by its name ("keV", "angstrom", ...), as people write it: in any
// case, singular or plural, with spaces around it; unknown in any other. "mev" is MeV, "meV" is not.
inline double energy_in_unit(double value, std::string_view unit) {
  struct Unit {
    std::string_view name;
    double factor;  // to eV, or to angstrom
    bool wavelength;
  };
  constexpr Unit kUnits[] = {{"ev", 1.0, false},
                             {"electronvolt", 1.0, false},
                             {"electron volt", 1.0, false},
                             {"kev", 1e3, false},
                             {"kiloelectronvolt", 1e3, false},
                             {"mev", 1e6, false},
                             {"megaelectronvolt", 1e6, false},
                             {"gev", 1e9, false},
                             {"j", 1.0 / kJoulePerElectronVolt, false},
                             {"joule", 1.0 / kJoulePerElectronVolt, false},
                             {"angstrom", 1.0, true},
                             {"a", 1.0, true},
                             {"\u00c5", 1.0, true},
                             {"\u00e5", 1.0, true},
                             {"\u212b", 1.0, true},
                             {"nm", 10.0, true},
                             {"nanometer", 10.0, true},
                             {"nanometre", 10.0, true},
                             {"pm", 0.01, true},
                             {"um", 1e4, true},
                             {"m", 1e10, true},
                             {"meter", 1e10, true},
                             {"metre", 1e10, true}};
  constexpr std::string_view kSpaces{" \t\n\0", 4};
  unit.remove_prefix(std::min(unit.find_first_not_of(kSpaces), unit.size()));
  unit = unit.substr(0, unit.find_last_not_of(kSpaces) + 1);
  if (unit == "meV") return energy_from_ev(value * 1e-3);
  const auto same = [&](std::string_view name) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    const bool plural = name.size() > 4 && unit.size() == name.size() + 1 && lower(unit.back()) == 's';
    return (unit.size() == name.size() || plural) &&
           std::equal(name.begin(), name.end(), unit.begin(), [&](char a, char b) { return a == lower(b); });
  };
  for (const Unit& known : kUnits) {
    if (!same(known.name)) continue;
    if (!known.wavelength) return energy_from_ev(value * known.factor);
    return value > 0.0 ? energy_from_ev(kElectronVoltAngstrom / (value * known.factor)) : kUnknownEnergy;
  }
  return kUnknownEnergy;
}

// When something can have been measured at an X-ray laser: 2000 to 2100. What is said to be of another time is unknown:
// a counter, a time since the run began, a clock that was never set.
inline constexpr std::uint64_t kEarliestSecond = 946'684'800, kLatestSecond = 4'102'444'800;

inline std::uint64_t timestamp_from_parts(std::uint64_t seconds, std::uint64_t nanoseconds) {
  if (seconds < kEarliestSecond || seconds >= kLatestSecond || nanoseconds >= 1'000'000'000) return 0;
  return seconds << 32 | nanoseconds;
}

// An integer time: sec<<32|ns; or what others write in its place, which cannot be such a time: seconds, milliseconds,
// microseconds or nanoseconds since 1970, and psana2's seconds since 1990 (told apart until 2029: as seconds since 1970
// they would be before the first light of LCLS in 2009).
inline std::uint64_t timestamp_from_packed(std::uint64_t packed) {
  constexpr std::uint64_t kFirstLight = 1'239'000'000, kFrom1970To1990 = 631'152'000;
  constexpr std::uint64_t kEarliest = 631'152'000;                      // 2010-01-01, counted from 1990
  constexpr std::uint64_t kEndNanoseconds = 2'500'000'000'000'000'000;  // from there on they look like sec<<32|ns
  for (const std::uint64_t ticks : {1ULL, 1'000ULL, 1'000'000ULL, 1'000'000'000ULL}) {
    if (packed / ticks >= kEarliestSecond && packed / ticks < kLatestSecond && packed < kEndNanoseconds)
      return timestamp_from_parts(packed / ticks, packed % ticks * (1'000'000'000 / ticks));
  }
  std::uint64_t seconds = packed >> 32;
  if (seconds >= kEarliest && seconds < kFirstLight) seconds += kFrom1970To1990;
  return timestamp_from_parts(seconds, packed & 0xffff'ffffU);
}

// Nanoseconds since 1970 of a packed time; 0 stays 0.
inline std::int64_t nanoseconds_of(std::uint64_t timestamp) {
  return static_cast<std::int64_t>((timestamp >> 32) * 1'000'000'000 + (timestamp & 0xffff'ffffU));
}

// A floating-point time: seconds since 1970, or an integer time that was rounded to a double (psana2 through float64).
inline std::uint64_t timestamp_from_number(double time) {
  if (!std::isfinite(time) || time <= 0.0 || time >= 18446744073709551616.0) return 0;
  if (time < 4294967296.0) {
    const double whole = std::floor(time);
    return timestamp_from_parts(static_cast<std::uint64_t>(whole),
                                static_cast<std::uint64_t>(std::llround((time - whole) * 1e9)));
  }
  const auto packed = static_cast<std::uint64_t>(time);
  const std::uint64_t nanoseconds = packed & 0xffff'ffffU;
  if (const std::uint64_t known = timestamp_from_packed(packed); known != 0 || nanoseconds < 1'000'000'000)
    return known;
  return timestamp_from_parts((packed >> 32) + 1, nanoseconds - 1'000'000'000);  // it was rounded into the next second
}

// A time as text: "seconds.nanoseconds" as psana1 sources of lclstreamer write it, without zeros before the
// nanoseconds ("1700000000.5" is 5 ns after the second), or an integer time. Anything else is unknown.
inline std::uint64_t timestamp_from_text(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  std::uint64_t whole = 0, nanoseconds = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, whole);
  if (first.ec != std::errc{}) return 0;
  if (first.ptr == end) return timestamp_from_packed(whole);
  if (*first.ptr != '.') return 0;
  const auto second = std::from_chars(first.ptr + 1, end, nanoseconds);
  if (second.ec != std::errc{} || second.ptr != end) return 0;
  return timestamp_from_parts(whole, nanoseconds);
}

}  // namespace peaknet::feed
