#include "decode/read_transcripts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "decode/token_rows.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Transcripts whose activations are in memory together.
constexpr size_t kTranscriptsAtOnce = 128;

// One part: extraction of every token, then readings of the pooled rows and, if asked for, of
// tokens.
class Part {
 public:
  Part(const Decoder& decoder, const LanguageModel& model,
       const std::vector<Transcript>& transcripts, const ReadTranscriptsOptions& options,
       const std::function<void(int64_t)>& progress)
      : decoder_(decoder), model_(model), transcripts_(transcripts), options_(options) {
    tokens_ = ExtractTokenRows(decoder.info(), model, transcripts, options.prepare,
                               options.batch_tokens, progress);
  }

  void ReadWhole(TranscriptReadings& out) const {
    std::vector<at::Tensor> rows;
    std::vector<RowOrigin> origins;
    for (size_t i = 0; i < transcripts_.size(); ++i) {
      const auto& prepared = tokens_.transcripts[i];
      const std::vector<uint32_t> positions =
          PositionsOf(decoder_.info(), transcripts_[i], prepared);
      std::vector<int64_t> indices;
      for (const uint32_t position : positions) indices.push_back(First(i) + position);
      rows.push_back(
          decoder_.info().token_pool(tokens_.rows.index_select(0, IndexTensor(indices, at::kCPU))));
      origins.push_back(Origin(i, positions.front(), positions.back()));
    }
    std::vector<Reading> readings =
        extrospect::ReadRows(decoder_, at::stack(rows), origins, options_.read, {});
    std::move(readings.begin(), readings.end(), std::back_inserter(out.whole));
    ThrowIfInterrupted("");
  }

  void ReadTokens(TranscriptReadings& out) const {
    std::vector<int64_t> indices;
    std::vector<uint32_t> transcript;
    std::vector<RowOrigin> origins;
    for (size_t i = 0; i < transcripts_.size(); ++i) {
      for (const MessageSpan& span : tokens_.transcripts[i].messages) {
        for (uint32_t position = span.begin; position < span.end; ++position) {
          indices.push_back(First(i) + position);
          transcript.push_back(static_cast<uint32_t>(i));
          origins.push_back(Origin(i, position, position));
        }
      }
    }
    if (indices.empty()) return;
    const at::Tensor rows = decoder_.info().token_pool.Running(
        tokens_.rows.index_select(0, IndexTensor(indices, at::kCPU)), transcript,
        decoder_.info().pool == "none" ? 1 : options_.window);
    std::vector<Reading> readings =
        extrospect::ReadRows(decoder_, rows, origins, options_.read_tokens, {});
    ThrowIfInterrupted("");
    AddTimeline(readings, out);
    std::move(readings.begin(), readings.end(), std::back_inserter(out.tokens));
  }

 private:
  int64_t First(size_t transcript) const { return tokens_.first[transcript]; }

  RowOrigin Origin(size_t i, uint32_t first, uint32_t last) const {
    const int32_t token = tokens_.transcripts[i].tokens[last];
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
      shown.meant = Join(transcripts_[i].emotions, " and ");
      shown.reading = out.whole[before + i];
      for (const MessageSpan& span : tokens_.transcripts[i].messages) {
        TimelineMessage& message = shown.messages.emplace_back();
        message.role = span.role;
        StreamingDecoder text(*model_.tokenizer, /*skip_special=*/false);
        for (uint32_t position = span.begin; position < span.end; ++position) {
          message.tokens.push_back(
              {text.Push(tokens_.transcripts[i].tokens[position]), readings[next++]});
        }
      }
      out.timeline.push_back(std::move(shown));
    }
  }

  const Decoder& decoder_;
  const LanguageModel& model_;
  const std::vector<Transcript>& transcripts_;
  const ReadTranscriptsOptions& options_;
  TokenRows tokens_;
};

}  // namespace

std::vector<uint32_t> PositionsOf(const DecoderInfo& info, const Transcript& transcript,
                                  const PreparedTranscript& prepared) {
  std::vector<uint32_t> positions =
      Selection::Parse(info.selection)
          .Positions(static_cast<uint32_t>(prepared.tokens.size()), prepared.messages);
  if (positions.empty()) {
    throw Error("a transcript has no token of the decoder's selection")
        .At("transcript '" + transcript.id + "'")
        .Expected(info.selection)
        .Hint("leave it out: there is nothing in it that this decoder reads");
  }
  return positions;
}

TranscriptReadings ReadTranscriptsWith(const Decoder& decoder, const LanguageModel& model,
                                       const std::vector<Transcript>& transcripts,
                                       const ReadTranscriptsOptions& options,
                                       const std::function<void(int64_t tokens)>& progress) {
  CheckFitsModel(decoder.info(), model);
  TranscriptReadings out;
  for (size_t first = 0; first < transcripts.size(); first += kTranscriptsAtOnce) {
    const size_t count = std::min(kTranscriptsAtOnce, transcripts.size() - first);
    const std::vector<Transcript> some(transcripts.begin() + static_cast<ptrdiff_t>(first),
                                       transcripts.begin() + static_cast<ptrdiff_t>(first + count));
    try {
      const Part part(decoder, model, some, options, progress);
      part.ReadWhole(out);
      if (options.per_token) part.ReadTokens(out);
    } catch (const Error& error) {
      if (error.code() != ExitCode::kInterrupted) throw;
      // Readings of tokens are whole parts, and those of transcripts go with them.
      if (options.per_token) out.whole.resize(out.timeline.size());
      break;
    }
  }
  return out;
}

}  // namespace extrospect
