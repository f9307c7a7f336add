// profile.proto, compressed with gzip, for pprof and whatever else reads its files.
#include <zlib.h>

#include <unordered_map>

#include "../command.hpp"
#include "amounts.hpp"
#include "profile.pb.h"
#include "writers.hpp"

namespace stealth::command::profile {
namespace {

class Texts {
 public:
  explicit Texts(pprof::File& file) : file_(file) { index(""); }

  std::int64_t index(std::string const& text) {
    auto const [entry, fresh] = indices_.try_emplace(text, file_.texts_size());
    if (fresh) file_.add_texts(valid_utf8(text));  // proto3 takes nothing else
    return entry->second;
  }

 private:
  pprof::File& file_;
  std::unordered_map<std::string, std::int64_t> indices_;
};

void set_quantity(pprof::Quantity& quantity, Texts& texts, std::string const& type, std::string const& unit) {
  quantity.set_type(texts.index(type));
  quantity.set_unit(texts.index(unit));
}

void add_mappings(pprof::File& file, Texts& texts, Profile const& profile) {
  for (auto const& mapping : profile.mappings) {
    auto& out = *file.add_mappings();
    out.set_id(static_cast<std::uint64_t>(file.mappings_size()));
    out.set_start(mapping.start);
    out.set_end(mapping.end);
    out.set_offset(mapping.offset);
    out.set_path(texts.index(mapping.path));
    out.set_build_id(texts.index(mapping.build_id));
    out.set_has_functions(true);
    out.set_has_files(true);
    out.set_has_lines(true);
    out.set_has_inlined(true);
  }
}

void add_places(pprof::File& file, Texts& texts, Profile const& profile) {
  for (auto const& location : profile.locations) {
    auto& out = *file.add_places();
    out.set_id(static_cast<std::uint64_t>(file.places_size()));
    if (location.mapping) out.set_mapping(*location.mapping + 1);
    out.set_address(location.address);
    for (auto const& line : location.lines) {
      auto& out_line = *out.add_lines();
      out_line.set_function(line.function + 1);
      out_line.set_line(line.line);
    }
  }
  for (auto const& function : profile.functions) {
    auto& out = *file.add_functions();
    out.set_id(static_cast<std::uint64_t>(file.functions_size()));
    out.set_name(texts.index(function.name));
    out.set_linker_name(texts.index(function.system_name));
    out.set_file(texts.index(function.file));
    out.set_line(function.start_line);
  }
}

std::string compressed(std::string const& data) {
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;  // its header bears no time: the same profile gives the same bytes
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw Failure("profile: no memory to compress the output; free some");
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  int const status = deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw Failure("profile: the output could not be compressed; take another --format");
  return out;
}

}  // namespace

std::string write_pprof(Profile const& profile) {
  pprof::File file;
  Texts texts(file);
  for (auto const& value : profile.values) set_quantity(*file.add_sample_quantities(), texts, value.type, value.unit);
  bool const heap = profile.kind == Kind::heap;
  auto const& period = profile.values[heap ? profile.amount() : profile.count()];
  set_quantity(*file.mutable_period_quantity(), texts, heap ? "space" : period.type, period.unit);
  file.set_period(static_cast<std::int64_t>(profile.interval));
  file.set_default_quantity(texts.index(profile.values.back().type));
  add_mappings(file, texts, profile);
  add_places(file, texts, profile);
  for (auto const& sample : profile.samples) {
    auto& out = *file.add_samples();
    for (auto const location : sample.locations) out.add_places(location + 1);
    for (auto const value : sample.values) out.add_values(value);
  }
  std::string data;
  if (!file.SerializeToString(&data))
    throw Failure("profile: more than 2 GiB in pprof's format, which it does not allow; take another --format");
  return compressed(data);
}

}  // namespace stealth::command::profile
