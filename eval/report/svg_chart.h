// A few charts as inline SVG. Colours come from the page's style sheet as classes c0, c1, … (c9 is
// the quiet one), so that one drawing serves light and dark. Numbers on axes are shares of 1 where
// `percent` is set. All text is escaped.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/html.h"

namespace extrospect {

struct Tick {
  double at = 0.0;
  std::string label;
};

// Round numbers that cover [low, high], about `count` of them.
std::vector<Tick> NiceTicks(double low, double high, int count, bool percent);

struct ChartPoint {
  double x = 0.0, y = 0.0;
  double low = std::numeric_limits<double>::quiet_NaN();  // interval of y; NaN: none
  double high = std::numeric_limits<double>::quiet_NaN();
  std::string tip;    // shown on hover
  double size = 1.0;  // of the mark
};

struct ChartSeries {
  std::string name;  // at the line's end; empty: none
  int color = 0;
  std::vector<ChartPoint> points;
  bool dashed = false;
  bool line = true;  // false: marks alone
  bool band = true;  // intervals as a band; false: as whiskers
};

struct ChartOptions {
  std::string label;  // for those who do not see it
  std::string x_title, y_title;
  std::vector<Tick> x_ticks, y_ticks;
  double x_low = 0.0, x_high = 1.0, y_low = 0.0, y_high = 1.0;
  double width = 640.0, height = 380.0;
  double right_margin = 150.0;  // room for names at the ends of lines
  bool diagonal = false;        // y = x, dashed
  // Horizontal rules with a name, such as chance.
  std::vector<std::pair<double, std::string>> rules;
};

std::string XyChart(const ChartOptions& options, const std::vector<ChartSeries>& series);

// Values with intervals on horizontal lines, one row each.
struct DotValue {
  double value = 0.0, low = 0.0, high = 0.0;
  int color = 0;
  bool hollow = false;
  std::string tip;
};
struct DotRow {
  std::string label;
  std::vector<DotValue> values;
  bool heading = false;  // the label alone, bold
};
struct DotChartOptions {
  std::string label, x_title;
  double low = 0.0, high = 1.0;
  double width = 640.0, label_width = 190.0;
  bool percent = true;
  double zero = std::numeric_limits<double>::quiet_NaN();  // a rule that divides good from bad
};
std::string DotChart(const DotChartOptions& options, const std::vector<DotRow>& rows);

// Shares as shades; rows[i][j] is NaN where there is nothing.
std::string HeatMap(const std::string& label, const std::vector<std::string>& names,
                    const std::vector<std::vector<double>>& rows, const std::string& row_title,
                    const std::string& column_title);

}  // namespace extrospect
