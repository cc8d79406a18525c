#include "train/judge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/calibration.h"

namespace extrospect {
namespace {

double Mean(const at::Tensor& x) { return x.to(at::kDouble).mean().item<double>(); }

}  // namespace

nlohmann::ordered_json Judgement::ToJson() const {
  return {{"n", n},
          {"top1", top1},
          {"top5", top5},
          {"near", near},
          {"macro_f1", macro_f1},
          {"cross_entropy", cross_entropy},
          {"chance_top1", chance_top1},
          {"chance_top5", chance_top5}};
}

double MacroF1(const at::Tensor& label, const at::Tensor& guess, int64_t classes) {
  const auto count = [&](const at::Tensor& of) {
    return at::bincount(of.to(at::kCPU), {}, classes).to(at::kDouble);
  };
  const at::Tensor labels = count(label), guesses = count(guess);
  const at::Tensor hits = count(label.masked_select(label == guess));
  const at::Tensor occurs = labels > 0;
  const int64_t occurring = occurs.sum().item<int64_t>();
  if (occurring == 0) return 0;
  const at::Tensor f1 = 2 * hits / (labels + guesses).clamp_min(1);
  return f1.masked_select(occurs).sum().item<double>() / static_cast<double>(occurring);
}

Judgement Judge(const Lexicon& lexicon, const at::Tensor& log_p, const at::Tensor& label,
                const at::Tensor& targets) {
  const c10::InferenceMode inference;
  Judgement judgement;
  judgement.n = log_p.size(0);
  if (judgement.n == 0) return judgement;
  const auto five = std::min<int64_t>(5, log_p.size(1));
  const at::Tensor best = std::get<1>(log_p.topk(five, 1));
  const at::Tensor right = best == label.unsqueeze(1);
  judgement.top1 = Mean(right.select(1, 0));
  judgement.top5 = Mean(right.any(1));
  judgement.cross_entropy = -Mean((log_p * targets).sum(1));
  const at::Tensor guess = best.select(1, 0).contiguous().to(at::kCPU);
  const at::Tensor truth = label.to(at::kCPU);
  double near = 0;
  for (int64_t i = 0; i < judgement.n; ++i) {
    const int64_t guessed = guess.const_data_ptr<int64_t>()[i];
    const int64_t meant = truth.const_data_ptr<int64_t>()[i];
    near += guessed == meant ? 1.0 : lexicon.IsNear(meant, guessed) ? 0.5 : 0.0;
  }
  judgement.macro_f1 = MacroF1(truth, guess, lexicon.size());
  judgement.near = near / static_cast<double>(judgement.n);
  const at::Tensor counts = std::get<0>(at::bincount(truth, {}, lexicon.size()).sort(-1, true));
  const auto n = static_cast<double>(judgement.n);
  judgement.chance_top1 = static_cast<double>(counts[0].item<int64_t>()) / n;
  judgement.chance_top5 = static_cast<double>(counts.narrow(0, 0, five).sum().item<int64_t>()) / n;
  return judgement;
}

double FitTemperature(const at::Tensor& logits, const at::Tensor& targets) {
  const c10::InferenceMode inference;
  const at::Tensor exact = logits.to(at::kDouble), wanted = targets.to(at::kDouble);
  return BestTemperature([&](double temperature) {
    return -(at::log_softmax(exact / temperature, 1) * wanted).sum().item<double>();
  });
}

double CalibrationError(const at::Tensor& log_p, const at::Tensor& label) {
  const auto [best, guess] = log_p.max(1);
  const at::Tensor confidence = best.exp().to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor right = (guess == label).to(at::kCPU).contiguous();
  const double* const first = confidence.const_data_ptr<double>();
  const bool* const is_right = right.const_data_ptr<bool>();
  const int64_t n = log_p.size(0);
  const std::vector<bool> correct(is_right, is_right + n);
  return ExpectedCalibrationError(CalibrationBins({first, first + n}, correct));
}

Abstention FitAbstention(const at::Tensor& log_p, const at::Tensor& label, int64_t nothing,
                         double max_false_alarms) {
  // How strongly a feeling is read: what Abstains compares, and 0 where nothing wins.
  const at::Tensor wins = log_p.argmax(1) == nothing;
  const at::Tensor feeling = (1 - log_p.select(1, nothing).to(at::kDouble).exp())
                                 .masked_fill(wins, -1)
                                 .to(at::kCPU)
                                 .contiguous();
  const at::Tensor truth = label.to(at::kCPU);
  std::vector<double> neutral, felt;
  for (int64_t i = 0; i < log_p.size(0); ++i) {
    (truth.const_data_ptr<int64_t>()[i] == nothing ? neutral : felt)
        .push_back(feeling.const_data_ptr<double>()[i]);
  }
  std::sort(neutral.rbegin(), neutral.rend());
  Abstention abstention;
  const auto allowed =
      static_cast<size_t>(max_false_alarms * static_cast<double>(neutral.size()) + 1e-9);
  if (allowed < neutral.size()) {
    // Just above the first neutral row that may not be read as a feeling.
    abstention.below =
        std::clamp(std::nextafter(std::max(neutral[allowed], 0.0), 2.0) + 1e-6, 0.0, 1.0);
    if (neutral[allowed] < 0) abstention.below = 0;
  }
  const auto share = [&](const std::vector<double>& scores) {
    const auto above = std::count_if(scores.begin(), scores.end(), [&](double score) {
      return score >= 0 && score >= abstention.below;
    });
    return scores.empty() ? 0.0 : static_cast<double>(above) / static_cast<double>(scores.size());
  };
  abstention.false_alarms = share(neutral);
  abstention.hits = share(felt);
  return abstention;
}

}  // namespace extrospect
