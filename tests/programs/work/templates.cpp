// Heavy on templates: as many types as COUNT says, each with its own containers, all used in one function.
#include <map>
#include <string>
#include <tuple>
#include <utility>

template <int N>
struct Cell {
  std::string name;
  std::map<int, std::string> more;
  int value() const { return static_cast<int>(name.size()) * N + static_cast<int>(more.size()); }
};

template <int... N>
int all(std::integer_sequence<int, N...>) {
  std::tuple<Cell<N>...> cells;
  ((std::get<N>(cells).name += "x", std::get<N>(cells).more[N] = "y"), ...);
  return (0 + ... + std::get<N>(cells).value());
}

int main() { return all(std::make_integer_sequence<int, COUNT>{}) & 127; }
