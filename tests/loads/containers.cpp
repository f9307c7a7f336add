// Load: the standard library's containers, filled, looked up, partly erased and dropped: maps, hash maps, vectors of
// strings, lists. Most C++ programs' share of malloc comes through these.
#include <algorithm>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "common.hpp"

namespace {

std::string word(loads::Random& random) {
  std::string text(4 + random.below(28), ' ');
  for (char& letter : text) letter = static_cast<char>('a' + random.below(26));
  return text;
}

void maps(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  std::map<std::uint64_t, std::string> map;
  for (std::size_t i = 0; i < count; ++i) map[random.below(count * 2)] = word(random);
  for (std::size_t i = 0; i < count; ++i) map.erase(random.below(count * 2));
  for (const auto& [key, text] : map) sum.add(key * 31 + text.size());
}

void hash_maps(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  std::unordered_map<std::string, std::uint64_t> map;
  std::vector<std::string> words;
  for (std::size_t i = 0; i < count; ++i) words.push_back(word(random));
  for (std::size_t i = 0; i < count * 2; ++i) map[words[random.below(count)]] += i;
  for (std::size_t i = 0; i < count / 2; ++i) map.erase(words[random.below(count)]);
  for (const auto& [text, value] : map) sum.add(value + text.size());
}

void string_vectors(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < count; ++i) lines.push_back(word(random) + " " + word(random));
  std::sort(lines.begin(), lines.end());
  const std::vector<std::string> copy(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count / 2));
  for (std::size_t i = 0; i < copy.size(); i += 7) sum.add(copy[i].size() * static_cast<unsigned char>(copy[i][0]));
}

void lists(loads::Random& random, loads::Checksum& sum, std::size_t count) {
  std::list<std::uint64_t> list;
  for (std::size_t i = 0; i < count; ++i) list.push_back(random.next());
  list.sort();
  list.remove_if([](std::uint64_t value) { return value % 3 == 0; });
  std::uint64_t at = 0;
  for (const std::uint64_t value : list) sum.add(value ^ at++);
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(7);
  loads::Checksum sum;
  const std::size_t rounds = arguments.scaled(24);
  for (std::size_t i = 0; i < rounds; ++i) {
    maps(random, sum, 20'000);
    hash_maps(random, sum, 20'000);
    string_vectors(random, sum, 15'000);
    lists(random, sum, 40'000);
  }
  sum.print("containers");
}
