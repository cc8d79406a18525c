#include "model/forward/ops.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <limits>
#include <tuple>

#include "model/forward/cpu_kernels.h"
#include "model/forward/fused_gradients.h"
#include "model/forward/kernel_types.h"

namespace extrospect {
namespace {

bool HasKernels(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

bool UseKernels(const at::Tensor& x) { return HasKernels(x) && !c10::GradMode::is_enabled(); }

// x / rms(x) * weight over the last dimension, in float32 at least. Returns that precision.
at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  return wide * at::rsqrt(wide.square().mean(-1, true) + eps) * weight.to(wide.scalar_type());
}

// The tables' rows at `positions`, shaped to broadcast over [rows, heads, head_dim / 2].
at::Tensor Angles(const at::Tensor& table, const at::Tensor& positions, at::ScalarType dtype) {
  return table.index_select(0, positions).unsqueeze(1).to(dtype);
}

// Of one group, all of [n, heads, rows, head_dim]; returns the queries' shape.
at::Tensor AttendGroup(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                       const at::Tensor& visible, const Architecture& architecture) {
  // On the CPU the fused operation makes several tiny products of each sequence and head, whose
  // set-up costs more than they do.
  if (architecture.attention_softcap == 0 && !queries.is_cpu()) {
    return at::scaled_dot_product_attention(queries, keys, values, visible, /*dropout_p=*/0.0,
                                            /*is_causal=*/false, architecture.attention_scale);
  }
  const auto wide = queries.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor scores = at::matmul(queries.to(wide), keys.to(wide).transpose(-1, -2));
  if (architecture.attention_softcap > 0) {
    scores = at::tanh(scores * (architecture.attention_scale / architecture.attention_softcap)) *
             architecture.attention_softcap;
  } else {
    scores = scores * architecture.attention_scale;
  }
  scores = scores.masked_fill(visible.logical_not(), -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores, -1), values.to(wide)).to(queries.scalar_type());
}

}  // namespace

at::Tensor AddAndNorm(at::Tensor& residual, const at::Tensor& delta, const at::Tensor& post_weight,
                      const at::Tensor& pre_weight, double eps, at::ScalarType dtype) {
  if (UseKernels(residual) && residual.scalar_type() == at::kFloat && dtype != at::kDouble) {
    at::Tensor out = at::empty(residual.sizes(), residual.options().dtype(dtype));
    WithKernelType(dtype, [&](auto zero) {
      using T = decltype(zero);
      cpu::AddAndNorm<T>(residual.mutable_data_ptr<float>(), DataOrNull<T>(delta),
                         DataOrNull<float>(post_weight), DataOrNull<float>(pre_weight), eps,
                         residual.size(0), residual.size(1), out.mutable_data_ptr<T>());
    });
    return out;
  }
  if (HasKernels(residual) && residual.scalar_type() == at::kFloat && dtype != at::kDouble) {
    at::Tensor out;
    std::tie(residual, out) = FusedAddAndNorm(residual, delta, post_weight, pre_weight, eps, dtype);
    return out;
  }
  if (delta.defined()) {
    const at::Tensor change = post_weight.defined() ? RmsNorm(delta, post_weight, eps) : delta;
    residual = residual + change.to(residual.scalar_type());
  }
  return (pre_weight.defined() ? RmsNorm(residual, pre_weight, eps) : residual).to(dtype);
}

at::Tensor NormAndRotate(const at::Tensor& qkv, const at::Tensor& positions, const RopeTable& table,
                         const at::Tensor& q_norm, const at::Tensor& k_norm,
                         const Architecture& architecture) {
  if (UseKernels(qkv)) {
    WithKernelType(qkv.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::NormAndRotate<T>(qkv.mutable_data_ptr<T>(), positions.const_data_ptr<int64_t>(),
                            table.cos.const_data_ptr<float>(), table.sin.const_data_ptr<float>(),
                            DataOrNull<float>(q_norm), DataOrNull<float>(k_norm), qkv.size(0),
                            architecture);
    });
    return qkv;
  }
  if (HasKernels(qkv) && architecture.qk_norm == QkNorm::kNone) {
    return FusedRotate(qkv, positions, table, architecture);
  }
  const int64_t rows = qkv.size(0), head_dim = architecture.head_dim;
  const auto dtype = qkv.scalar_type();
  const auto wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor cos = Angles(table.cos, positions, wide);
  const at::Tensor sin = Angles(table.sin, positions, wide);
  const auto prepare = [&](at::Tensor x, const at::Tensor& weight) {
    if (architecture.qk_norm == QkNorm::kWholeProjection) {
      x = RmsNorm(x, weight, architecture.norm_eps).to(dtype);
    }
    x = x.reshape({rows, -1, head_dim});
    if (architecture.qk_norm == QkNorm::kPerHead) {
      x = RmsNorm(x, weight, architecture.norm_eps).to(dtype);
    }
    const auto halves = x.to(wide).chunk(2, -1);
    return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
        .to(dtype)
        .reshape({rows, -1});
  };
  const auto parts = qkv.split_with_sizes(
      {architecture.q_size(), architecture.kv_size(), architecture.kv_size()}, -1);
  return at::cat({prepare(parts[0], q_norm), prepare(parts[1], k_norm), parts[2]}, -1);
}

at::Tensor Attention(const at::Tensor& qkv, const std::vector<AttentionSpan>& spans, int64_t window,
                     const Architecture& architecture, std::optional<AttentionPlan>& plan) {
  const int64_t q_size = architecture.q_size(), kv_size = architecture.kv_size();
  if (UseKernels(qkv)) {
    at::Tensor out = at::empty({qkv.size(0), q_size}, qkv.options());
    WithKernelType(qkv.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      const T* const data = qkv.const_data_ptr<T>();
      std::vector<cpu::AttentionSpan<T>> raw;
      raw.reserve(spans.size());
      for (const AttentionSpan& span : spans) {
        cpu::AttentionSpan<T> copy{span.first_row, span.n_rows, {}, span.n_past};
        for (const KeyRun& run : span.past) {
          if (run.first_row >= 0) {
            const T* const keys = data + run.first_row * qkv.size(1) + q_size;
            copy.keys.push_back({keys, keys + kv_size, qkv.size(1), run.n_rows});
            continue;
          }
          copy.keys.push_back({run.keys.const_data_ptr<T>(), run.values.const_data_ptr<T>(),
                               run.keys.stride(0), run.keys.size(0)});
        }
        const T* const keys = data + span.first_row * qkv.size(1) + q_size;
        copy.keys.push_back({keys, keys + kv_size, qkv.size(1), span.n_rows});
        raw.push_back(std::move(copy));
      }
      cpu::Attention<T>(data, raw, window, architecture, out.mutable_data_ptr<T>());
    });
    return out;
  }
  if (!plan) plan.emplace(spans, qkv.size(0), window, qkv.device());
  at::Tensor keys = qkv.narrow(1, q_size, kv_size);
  at::Tensor values = qkv.narrow(1, q_size + kv_size, kv_size);
  if (!plan->sources().empty()) {
    std::vector<at::Tensor> all_keys, all_values;
    for (const auto& [span, run] : plan->sources()) {
      all_keys.push_back(spans[span].past[run].keys);
      all_values.push_back(spans[span].past[run].values);
    }
    all_keys.push_back(keys);
    all_values.push_back(values);
    keys = at::cat(all_keys);
    values = at::cat(all_values);
  }
  const at::Tensor queries = qkv.narrow(1, 0, q_size);
  const int64_t group_size = architecture.n_heads / architecture.n_kv_heads;
  std::vector<at::Tensor> outputs;
  for (const AttentionPlan::Group& group : plan->groups()) {
    // [n · rows, heads · d] -> [n, heads, rows, d]
    const auto heads = [&](const at::Tensor& x, const at::Tensor& index, int64_t rows) {
      return x.index_select(0, index)
          .view({group.n, rows, -1, architecture.head_dim})
          .transpose(1, 2);
    };
    const at::Tensor out =
        AttendGroup(heads(queries, group.queries, group.n_queries),
                    heads(keys, group.keys, group.n_keys).repeat_interleave(group_size, 1),
                    heads(values, group.keys, group.n_keys).repeat_interleave(group_size, 1),
                    group.visible, architecture);
    outputs.push_back(out.transpose(1, 2).reshape({-1, q_size}));
  }
  const at::Tensor padded = outputs.size() == 1 ? outputs[0] : at::cat(outputs);
  return padded.index_select(0, plan->unpad());
}

at::Tensor GatedActivation(const at::Tensor& gate_up, Activation activation) {
  const int64_t d_ff = gate_up.size(1) / 2;
  if (UseKernels(gate_up)) {
    at::Tensor out = at::empty({gate_up.size(0), d_ff}, gate_up.options());
    WithKernelType(gate_up.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::GatedActivation<T>(gate_up.const_data_ptr<T>(), activation, gate_up.size(0), d_ff,
                              out.mutable_data_ptr<T>());
    });
    return out;
  }
  if (HasKernels(gate_up)) return FusedGatedActivation(gate_up, activation);
  const auto halves = gate_up.chunk(2, -1);
  return (activation == Activation::kSilu ? at::silu(halves[0]) : at::gelu(halves[0], "tanh")) *
         halves[1];
}

}  // namespace extrospect
