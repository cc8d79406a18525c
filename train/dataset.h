// Labelled activation rows: what decoders are trained and judged on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "decode/activation_rows.h"
#include "records/activations.h"
#include "records/lexicon.h"
#include "records/transcripts.h"

namespace extrospect {

// Labels of one transcript.
struct Example {
  std::string id, holder, description, split;
  std::string situation;  // examples of one belong together; its id, where none is given
  int64_t intensity = 0;  // 1 … 5; 0: not known
  // Classes in the lexicon, the main one first. Several share the probability equally.
  std::vector<int64_t> classes;
  uint32_t transcript = 0;  // index into the activation file's transcripts
};

struct LabelOptions {
  // "builtin": the 172 classes of the emotion lexicon, a label outside of which is an error;
  // "labels": the classes are the labels that occur; anything else is the path of a lexicon file.
  std::string lexicon = "builtin";
  std::filesystem::path targets;  // JSON lines with labels by id; empty: the transcripts' own
  int64_t limit = -1;             // only the first N transcripts, if not negative
};

// The transcripts of an activation file with their labels.
class LabelledTranscripts {
 public:
  // Throws Error on labels that are not in the lexicon (naming a few), on targets whose id is not
  // in the file, and if there is nothing to train on. Transcripts without a label are left out.
  LabelledTranscripts(const ActivationReader& reader, const LabelOptions& options);

  const std::vector<Example>& examples() const { return examples_; }
  const Lexicon& lexicon() const { return lexicon_; }
  // Whether valence and arousal of the classes are known: false for a lexicon made from labels that
  // the built-in one does not know.
  bool has_affect() const { return has_affect_; }
  // What was decided on the way, for the user: "no splits given: …". Empty: nothing.
  const std::string& note() const { return note_; }
  // Of everything that training sees besides its configuration: labels, splits and the activation
  // file's origin.
  std::string Sha256() const;

 private:
  const ActivationReader* reader_;
  std::vector<Example> examples_;
  Lexicon lexicon_;
  bool has_affect_ = true;
  std::string note_;
};

// Features and targets of one token selection, ready for training.
struct RowSet {
  at::Tensor rows;                                    // [n, hooks, d_model] float32
  std::vector<int64_t> example;                       // of every row: index into the examples
  at::Tensor label;                                   // [n] int64: the main class
  at::Tensor targets;                                 // [n, classes] float32: rows sum to 1
  std::map<std::string, std::vector<int64_t>> split;  // rows of "train", "dev", "test", "unseen"

  // Rows of a split as an index tensor [m] int64; empty if there are none.
  at::Tensor Indices(const std::string& name) const;
};

// What a decoder is to read of an activation file.
struct RowSource {
  std::vector<std::string> hooks;
  std::string selection;
  std::string pool = "mean";  // or "none", or "attention" with a token_pool that attends
  TokenPool token_pool = {};
};

// Throws Error if the file does not hold the hooks or the selection.
RowSet LoadRowSet(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                  const RowSource& source, at::Device device);

// The rows' plan: like LoadRowSet, of labelled transcripts alone. example_of_row: of every row.
RowPlan PlanLabelledRows(const ActivationReader& reader, const LabelledTranscripts& transcripts,
                         const RowSource& source, std::vector<int64_t>& example_of_row);

}  // namespace extrospect
