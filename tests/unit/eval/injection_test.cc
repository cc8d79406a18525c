// Injections that restart in the middle must leave what a whole forward pass with an injection
// leaves.
#include "eval/injection.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "decode/oracle/word_scorer.h"
#include "eval/self_report.h"
#include "eval/vectors.h"
#include "model/config/architecture.h"
#include "model/files/safetensors.h"

namespace extrospect {
namespace {

constexpr int64_t kBlock = 1;

// One token a byte: 'a' is 1, 'b' is 2, …; a space is 27.
class LetterTokenizer : public Tokenizer {
 public:
  Encoding Encode(std::string_view text, bool) const override {
    Encoding encoding;
    for (size_t i = 0; i < text.size(); ++i) {
      encoding.ids.push_back(text[i] == ' ' ? 27 : text[i] - 'a' + 1);
      encoding.begin.push_back(static_cast<uint32_t>(i));
    }
    return encoding;
  }
  std::string TokenBytes(int32_t) const override { return "?"; }
  std::string Decode(std::span<const int32_t>, bool) const override { return ""; }
  int32_t vocab_size() const override { return 28; }
  bool is_special(int32_t) const override { return false; }
  std::optional<int32_t> FindToken(std::string_view) const override { return std::nullopt; }
  std::string Sha256() const override { return ""; }
};

class InjectionTest : public testing::Test {
 protected:
  InjectionTest() {
    const std::filesystem::path folder = "tests/parity/fixtures/families/qwen3";
    const SafetensorsModel files(folder);
    model_.architecture = ArchitectureFromDirectory(folder);
    model_.tokenizer = std::make_unique<LetterTokenizer>();
    model_.transformer = std::make_unique<Transformer>(
        model_.architecture,
        LoadWeights(model_.architecture, *OpenSafetensorsTensors(files, model_.architecture), {}));
    for (const int n : {14, 9, 23}) {
      PreparedTranscript transcript;
      for (int i = 0; i < n; ++i) transcript.tokens.push_back((i * 7 + n) % 40);
      // Two turns with a template's tokens before, between and behind.
      const auto end = static_cast<uint32_t>(n);
      transcript.messages = {{"user", 2, end / 2}, {"assistant", end / 2 + 1, end - 1}};
      transcripts_.push_back(transcript);
      spans_.push_back(MakeSpan(transcript, 0.6));
    }
    directions_ =
        at::randn({2, model_.architecture.d_model}, at::TensorOptions(at::kFloat).device(at::kCPU));
    directions_ = directions_ / directions_.norm(2, {-1}, true);
  }

  // The residual stream after the last block, by a whole pass with an injection.
  at::Tensor WholePass(const InjectedTrial& trial) {
    const std::vector<Sequence> sequences = {{transcripts_[trial.transcript].tokens, {}, nullptr}};
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.injections = {{kBlock, [&](at::Tensor& residual) {
                             for (const uint32_t position : spans_[trial.transcript].positions) {
                               residual[position].add_(directions_[trial.direction] * trial.norm);
                             }
                           }}};
    return model_.transformer->Forward(forward).residual;
  }

  c10::InferenceMode inference_;
  LanguageModel model_;
  std::vector<PreparedTranscript> transcripts_;
  std::vector<InjectionSpan> spans_;
  at::Tensor directions_;
};

TEST_F(InjectionTest, SpansAreContentAndLeaveSomethingBehind) {
  const InjectionSpan& span = spans_[0];  // 14 tokens: content 2 … 6 and 8 … 12
  EXPECT_EQ(span.positions, (std::vector<uint32_t>{2, 3, 4, 5, 6, 8}));
  EXPECT_EQ(span.after, (std::vector<uint32_t>{9, 10, 11, 12}));
}

TEST_F(InjectionTest, RestartedRowsAreThoseOfAWholePass) {
  std::vector<InjectedTrial> trials;
  for (size_t transcript = 0; transcript < transcripts_.size(); ++transcript) {
    for (const int64_t direction : {-1, 0, 1}) {
      InjectedTrial trial;
      trial.transcript = transcript;
      trial.direction = direction;
      trial.norm = direction < 0 ? 0.0 : 5.0 + static_cast<double>(transcript);
      trials.push_back(trial);
    }
  }
  const int64_t last = model_.architecture.n_layers - 1;
  InjectionRun run;
  run.block = kBlock;
  run.directions = directions_;
  run.batch_tokens = 30;  // several batches
  run.reads = {{{last}, Selection::Parse("content"), false},
               {{last}, Selection::Parse("content"), true},
               {{last}, Selection::Parse("all"), false}};
  // The same by attention, whose query is not far from some tokens and far from others.
  for (size_t s = 0; s < 3; ++s) {
    run.reads.push_back(run.reads[s]);
    run.reads.back().pool = TokenPool(0.1f * directions_.narrow(0, 0, 1));
  }
  size_t seen = 0;
  RunInjections(model_, transcripts_, spans_, trials, run, [&](const InjectedBatch& batch) {
    for (size_t i = 0; i < batch.trials.size(); ++i) {
      const InjectedTrial& trial = *batch.trials[i];
      at::Tensor expected;
      if (trial.direction < 0) {
        const std::vector<Sequence> sequences = {
            {transcripts_[trial.transcript].tokens, {}, nullptr}};
        ForwardOptions forward;
        forward.sequences = sequences;
        expected = model_.transformer->Forward(forward).residual;
      } else {
        expected = WholePass(trial);
      }
      const auto& prepared = transcripts_[trial.transcript];
      for (size_t s = 0; s < run.reads.size(); ++s) {
        std::vector<at::Tensor> rows;
        for (const uint32_t position : run.reads[s].selection.Positions(
                 static_cast<uint32_t>(prepared.tokens.size()), prepared.messages)) {
          if (run.reads[s].after_only && position <= spans_[trial.transcript].positions.back()) {
            continue;
          }
          rows.push_back(expected[position]);
        }
        const at::Tensor pooled = run.reads[s].pool(at::stack(rows).unsqueeze(1))[0];
        const at::Tensor found = batch.rows[s][static_cast<int64_t>(i)][0];
        EXPECT_LT((found - pooled).norm().item<double>(), 1e-4 * pooled.norm().item<double>())
            << "trial " << trial.transcript << "/" << trial.direction << ", reading " << s;
      }
      // The injected keys and values continue to what a whole pass over more tokens gives.
      const std::vector<int32_t> more = {3, 1, 4};
      const std::vector<Sequence> continued = {
          {more, CutPast(batch.past[i], static_cast<int64_t>(prepared.tokens.size())), nullptr}};
      ForwardOptions forward;
      forward.sequences = continued;
      const at::Tensor after = model_.transformer->Forward(forward).residual;
      std::vector<int32_t> all = prepared.tokens;
      all.insert(all.end(), more.begin(), more.end());
      const std::vector<Sequence> whole = {{all, {}, nullptr}};
      forward.sequences = whole;
      if (trial.direction >= 0) {
        forward.injections = {
            {kBlock, [&](at::Tensor& residual) {
               for (const uint32_t position : spans_[trial.transcript].positions) {
                 residual[position].add_(directions_[trial.direction] * trial.norm);
               }
             }}};
      }
      const at::Tensor reference = model_.transformer->Forward(forward).residual;
      const at::Tensor tail = reference.narrow(0, reference.size(0) - 3, 3);
      EXPECT_LT((after - tail).norm().item<double>(), 1e-4 * tail.norm().item<double>());
      ++seen;
    }
  });
  EXPECT_EQ(seen, trials.size());
}

TEST_F(InjectionTest, AnInjectionChangesWhatIsReadBehindIt) {
  InjectedTrial trial;
  trial.direction = 0;
  trial.norm = 20;
  const at::Tensor with = WholePass(trial);
  trial.norm = 0;
  const at::Tensor without = WholePass(trial);
  const int64_t last = static_cast<int64_t>(spans_[0].after.back());
  EXPECT_GT((with[last] - without[last]).norm().item<double>(), 1e-3);
}

// log p(word) by one pass over the context with the word's tokens behind it.
double Direct(const LanguageModel& model, const WordContext& context,
              const std::vector<int32_t>& word) {
  std::vector<int32_t> tokens = context.tokens;
  tokens.insert(tokens.end(), word.begin(), word.end());
  const std::vector<Sequence> sequences = {{tokens, context.past, nullptr}};
  ForwardOptions forward;
  forward.sequences = sequences;
  for (size_t i = 0; i < word.size(); ++i) {
    forward.logit_rows.push_back(static_cast<int64_t>(context.tokens.size() + i) - 1);
  }
  const at::Tensor log_p = at::log_softmax(model.transformer->Forward(forward).logits, -1);
  double sum = 0;
  for (size_t i = 0; i < word.size(); ++i) {
    sum += log_p[static_cast<int64_t>(i)][word[i]].item<double>();
  }
  return sum;
}

TEST_F(InjectionTest, TrieScoresAreThoseOfWordsOneByOne) {
  const std::vector<std::string> words = {"sad", "sadder", "same", "glad", "b"};
  const WordContext reference{{5, 6}, {}};
  const WordScorer scorer(model_, "feel", words, reference, {.tails = -1, .batch_tokens = 16});
  std::vector<WordContext> contexts = {{{1, 2, 3}, {}}, {{9, 8}, {}}, {{4}, {}}};
  // One context continues a past.
  auto segment = model_.transformer->MakeSegment(3);
  const std::vector<Sequence> sequences = {{{7, 7, 2}, {}, segment}};
  ForwardOptions forward;
  forward.sequences = sequences;
  model_.transformer->Forward(forward);
  contexts[2].past = {segment};
  const std::vector<WordScores> scores = scorer.Score(contexts);
  for (size_t i = 0; i < contexts.size(); ++i) {
    for (size_t w = 0; w < words.size(); ++w) {
      const auto tokens = model_.tokenizer->Encode(" " + words[w], false).ids;
      EXPECT_NEAR(scores[i].log_p[w], Direct(model_, contexts[i], tokens), 2e-4) << words[w];
      EXPECT_TRUE(scores[i].in_full[w]);
    }
  }
  // Without tails, what follows the first token is that of the reference.
  const WordScorer quick(model_, "feel", words, reference, {.tails = 0, .batch_tokens = 16});
  const WordScores rough = quick.Score(contexts).front();
  for (size_t w = 0; w < words.size(); ++w) {
    const auto tokens = model_.tokenizer->Encode(" " + words[w], false).ids;
    const double tail =
        Direct(model_, reference, tokens) - Direct(model_, reference, {tokens.front()});
    EXPECT_NEAR(rough.log_p[w], Direct(model_, contexts[0], {tokens.front()}) + tail, 2e-4);
    EXPECT_FALSE(rough.in_full[w]);
  }
}

// Takes "z" and a line break together, as many vocabularies do with a full stop.
class MergingTokenizer : public LetterTokenizer {
 public:
  Encoding Encode(std::string_view text, bool special) const override {
    Encoding encoding;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool merged = text.substr(i).starts_with("z\n");
      encoding.ids.push_back(merged            ? 26
                             : text[i] == '\n' ? 25
                             : text[i] == '?'
                                 ? 24
                                 : LetterTokenizer::Encode(text.substr(i, 1), special).ids[0] % 24);
      encoding.begin.push_back(static_cast<uint32_t>(i));
      if (merged) ++i;
    }
    return encoding;
  }
};

TEST_F(InjectionTest, AQuestionLeavesPlainTextAsItIs) {
  model_.tokenizer = std::make_unique<MergingTokenizer>();
  Transcript transcript;
  transcript.id = "raw";
  transcript.text = "abcz";
  const PreparedTranscript prepared = Prepare(model_, transcript, PrepareOptions());
  const auto needed = static_cast<int64_t>(prepared.tokens.size());
  const Question question = AskAfter(model_, transcript, prepared, needed, "so?", "i");
  EXPECT_EQ(question.kept, needed);
  EXPECT_EQ(question.tokens, model_.tokenizer->Encode("\n\nso?\n\ni", false).ids);
}

}  // namespace
}  // namespace extrospect
