// A flame graph as a picture: the root below, a box as wide as what it and all above it hold. No scripts: what does not
// fit into a box shows as its title.
#include <algorithm>
#include <cstdio>
#include <map>

#include "amounts.hpp"
#include "writers.hpp"

namespace stealth::command::profile {
namespace {

constexpr double kWidth = 1200, kMargin = 10, kRow = 18, kHead = 34;
constexpr double kLetter = 6.6;     // of the font, about
constexpr double kNarrowest = 0.3;  // boxes that nobody would see are left out

struct Box {
  std::int64_t value = 0;
  std::map<std::string, Box> above;  // by name: the picture is the same for the same profile
};

Box tree_of(Profile const& profile) {
  Box root;
  for (auto const& sample : profile.samples) {
    auto const value = sample.values[profile.amount()];
    root.value = add(root.value, value);
    Box* box = &root;
    for (auto place = sample.locations.rbegin(); place != sample.locations.rend(); ++place) {
      auto const& inlined = profile.locations[*place].lines;
      for (auto frame = inlined.rbegin(); frame != inlined.rend(); ++frame) {
        box = &box->above[profile.functions[frame->function].short_name];
        box->value = add(box->value, value);
      }
    }
  }
  return root;
}

std::string escaped(std::string_view text) {
  std::string result;
  for (char const c : valid_utf8(text)) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else
      result += c;
  }
  return result;
}

// Warm ones, by name: a function has one colour everywhere, in every picture.
std::string colour(std::string const& name) {
  std::uint32_t hash = 2166136261;
  for (char const c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  char text[16];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", 225 + hash % 30, 110 + (hash >> 8) % 110, 60 + (hash >> 16) % 40);
  return text;
}

class Picture {
 public:
  explicit Picture(Profile const& profile) : profile_(profile), root_(tree_of(profile)) {
    rows_ = depth(root_, kWidth);
    height_ = kHead + kMargin + kRow * static_cast<double>(rows_ + 1);
  }

  std::string drawn() {
    char text[512];
    std::snprintf(text, sizeof text,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" "
                  "font-family=\"monospace\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" "
                  "fill=\"#fffdf8\"/>\n",
                  kWidth + 2 * kMargin, height_, kWidth + 2 * kMargin, height_);
    svg_ = text;
    std::snprintf(text, sizeof text, "<text x=\"%.0f\" y=\"20\" font-size=\"14\">", kMargin);
    bool const heap = profile_.kind == Kind::heap;
    svg_ += text + std::string(heap ? "live memory by where it was allocated: " : "time in waits: ") +
            amount_text(profile_.kind, root_.value) + "</text>\n";
    draw(heap ? "all" : "all waits", root_, kMargin, kWidth, 0);
    return svg_ + "</svg>\n";
  }

 private:
  [[nodiscard]] double width(Box const& box, Box const& below, double below_width) const {
    return below.value == 0 ? 0 : below_width * static_cast<double>(box.value) / static_cast<double>(below.value);
  }

  // How many rows stand on the box.
  [[nodiscard]] std::size_t depth(Box const& box, double box_width) const {
    std::size_t deepest = 0;
    for (auto const& [name, above] : box.above)
      if (auto const wide = width(above, box, box_width); wide >= kNarrowest)
        deepest = std::max(deepest, 1 + depth(above, wide));
    return deepest;
  }

  void draw(std::string const& name, Box const& box, double x, double box_width, std::size_t row) {
    char text[256];
    auto const y = height_ - kMargin - kRow * static_cast<double>(row + 1);
    std::snprintf(text, sizeof text,
                  "<g><rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\" fill=\"%s\" rx=\"1\"/>", x, y,
                  std::max(box_width - 0.5, kNarrowest), kRow - 1, colour(name).c_str());
    svg_ += text;
    std::snprintf(text, sizeof text, ": %s, %.1f %%</title>", amount_text(profile_.kind, box.value).c_str(),
                  root_.value == 0 ? 0 : 100 * static_cast<double>(box.value) / static_cast<double>(root_.value));
    svg_ += "<title>" + escaped(name) + text;
    if (auto const room = static_cast<std::size_t>(box_width / kLetter); room >= 4) {
      std::snprintf(text, sizeof text, "<text x=\"%.1f\" y=\"%.0f\">", x + 3, y + kRow - 6);
      svg_ += text + escaped(name.size() < room ? name : name.substr(0, room - 3) + "…") + "</text>";
    }
    svg_ += "</g>\n";
    for (auto const& [next_name, above] : box.above) {
      auto const wide = width(above, box, box_width);
      if (wide >= kNarrowest) draw(next_name, above, x, wide, row + 1);
      x += wide;
    }
  }

  Profile const& profile_;
  Box root_;
  std::size_t rows_ = 0;
  double height_ = 0;
  std::string svg_;
};

}  // namespace

std::string write_svg(Profile const& profile) { return Picture(profile).drawn(); }

}  // namespace stealth::command::profile
