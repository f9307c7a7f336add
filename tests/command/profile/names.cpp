// Names of functions as the command shortens them.
#include "names.hpp"

#include <cstdio>

int main() {
  using namespace stealth::command::profile;
  struct {
    char const *full, *plain, *shortest;
  } const rows[] = {
      {"main", "main", "main"},
      {"f(int)", "f", "f"},
      {"shop::Store<int>::add(int, Callers const*)", "shop::Store<int>::add", "shop::Store::add"},
      {"void shop::take<std::vector<int> >(std::vector<int>&&)", "shop::take<std::vector<int> >", "shop::take"},
      {"unsigned long sum<(Kind)2>(unsigned long)", "sum<(Kind)2>", "sum"},
      {"shop::Amount::get() const &", "shop::Amount::get", "shop::Amount::get"},
      {"(anonymous namespace)::hidden(char const*)", "(anonymous namespace)::hidden", "(anonymous namespace)::hidden"},
      {"operator new(unsigned long)", "operator new", "operator new"},
      {"operator new[](unsigned long)", "operator new[]", "operator new[]"},
      {"bool shop::operator< <int>(shop::Box<int> const&)", "shop::operator< <int>", "shop::operator<"},
      {"shop::Box::operator<<(int)", "shop::Box::operator<<", "shop::Box::operator<<"},
      {"shop::Box::operator->() const", "shop::Box::operator->", "shop::Box::operator->"},
      {"shop::Box::operator()(int)", "shop::Box::operator()", "shop::Box::operator()"},
      {"shop::Box::operator unsigned long() const", "shop::Box::operator unsigned long",
       "shop::Box::operator unsigned long"},
      {"shop::Box::operator==(shop::Box const&) const", "shop::Box::operator==", "shop::Box::operator=="},
      {"operators::run(int)", "operators::run", "operators::run"},
      {"run(int)::{lambda(int)#1}::operator()(int) const", "run::{lambda#1}::operator()",
       "run::{lambda#1}::operator()"},
      {"void std::call<run()::{lambda(std::less<int>)#2}>(int)", "std::call<run()::{lambda(std::less<int>)#2}>",
       "std::call"},
      {"run::<lambda(int)>::operator()", "run::<lambda>::operator()", "run::<lambda>::operator()"},
      {"<T as alloc::Box<U>>::from", "<T as alloc::Box<U>>::from", "<T as alloc::Box<U>>::from"},
      {"shop::hidden(int) [clone .constprop.0] [clone .isra.0]", "shop::hidden", "shop::hidden"},
      {"decltype(auto) std::visit<F>(F&&)", "std::visit<F>", "std::visit"},
      {"shop::~Box()", "shop::~Box", "shop::~Box"},
      {"fn<(x)->y>(", "fn<(x)->y>", "fn"},
      {"", "", ""},
  };
  int wrong = 0;
  for (auto const& row : rows) {
    auto const plain = without_parameters(row.full), shortest = short_name(row.full);
    if (plain == row.plain && shortest == row.shortest) continue;
    std::printf("%s: '%s' and '%s', not '%s' and '%s'\n", row.full, plain.c_str(), shortest.c_str(), row.plain,
                row.shortest);
    ++wrong;
  }
  if (demangled("_ZN4shop5StoreIiE3addEi") != "shop::Store<int>::add(int)") ++wrong;
  if (demangled("i") != "i") ++wrong;  // a C function, not the type int
  if (demangled("_Znonsense") != "_Znonsense") ++wrong;
  return wrong == 0 ? 0 : 1;
}
