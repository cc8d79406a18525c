// Readings on a terminal.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "records/readings.h"

namespace extrospect {

// One reading in a few lines: id and sentence, the best five with bars, valence and arousal.
// Control characters of ids and tokens are shown as "?", so that data cannot steer the terminal.
std::string TerminalView(const Reading& reading, bool colours);

// Prints the first `limit` readings, and how many more there are; in colour if the stream is a
// terminal and NO_COLOR is not set.
void PrintReadings(const std::vector<Reading>& readings, size_t limit, std::FILE* stream);

}  // namespace extrospect
