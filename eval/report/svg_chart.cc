#include "eval/report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace extrospect {
namespace {

constexpr double kLineHeight = 15.0;  // least distance of names at line ends

std::string Fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string Text(double x, double y, const std::string& style, const std::string& text) {
  return "<text x=\"" + Fixed(x) + "\" y=\"" + Fixed(y) + "\" class=\"" + style + "\">" +
         EscapeHtml(text) + "</text>";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + Fixed(x1) + "\" y1=\"" + Fixed(y1) + "\" x2=\"" + Fixed(x2) + "\" y2=\"" +
         Fixed(y2) + "\" class=\"" + style + "\"/>";
}

std::string Circle(double x, double y, double radius, const std::string& style,
                   const std::string& tip) {
  std::string out = "<circle cx=\"" + Fixed(x) + "\" cy=\"" + Fixed(y) + "\" r=\"" + Fixed(radius) +
                    "\" class=\"" + style + "\"";
  if (!tip.empty()) {
    out += " data-tip=\"" + EscapeHtml(tip) + "\"><title>" + EscapeHtml(tip) + "</title></circle>";
    return out;
  }
  return out + "/>";
}

std::string Open(double width, double height, const std::string& label) {
  return "<svg viewBox=\"0 0 " + Fixed(width) + " " + Fixed(height) +
         "\" role=\"img\" aria-label=\"" + EscapeHtml(label) + "\">";
}

std::string Color(const char* prefix, int color) {
  return std::string(prefix) + " c" + std::to_string(color);
}

// Moves labels apart so that none covers another, keeping their order.
std::vector<double> Spread(std::vector<double> places, double low, double high) {
  std::vector<size_t> order(places.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return places[a] < places[b]; });
  double next = low;
  for (const size_t i : order) next = (places[i] = std::max(places[i], next)) + kLineHeight;
  double limit = high;
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    limit = (places[*i] = std::min(places[*i], limit)) - kLineHeight;
  }
  return places;
}

}  // namespace

std::vector<Tick> NiceTicks(double low, double high, int count, bool percent) {
  const double rough = std::max(high - low, 1e-9) / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = power * 10;
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (power * factor >= rough * 0.999) {
      step = power * factor;
      break;
    }
  }
  std::vector<Tick> ticks;
  for (double at = std::ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) {
    const double clean = std::abs(at) < step * 1e-6 ? 0.0 : at;
    char text[32];
    if (percent) {
      std::snprintf(text, sizeof text, step < 0.00999 ? "%.1f %%" : "%.0f %%", clean * 100);
    } else {
      std::snprintf(text, sizeof text, "%g", clean);
    }
    ticks.push_back({clean, text});
  }
  return ticks;
}

std::string XyChart(const ChartOptions& options, const std::vector<ChartSeries>& series) {
  const double left = 58, top = 26, right = options.width - options.right_margin;
  const double bottom = options.height - 48;
  const auto x_of = [&](double x) {
    return left + (x - options.x_low) / (options.x_high - options.x_low) * (right - left);
  };
  const auto y_of = [&](double y) {
    const double clamped = std::clamp(y, options.y_low, options.y_high);
    return bottom - (clamped - options.y_low) / (options.y_high - options.y_low) * (bottom - top);
  };
  std::string out = Open(options.width, options.height, options.label);
  for (const Tick& tick : options.y_ticks) {
    out += Line(left, y_of(tick.at), right, y_of(tick.at), "grid");
    out += Text(left - 8, y_of(tick.at) + 4, "tick end", tick.label);
  }
  for (const Tick& tick : options.x_ticks) {
    out += Line(x_of(tick.at), bottom, x_of(tick.at), bottom + 5, "axis");
    out += Text(x_of(tick.at), bottom + 19, "tick middle", tick.label);
  }
  out += Line(left, bottom, right, bottom, "axis");
  out += Text(left - 50, 13, "title", options.y_title);
  out += Text((left + right) / 2, options.height - 8, "title middle", options.x_title);
  if (options.diagonal) {
    out += Line(x_of(options.x_low), y_of(options.x_low), x_of(options.x_high),
                y_of(options.x_high), "rule");
  }
  for (const auto& [at, name] : options.rules) {
    out += Line(left, y_of(at), right, y_of(at), "rule");
  }
  for (const ChartSeries& s : series) {
    std::string upper, lower, path;
    for (const ChartPoint& point : s.points) {
      const std::string x = Fixed(x_of(point.x));
      path += (path.empty() ? "M" : "L") + x + " " + Fixed(y_of(point.y));
      if (std::isfinite(point.low)) {
        upper += (upper.empty() ? "M" : "L") + x + " " + Fixed(y_of(point.high));
        lower = "L" + x + " " + Fixed(y_of(point.low)) + lower;
      }
    }
    if (s.line && s.band && !upper.empty()) {
      out += "<path d=\"" + upper + lower + "Z\" class=\"" + Color("band", s.color) + "\"/>";
    }
    if (s.line && !path.empty()) {
      out += "<path d=\"" + path + "\" class=\"" +
             Color(s.dashed ? "line dashed" : "line", s.color) + "\"/>";
    }
  }
  std::vector<double> ends;
  std::vector<const ChartSeries*> named;
  for (const ChartSeries& s : series) {
    for (const ChartPoint& point : s.points) {
      if (!s.band && std::isfinite(point.low)) {
        out += Line(x_of(point.x), y_of(point.low), x_of(point.x), y_of(point.high),
                    Color("whisker", s.color));
      }
      out +=
          Circle(x_of(point.x), y_of(point.y), 3.6 * point.size, Color("dot", s.color), point.tip);
    }
    if (s.name.empty() || s.points.empty()) continue;
    ends.push_back(y_of(s.points.back().y));
    named.push_back(&s);
  }
  // Above all else, in a stretch without marks.
  for (const auto& [at, name] : options.rules) {
    const double step = options.x_ticks.size() > 1
                            ? x_of(options.x_ticks[1].at) - x_of(options.x_ticks[0].at)
                            : right - left;
    out += Text(x_of(options.x_ticks.empty() ? 0.0 : options.x_ticks[0].at) + step / 2,
                y_of(at) - 5, "tick middle rule-name", name);
  }
  const std::vector<double> places = Spread(ends, top + 4, bottom - 2);
  for (size_t i = 0; i < named.size(); ++i) {
    const double x = x_of(named[i]->points.back().x);
    if (std::abs(places[i] - ends[i]) > 2) {
      out += Line(x + 6, ends[i], right + 12, places[i], Color("leader", named[i]->color));
    }
    out += Text(right + 14, places[i] + 4, Color("name", named[i]->color), named[i]->name);
  }
  return out + "</svg>";
}

std::string DotChart(const DotChartOptions& options, const std::vector<DotRow>& rows) {
  const double left = options.label_width, right = options.width - 24, top = 10, step = 26;
  const double bottom = top + step * static_cast<double>(rows.size()) + 4;
  const auto x_of = [&](double x) {
    const double clamped = std::clamp(x, options.low, options.high);
    return left + (clamped - options.low) / (options.high - options.low) * (right - left);
  };
  std::string out = Open(options.width, bottom + 46, options.label);
  for (const Tick& tick : NiceTicks(options.low, options.high, 5, options.percent)) {
    out += Line(x_of(tick.at), top, x_of(tick.at), bottom, "grid");
    out += Text(x_of(tick.at), bottom + 18, "tick middle", tick.label);
  }
  if (std::isfinite(options.zero)) {
    out += Line(x_of(options.zero), top, x_of(options.zero), bottom, "axis");
  }
  out += Text((left + right) / 2, bottom + 39, "title middle", options.x_title);
  for (size_t i = 0; i < rows.size(); ++i) {
    const DotRow& row = rows[i];
    const double y = top + step * (static_cast<double>(i) + 0.5);
    out += Text(row.heading ? 4 : left - 12, y + 4, row.heading ? "heading" : "row end", row.label);
    for (const DotValue& value : row.values) {
      if (std::isfinite(value.low)) {
        out += Line(x_of(value.low), y, x_of(value.high), y, Color("whisker", value.color));
      }
      out += Circle(x_of(value.value), y, 5, Color(value.hollow ? "hollow" : "dot", value.color),
                    value.tip);
    }
  }
  return out + "</svg>";
}

std::string HeatMap(const std::string& label, const std::vector<std::string>& names,
                    const std::vector<std::vector<double>>& rows, const std::string& row_title,
                    const std::string& column_title) {
  const double cell = 27, left = 100, top = 100;
  const auto n = static_cast<double>(names.size());
  const double width = left + n * cell + 12, height = top + n * cell + 12;
  std::string out = Open(width, height, label);
  out += Text(4, 14, "title", column_title + " →");
  out += Text(4, 32, "title", row_title + " ↓");
  for (size_t i = 0; i < names.size(); ++i) {
    const double at = (static_cast<double>(i) + 0.5) * cell;
    out += Text(left - 8, top + at + 4, "tick end", names[i]);
    out += "<text class=\"tick\" transform=\"translate(" + Fixed(left + at + 4) + " " +
           Fixed(top - 8) + ") rotate(-58)\">" + EscapeHtml(names[i]) + "</text>";
    for (size_t j = 0; j < names.size(); ++j) {
      const double share = rows[i][j];
      if (!std::isfinite(share)) continue;
      const double x = left + static_cast<double>(j) * cell,
                   y = top + static_cast<double>(i) * cell;
      char tip[160], opacity[16];
      std::snprintf(tip, sizeof tip, "%s read as %s: %.0f %%", names[i].c_str(), names[j].c_str(),
                    share * 100);
      // The eye sees shades about as the square root of their strength.
      std::snprintf(opacity, sizeof opacity, "%.3f", std::sqrt(share));
      out += "<rect x=\"" + Fixed(x) + "\" y=\"" + Fixed(y) + "\" width=\"" + Fixed(cell - 1.5) +
             "\" height=\"" + Fixed(cell - 1.5) + "\" rx=\"3\" class=\"cell-back\"/>";
      out += "<rect x=\"" + Fixed(x) + "\" y=\"" + Fixed(y) + "\" width=\"" + Fixed(cell - 1.5) +
             "\" height=\"" + Fixed(cell - 1.5) + "\" rx=\"3\" class=\"cell" +
             (i == j ? " right" : "") + "\" fill-opacity=\"" + opacity + "\" data-tip=\"" +
             EscapeHtml(tip) + "\"><title>" + EscapeHtml(tip) + "</title></rect>";
      if (share >= 0.095) {
        char number[16];
        std::snprintf(number, sizeof number, "%.0f", share * 100);
        out += Text(x + cell / 2 - 0.7, y + cell / 2 + 3.5,
                    share > 0.4 ? "cell-number strong" : "cell-number", number);
      }
    }
  }
  return out + "</svg>";
}

}  // namespace extrospect
