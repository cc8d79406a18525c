// Training on synthetic activations, end to end: sweep, fit, folder, loading, reading.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>

#include "base/error.h"
#include "base/random.h"
#include "decode/activation_rows.h"
#include "decode/load.h"
#include "decode/reader.h"
#include "model/files/safetensors.h"
#include "tests/unit/train/synthetic.h"
#include "train/dataset.h"
#include "train/linear/probe_trainee.h"
#include "train/options.h"
#include "train/oracle/naming_fit.h"
#include "train/run.h"

namespace extrospect {
namespace {

using synthetic::Folder;
using synthetic::WriteActivations;

TrainingRun RunOf(const std::string& kind, const std::filesystem::path& activations,
                  const std::filesystem::path& output, const std::vector<std::string>& set) {
  TrainingRun run = {.kind = kind,
                     .activations = activations,
                     .targets = "",
                     .output = output,
                     .config = TrainingConfig(kind),
                     .device = at::kCPU};
  for (const std::string& assignment : set) run.config.Set(assignment);
  return run;
}

const std::vector<std::string> kSmallSettings = {"network.rank=3",
                                                 "network.width=32",
                                                 "network.heads=2",
                                                 "network.prefix=2",
                                                 "vocabulary=120",
                                                 "steps=120",
                                                 "batch=24",
                                                 "word_batch=24",
                                                 "eval_every=20",
                                                 "learning_rate=0.005",
                                                 "checkpoint_every=30",
                                                 "n_hooks=1",
                                                 "lexicon=labels"};

std::string Bytes(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string Complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(TrainTest, TheProbeFindsTheRowsThatTell) {
  const auto activations = WriteActivations("train_probe.h5");
  const auto folder = Folder("probe");
  const auto figures = Train(RunOf("probe", activations, folder, {"n_hooks=1", "lexicon=labels"}));
  EXPECT_GT(figures.at("test").at("top1").get<double>(), 0.9);
  EXPECT_LE(figures.at("dev").at("false_alarms").get<double>(), 0.05);
  const auto decoder = LoadDecoder(folder, at::kCPU);
  EXPECT_EQ(decoder->info().hooks, std::vector<std::string>{"blocks.1.hook_resid_post"});
  EXPECT_EQ(decoder->info().selection, "content");
  EXPECT_EQ(decoder->info().name, "probe");

  const ActivationReader reader(activations);
  CheckFits(decoder->info(), reader.origin(), reader.hooks(), "x");
  const RowPlan plan = PlanRows(reader, "content", "mean");
  const at::Tensor rows = LoadRows(reader, plan, decoder->info().hooks, {});
  const Scores scores = decoder->Read(rows);
  EXPECT_EQ(scores.log_p.size(1), decoder->info().lexicon.size());
  const at::Tensor sums = scores.log_p.exp().sum(1);
  EXPECT_TRUE(at::allclose(sums, at::ones_like(sums), 1e-4, 1e-5));

  std::vector<RowOrigin> origins(plan.rows.size());
  for (RowOrigin& origin : origins) origin.holder = "user";
  const auto readings = ReadRows(*decoder, rows, origins, ReadOptions(), {});
  ASSERT_EQ(readings.size(), plan.rows.size());
  EXPECT_EQ(readings[0].reading, "The user feels angry.");
  EXPECT_EQ(readings[0].emotions.size(), 4u);  // all that there are
  EXPECT_EQ(readings[0].emotions[0].name, "angry");
  EXPECT_LT(readings[0].valence, 0);
  EXPECT_EQ(readings[3].reading, "The user reports nothing of note.");
  EXPECT_TRUE(readings[3].abstained);
}

const std::vector<std::string> kHiddenSettings = {"n_hooks=1",
                                                  "lexicon=labels",
                                                  "solver=softmax",
                                                  "hidden.units=16",
                                                  "softmax.batch=24",
                                                  "softmax.steps=60",
                                                  "softmax.dropout=0.1",
                                                  "softmax.warmup=5",
                                                  "softmax.patience=0",
                                                  "softmax.anchor=0",
                                                  "checkpoint_every=20",
                                                  "softmax.weight_decay=0.01",
                                                  "prior_adjustments=[0,0.5,1]",
                                                  "softmax.learning_rate=0.01"};

TEST(TrainTest, AProbeWithAHiddenLayerIsLoadedAsItWasTrained) {
  const auto activations = WriteActivations("train_hidden.h5");
  const auto folder = Folder("hidden");
  const auto figures = Train(RunOf("probe", activations, folder, kHiddenSettings));
  EXPECT_GT(figures.at("test").at("top1").get<double>(), 0.9);
  EXPECT_GT(figures.at("test").at("macro_f1").get<double>(), 0.9);
  EXPECT_TRUE(SafetensorsFile(folder / "weights.safetensors").Find("hidden.out").has_value());
  const auto decoder = LoadDecoder(folder, at::kCPU);
  const ActivationReader reader(activations);
  LabelOptions options;
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  const RowSet set =
      LoadRowSet(reader, labelled, {decoder->info().hooks, decoder->info().selection}, at::kCPU);
  const at::Tensor test = set.Indices("test");
  const Scores scores = decoder->Read(set.rows.index_select(0, test));
  const double right = (scores.log_p.argmax(1) == set.label.index_select(0, test))
                           .to(at::kDouble)
                           .mean()
                           .item<double>();
  EXPECT_DOUBLE_EQ(right, figures.at("test").at("top1").get<double>());
}

// The class is the sign of a product of two features: a linear map is lost.
TEST(ProbeTraineeTest, AHiddenLayerSeesWhatNoLinearMapCan) {
  const Lexicon lexicon({{"glad", "", 0.5, 0, {}}, {"sad", "", -0.5, 0, {}}});
  RandomStream random(3, "product");
  constexpr int64_t kRows = 400;
  at::Tensor x = at::empty({kRows, 4}, at::TensorOptions(at::kFloat).device(at::kCPU));
  for (int64_t i = 0; i < x.numel(); ++i) {
    x.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  }
  const at::Tensor label = (x.select(1, 0) * x.select(1, 1) > 0).to(at::kLong);
  const at::Tensor targets = at::one_hot(label, 3).to(at::kFloat);
  const ProbeData data = {x, targets, x, targets, label};
  const LinearMap zero = {at::zeros({3, 4}, x.options()), at::zeros({3}, x.options())};
  const auto fit = [&](int64_t units) {
    Config config = TrainingConfig("probe");
    config.Set("hidden.units=" + std::to_string(units));
    config.Set("softmax.batch=50");
    config.Set("softmax.anchor=0");
    ProbeTrainee trainee(lexicon, data, zero, config);
    LoopOptions options;
    options.steps = 400;
    options.adamw.learning_rate = 0.02;
    options.folder = Folder("product" + std::to_string(units));
    std::filesystem::create_directories(options.folder);
    MetricsLog log(options.folder);
    RunTraining(trainee, options, log);
    return (trainee.Weights().Logits(x).argmax(1) == label).to(at::kDouble).mean().item<double>();
  };
  EXPECT_LT(fit(0), 0.65);
  EXPECT_GT(fit(32), 0.9);
}

// An oracle's naming reading scores rows as a probe of the default configuration does.
TEST(NamingFitTest, IsTheDefaultProbesReading) {
  const auto activations = WriteActivations("naming_fit.h5");
  const auto folder = Folder("naming_fit");
  const RowSource source = {{"blocks.1.hook_resid_post"}, "content"};
  Train(RunOf("probe", activations, folder,
              {"hooks=[\"blocks.1.hook_resid_post\"]", "selection=content", "lexicon=labels"}));
  const auto probe = LoadDecoder(folder, at::kCPU);
  const ActivationReader reader(activations);
  LabelOptions options;
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  TrainingData data;
  data.transcripts = &labelled;
  data.source = source;
  data.rows = LoadRowSet(reader, labelled, source, at::kCPU);
  MetricsLog log(folder);
  const NamingReading naming =
      FitNamingReading(RunOf("oracle", activations, folder, {}), data, at::kCPU, log);

  const at::Tensor train = data.Rows("train"), test = data.Rows("test"), mean = train.mean(0);
  const int64_t nothing = labelled.lexicon().nothing();
  const at::Tensor usual = naming.Scores(test - mean, nothing).usual;
  EXPECT_TRUE(at::allclose(at::log_softmax(usual / probe->info().temperature, 1),
                           probe->Read(test).log_p, 1e-4, 1e-4));
  const at::Tensor calm = train.index({data.Labels("train") == nothing}).mean(0, /*keepdim=*/true);
  EXPECT_TRUE(
      at::allclose(naming.Scores(calm - mean, nothing).usual.squeeze(0), naming.calm, 1e-3, 1e-3));
  EXPECT_GT((naming.calm - usual[0]).abs().max().item<double>(), 1);
}

TEST(TrainTest, ScoresMayLeanTowardsRareClasses) {
  const auto activations = WriteActivations("train_rare.h5", 60, /*bare=*/true);
  // Of "sad" and "calm" few are labelled; the rest is "angry", whose rows tell something else.
  const std::filesystem::path targets = testing::TempDir() + "/rare.jsonl";
  std::ofstream out(targets);
  for (int i = 0; i < 240; ++i) {
    const char* const split = i % 5 == 3 ? "dev" : i % 5 == 4 ? "test" : "train";
    const char* const word = i % 24 == 1 ? "calm" : i % 24 == 2 ? "sad" : "angry";
    out << R"({"id": "t)" << i << R"(", "emotion": ")" << word << R"(", "split": ")" << split
        << "\"}\n";
  }
  out.close();
  const auto dev = [&](const std::string& name, const std::string& adjustments) {
    TrainingRun run =
        RunOf("probe", activations, Folder(name),
              {"hooks=[\"blocks.1.hook_resid_post\"]", "selection=content", "lexicon=labels",
               "solver=softmax", "softmax.steps=200", "softmax.learning_rate=0.05",
               "softmax.anchor=0", "prior_adjustments=" + adjustments});
    run.targets = targets;
    return Train(run).at("dev");
  };
  const auto plain = dev("rare_plain", "[0]"), leaning = dev("rare_leaning", "[0,0.5,1,1.5]");
  EXPECT_GT(leaning.at("macro_f1").get<double>(), plain.at("macro_f1").get<double>());
}

TEST(TrainTest, SmallWritesTheWordThatItReads) {
  const auto activations = WriteActivations("train_small.h5", 40);
  const auto folder = Folder("small");
  const auto figures = Train(RunOf("small", activations, folder, kSmallSettings));
  EXPECT_GT(figures.at("test").at("top1").get<double>(), 0.85);
  const auto decoder = LoadDecoder(folder, at::kCPU);
  const ActivationReader reader(activations);
  const at::Tensor rows =
      LoadRows(reader, PlanRows(reader, "content", "mean"), decoder->info().hooks, {})
          .narrow(0, 0, 8);
  const std::vector<std::string> holders(8, "character");
  const Scores scores = decoder->Read(rows, holders);
  const auto sentences = decoder->Sentences(rows, scores, holders);
  const at::Tensor best = scores.log_p.argmax(1);
  for (int64_t i = 0; i < 8; ++i) {
    const std::string& word = decoder->info().lexicon[best[i].item<int64_t>()].word;
    const std::string opening = Abstains(decoder->info(), scores.log_p.const_data_ptr<float>() +
                                                              i * decoder->info().lexicon.size())
                                    ? "The character reports nothing of note"
                                    : "The character feels " + word;
    EXPECT_TRUE(sentences[i].starts_with(opening)) << sentences[i];
  }
  // A row alone is scored as it is among others, and without a holder read much the same.
  const Scores alone = decoder->Read(rows.narrow(0, 3, 1), {"character"});
  EXPECT_TRUE(at::allclose(alone.log_p[0], scores.log_p[3], 1e-3, 1e-4));
  EXPECT_EQ(decoder->Read(rows).log_p.argmax(1)[0].item<int64_t>(), best[0].item<int64_t>());
}

TEST(TrainTest, SmallSpeaksOfTheHoldersThatItWasTrainedOn) {
  const auto activations = WriteActivations("train_holders.h5", 40, /*bare=*/true);
  const std::filesystem::path targets = testing::TempDir() + "/no_holders.jsonl";
  {
    std::ofstream file(targets);
    for (int i = 0; i < 160; ++i) {
      file << nlohmann::json({{"id", "t" + std::to_string(i)},
                              {"emotion", synthetic::kWords[static_cast<size_t>(i) % 4]},
                              {"split", i % 5 == 3 ? "dev" : "train"}})
                  .dump()
           << "\n";
    }
  }
  const auto folder = Folder("holders");
  auto run = RunOf("small", activations, folder, kSmallSettings);
  run.targets = targets;
  Train(run);
  const auto decoder = LoadDecoder(folder, at::kCPU);
  const ActivationReader reader(activations);
  const at::Tensor rows =
      LoadRows(reader, PlanRows(reader, "content", "mean"), decoder->info().hooks, {})
          .narrow(0, 0, 3);
  const std::vector<std::string> holders = {"user", "assistant", ""};
  for (const auto& sentence : decoder->Sentences(rows, decoder->Read(rows, holders), holders)) {
    EXPECT_TRUE(sentence.starts_with("The holder ")) << sentence;
  }
}

TEST(TrainTest, TheSameSeedGivesTheSameBytes) {
  const auto activations = WriteActivations("train_same.h5", 15);
  for (const std::string name : {"probe", "hidden", "small"}) {
    const std::string kind = name == "small" ? "small" : "probe";
    std::vector<std::string> set = {"n_hooks=1", "lexicon=labels"};
    if (name == "hidden") set = kHiddenSettings;
    if (kind == "small") set = kSmallSettings;
    if (kind == "small") set.push_back("steps=25");
    // The folder's name is not part of the decoder.
    const auto a = Folder("same_a_" + name), b = Folder("same_b_" + name);
    Train(RunOf(kind, activations, a, set));
    Train(RunOf(kind, activations, b, set));
    for (const char* const file : {"decoder.json", "weights.safetensors", "metrics.jsonl"}) {
      EXPECT_EQ(Bytes(a / file), Bytes(b / file)) << name << " " << file;
    }
  }
}

TEST(TrainTest, ASelectionThatIsMissingInDevLosesTheSweep) {
  const auto path = WriteActivations("train_missing.h5", 20, /*bare=*/true);
  const ActivationReader whole(path);
  ActivationLayout layout = whole.layout();
  for (size_t row = 0; row < layout.selection.size(); ++row) {
    if (layout.transcript[row] % 5 == 3) layout.selection[row] = 0;  // no "last" in dev
  }
  const auto missing = std::filesystem::path(testing::TempDir()) / "train_missing_last.h5";
  std::filesystem::remove(missing);
  ActivationWriter writer(missing, whole.origin(), layout, synthetic::kHooks, StoreType::kFloat32,
                          false);
  for (size_t hook = 0; hook < synthetic::kHooks.size(); ++hook) {
    std::vector<float> rows(layout.n_rows() * synthetic::kWidth);
    whole.Read(synthetic::kHooks[hook], 0, layout.n_rows(), rows);
    writer.Write(hook, 0, std::as_bytes(std::span(rows)));
  }
  std::vector<uint32_t> all(layout.transcripts.size());
  std::iota(all.begin(), all.end(), 0u);
  writer.MarkDone(all);
  writer.Finish();
  const auto folder = Folder("missing");
  Train(RunOf("probe", missing, folder, {"n_hooks=1", "lexicon=labels"}));
  EXPECT_EQ(LoadDecoder(folder, at::kCPU)->info().selection, "content");
  const std::string complaint = Complaint([&] {
    Train(RunOf("probe", missing, Folder("missing_last"),
                {"n_hooks=1", "lexicon=labels", "selection=last"}));
  });
  EXPECT_NE(complaint.find("dev split"), complaint.npos) << complaint;
  EXPECT_NE(complaint.find("selection last"), complaint.npos) << complaint;
}

TEST(TrainTest, LabelsAreChecked) {
  const auto activations = WriteActivations("train_labels.h5", 10, /*bare=*/true);
  const ActivationReader reader(activations);
  const std::filesystem::path targets = testing::TempDir() + "/targets.jsonl";
  LabelOptions options;
  options.targets = targets;

  std::ofstream(targets) << R"({"id": "t0", "emotion": "peckish", "split": "train"})"
                         << "\n"
                         << R"({"id": "t1", "emotion": "angry", "split": "dev"})"
                         << "\n";
  EXPECT_NE(Complaint([&] { LabelledTranscripts(reader, options); }).find("peckish"),
            std::string::npos);
  options.lexicon = "labels";
  const LabelledTranscripts labelled(reader, options);
  EXPECT_EQ(labelled.lexicon().size(), 3);
  EXPECT_FALSE(labelled.has_affect());
  EXPECT_EQ(labelled.examples().size(), 2u);

  std::ofstream(targets) << R"({"id": "who", "emotion": "angry"})"
                         << "\n";
  EXPECT_THROW(LabelledTranscripts(reader, options), Error);
  std::ofstream(targets) << R"({"id": "t0", "emotion": "angry", "split": "tarin"})"
                         << "\n";
  EXPECT_NE(Complaint([&] { LabelledTranscripts(reader, options); }).find("tarin"),
            std::string::npos);
  std::ofstream(targets) << R"({"id": "t0", "emotion": "angry"})"
                         << "\n"
                         << R"({"id": "t0", "emotion": "sad"})"
                         << "\n";
  EXPECT_NE(Complaint([&] { LabelledTranscripts(reader, options); }).find("two targets"),
            std::string::npos);
  std::ofstream(targets) << R"({"id": "t0", "emotion": "angry", "split": "validation"})"
                         << "\n"
                         << R"({"id": "t1", "emotion": "sad"})"
                         << "\n";
  EXPECT_NE(Complaint([&] { LabelledTranscripts(reader, options); }).find("has no split"),
            std::string::npos);
}

TEST(TrainTest, AnActivationThatIsNotFiniteIsNamed) {
  const auto path = WriteActivations("train_nan.h5", 10, /*bare=*/true);
  const ActivationReader whole(path);
  std::vector<float> rows(whole.layout().n_rows() * synthetic::kWidth);
  whole.Read(synthetic::kHooks[1], 0, whole.layout().n_rows(), rows);
  rows[6 * synthetic::kWidth + 3] = std::nanf("");  // of "content" of t3
  const auto broken = std::filesystem::path(testing::TempDir()) / "train_nan_broken.h5";
  ActivationWriter writer(broken, whole.origin(), whole.layout(), {synthetic::kHooks[1]},
                          StoreType::kFloat32, false);
  writer.Write(0, 0, std::as_bytes(std::span(rows)));
  std::vector<uint32_t> all(whole.layout().transcripts.size());
  std::iota(all.begin(), all.end(), 0u);
  writer.MarkDone(all);
  writer.Finish();
  const std::string complaint =
      Complaint([&] { Train(RunOf("probe", broken, Folder("nan"), {"lexicon=labels"})); });
  for (const char* const part :
       {"not finite", "train_nan_broken.h5", "blocks.1", "transcript t3"}) {
    EXPECT_NE(complaint.find(part), complaint.npos) << complaint;
  }
}

TEST(TrainTest, AHookIsReadOnce) {
  const auto activations = WriteActivations("train_twice.h5", 10, /*bare=*/true);
  EXPECT_NE(Complaint([&] {
              Train(RunOf("probe", activations, Folder("twice"),
                          {"lexicon=labels", R"(hooks=["blocks.1.hook_resid_post",)"
                                             R"("blocks.1.hook_resid_post"])"}));
            }).find("named twice"),
            std::string::npos);
}

TEST(TrainTest, SeveralLabelsShareTheTarget) {
  const auto activations = WriteActivations("train_several.h5", 10, /*bare=*/true);
  const ActivationReader reader(activations);
  const std::filesystem::path targets = testing::TempDir() + "/several.jsonl";
  std::ofstream(targets) << R"({"id": "t0", "emotion": "sad", "emotions": ["sad", "calm"]})"
                         << "\n";
  {
    std::ofstream more(targets, std::ios::app);
    for (int i = 1; i < 40; ++i)
      more << R"({"id": "t)" << i << R"(", "emotion": "angry"})"
           << "\n";
  }
  LabelOptions options;
  options.targets = targets;
  const LabelledTranscripts labelled(reader, options);
  EXPECT_NE(labelled.note().find("80/10/10"), std::string::npos);
  const RowSet set = LoadRowSet(reader, labelled, {{"blocks.1.hook_resid_post"}, "last"}, at::kCPU);
  EXPECT_EQ(set.targets[0][labelled.lexicon().Find("sad")].item<float>(), 0.5f);
  EXPECT_EQ(set.targets[0][labelled.lexicon().Find("calm")].item<float>(), 0.5f);
  EXPECT_EQ(set.label[0].item<int64_t>(), labelled.lexicon().Find("sad"));
  EXPECT_THROW(LoadRowSet(reader, labelled, {{"blocks.1.hook_resid_post"}, "all"}, at::kCPU),
               Error);
  EXPECT_THROW(LoadRowSet(reader, labelled, {{"blocks.7.hook_resid_post"}, "last"}, at::kCPU),
               Error);
}

}  // namespace
}  // namespace extrospect
