#include "model/weights/adapter.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace extrospect {
namespace {

constexpr std::array<const char*, kTargets> kNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};

}  // namespace

std::string TargetName(Target target) { return kNames[static_cast<size_t>(target)]; }

Target ParseTarget(std::string_view name) {
  for (size_t i = 0; i < kTargets; ++i) {
    if (name == kNames[i]) return static_cast<Target>(i);
  }
  throw UsageError("unknown target of an adapter").Expected(Join(kNames)).Found(std::string(name));
}

bool Adapter::Has(Target target) const {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const BlockAdapter& block) { return block.of(target).a.defined(); });
}

std::pair<int64_t, int64_t> TargetShape(const Architecture& architecture, int64_t block,
                                        Target target) {
  switch (target) {
    case Target::kQ:
      return {architecture.q_size(), architecture.d_model};
    case Target::kK:
    case Target::kV:
      return {architecture.kv_size(), architecture.d_model};
    case Target::kO:
      return {architecture.d_model, architecture.q_size()};
    default:
      break;
  }
  if (architecture.experts.n_experts > 0 && !architecture.blocks[block].dense) {
    throw UsageError("the MLP of a block of experts cannot be adapted")
        .At("block " + std::to_string(block) + ", " + TargetName(target))
        .Hint("choose targets among q_proj, k_proj, v_proj and o_proj");
  }
  if (target == Target::kDown) return {architecture.d_model, architecture.d_ff};
  return {architecture.d_ff, architecture.d_model};
}

AdapterPass::AdapterPass(const Adapter& adapter, const Architecture& architecture,
                         at::ScalarType dtype, AdapterDropout dropout)
    : blocks_(adapter.blocks.size()), dropout_(std::move(dropout)) {
  for (size_t block = 0; block < adapter.blocks.size(); ++block) {
    const BlockAdapter& from = adapter.blocks[block];
    const auto join = [&](Place place, const std::vector<Target>& targets) {
      Part& part = blocks_[block][static_cast<size_t>(place)];
      std::vector<at::Tensor> a, b;
      for (const Target target : targets) {
        const LowRank& low_rank = from.of(target);
        if (low_rank.a.defined()) {
          a.push_back(low_rank.a);
          b.push_back(low_rank.b);
        }
      }
      if (a.empty()) return;
      part.a = a.size() == 1 ? a[0] : at::cat(a);
      if (a.size() == targets.size()) {
        part.b = b.size() == 1 ? b[0] : at::block_diag(b);
      } else {
        // Parts that are not adapted get rows of zeros.
        const int64_t rank = part.a.size(0);
        std::vector<at::Tensor> rows;
        int64_t column = 0;
        for (const Target target : targets) {
          const LowRank& low_rank = from.of(target);
          const int64_t out = TargetShape(architecture, static_cast<int64_t>(block), target).first;
          if (!low_rank.a.defined()) {
            rows.push_back(at::zeros({out, rank}, part.a.options().requires_grad(false)));
            continue;
          }
          const int64_t own = low_rank.a.size(0);
          rows.push_back(at::constant_pad_nd(low_rank.b, {column, rank - column - own}));
          column += own;
        }
        part.b = at::cat(rows);
      }
      part.b = (part.b * adapter.scale()).to(dtype);
      part.a = part.a.to(dtype);
    };
    join(Place::kQkv, {Target::kQ, Target::kK, Target::kV});
    join(Place::kAttentionOut, {Target::kO});
    join(Place::kGateUp, {Target::kGate, Target::kUp});
    join(Place::kDown, {Target::kDown});
    const auto vector = [&](Place place, const at::Tensor& value) {
      if (value.defined()) blocks_[block][static_cast<size_t>(place)].vector = value.to(dtype);
    };
    vector(Place::kAttentionOut, from.attention_vector);
    vector(Place::kDown, from.mlp_vector);
  }
}

at::Tensor AdapterPass::Add(int64_t block, Place place, const at::Tensor& x, at::Tensor y) const {
  const Part& part = blocks_[static_cast<size_t>(block)][static_cast<size_t>(place)];
  if (part.a.defined()) {
    at::Tensor input = x;
    if (dropout_.p > 0) {
      const at::Tensor keep = at::empty(x.sizes(), x.options().requires_grad(false))
                                  .bernoulli_(1.0 - dropout_.p, dropout_.generator);
      input = x * (keep / (1.0 - dropout_.p));
    }
    const at::Tensor low = at::linear(input, part.a);
    y = c10::GradMode::is_enabled() ? at::addmm(y, low, part.b.t()) : y.addmm_(low, part.b.t());
  }
  if (part.vector.defined()) y = y + part.vector;
  return y;
}

}  // namespace extrospect
