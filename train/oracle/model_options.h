// Options of the kinds that run the language model.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace extrospect {

// kind: oracle, vector or affine.
std::vector<ConfigOption> OracleOptions(const std::string& kind);
std::vector<ConfigOption> SelfieOptions();
std::vector<ConfigOption> LogitLensOptions();

}  // namespace extrospect
