#include "decode/reader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "decode/oracle/agreement.h"

namespace extrospect {
namespace {

// Between batches there is progress to show, and an interruption to heed.
constexpr int64_t kAskedAtOnce = 64;     // rows
constexpr int64_t kAnswersAtOnce = 256;  // of these rows, where each has several

// Sentences of some rows and how sure they are; no sentences: templates will do.
struct Said {
  std::vector<std::string> sentences;
  std::vector<double> confidence;  // empty: that of the best emotion
};

std::string Trimmed(const std::string& text) {
  constexpr char kSpace[] = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

Said Say(const Decoder& decoder, const at::Tensor& rows, std::span<const RowOrigin> origins,
         const std::vector<std::string>& holders, const Scores& scores,
         const ReadOptions& options) {
  Said said;
  if (options.question.empty() && options.samples <= 0) {
    if (options.sentences) said.sentences = decoder.Sentences(rows, scores, holders);
    return said;
  }
  AnswerOptions answer;
  answer.question = options.question;
  answer.seed = options.seed;
  if (options.samples > 0) {
    answer.samples = options.samples;
    answer.temperature = 1.0;
  }
  for (const RowOrigin& origin : origins) {
    answer.streams.push_back(origin.transcript + "/" + std::to_string(origin.first_position) + "-" +
                             std::to_string(origin.position));
  }
  for (const std::vector<std::string>& answers : decoder.Answer(rows, holders, answer)) {
    const Agreement agreement = Agree(decoder.info().lexicon, answers);
    said.sentences.push_back(Trimmed(answers[agreement.answer]));
    if (options.samples > 0) said.confidence.push_back(agreement.share);
  }
  return said;
}

}  // namespace

std::string DecoderName(const DecoderInfo& info) {
  return info.name + " (sha256 " + info.sha256.substr(0, 12) + ")";
}

std::vector<Reading> ReadRows(const Decoder& decoder, const at::Tensor& rows,
                              const std::vector<RowOrigin>& origins, const ReadOptions& options,
                              const std::function<void(int64_t rows)>& progress) {
  const DecoderInfo& info = decoder.info();
  const int64_t classes = info.lexicon.size();
  const auto top = static_cast<size_t>(std::min(std::max<int64_t>(options.top, 10), classes));
  const std::string hooks = Join(info.hooks, "+");
  const std::string name = DecoderName(info);
  std::vector<Reading> readings;
  readings.reserve(origins.size());
  std::vector<int64_t> order(static_cast<size_t>(classes));
  const bool asks = !options.question.empty() || options.samples > 0;
  const int64_t at_once =
      std::clamp<int64_t>(kAnswersAtOnce / std::max<int64_t>(options.samples, 1), 1, kAskedAtOnce);
  const int64_t batch = asks ? std::min(options.batch_rows, at_once) : options.batch_rows;
  for (int64_t first = 0; first < rows.size(0); first += batch) {
    if (Interrupted()) break;
    const int64_t count = std::min(batch, rows.size(0) - first);
    const at::Tensor some = rows.narrow(0, first, count);
    std::vector<std::string> holders;
    for (int64_t i = first; i < first + count; ++i) holders.push_back(origins[i].holder);
    const Scores scores = decoder.Read(some, holders);
    const Said said =
        Say(decoder, some, std::span(origins).subspan(first, count), holders, scores, options);
    for (int64_t i = 0; i < count; ++i) {
      const RowOrigin& origin = origins[first + i];
      const float* const log_p = scores.log_p.const_data_ptr<float>() + i * classes;
      std::iota(order.begin(), order.end(), int64_t{0});
      std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(top), order.end(),
                        [&](int64_t a, int64_t b) {
                          return log_p[a] > log_p[b] || (log_p[a] == log_p[b] && a < b);
                        });
      Reading reading;
      reading.transcript = origin.transcript;
      reading.hook = hooks;
      reading.position = origin.position;
      reading.first_position = origin.first_position;
      reading.token = origin.token;
      for (size_t k = 0; k < top; ++k) {
        reading.emotions.push_back(
            {info.lexicon[order[k]].word, std::exp(static_cast<double>(log_p[order[k]]))});
      }
      reading.valence = scores.valence.const_data_ptr<float>()[i];
      reading.arousal = scores.arousal.const_data_ptr<float>()[i];
      reading.confidence = said.confidence.empty() ? reading.emotions[0].p : said.confidence[i];
      reading.abstained = Abstains(info, log_p);
      const std::string& word =
          reading.abstained ? std::string(kNothing) : reading.emotions[0].name;
      reading.reading =
          said.sentences.empty() ? TemplateSentence(origin.holder, word) : said.sentences[i];
      reading.decoder = name;
      readings.push_back(std::move(reading));
    }
    if (progress) progress(count);
  }
  return readings;
}

}  // namespace extrospect
