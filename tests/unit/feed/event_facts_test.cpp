#include "feed/event_facts.hpp"

#include <gtest/gtest.h>

namespace peaknet::feed {
namespace {

using config::WavelengthUnit;

TEST(EventFacts, AWavelengthOfTheLclsPvInNanometresIsNineKilovoltsAndNotNinety) {
  EXPECT_NEAR(energy_from_wavelength(0.127, WavelengthUnit::nm), 9762.5, 0.5);
  EXPECT_NEAR(energy_from_wavelength(1.27, WavelengthUnit::angstrom), 9762.5, 0.5);
  EXPECT_NEAR(energy_from_wavelength(0.127, WavelengthUnit::angstrom), 97625.0, 5.0);  // what the replaced code wrote
}

TEST(EventFacts, WhatIsNoEnergyStaysUnknown) {
  for (const double value : {0.0, -999.0, -0.127, std::nan(""), HUGE_VAL}) {
    EXPECT_TRUE(std::isnan(energy_from_wavelength(value, WavelengthUnit::nm))) << value;
    EXPECT_TRUE(std::isnan(energy_from_ev(value))) << value;
  }
  EXPECT_TRUE(std::isnan(energy_from_wavelength(1e-320, WavelengthUnit::nm)));  // its energy is no finite number
}

TEST(EventFacts, JoulesOfACxiFileBecomeElectronvolts) {
  EXPECT_NEAR(energy_from_joule(1.52206780223e-15), 9500.0, 1e-6);
}

TEST(EventFacts, UnitsAreKnownAsPeopleWriteThem) {
  for (const char* unit : {"eV", "EV", " eV ", "electronvolt", "Electron Volts", "electronvolts"})
    EXPECT_DOUBLE_EQ(energy_in_unit(9500.0, unit), 9500.0) << unit;
  for (const char* unit : {"keV", "Kev", "KEV"}) EXPECT_DOUBLE_EQ(energy_in_unit(9.5, unit), 9500.0) << unit;
  for (const char* unit : {"MeV", "MEV", "mev"}) EXPECT_DOUBLE_EQ(energy_in_unit(0.0095, unit), 9500.0) << unit;
  for (const char* unit : {"J", "j", "Joule", "joules"})
    EXPECT_NEAR(energy_in_unit(1.52206780223e-15, unit), 9500.0, 1e-6) << unit;
  for (const char* unit : {"angstrom", "Angstroms", "ANGSTROM", "A", "\u00c5", "\u00c5 "})
    EXPECT_NEAR(energy_in_unit(1.27, unit), 9762.5, 0.5) << unit;
  EXPECT_NEAR(energy_in_unit(0.127, std::string_view("nm\0\0", 4)), 9762.5, 0.5);
  EXPECT_TRUE(std::isnan(energy_in_unit(0.0095, "meV")));
  for (const char* unit : {"", "1/eV", "keV/c", "counts", "s", "eVs", "ms"})
    EXPECT_TRUE(std::isnan(energy_in_unit(9500.0, unit))) << unit;
}

TEST(EventFacts, ATimeInSecondsIsSplit) {
  EXPECT_EQ(timestamp_from_number(1362118138.5), std::uint64_t{1362118138} << 32 | 500'000'000U);
  EXPECT_EQ(timestamp_from_number(1362118138.0), std::uint64_t{1362118138} << 32);
}

TEST(EventFacts, APackedTimeThatWentThroughADoubleComesBackToAMicrosecond) {
  const std::uint64_t packed = std::uint64_t{1362118138} << 32 | 401'000'123U;
  const std::uint64_t back = timestamp_from_number(static_cast<double>(packed));
  EXPECT_EQ(back >> 32, packed >> 32);
  EXPECT_NEAR(static_cast<double>(back & 0xffffffffU), 401'000'123.0, 1024.0);
}

TEST(EventFacts, WhatIsNoTimeStaysUnknown) {
  for (const double value : {0.0, -999.0, std::nan(""), HUGE_VAL, 1e11, 1e20})
    EXPECT_EQ(timestamp_from_number(value), 0U) << value;
  EXPECT_EQ(timestamp_from_parts(0, 5), 0U);
  EXPECT_EQ(timestamp_from_parts(1362118138, 1'000'000'000), 0U);
  EXPECT_EQ(timestamp_from_parts(std::uint64_t{1} << 32, 0), 0U);
}

// A counter, a time since the run began, a clock that was never set, a stamp of all ones.
TEST(EventFacts, ATimeAtWhichNothingWasMeasuredIsUnknown) {
  for (const std::uint64_t packed :
       {std::uint64_t{1}, std::uint64_t{123'456}, std::uint64_t{5} << 32, std::uint64_t{0xffff'fff0} << 32,
        ~std::uint64_t{0}, (std::uint64_t{1'700'000'000} << 32) + 3'000'000'000})
    EXPECT_EQ(timestamp_from_packed(packed), 0U) << packed;
  for (const double time : {0.5, 1.5, 3600.0, 9.0e8, 4'294'967'290.0, 7'258'118'400.0})
    EXPECT_EQ(timestamp_from_number(time), 0U) << time;
  for (const char* text : {"12", "12.5", "4294967290", "123456"}) EXPECT_EQ(timestamp_from_text(text), 0U) << text;
}

TEST(EventFacts, TicksSince1970AreKnownByTheirSize) {
  const std::uint64_t seconds = 1'700'000'000, packed = seconds << 32;
  EXPECT_EQ(timestamp_from_packed(packed | 7U), packed | 7U);
  EXPECT_EQ(timestamp_from_packed(seconds), packed);
  EXPECT_EQ(timestamp_from_packed(1'700'000'000'250), packed | 250'000'000U);
  EXPECT_EQ(timestamp_from_packed(1'700'000'000'000'250), packed | 250'000U);
  EXPECT_EQ(timestamp_from_packed(1'700'000'000'000'000'250), packed | 250U);
  for (const double ticks : {1.7e9, 1.7e12, 1.7e15, 1.7e18}) EXPECT_EQ(timestamp_from_number(ticks), packed) << ticks;
  EXPECT_EQ(timestamp_from_text("1700000000250"), packed | 250'000'000U);
}

TEST(EventFacts, TimesAsTextAreSecondsAndNanosecondsWithoutZerosBetween) {
  EXPECT_EQ(timestamp_from_text("1362118138.401000123"), std::uint64_t{1362118138} << 32 | 401'000'123U);
  EXPECT_EQ(timestamp_from_text("1362118138.5"), std::uint64_t{1362118138} << 32 | 5U);
  EXPECT_EQ(timestamp_from_text(std::string_view("1362118138\0\0", 12)), std::uint64_t{1362118138} << 32);
  EXPECT_EQ(timestamp_from_text("5850252856399414971"), 5850252856399414971U);
  for (const char* none :
       {"", ".", "yesterday", "12.", "12.x", "12.5x", "12.1000000000", "0.5", "-1.5", "1e9", "99999999999999999999999"})
    EXPECT_EQ(timestamp_from_text(none), 0U) << none;
}

}  // namespace
}  // namespace peaknet::feed
