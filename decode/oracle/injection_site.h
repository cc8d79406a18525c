// Where and how a decoder puts activation vectors into a language model's residual stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/forward/transformer.h"

namespace extrospect {

enum class InjectionRule {
  kAdd,      // h + c · ‖h‖ · v / ‖v‖: norm-matched (activation oracles, arXiv 2512.15674)
  kReplace,  // c · ‖h‖ · v / ‖v‖
  kScale     // c · v in place of h: its own length, scaled
};

inline constexpr char kInjectionRules[] = "add, replace or scale";

// By name. Throws UsageError.
InjectionRule ParseInjectionRule(std::string_view name);
std::string InjectionRuleName(InjectionRule rule);

struct InjectionSite {
  int64_t block = 1;  // after this block; kEmbeddingBlock: at the embeddings
  InjectionRule rule = InjectionRule::kAdd;
  double coefficient = 1.0;
};

// Changes `rows` of a packed batch by `vectors`, [rows, d_model] in the order of `rows`. Gradients
// flow into the vectors, and into what they are added to, but not into its norm.
Injection InjectAt(const InjectionSite& site, std::vector<int64_t> rows, at::Tensor vectors);

}  // namespace extrospect
