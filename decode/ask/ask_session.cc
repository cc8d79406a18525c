#include "decode/ask/ask_session.h"

#include <ATen/ATen.h>

#include <charconv>
#include <numeric>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "decode/reader.h"
#include "decode/token_rows.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Throws UsageError unless all of the text is a position.
uint32_t ParsePosition(const std::string& text, const std::string& whole) {
  uint32_t position = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, position);
  if (failed != std::errc() || rest != end) {
    throw UsageError("not a span of tokens")
        .Expected("FIRST:LAST, positions from 0, both included")
        .Found(whole);
  }
  return position;
}

}  // namespace

AskSession::AskSession(const Decoder& decoder, const LanguageModel& model,
                       std::vector<Transcript> transcripts, const AskOptions& options,
                       const std::string& id)
    : decoder_(decoder), model_(model), transcripts_(std::move(transcripts)), options_(options) {
  if (!decoder.answers()) {
    throw UsageError("questions are for decoders that answer them")
        .At(decoder.info().name)
        .Found("a decoder of kind " + decoder.info().kind);
  }
  CheckFitsModel(decoder.info(), model);
  if (transcripts_.empty()) throw Error("there is no transcript to ask about");
  if (id.empty()) {
    Go(0);
  } else {
    Use(id);
  }
}

std::string AskSession::TokenText(uint32_t position) const {
  return model_.tokenizer->Decode(std::span(&prepared_.tokens[position], 1),
                                  /*skip_special=*/false);
}

void AskSession::Go(size_t transcript) {
  PreparedTranscript prepared = Prepare(model_, transcripts_[transcript], options_.prepare);
  std::vector<uint32_t> positions = Positions(decoder_.info().selection, transcript, prepared);
  // A decoder of single tokens would answer about each of them.
  if (decoder_.info().pool == "none") positions = {positions.back()};
  current_ = transcript;
  prepared_ = std::move(prepared);
  positions_ = std::move(positions);
  rows_ = at::Tensor();
}

void AskSession::Use(const std::string& id) {
  for (size_t i = 0; i < transcripts_.size(); ++i) {
    if (transcripts_[i].id == id) return Go(i);
  }
  throw UsageError("there is no such transcript").Found(id);
}

void AskSession::SelectSpan(uint32_t first, uint32_t last) {
  if (first > last || last >= prepared_.tokens.size()) {
    throw UsageError("the transcript has no such span of tokens")
        .At("transcript '" + transcript().id + "'")
        .Expected("positions from 0 to " + std::to_string(prepared_.tokens.size() - 1))
        .Found(std::to_string(first) + ":" + std::to_string(last));
  }
  positions_.resize(last - first + 1);
  std::iota(positions_.begin(), positions_.end(), first);
}

void AskSession::SelectSpan(const std::string& text) {
  const size_t colon = text.find(':');
  const uint32_t first = ParsePosition(text.substr(0, colon), text);
  SelectSpan(first, colon == text.npos ? first : ParsePosition(text.substr(colon + 1), text));
}

std::vector<uint32_t> AskSession::Positions(const std::string& selection, size_t transcript,
                                            const PreparedTranscript& prepared) const {
  std::vector<uint32_t> positions = Selection::Parse(selection).Positions(
      static_cast<uint32_t>(prepared.tokens.size()), prepared.messages);
  if (positions.empty()) {
    throw UsageError("the transcript has no token of this selection")
        .At("transcript '" + transcripts_[transcript].id + "'")
        .Found(selection);
  }
  return positions;
}

void AskSession::SelectTokens(const std::string& selection) {
  positions_ = Positions(selection, current_, prepared_);
}

std::vector<Reading> AskSession::Ask(const std::string& question) {
  if (!rows_.defined()) {
    rows_ = ExtractTokenRows(decoder_.info(), model_, {transcript()}, options_.prepare,
                             options_.batch_tokens, {})
                .rows;
  }
  const std::vector<int64_t> index(positions_.begin(), positions_.end());
  at::Tensor rows = rows_.index_select(0, IndexTensor(index, at::kCPU));
  std::vector<RowOrigin> origins;
  const auto add = [&](uint32_t first, uint32_t last) {
    origins.push_back({transcript().id, transcript().holder, last, first, TokenText(last)});
  };
  if (decoder_.info().pool != "none") {
    rows = decoder_.info().token_pool(rows).unsqueeze(0);
    add(positions_.front(), positions_.back());
  } else {
    for (const uint32_t position : positions_) add(position, position);
  }
  ReadOptions options;
  options.question = question;
  options.samples = options_.samples;
  options.seed = options_.seed;
  std::vector<Reading> readings = ReadRows(decoder_, rows, origins, options, {});
  ThrowIfInterrupted("");
  return readings;
}

}  // namespace extrospect
