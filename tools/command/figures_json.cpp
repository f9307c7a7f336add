// stealth stat --format json. Bytes and nanoseconds, as whole numbers; the keys are described in docs/operations.md.
#include <nlohmann/json.hpp>

#include "amounts.hpp"
#include "figures.hpp"
#include "os/process_mark.hpp"

namespace stealth::command {
namespace {

using Json = nlohmann::ordered_json;

Json waits_of(View const& view) {
  observe::Figures const& figures = view.figures();
  Json below = Json::array();
  std::uint64_t bound = 1000;
  for (std::size_t i = 0; i < observe::kBuckets; ++i, bound *= 2) {
    bool const last = i + 1 == observe::kBuckets;
    below.push_back({{"below_ns", last ? Json(nullptr) : Json(bound)}, {"count", figures.histogram[i]}});
  }
  return {{"count", figures.waits},
          {"total_ns", figures.waited_ns},
          {"longest_ns", figures.longest_call_ns},
          {"longest_sleep_ns", figures.longest_sleep_ns},
          {"now", figures.waiting_now},
          {"grants", figures.grants},
          {"refusals", figures.refusals},
          {"observed_ns", figures.observed_ns},
          {"histogram", std::move(below)}};
}

Json waiting_of(View const& view) {
  Json all = Json::array();
  for (std::uint32_t i = 0; i < view.snapshot.waiting; ++i) {
    observe::WaitingRow const& row = view.snapshot.waiting_rows[i];
    all.push_back(
        {{"thread", row.thread}, {"waited_ns", view.waited(row)}, {"bytes", row.bytes}, {"block_size", row.size}});
  }
  return all;
}

Json classes_of(View const& view) {
  Json all = Json::array();
  for (std::uint32_t i = 0; i < view.snapshot.classes; ++i) {
    observe::ClassRow const& row = view.snapshot.class_rows[i];
    all.push_back({{"size", row.size},
                   {"max", row.max},
                   {"slabs", row.slabs},
                   {"blocks", row.carved},
                   {"in_use", row.in_use},
                   {"in_lists", row.in_lists},
                   {"in_slabs", row.in_slabs},
                   {"waits", row.waits},
                   {"waited_ns", row.waited_ns},
                   {"grants", row.grants}});
  }
  return all;
}

Json object_of(View const& view) {
  observe::Figures const& figures = view.figures();
  Json settings = Json::object();
  for (auto const& [name, value] : settings_of(view.snapshot, false)) settings[name] = value;
  return {{"pid", view.process.pid},
          {"program", view.program()},
          {"version", text_of(view.head.library)},
          {"state", escaped(std::string(1, view.process.state))},
          {"stopped", view.process.stopped()},
          {"age_ns", view.age()},
          {"interval_ns", figures.interval_ns},
          {"mode", mode_name(figures.mode)},
          {"on_exhausted", policy_name(figures.policy)},
          {"capacity", figures.capacity},
          {"soft_point", figures.soft_point},
          {"held", figures.held},
          {"used", figures.used},
          {"over", figures.over},
          {"peak", figures.peak},
          {"live", figures.live},
          {"idle", figures.idle},
          {"purged", figures.purged},
          {"pools", figures.pools},
          {"resident", view.process.resident},
          {"large", {{"blocks", figures.large_blocks}, {"bytes", figures.large_bytes}}},
          {"passed_on", {{"calls", figures.passed_calls}, {"bytes", figures.passed_bytes}}},
          {"heaps", figures.heaps},
          {"group_members", figures.group_members},
          {"profile", {{"interval", figures.profile_interval}, {"samples", figures.profile_samples}}},
          {"waits", waits_of(view)},
          {"waiting", waiting_of(view)},
          {"classes", classes_of(view)},
          {"settings", std::move(settings)}};
}

void write(std::ostream& out, Json const& json) {
  out << json.dump(2, ' ', true, Json::error_handler_t::replace) << '\n';
}

}  // namespace

void write_json(std::ostream& out, View const& view) { write(out, object_of(view)); }

void write_json(std::ostream& out, std::vector<View> const& views) {
  Json all = Json::array();
  for (View const& view : views) all.push_back(object_of(view));
  write(out, all);
}

}  // namespace stealth::command
