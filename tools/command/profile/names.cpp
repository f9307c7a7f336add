// Names of functions as people read them.
#include "names.hpp"

#include <cxxabi.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace stealth::command::profile {
namespace {

constexpr std::string_view kAnonymous = "(anonymous namespace)";
constexpr std::string_view kLambda = "<lambda";
constexpr std::string_view kOperator = "operator";

bool part_of_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

// The end of what is bracketed from `at` on: angle brackets count inside of templates, but not as operators.
std::size_t after_bracket(std::string_view name, std::size_t at) {
  std::size_t depth = 0;
  for (; at < name.size(); ++at) {
    char const c = name[at];
    if (c == '(' || c == '<' || c == '[' || c == '{') ++depth;
    if (c == '>' && at > 0 && name[at - 1] == '-') continue;
    if ((c == ')' || c == '>' || c == ']' || c == '}') && --depth == 0) return at + 1;
  }
  return name.size();
}

// The end of what may follow a function's parameters: " const &".
std::size_t after_qualifiers(std::string_view name, std::size_t at) {
  static constexpr std::array<std::string_view, 6> kQualifiers = {" const", " volatile", " noexcept", " &&", " &", "&"};
  for (bool found = true; found;) {
    found = false;
    for (auto const qualifier : kQualifiers)
      if (name.substr(at).starts_with(qualifier)) {
        at += qualifier.size();
        found = true;
      }
  }
  return at;
}

// The length of "operator<<" and its like at the front; 0 where it is none.
std::size_t operator_length(std::string_view rest) {
  if (!rest.starts_with(kOperator)) return 0;
  auto const sign = rest.substr(kOperator.size());
  static constexpr std::array<std::string_view, 20> kSigns = {
      "()", "[]", "<=>", "<<=", ">>=",    "->*",       "->",   "<<",      ">>",    "<=",
      ">=", "<",  ">",   ",",   " new[]", " delete[]", " new", " delete", "\"\" ", " co_await"};
  for (auto const candidate : kSigns)
    if (sign.starts_with(candidate)) return kOperator.size() + candidate.size();
  // Other signs, or a blank and a type; else it is a name that begins so.
  return !sign.empty() && !part_of_a_name(sign.front()) ? kOperator.size() : 0;
}

// Takes off what need not be told. An angle bracket where a name should begin is no list of arguments: "<lambda(int)>".
std::string plain(std::string const& full, bool template_arguments) {
  std::string_view name = full;
  name = name.substr(0, name.find(" [clone "));
  std::string result;
  bool conversion = false;  // after "operator": blanks belong to the name
  for (std::size_t at = 0; at < name.size();) {
    auto const rest = name.substr(at);
    bool const word_begins = at == 0 || !part_of_a_name(name[at - 1]);
    if (auto const length = word_begins ? operator_length(rest) : 0; length != 0) {
      result += rest.substr(0, length);
      at += length;
      conversion = true;
    } else if (rest.starts_with(kAnonymous)) {
      result += kAnonymous;
      at += kAnonymous.size();
    } else if (rest.front() == '(') {
      at = after_qualifiers(name, after_bracket(name, at));
    } else if (rest.front() == '<') {
      auto const bracket = rest.substr(0, after_bracket(name, at) - at);
      if (bracket.starts_with(kLambda))
        result += "<lambda>";
      else if (template_arguments || result.empty() || result.ends_with("::"))
        result += bracket;
      at += bracket.size();
    } else {
      if (rest.front() == ' ' && !conversion)
        result.clear();  // it was the return type, or a part of it
      else
        result += rest.front();
      ++at;
    }
  }
  while (result.ends_with(' ')) result.pop_back();
  return result.empty() ? full : result;
}

}  // namespace

std::string demangled(char const* name) {
  int status = 0;
  struct Free {
    void operator()(char* text) const { std::free(text); }
  };
  // Without its prefix it would take the C function "i" for the type int.
  if (!std::string_view(name).starts_with("_Z")) return name;
  std::unique_ptr<char, Free> const text(abi::__cxa_demangle(name, nullptr, nullptr, &status));
  return status == 0 ? std::string(text.get()) : std::string(name);
}

std::string without_parameters(std::string const& name) { return plain(name, true); }

std::string short_name(std::string const& name) { return plain(name, false); }

}  // namespace stealth::command::profile
