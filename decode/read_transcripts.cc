#include "decode/read_transcripts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "extract/extract.h"
#include "model/hooks.h"

namespace extrospect {
namespace {

// Transcripts whose activations are in memory together.
constexpr size_t kTranscriptsAtOnce = 128;

at::Tensor Index(const std::vector<int64_t>& indices) {
  return at::tensor(indices, at::TensorOptions(at::kLong).device(at::kCPU));
}

std::string Label(const Transcript& transcript) {
  std::string label;
  for (const std::string& emotion : transcript.emotions) {
    label += (label.empty() ? "" : " and ") + emotion;
  }
  return label.empty() ? transcript.emotion : label;
}

// One part: extraction of every token, then readings of the means and, if asked for, of tokens.
class Part {
 public:
  Part(const Decoder& decoder, const LanguageModel& model,
       const std::vector<Transcript>& transcripts, const ReadTranscriptsOptions& options,
       const std::function<void(int64_t)>& progress)
      : decoder_(decoder), model_(model), transcripts_(transcripts), options_(options) {
    ExtractOptions extract;
    extract.selections = {Selection::Parse("all")};
    extract.prepare = options.prepare;
    extract.batch_tokens = options.batch_tokens;
    for (const std::string& hook : decoder.info().hooks) {
      extract.blocks.push_back(ParseHookName(hook));
    }
    // The extraction goes upwards; the decoder may have its hooks in any order.
    std::vector<int64_t> blocks = extract.blocks;
    std::sort(extract.blocks.begin(), extract.blocks.end());
    plan_ = PlanExtraction(model, transcripts, extract);
    const at::Tensor rows = ExtractRows(model, plan_, extract, progress);
    std::vector<int64_t> order;
    for (const int64_t block : blocks) {
      order.push_back(std::find(extract.blocks.begin(), extract.blocks.end(), block) -
                      extract.blocks.begin());
    }
    rows_ = rows.index_select(1, Index(order));
  }

  void ReadWhole(TranscriptReadings& out) const {
    const Selection selection = Selection::Parse(decoder_.info().selection);
    std::vector<at::Tensor> means;
    std::vector<RowOrigin> origins;
    for (size_t i = 0; i < transcripts_.size(); ++i) {
      const auto& prepared = plan_.transcripts[i];
      const std::vector<uint32_t> positions =
          selection.Positions(static_cast<uint32_t>(prepared.tokens.size()), prepared.messages);
      if (positions.empty()) {
        throw Error("a transcript has no token of the decoder's selection")
            .At("transcript '" + transcripts_[i].id + "'")
            .Expected(selection.name());
      }
      std::vector<int64_t> indices;
      for (const uint32_t position : positions) indices.push_back(First(i) + position);
      means.push_back(rows_.index_select(0, Index(indices)).mean(0));
      origins.push_back(Origin(i, positions.front(), positions.back()));
    }
    std::vector<Reading> readings =
        extrospect::ReadRows(decoder_, at::stack(means), origins, options_.read, {});
    std::move(readings.begin(), readings.end(), std::back_inserter(out.whole));
  }

  void ReadTokens(TranscriptReadings& out) const {
    std::vector<int64_t> indices;
    std::vector<uint32_t> transcript;
    std::vector<RowOrigin> origins;
    for (size_t i = 0; i < transcripts_.size(); ++i) {
      for (const MessageSpan& span : plan_.transcripts[i].messages) {
        for (uint32_t position = span.begin; position < span.end; ++position) {
          indices.push_back(First(i) + position);
          transcript.push_back(static_cast<uint32_t>(i));
          origins.push_back(Origin(i, position, position));
        }
      }
    }
    if (indices.empty()) return;
    const bool means = decoder_.info().pool == "mean";
    const at::Tensor rows =
        RunningMean(rows_.index_select(0, Index(indices)), transcript, means ? options_.window : 1);
    ReadOptions quick = options_.read;
    quick.sentences = false;  // a sentence a token would take long; the template says enough
    std::vector<Reading> readings = extrospect::ReadRows(decoder_, rows, origins, quick, {});
    AddTimeline(readings, out);
    std::move(readings.begin(), readings.end(), std::back_inserter(out.tokens));
  }

 private:
  int64_t First(size_t transcript) const {
    return static_cast<int64_t>(plan_.layout.transcripts[transcript].first_row);
  }

  RowOrigin Origin(size_t i, uint32_t first, uint32_t last) const {
    const int32_t token = plan_.transcripts[i].tokens[last];
    return {.transcript = transcripts_[i].id,
            .holder = transcripts_[i].holder,
            .position = last,
            .first_position = first,
            .token = model_.tokenizer->Decode(std::span(&token, 1), /*skip_special=*/false)};
  }

  void AddTimeline(const std::vector<Reading>& readings, TranscriptReadings& out) const {
    size_t next = 0;
    const size_t before = out.whole.size() - transcripts_.size();
    for (size_t i = 0; i < transcripts_.size(); ++i) {
      TimelineTranscript shown;
      shown.id = transcripts_[i].id;
      shown.meant = Label(transcripts_[i]);
      shown.reading = out.whole[before + i];
      for (const MessageSpan& span : plan_.transcripts[i].messages) {
        TimelineMessage& message = shown.messages.emplace_back();
        message.role = span.role;
        StreamingDecoder text(*model_.tokenizer, /*skip_special=*/false);
        for (uint32_t position = span.begin; position < span.end; ++position) {
          message.tokens.push_back(
              {text.Push(plan_.transcripts[i].tokens[position]), readings[next++]});
        }
      }
      out.timeline.push_back(std::move(shown));
    }
  }

  const Decoder& decoder_;
  const LanguageModel& model_;
  const std::vector<Transcript>& transcripts_;
  const ReadTranscriptsOptions& options_;
  ExtractPlan plan_;
  at::Tensor rows_;  // [tokens, hooks, d_model]
};

}  // namespace

ActivationOrigin OriginOf(const LanguageModel& model) {
  ActivationOrigin origin;
  origin.model_name = model.name;
  origin.model_sha256 = model.sha256;
  origin.architecture = model.architecture.family;
  origin.n_layers = model.architecture.n_layers;
  origin.d_model = model.architecture.d_model;
  origin.tokenizer_sha256 = model.tokenizer->Sha256();
  origin.chat_template_sha256 = model.chat_template_sha256;
  return origin;
}

TranscriptReadings ReadTranscriptsWith(const Decoder& decoder, const LanguageModel& model,
                                       const std::vector<Transcript>& transcripts,
                                       const ReadTranscriptsOptions& options,
                                       const std::function<void(int64_t tokens)>& progress) {
  const ActivationOrigin origin = OriginOf(model);
  std::vector<std::string> hooks = {HookName(kEmbeddingBlock)};
  for (int64_t block = 0; block < origin.n_layers; ++block) hooks.push_back(HookName(block));
  CheckFits(decoder.info(), origin, hooks, model.path.string());
  TranscriptReadings out;
  for (size_t first = 0; first < transcripts.size(); first += kTranscriptsAtOnce) {
    const size_t count = std::min(kTranscriptsAtOnce, transcripts.size() - first);
    const std::vector<Transcript> some(transcripts.begin() + static_cast<ptrdiff_t>(first),
                                       transcripts.begin() + static_cast<ptrdiff_t>(first + count));
    const Part part(decoder, model, some, options, progress);
    part.ReadWhole(out);
    if (options.per_token) part.ReadTokens(out);
  }
  return out;
}

}  // namespace extrospect
