#include "train/linear/stacked_reading.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/random.h"

namespace extrospect {
namespace {

constexpr int64_t kRows = 60, kFeatures = 40;

at::Tensor Normal(int64_t rows, const std::string& stream) {
  RandomStream random(5, stream);
  at::Tensor x = at::empty({rows, kFeatures}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < x.numel(); ++i) {
    x.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  }
  return x;
}

class StackedReadingTest : public testing::Test {
 protected:
  StackedReadingTest()
      : lexicon_({{"angry", "anger", -0.6, 0.6, {}}, {"calm", "calm", 0.5, -0.6, {}}}) {
    // Labels that have nothing to do with the rows: whatever is read right was learned by heart.
    const int64_t classes = lexicon_.size();
    label_ = at::arange(kRows, at::TensorOptions(at::kLong).device(at::kCPU)).remainder(2);
    data_.train = Normal(kRows, "train");
    data_.train_targets = at::one_hot(label_, classes).to(at::kFloat);
    data_.dev = Normal(kRows, "dev");
    data_.dev_targets = data_.train_targets;
    data_.dev_label = label_;
    for (int64_t i = 0; i < kRows; ++i) {
      folds_.push_back(i / 2 % 5);
      places_.push_back(i);
    }
  }

  double ShareRight(const at::Tensor& scores) const {
    return scores.argmax(1).eq(label_).to(at::kDouble).mean().item<double>();
  }

  Lexicon lexicon_;
  ProbeData data_;
  at::Tensor label_;
  std::vector<int64_t> folds_, places_;
  MetricsLog log_{std::filesystem::path(testing::TempDir())};
};

TEST_F(StackedReadingTest, DoesNotKnowTheRowsByHeart) {
  const StackedReading reading(lexicon_, data_, folds_, log_);
  EXPECT_GE(ShareRight(reading.map()(data_.train)), 0.85);
  EXPECT_LT(ShareRight(reading.HeldOut(data_.train, places_)), 0.7);
}

TEST_F(StackedReadingTest, ALabelDoesNotReachItsOwnRow) {
  const StackedReading before(lexicon_, data_, folds_, log_);
  const at::Tensor scores = before.HeldOut(data_.train, places_);
  data_.train_targets[7] = data_.train_targets[8].clone();
  const StackedReading after(lexicon_, data_, folds_, log_);
  const at::Tensor changed = after.HeldOut(data_.train, places_);
  // Up to the temperature and shrinkage, which the reading of all rows chooses on dev.
  EXPECT_NEAR(at::cosine_similarity(scores[7] - scores[7].mean(), changed[7] - changed[7].mean(), 0)
                  .item<double>(),
              1.0, 1e-3);
  EXPECT_GT((scores[0] - changed[0]).abs().max().item<double>(), 1e-3);
}

TEST_F(StackedReadingTest, RowsFromElsewhereAreReadByAll) {
  const StackedReading reading(lexicon_, data_, folds_, log_);
  const std::vector<int64_t> nowhere(static_cast<size_t>(kRows), -1);
  EXPECT_TRUE(reading.HeldOut(data_.dev, nowhere).equal(reading.map()(data_.dev)));
  const StackedReading whole(lexicon_, data_, {}, log_);
  EXPECT_TRUE(whole.HeldOut(data_.train, places_).equal(whole.map()(data_.train)));
}

}  // namespace
}  // namespace extrospect
