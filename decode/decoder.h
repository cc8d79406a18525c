// What a decoder is: activation rows in, probabilities over the emotion lexicon and sentences out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "decode/token_pool.h"
#include "records/activations.h"
#include "records/lexicon.h"

namespace extrospect {

// Everything that decoder.json says of a decoder, whatever its kind.
struct DecoderInfo {
  std::string kind;  // "probe", "oracle", …: what `train --kind` takes
  std::string name;  // for tables: the folder's name

  // What it was trained on; see CheckFits.
  std::string model_name, model_sha256, architecture;
  std::string tokenizer_sha256, chat_template_sha256;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  std::vector<std::string> hooks;  // in the order of the rows' second dimension
  std::string rendering = "chat";  // how messages became tokens: by the chat template, or "raw"
  std::string selection;           // token selection, see extract/selection.h: "content"
  std::string pool;                // of the selection: "mean", "attention"; "none": a row a token
  TokenPool token_pool;            // how pooled rows are made; attends where pool says so

  Lexicon lexicon;  // the classes, in the order of the log-probabilities' columns
  // Whether probabilities do not depend on whose feeling is asked for.
  bool holder_independent = true;

  // Scores are divided by the temperature before the softmax.
  double temperature = 1.0;
  // A reading abstains where "nothing to report" is the likeliest class, or where the probability
  // of any feeling at all, 1 − p(nothing to report), is below this.
  double abstain_below = 0.0;
  // How much of valence and arousal comes from the direct regression; the rest is the mean of the
  // lexicon's values under the probabilities.
  double regression_share = 0.0;

  std::string training_config;       // JSON of the resolved run
  std::string training_data_sha256;  // of the labels and the activation file's origin
  std::string sha256;                // of decoder.json, which holds the weights' hash
};

// What a decoder says of n rows. All float32, on the CPU.
struct Scores {
  at::Tensor log_p;    // [n, lexicon], calibrated; every row's probabilities sum to 1
  at::Tensor valence;  // [n], −1 … 1
  at::Tensor arousal;  // [n], −1 … 1
};

// A question in somebody's own words, for decoders that answer.
struct AnswerOptions {
  std::string question;      // "{holder}" stands for the row's holder; empty: the decoder's own
  int64_t samples = 1;       // answers a row
  double temperature = 0.0;  // 0: the likeliest token each time
  uint64_t seed = 0;
  // Of every row, the name of its random streams: the same name draws the same answers, whatever
  // other rows there are. Empty: the rows' indices.
  std::vector<std::string> streams;
};

// Safe to share between threads.
class Decoder {
 public:
  virtual ~Decoder() = default;

  const DecoderInfo& info() const { return info_; }

  // Whether every row costs forward passes of the language model.
  virtual bool costly() const { return false; }

  // Scores `rows`, [n, n_hooks, d_model] float32 on any device, as they lie in an activation file:
  // info().hooks in order, one row per pooled selection or token. `holders` ("user", "assistant",
  // "character"; "" where it is not known) says whose feeling is asked for: one a row, or empty.
  // Decoders that are holder_independent ignore it. Throws Error if the shape does not fit or a
  // value is not finite.
  Scores Read(const at::Tensor& rows, const std::vector<std::string>& holders = {}) const;

  // One sentence a row, for the same rows; dearer than Read for decoders that generate. `scores` is
  // what Read returned for them.
  std::vector<std::string> Sentences(const at::Tensor& rows, const Scores& scores,
                                     const std::vector<std::string>& holders = {}) const;

  // Whether questions can be asked.
  virtual bool answers() const { return false; }
  // What the decoder answers about each row: [n][samples]. Throws UsageError unless answers().
  std::vector<std::vector<std::string>> Answer(const at::Tensor& rows,
                                               const std::vector<std::string>& holders,
                                               const AnswerOptions& options) const;

 protected:
  explicit Decoder(DecoderInfo info) : info_(std::move(info)) {}

  // The same, after the shapes have been checked; `holders` has one entry a row. Scores need not
  // be on the CPU yet.
  virtual Scores ReadRows(const at::Tensor& rows,
                          const std::vector<std::string>& holders) const = 0;
  virtual std::vector<std::string> SentencesOf(const at::Tensor& rows, const Scores& scores,
                                               const std::vector<std::string>& holders) const = 0;
  // `options.streams` has one entry a row.
  virtual std::vector<std::vector<std::string>> AnswersOf(const at::Tensor& rows,
                                                          const std::vector<std::string>& holders,
                                                          const AnswerOptions& options) const;

 private:
  void Check(const at::Tensor& rows, const std::vector<std::string>& holders) const;

  DecoderInfo info_;
};

// Whether a row abstains, by its probabilities over the lexicon.
bool Abstains(const DecoderInfo& info, const float* log_p);

// Throws Error, naming both sides, unless the decoder can read activations of this origin: model
// weights, tokenizer and width must be the same, and every hook of the decoder among `hooks`.
void CheckFits(const DecoderInfo& info, const ActivationOrigin& origin,
               const std::vector<std::string>& hooks, const std::string& file);

// The same for how their transcripts were rendered.
void CheckRendering(const DecoderInfo& info, const ActivationOrigin& origin,
                    const std::string& file);

// "The user feels ashamed.", "The user reports nothing of note."; "The holder …" if not known.
std::string TemplateSentence(const std::string& holder, const std::string& word);

}  // namespace extrospect
