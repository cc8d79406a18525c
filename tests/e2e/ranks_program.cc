// A small training run as one of several ranks, for ranks_test:
//
//   ranks_program FOLDER PARTS [resume] [interrupt=RANK:STEP] [fail=RANK:STEP] [nan=PART:STEP]
//
// Writes metrics.jsonl into FOLDER and prints the number of skipped steps.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "base/ranks.h"
#include "train/loop/loop.h"

namespace extrospect {
namespace {

// "interrupt=1:20" among the arguments as {1, 20}.
struct Event {
  int64_t who = -1, step = -1;

  Event(const std::string& name, int argc, char** argv) {
    for (int i = 3; i < argc; ++i) {
      const std::string argument = argv[i];
      if (!argument.starts_with(name + "=")) continue;
      who = std::stoll(argument.substr(name.size() + 1));
      step = std::stoll(argument.substr(argument.find(':') + 1));
    }
  }
  bool Is(int64_t who_now, int64_t step_now) const { return who == who_now && step == step_now; }
};

at::Tensor Random(const std::string& name, const std::vector<int64_t>& shape) {
  const at::Generator generator = at::detail::createCPUGenerator(RandomStream(1, name).Next());
  return at::randn(shape, generator, at::TensorOptions(at::kFloat).device(at::kCPU));
}

// Low-rank factors b·a that are to make up for what a frozen matrix lacks.
class LowRank : public Trainee {
 public:
  LowRank(int64_t parts, const Ranks& ranks, int argc, char** argv)
      : parts_(parts),
        ranks_(ranks),
        interrupt_("interrupt", argc, argv),
        fail_("fail", argc, argv),
        nan_("nan", argc, argv),
        a_(Random("a", {4, 24}).mul_(0.2).requires_grad_(true)),
        b_(at::zeros({16, 4}).requires_grad_(true)),
        unused_(at::zeros({3}).requires_grad_(true)) {}

  std::vector<Parameter> Parameters() const override {
    return {{"a", a_}, {"b", b_}, {"unused", unused_}};
  }
  int64_t Parts() const override { return parts_; }
  at::Tensor Loss(int64_t step, int64_t part) override {
    // Once: a second signal ends the process.
    if (interrupt_.Is(ranks_.rank(), step) && !raised_) {
      raised_ = true;
      std::raise(SIGINT);
    }
    if (fail_.Is(ranks_.rank(), step)) throw Error("this rank fails").Hint("as it was told to");
    const at::Tensor loss =
        LossOf(Random("x/" + std::to_string(step) + "/" + std::to_string(part), {8, 24}));
    if (nan_.Is(part, step)) return loss * std::numeric_limits<float>::quiet_NaN();
    return loss;
  }
  Evaluation Evaluate() override {
    const at::NoGradGuard no_grad;
    const double loss = LossOf(Random("dev", {64, 24})).item<double>();
    return {-loss, {{"loss", loss}}};
  }

 private:
  at::Tensor LossOf(const at::Tensor& x) const {
    const at::Tensor lacking = at::mm(Random("u", {16, 3}), Random("v", {3, 24}));
    return (at::mm(at::mm(x, a_.t()), b_.t()) - at::mm(x, lacking.t())).square().mean();
  }

  int64_t parts_;
  Ranks ranks_;
  Event interrupt_, fail_, nan_;
  bool raised_ = false;
  at::Tensor a_, b_, unused_;
};

int Main(int argc, char** argv, RanksSession& session) {
  const Ranks& ranks = session.ranks();
  at::set_num_threads(1);
  LowRank trainee(std::stoll(argv[2]), ranks, argc, argv);
  LoopOptions options;
  options.steps = 40;
  options.eval_every = 4;
  options.checkpoint_every = 7;
  options.adamw.learning_rate = 0.1;
  options.adamw.weight_decay = 0.01;
  options.adamw.clip_norm = 1.0;
  options.folder = argv[1];
  options.fingerprint = "test";
  options.ranks = ranks;
  for (int i = 3; i < argc; ++i)
    options.resume = options.resume || std::string(argv[i]) == "resume";
  MetricsLog log(options.folder);
  const LoopResult result = RunTraining(trainee, options, log);
  if (ranks.first()) {
    log.Flush();
    std::printf("%lld skipped\n", static_cast<long long>(result.skipped));
  }
  session.Finish();
  return 0;
}

}  // namespace
}  // namespace extrospect

int main(int argc, char** argv) {
  extrospect::InstallInterruptHandler();
  extrospect::RanksSession session;
  try {
    return extrospect::Main(argc, argv, session);
  } catch (const extrospect::Error& error) {
    session.GiveWay();
    std::fprintf(stderr, "error of rank %d: %s\n", session.ranks().rank(), error.what());
    session.Abort(static_cast<int>(error.code()));
    return static_cast<int>(error.code());
  }
}
