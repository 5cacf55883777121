// Members of documents as text for people. Total functions: a member that is missing or odd is "-", or 0 in a sum,
// because the document may come from a daemon of another version.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>

namespace peaknet::ctl {

using Path = std::initializer_list<const char*>;

// null for one that is not there.
const nlohmann::json& member(const nlohmann::json& document, Path path);

// A text, made printable: those of the control segment are other people's.
std::string text(const nlohmann::json& document, Path path);
double number(const nlohmann::json& document, Path path);
// A name made of digits (a pid, a participant's number): never grouped, so that it can be pasted into a command.
std::string identifier(const nlohmann::json& document, Path path);
// "18 233 401"
std::string count(const nlohmann::json& document, Path path);
std::string bytes(const nlohmann::json& document, Path path);        // "1.20 TiB"
std::string percent(const nlohmann::json& document, Path path);      // of a share: "58.3 %"
std::string uptime(const nlohmann::json& document, Path path);       // of seconds: "3d 04:12:00"
std::string time_of_day(const nlohmann::json& document, Path path);  // of a time: "14:21:03"
std::string moment(const nlohmann::json& document, Path path);       // of a time: "2026-03-01 14:21:03", in UTC

std::string rounded(double value, int decimals = 1);
// Of at most six characters, for a column: "38.0", "1234", "12.3k", "1.02M"; whole numbers as they are.
std::string compact(double value);
// Microseconds in the unit that leaves two or three digits before the point: "38.0 ms".
std::string span_of_us(double us);
// The same in six characters: "38.0ms".
std::string short_span_of_us(double us);
std::string upper(std::string word);

// The sum of all causes of "dropped" or "failed", and with their names: "12 (oldest 12)".
double total_of(const nlohmann::json& causes);
std::string by_cause(const nlohmann::json& causes);

}  // namespace peaknet::ctl
