#include "decode/oracle/injection_site.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <utility>

#include "base/error.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

constexpr double kTiny = 1e-12;  // a vector of zeros stays one

}  // namespace

InjectionRule ParseInjectionRule(std::string_view name) {
  if (name == "add") return InjectionRule::kAdd;
  if (name == "replace") return InjectionRule::kReplace;
  if (name == "scale") return InjectionRule::kScale;
  throw UsageError("unknown rule of injection").Expected(kInjectionRules).Found(std::string(name));
}

std::string InjectionRuleName(InjectionRule rule) {
  return rule == InjectionRule::kAdd       ? "add"
         : rule == InjectionRule::kReplace ? "replace"
                                           : "scale";
}

Injection InjectAt(const InjectionSite& site, std::vector<int64_t> rows, at::Tensor vectors) {
  const auto apply = [site, rows = std::move(rows),
                      vectors = std::move(vectors)](at::Tensor& residual) {
    const at::Tensor index = IndexTensor(rows, residual.device());
    const at::Tensor before = residual.index_select(0, index);
    const at::Tensor v = vectors.to(residual.device(), residual.scalar_type());
    at::Tensor after = v * site.coefficient;
    if (site.rule != InjectionRule::kScale) {
      const at::Tensor norm = before.detach().norm(2, {1}, /*keepdim=*/true);
      after = after * (norm / v.norm(2, {1}, /*keepdim=*/true).clamp_min(kTiny));
      if (site.rule == InjectionRule::kAdd) after = before + after;
    }
    if (c10::GradMode::is_enabled()) {
      residual = residual.index_copy(0, index, after);
    } else {
      residual.index_copy_(0, index, after);
    }
  };
  return {site.block, apply};
}

}  // namespace extrospect
