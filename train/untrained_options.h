// Options of the kinds that train nothing.
#pragma once

#include <vector>

#include "base/config.h"

namespace extrospect {

std::vector<ConfigOption> SelfieOptions();
std::vector<ConfigOption> LogitLensOptions();

}  // namespace extrospect
