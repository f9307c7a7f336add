// JSON of speedscope's own file format: frames are shared, and each value is a profile of its own that one can switch
// to, bytes or nanoseconds first.
#include <nlohmann/json.hpp>

#include "writers.hpp"

namespace stealth::command::profile {
namespace {

using Json = nlohmann::ordered_json;

constexpr char const* kSchema = "https://www.speedscope.app/file-format-schema.json";

Json frames_of(Profile const& profile) {
  auto frames = Json::array();
  for (auto const& function : profile.functions) {
    Json frame{{"name", function.name}};
    if (!function.file.empty()) frame["file"] = function.file;
    if (function.start_line > 0) frame["line"] = function.start_line;
    frames.push_back(std::move(frame));
  }
  return frames;
}

std::string title(std::string const& type) {
  if (type == "inuse_space") return "live bytes";
  if (type == "inuse_objects") return "live objects";
  if (type == "alloc_space") return "bytes ever allocated";
  if (type == "alloc_objects") return "objects ever allocated";
  return type == "delay" ? "time in waits" : "waits";
}

Json profile_of(Profile const& profile, std::size_t value) {
  auto samples = Json::array(), weights = Json::array();
  for (auto const& sample : profile.samples) {
    if (sample.values[value] == 0) continue;
    auto stack = Json::array();
    for (auto place = sample.locations.rbegin(); place != sample.locations.rend(); ++place) {
      auto const& inlined = profile.locations[*place].lines;
      for (auto frame = inlined.rbegin(); frame != inlined.rend(); ++frame) stack.push_back(frame->function);
    }
    samples.push_back(std::move(stack));
    weights.push_back(sample.values[value]);
  }
  auto const& about = profile.values[value];
  return {{"type", "sampled"},
          {"name", title(about.type)},
          {"unit", about.unit == "count" ? "none" : about.unit},
          {"startValue", 0},
          {"endValue", profile.total(value)},
          {"samples", std::move(samples)},
          {"weights", std::move(weights)}};
}

}  // namespace

std::string write_speedscope(Profile const& profile) {
  auto profiles = Json::array();
  for (auto value = profile.values.size(); value-- > 0;) profiles.push_back(profile_of(profile, value));
  Json const file{
      {"$schema", kSchema},      {"exporter", "stealth " STEALTH_VERSION},     {"name", profile.name},
      {"activeProfileIndex", 0}, {"shared", {{"frames", frames_of(profile)}}}, {"profiles", std::move(profiles)}};
  // Names of files need not be UTF-8, JSON must.
  return file.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace stealth::command::profile
