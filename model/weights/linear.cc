#include "model/weights/linear.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace extrospect {
namespace {

// Rows of a usual batch, for which the packed layout is chosen; other numbers of rows work as well.
constexpr int64_t kUsualRows = 1024;

// oneDNN's linear over a prepacked weight, as the operator library registers it.
at::Tensor PackedLinear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
          .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            std::string_view, c10::List<std::optional<at::Scalar>>,
                            std::optional<std::string_view>)>();
  return op.call(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, "none",
                 c10::List<std::optional<at::Scalar>>(), "");
}

at::Tensor PackWeight(const at::Tensor& weight) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                             .typed<at::Tensor(const at::Tensor&, std::optional<c10::SymInt>)>();
  return op.call(weight, c10::SymInt(kUsualRows));
}

// The packed product with its gradient with respect to x: the packed product with Wᵀ. Packed
// tensors have no layout that autograd knows, so they travel by address; the weights outlive every
// graph over them.
struct PackedProduct : torch::autograd::Function<PackedProduct> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor* weight, const at::Tensor* bias,
                            const at::Tensor* transposed) {
    context->saved_data["transposed"] = reinterpret_cast<int64_t>(transposed);
    return PackedLinear(x, *weight, *bias);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto* const transposed =
        reinterpret_cast<const at::Tensor*>(context->saved_data["transposed"].toInt());
    return {PackedLinear(gradients[0].contiguous(), *transposed, {}), {}, {}, {}};
  }
};

}  // namespace

Linear::Linear(at::Tensor weight, at::Tensor bias)
    : weight_(std::move(weight)), bias_(std::move(bias)), out_features_(weight_.size(0)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (!packed_) return at::linear(x, weight_, bias_);
  if (transposed_.defined() && x.requires_grad()) {
    return PackedProduct::apply(x, &weight_, &bias_, &transposed_);
  }
  return PackedLinear(x, weight_, bias_);
}

at::Tensor Linear::Rows(const at::Tensor& index) const {
  return (packed_ ? weight_.to_dense() : weight_).index_select(0, index);
}

bool Linear::Packs(at::Device device, at::ScalarType dtype) {
  return device.is_cpu() && dtype == at::kBFloat16 && at::hasMKLDNN() &&
         at::globalContext().userEnabledMkldnn();
}

void Linear::Pack(bool differentiable) {
  if (packed_ || !Packs(weight_.device(), weight_.scalar_type())) return;
  if (differentiable) transposed_ = PackWeight(weight_.t().contiguous());
  weight_ = PackWeight(weight_);
  packed_ = true;
}

}  // namespace extrospect
