#include "eval/vectors.h"

#include <ATen/ATen.h>

#include <map>

#include "base/error.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

at::Tensor Gather(const at::Tensor& rows, const std::vector<int64_t>& indices) {
  return rows.index_select(0, IndexTensor(indices, at::kCPU));
}

// The directions of `rows` [n, d] that explain `share` of their variance, [k, d].
at::Tensor LeadingComponents(const at::Tensor& rows, double share) {
  const at::Tensor centered = (rows - rows.mean(0, true)).to(at::kDouble);
  const auto [values, vectors] = at::linalg_eigh(centered.t().matmul(centered));
  const double total = values.sum().item<double>();
  double explained = 0;
  int64_t k = 0;
  const int64_t d = values.size(0);
  while (k < d && explained < share * total) explained += values[d - 1 - k++].item<double>();
  return vectors.narrow(1, d - k, k).t().to(at::kFloat).contiguous();
}

}  // namespace

EmotionVectors MakeEmotionVectors(const ActivationTable& table,
                                  const std::vector<Transcript>& transcripts,
                                  const Lexicon& lexicon, const std::string& hook,
                                  const std::string& selection, double project_out) {
  const ActivationTable::Rows read = table.Read({hook}, selection, TokenPool());
  const at::Tensor rows = read.values.select(1, 0);
  std::map<std::string, std::vector<int64_t>> train, unseen;
  std::vector<int64_t> neutral;
  for (size_t i = 0; i < transcripts.size(); ++i) {
    const Transcript& transcript = transcripts[i];
    if (!read.has[i] || !transcript.hard.empty()) continue;
    const auto index = static_cast<int64_t>(i);
    if (transcript.split == "unseen") unseen[transcript.emotion].push_back(index);
    if (transcript.split != "train") continue;
    if (transcript.emotion == kNothing) {
      neutral.push_back(index);
    } else {
      train[transcript.emotion].push_back(index);
    }
  }
  EmotionVectors result;
  std::vector<at::Tensor> means;
  for (const Emotion& emotion : lexicon.emotions()) {
    if (emotion.word == kNothing) continue;
    const bool in_train = train.contains(emotion.word);
    const auto& source = in_train ? train : unseen;
    const auto found = source.find(emotion.word);
    if (found == source.end()) continue;
    result.concepts.push_back(emotion.word);
    result.unseen.push_back(!in_train);
    means.push_back(Gather(rows, found->second).mean(0));
  }
  if (means.size() < 2) {
    throw Error("emotion vectors need transcripts of at least two emotions")
        .At(table.reader().path().string())
        .Found(std::to_string(means.size()) + " emotions of the lexicon with train transcripts")
        .Hint("the transcripts must carry `emotion` and `split`: give them by --transcripts");
  }
  const at::Tensor stacked = at::stack(means);
  result.vectors = stacked - stacked.mean(0, true);
  if (project_out > 0 && neutral.size() > 1) {
    const at::Tensor components = LeadingComponents(Gather(rows, neutral), project_out);
    result.vectors = result.vectors - result.vectors.matmul(components.t()).matmul(components);
  }
  return result;
}

}  // namespace extrospect
