#include "model/forward/fused_gradients.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/forward/cpu_backward.h"
#include "model/forward/cpu_kernels.h"
#include "model/forward/kernel_types.h"

namespace extrospect {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Undefined tensors cannot be kept in a graph node as they are.
c10::IValue Keep(const at::Tensor& tensor) {
  return tensor.defined() ? c10::IValue(tensor) : c10::IValue();
}
at::Tensor Kept(const c10::IValue& value) {
  return value.isTensor() ? value.toTensor() : at::Tensor();
}

// `delta` is empty where nothing is added: inputs have to be defined.
struct AddAndNormNode : torch::autograd::Function<AddAndNormNode> {
  static variable_list forward(AutogradContext* context, const at::Tensor& residual,
                               const at::Tensor& delta, const c10::IValue& post_weight,
                               const c10::IValue& pre_weight, double eps, at::ScalarType dtype) {
    const at::Tensor post = Kept(post_weight), pre = Kept(pre_weight);
    const bool has_delta = delta.numel() > 0;
    at::Tensor sum = residual.clone();
    at::Tensor out = at::empty(sum.sizes(), sum.options().dtype(dtype));
    WithKernelType(dtype, [&](auto zero) {
      using T = decltype(zero);
      cpu::AddAndNorm<T>(sum.mutable_data_ptr<float>(),
                         has_delta ? delta.const_data_ptr<T>() : nullptr, DataOrNull<float>(post),
                         DataOrNull<float>(pre), eps, sum.size(0), sum.size(1),
                         out.mutable_data_ptr<T>());
    });
    context->save_for_backward({sum, has_delta && post.defined() ? delta : at::Tensor()});
    context->saved_data["post"] = post_weight;
    context->saved_data["pre"] = pre_weight;
    context->saved_data["eps"] = eps;
    context->saved_data["dtype"] = static_cast<int64_t>(dtype);
    context->saved_data["has_delta"] = has_delta;
    return {sum, out};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &sum = saved[0], &delta = saved[1];
    const at::Tensor post = Kept(context->saved_data["post"]);
    const at::Tensor pre = Kept(context->saved_data["pre"]);
    const auto dtype = static_cast<at::ScalarType>(context->saved_data["dtype"].toInt());
    const bool has_delta = context->saved_data["has_delta"].toBool();
    const auto whole = [](const at::Tensor& gradient) {
      return gradient.defined() ? gradient.contiguous() : gradient;
    };
    const at::Tensor of_sum = whole(gradients[0]), of_out = whole(gradients[1]);
    at::Tensor of_residual = at::empty_like(sum), of_delta;
    if (has_delta) of_delta = at::empty(sum.sizes(), sum.options().dtype(dtype));
    WithKernelType(dtype, [&](auto zero) {
      using T = decltype(zero);
      // Without a norm of its own, delta's values do not matter.
      const T* const values = delta.defined() ? delta.const_data_ptr<T>() : DataOrNull<T>(of_delta);
      cpu::AddAndNormBackward<T>(sum.const_data_ptr<float>(), values, DataOrNull<float>(post),
                                 DataOrNull<float>(pre), context->saved_data["eps"].toDouble(),
                                 DataOrNull<float>(of_sum), DataOrNull<T>(of_out), sum.size(0),
                                 sum.size(1), of_residual.mutable_data_ptr<float>(),
                                 has_delta ? of_delta.mutable_data_ptr<T>() : nullptr);
    });
    return {of_residual, of_delta, {}, {}, {}, {}};
  }
};

struct RotateNode : torch::autograd::Function<RotateNode> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& qkv,
                            const at::Tensor& positions, const at::Tensor& cos,
                            const at::Tensor& sin, const Architecture* architecture) {
    at::Tensor out = qkv.clone();
    WithKernelType(qkv.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::NormAndRotate<T>(out.mutable_data_ptr<T>(), positions.const_data_ptr<int64_t>(),
                            cos.const_data_ptr<float>(), sin.const_data_ptr<float>(), nullptr,
                            nullptr, out.size(0), *architecture);
    });
    context->saved_data["positions"] = positions;
    context->saved_data["cos"] = cos;
    context->saved_data["sin"] = sin;
    context->saved_data["architecture"] = reinterpret_cast<int64_t>(architecture);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto* const architecture =
        reinterpret_cast<const Architecture*>(context->saved_data["architecture"].toInt());
    at::Tensor of_qkv = gradients[0].clone(at::MemoryFormat::Contiguous);
    const auto saved = [&](const char* name) { return context->saved_data[name].toTensor(); };
    const at::Tensor positions = saved("positions"), cos = saved("cos"), sin = saved("sin");
    WithKernelType(of_qkv.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::RotateBackward<T>(of_qkv.mutable_data_ptr<T>(), positions.const_data_ptr<int64_t>(),
                             cos.const_data_ptr<float>(), sin.const_data_ptr<float>(),
                             of_qkv.size(0), *architecture);
    });
    return {of_qkv, {}, {}, {}, {}};
  }
};

struct GatedActivationNode : torch::autograd::Function<GatedActivationNode> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up,
                            Activation activation) {
    const int64_t rows = gate_up.size(0), d_ff = gate_up.size(1) / 2;
    at::Tensor out = at::empty({rows, d_ff}, gate_up.options());
    WithKernelType(gate_up.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::GatedActivation<T>(gate_up.const_data_ptr<T>(), activation, rows, d_ff,
                              out.mutable_data_ptr<T>());
    });
    context->save_for_backward({gate_up});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor gate_up = context->get_saved_variables()[0];
    const at::Tensor of_out = gradients[0].contiguous();
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    at::Tensor of_gate_up = at::empty_like(gate_up);
    WithKernelType(gate_up.scalar_type(), [&](auto zero) {
      using T = decltype(zero);
      cpu::GatedActivationBackward<T>(gate_up.const_data_ptr<T>(), of_out.const_data_ptr<T>(),
                                      activation, of_out.size(0), of_out.size(1),
                                      of_gate_up.mutable_data_ptr<T>());
    });
    return {of_gate_up, {}};
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> FusedAddAndNorm(const at::Tensor& residual,
                                                  const at::Tensor& delta,
                                                  const at::Tensor& post_weight,
                                                  const at::Tensor& pre_weight, double eps,
                                                  at::ScalarType dtype) {
  const variable_list results = AddAndNormNode::apply(
      residual,
      delta.defined() ? delta.contiguous() : at::empty({0}, residual.options().dtype(dtype)),
      Keep(post_weight), Keep(pre_weight), eps, dtype);
  return {results[0], results[1]};
}

at::Tensor FusedRotate(const at::Tensor& qkv, const at::Tensor& positions, const RopeTable& table,
                       const Architecture& architecture) {
  return RotateNode::apply(qkv, positions, table.cos, table.sin, &architecture);
}

at::Tensor FusedGatedActivation(const at::Tensor& gate_up, Activation activation) {
  return GatedActivationNode::apply(gate_up.contiguous(), activation);
}

}  // namespace extrospect
