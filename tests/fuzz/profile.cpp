// Fuzz target: a dump that anybody may have made, as `stealth profile` reads it, as text and as a file that may be
// compressed. One line says what is wrong with it; or all formats come out of it, each well-formed, and with the same
// sums.
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "blocks.hpp"
#include "command.hpp"
#include "input.hpp"
#include "profile.pb.h"
#include "profile/input.hpp"
#include "profile/profile.hpp"
#include "profile/writers.hpp"

namespace {

using namespace fuzz;
using namespace stealth::command;
using namespace stealth::command::profile;

// Through a file, as the command gets it.
std::string read_back(std::string_view text) {
  static int const file = memfd_create("dump", MFD_CLOEXEC);
  REQUIRE(file >= 0 && ftruncate(file, 0) == 0);
  REQUIRE(pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return read_input("/proc/self/fd/" + std::to_string(file));
}

std::string unpacked(std::string const& packed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  int status = Z_OK;
  while (status == Z_OK) {
    char piece[4096];
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(piece, sizeof piece - stream.avail_out);
  }
  inflateEnd(&stream);
  REQUIRE(status == Z_STREAM_END);
  return text;
}

// Lines of text: nothing that a terminal would obey.
FUZZ_PLAIN void expect_lines(std::string const& text) {
  char const* const end = text.data() + text.size();
  REQUIRE(text.empty() || end[-1] == '\n');
  for (char const* at = text.data(); at != end; ++at) {
    REQUIRE(*at == '\n' || *at == '\t' || (static_cast<unsigned char>(*at) >= 0x20 && *at != 0x7F));
  }
}

void expect_folded(std::string const& text, std::int64_t total) {
  std::istringstream lines(text);
  std::string line;
  std::int64_t sum = 0;
  while (std::getline(lines, line)) {
    std::size_t const blank = line.rfind(' ');
    REQUIRE(blank != std::string::npos && blank > 0);
    std::size_t read = 0;
    sum = add(sum, std::stoll(line.substr(blank + 1), &read));
    REQUIRE(blank + 1 + read == line.size());
  }
  REQUIRE(sum == total);
}

void expect_svg(std::string const& text) {
  expect_lines(text);
  REQUIRE(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
  auto const count = [&](std::string_view what) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  REQUIRE(count("<g>") == count("</g>") && count("<text") == count("</text>") && count("<title") == count("</title>"));
  REQUIRE(count("<script") == 0);
}

void expect_speedscope(std::string const& text, Profile const& profile) {
  auto const json = nlohmann::json::parse(text, nullptr, false);
  REQUIRE(json.is_object() && json["profiles"].size() == profile.values.size());
  std::size_t const frames = json["shared"]["frames"].size();
  for (auto const& one : json["profiles"]) {
    REQUIRE(one["samples"].size() == one["weights"].size());
    for (auto const& stack : one["samples"]) {
      for (auto const& frame : stack) REQUIRE(frame.get<std::size_t>() < frames);
    }
  }
}

void expect_pprof(std::string const& packed, Profile const& profile) {
  stealth::pprof::File file;
  REQUIRE(file.ParseFromString(unpacked(packed)));
  REQUIRE(static_cast<std::size_t>(file.samples_size()) == profile.samples.size());
  for (auto const& sample : file.samples()) {
    REQUIRE(static_cast<std::size_t>(sample.values_size()) == profile.values.size());
    for (auto const place : sample.places())
      REQUIRE(place >= 1 && place <= static_cast<std::uint64_t>(file.places_size()));
  }
}

void expect_readable(Dump const& dump, bool all_frames) {
  REQUIRE(!dump.mappings.empty());
  for (Mapping const& mapping : dump.mappings) REQUIRE(mapping.start < mapping.end);
  for (Stack const& stack : dump.stacks) {
    REQUIRE(!stack.addresses.empty());
    Mapping const* const mapping = dump.mapping_at(stack.addresses.front());
    REQUIRE(mapping == nullptr ||
            (mapping->start <= stack.addresses.front() && stack.addresses.front() < mapping->end));
  }
  // Where that process had its files there is nothing: what is on this machine is no business of the dump's.
  SymbolOptions options;
  options.root = "/nowhere";
  options.all_frames = all_frames;
  Profile const profile = make_profile(dump, options);
  for (Sample const& sample : profile.samples) {
    REQUIRE(sample.values.size() == profile.values.size() && !sample.locations.empty());
    for (std::int64_t const value : sample.values) REQUIRE(value >= 0);
  }
  expect_lines(write_text(profile, 10));
  expect_lines(write_text(profile, 0));
  expect_folded(write_folded(profile), profile.total(profile.amount()));
  expect_svg(write_svg(profile));
  expect_speedscope(write_speedscope(profile), profile);
  expect_pprof(write_pprof(profile), profile);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string_view text(reinterpret_cast<char const*>(data), size);
  try {
    std::string const read = read_back(text);
    bool const packed = text.starts_with("\x1f\x8b");
    REQUIRE(packed || read == text);
    Dump const dump = parse_dump(read, "fuzzed");
    expect_readable(dump, false);
    expect_readable(dump, true);
  } catch (Failure const& failure) {
    expect_lines(std::string(failure.what()) + '\n');
    REQUIRE(std::strchr(failure.what(), '\n') == nullptr);
    REQUIRE(std::string_view(failure.what()).starts_with("profile: "));
  }
  return 0;
}
