#include "train/loop/loop.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/random.h"

namespace extrospect {
namespace {

// Noisy least squares, with all randomness from the step's number.
class Noisy : public Trainee {
 public:
  Noisy() : x_(at::ones({4}, at::TensorOptions(at::kFloat).device(at::kCPU))) {
    x_.requires_grad_(true);
  }
  std::vector<Parameter> Parameters() const override { return {{"x", x_}}; }
  int64_t Parts() const override { return parts_; }
  at::Tensor Loss(int64_t step, int64_t part) override {
    if (step == fail_at_) throw Error("killed");
    const std::string name = "noisy/" + std::to_string(step) + "/" + std::to_string(part);
    const at::Generator generator = at::detail::createCPUGenerator(RandomStream(1, name).Next());
    const at::Tensor noise =
        at::randn({4}, generator, at::TensorOptions(at::kFloat).device(at::kCPU));
    return (x_ - 3 + noise * scale_).square().sum();
  }
  Evaluation Evaluate() override {
    const double error = (x_.detach() - 3).square().sum().item<double>();
    return {-error, {{"error", error}}};
  }

  at::Tensor x_;
  int64_t fail_at_ = -1;
  int64_t parts_ = 1;
  float scale_ = 0.3f;
};

LoopOptions Options(const std::string& name) {
  LoopOptions options;
  options.steps = 40;
  options.eval_every = 7;
  options.checkpoint_every = 5;
  options.adamw.learning_rate = 0.1;
  options.adamw.weight_decay = 0.01;
  options.warmup = 4;
  options.fingerprint = "one";
  options.folder = testing::TempDir() + "/" + name;
  std::filesystem::remove_all(options.folder);
  std::filesystem::create_directories(options.folder);
  return options;
}

std::string Bytes(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(LoopTest, AResumedRunEqualsAnUninterruptedOne) {
  const LoopOptions straight = Options("loop_straight");
  Noisy a;
  MetricsLog log_a(straight.folder);
  const LoopResult result_a = RunTraining(a, straight, log_a);
  log_a.Flush();

  LoopOptions options = Options("loop_resumed");
  {
    Noisy killed;
    killed.fail_at_ = 23;  // after the checkpoint at 20 and the evaluation at 21
    MetricsLog log(options.folder);
    EXPECT_THROW(RunTraining(killed, options, log), Error);
  }
  options.resume = true;
  Noisy b;
  MetricsLog log_b(options.folder);
  const LoopResult result_b = RunTraining(b, options, log_b);
  log_b.Flush();
  EXPECT_TRUE(at::equal(a.x_.detach(), b.x_.detach()));
  EXPECT_EQ(result_a.best_step, result_b.best_step);
  EXPECT_EQ(result_a.best_score, result_b.best_score);
  EXPECT_EQ(Bytes(straight.folder / "metrics.jsonl"), Bytes(options.folder / "metrics.jsonl"));
  EXPECT_EQ(Bytes(straight.folder / "events.out.tfevents.0.extrospect"),
            Bytes(options.folder / "events.out.tfevents.0.extrospect"));
  EXPECT_GT(result_a.best_score, -1.0);
}

// One part whose loss is the mean of another trainee's parts.
class Joined : public Trainee {
 public:
  explicit Joined(Noisy& noisy) : noisy_(noisy) {}
  std::vector<Parameter> Parameters() const override { return noisy_.Parameters(); }
  at::Tensor Loss(int64_t step, int64_t) override {
    return (noisy_.Loss(step, 0) + noisy_.Loss(step, 1) + noisy_.Loss(step, 2)) / 3;
  }
  Evaluation Evaluate() override { return noisy_.Evaluate(); }

 private:
  Noisy& noisy_;
};

TEST(LoopTest, WithoutAFolderNothingIsWritten) {
  LoopOptions options = Options("loop_folder"), none = options;
  none.folder.clear();
  Noisy with, without;
  MetricsLog log(options.folder);
  RunTraining(without, none, log);
  EXPECT_TRUE(std::filesystem::is_empty(options.folder));
  EXPECT_FALSE(std::filesystem::exists("checkpoint.safetensors"));
  RunTraining(with, options, log);
  EXPECT_TRUE(with.x_.equal(without.x_));
}

TEST(LoopTest, AStepIsTheMeanOfItsParts) {
  const LoopOptions options = Options("loop_parts");
  Noisy a, b;
  a.parts_ = 3;
  MetricsLog log_a(options.folder), log_b(options.folder);
  RunTraining(a, options, log_a);
  Joined joined(b);
  RunTraining(joined, options, log_b);
  EXPECT_TRUE(at::allclose(a.x_.detach(), b.x_.detach(), 1e-5, 1e-6));
  ASSERT_EQ(log_a.objects().size(), log_b.objects().size());
  for (size_t i = 1; i < log_a.objects().size(); ++i) {
    EXPECT_NEAR(log_a.objects()[i].at("loss").get<double>(),
                log_b.objects()[i].at("loss").get<double>(), 1e-4);
  }
}

TEST(LoopTest, ACheckpointOfAnotherRunIsRefused) {
  LoopOptions options = Options("loop_other");
  {
    Noisy trainee;
    MetricsLog log(options.folder);
    RunTraining(trainee, options, log);
  }
  options.resume = true;
  options.fingerprint = "two";
  Noisy trainee;
  MetricsLog log(options.folder);
  try {
    RunTraining(trainee, options, log);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another run"), std::string::npos);
  }
}

TEST(LoopTest, ADamagedCheckpointIsRefused) {
  LoopOptions options = Options("loop_damaged");
  std::ofstream(options.folder / "checkpoint.safetensors") << "nonsense";
  options.resume = true;
  Noisy trainee;
  MetricsLog log(options.folder);
  EXPECT_THROW(RunTraining(trainee, options, log), Error);
}

TEST(LoopTest, StopsEarlyAndKeepsTheBest) {
  LoopOptions options = Options("loop_early");
  options.steps = 1000;
  options.patience = 2;
  options.eval_every = 1;
  options.adamw.learning_rate = 5;  // overshoots at once
  options.warmup = 0;
  options.schedule = Schedule::kConstant;
  Noisy trainee;
  MetricsLog log(options.folder);
  const LoopResult result = RunTraining(trainee, options, log);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_LT(result.steps, 1000);
  EXPECT_DOUBLE_EQ(trainee.Evaluate().score, result.best_score);
}

TEST(LoopTest, GradientsThatAreNeverFiniteEndTheRun) {
  const LoopOptions options = Options("loop_nan");
  Noisy trainee;
  trainee.scale_ = std::numeric_limits<float>::infinity();
  MetricsLog log(options.folder);
  EXPECT_THROW(RunTraining(trainee, options, log), Error);
}

}  // namespace
}  // namespace extrospect
