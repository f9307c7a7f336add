// main() of a fuzz target where there is no libFuzzer: replays files and folders of inputs, then so many pseudo-random
// ones, the same each time: bytes, pieces of a dictionary, and damaged copies of the replayed ones.
//
//   fuzz-TARGET [--inputs N] [--seed N] [--longest BYTES] [--dictionary FILE] [FILE|FOLDER]…
//
// When an input ends the process, its place and its bytes are told on stderr, and it is written to a file crash-… in
// the working directory, or in $TMPDIR, which `fuzz-TARGET FILE` replays.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "input.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern "C" void __sanitizer_set_death_callback(void (*callback)());
#define FUZZ_SANITIZED 1
#else
#define FUZZ_SANITIZED 0
#endif

namespace {

using Bytes = std::vector<std::uint8_t>;

// --- telling which input it was ---

Bytes const* g_input = nullptr;
char g_name[256] = "none";
char g_crash_file[512] = "";

void tell() {
  static bool told = false;
  if (told || g_input == nullptr) return;
  told = true;
  char text[1024];
  int const length = std::snprintf(text, sizeof text, "fuzz: it was %s, %zu bytes; now in %s\n", g_name,
                                   g_input->size(), g_crash_file);
  int const file = open(g_crash_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = write(2, text, static_cast<std::size_t>(length)) > 0;
  good = good && file >= 0 && write(file, g_input->data(), g_input->size()) >= 0;
  if (!good) static_cast<void>(!write(2, "fuzz: the input could not be written\n", 37));
}

void tell_and_die(int number) {
  tell();
  signal(number, SIG_DFL);
  raise(number);
}

void run(Bytes const& input, std::string const& name) {
  g_input = &input;
  std::snprintf(g_name, sizeof g_name, "%s", name.c_str());
  // Of its own size, so that a sanitizer sees who reads behind its end.
  Bytes const copy(input);
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  g_input = nullptr;
}

// --- inputs ---

[[noreturn]] void usage(std::string const& why) {
  std::fprintf(stderr, "fuzz: %s\n", why.c_str());
  std::exit(2);
}

Bytes read(std::filesystem::path const& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) usage(path.string() + ": cannot be read");
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

int hex(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

// As libFuzzer reads them: a line each, NAME="TEXT" or "TEXT", with \\, \" and \xNN.
std::vector<Bytes> read_dictionary(std::string const& path) {
  std::vector<Bytes> pieces;
  std::ifstream file(path);
  if (!file) usage(path + ": cannot be read");
  for (std::string line; std::getline(file, line);) {
    std::size_t const begin = line.find('"'), end = line.rfind('"');
    if (line.empty() || line[0] == '#' || begin == end) continue;
    Bytes piece;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (line[i] == '\\' && line[i + 1] == 'x' && i + 3 < end) {
        piece.push_back(static_cast<std::uint8_t>(hex(line[i + 2]) * 16 + hex(line[i + 3])));
        i += 3;
      } else {
        i += line[i] == '\\' ? 1 : 0;
        piece.push_back(static_cast<std::uint8_t>(line[i]));
      }
    }
    pieces.push_back(piece);
  }
  return pieces;
}

class Maker {
 public:
  Maker(std::uint64_t seed, std::size_t longest, std::vector<Bytes> corpus, std::vector<Bytes> dictionary)
      : random_(seed), longest_(longest), corpus_(std::move(corpus)), dictionary_(std::move(dictionary)) {}

  Bytes next() {
    switch (below(8)) {
      case 0:
        return bytes(below(longest_ / 8 + 2));
      case 1:
        return bytes(below(longest_ + 1));
      case 2:
      case 3:
        if (!dictionary_.empty()) return pieces();
        [[fallthrough]];
      case 4:
        if (!corpus_.empty()) return damaged();
        [[fallthrough]];
      case 5:
        return bytes(below(40));
      default:
        return corpus_.empty() ? bytes(below(longest_ + 1)) : damaged();
    }
  }

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  template <class T>
  T const& one_of(std::vector<T> const& all) {
    return all[below(all.size())];
  }
  Bytes bytes(std::size_t size) {
    Bytes made(size);
    for (std::uint8_t& byte : made) byte = static_cast<std::uint8_t>(random_());
    return made;
  }
  // After a first byte, by which many targets choose what to do with the rest.
  Bytes pieces() {
    Bytes made = bytes(below(3));
    bool const one_again_and_again = below(50) == 0;
    Bytes const& chosen = one_of(dictionary_);
    for (std::size_t i = 1 + below(9); (one_again_and_again || i > 0) && made.size() < longest_; --i) {
      Bytes const& piece = one_again_and_again ? chosen : one_of(dictionary_);
      if (piece.empty()) break;
      made.insert(made.end(), piece.begin(), piece.end());
    }
    return made;
  }
  Bytes damaged() {
    Bytes made = one_of(corpus_);
    for (std::size_t i = 1 + below(6); i > 0; --i) {
      std::size_t const at = below(made.size() + 1);
      auto const place = made.begin() + static_cast<std::ptrdiff_t>(at);
      switch (below(7)) {
        case 0:
          made.resize(at);
          break;
        case 1:
          if (at < made.size()) made[at] = static_cast<std::uint8_t>(random_());
          break;
        case 2:
          if (at < made.size()) made[at] ^= static_cast<std::uint8_t>(1U << below(8));
          break;
        case 3: {
          Bytes const fresh = bytes(1 + below(8));
          made.insert(place, fresh.begin(), fresh.end());
          break;
        }
        case 4: {
          Bytes const& piece = dictionary_.empty() ? made : one_of(dictionary_);
          Bytes const copy = piece;
          made.insert(place, copy.begin(), copy.end());
          break;
        }
        case 5: {
          auto const end = place + static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(made.size() - at, 12) + 1));
          made.erase(place, end);
          break;
        }
        default: {
          Bytes const& other = one_of(corpus_);
          made.insert(place, other.begin() + static_cast<std::ptrdiff_t>(below(other.size() + 1)), other.end());
        }
      }
      if (made.size() > longest_) made.resize(longest_);
    }
    return made;
  }

  std::mt19937_64 random_;
  std::size_t longest_;
  std::vector<Bytes> corpus_, dictionary_;
};

std::uint64_t number(char const* text) {
  char* end = nullptr;
  std::uint64_t const value = std::strtoull(text, &end, 0);
  if (*text == '\0' || *end != '\0') usage(std::string(text) + ": not a number");
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t inputs = 0, seed = 1;
  std::size_t longest = 1200;
  std::vector<Bytes> corpus, dictionary;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    std::string const given = argv[i];
    if (given.starts_with("--") && i + 1 == argc) usage(given + ": a value is missing");
    if (given == "--inputs") {
      inputs = number(argv[++i]);
    } else if (given == "--seed") {
      seed = number(argv[++i]);
    } else if (given == "--longest") {
      longest = number(argv[++i]);
    } else if (given == "--dictionary") {
      dictionary = read_dictionary(argv[++i]);
    } else if (std::filesystem::is_directory(given)) {
      for (auto const& entry : std::filesystem::directory_iterator(given)) names.push_back(entry.path().string());
    } else {
      names.push_back(given);
    }
  }
  char const* const folder = std::getenv("TMPDIR");
  std::snprintf(g_crash_file, sizeof g_crash_file, "%s/crash-%s-%d", folder != nullptr ? folder : ".",
                std::filesystem::path(argv[0]).filename().c_str(), static_cast<int>(getpid()));
  for (int const deadly : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    // A sanitizer has its own handlers for all but the first, and calls back.
    if (deadly == SIGABRT || !FUZZ_SANITIZED) signal(deadly, tell_and_die);
  }
#if FUZZ_SANITIZED
  __sanitizer_set_death_callback(tell);
#endif
  std::sort(names.begin(), names.end());
  for (std::string const& name : names) {
    corpus.push_back(read(name));
    run(corpus.back(), name);
  }
  std::size_t const replayed = corpus.size();
  Maker maker(seed, longest, std::move(corpus), std::move(dictionary));
  for (std::uint64_t i = 0; i < inputs; ++i) {
    run(maker.next(), "input " + std::to_string(i) + " of seed " + std::to_string(seed));
  }
  std::printf("fuzz: %zu inputs replayed, %llu made\n", replayed, static_cast<unsigned long long>(inputs));
  if (replayed + inputs == 0) usage("no inputs: name files or folders, or give --inputs N");
  return 0;
}
