#include "extract/prepare.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"

namespace extrospect {
namespace {

// Below this many tokens a shared prefix saves less than its bookkeeping costs.
constexpr size_t kMinPrefix = 8;
// Batches in one part: few enough for parts to be shared out evenly, and many enough for like to
// find like in them.
constexpr int64_t kPartBatches = 8;

// The tokens that overlap bytes [begin, end) of the text.
MessageSpan TokensOf(const Tokenizer::Encoding& encoding, std::string role, size_t begin,
                     size_t end) {
  const auto& starts = encoding.begin;
  MessageSpan span{std::move(role), 0, 0};
  if (begin == end) return span;
  // The token that holds `begin` is the last one that starts at or before it.
  const auto first = std::upper_bound(starts.begin(), starts.end(), begin);
  span.begin = static_cast<uint32_t>(std::max<ptrdiff_t>(first - starts.begin() - 1, 0));
  span.end =
      static_cast<uint32_t>(std::lower_bound(starts.begin(), starts.end(), end) - starts.begin());
  return span;
}

void CutToContext(PreparedTranscript& prepared, size_t limit, Truncate truncate) {
  const size_t excess = prepared.tokens.size() - limit;
  const size_t from = truncate == Truncate::kLeft ? excess : 0;
  prepared.tokens = {prepared.tokens.begin() + static_cast<ptrdiff_t>(from),
                     prepared.tokens.begin() + static_cast<ptrdiff_t>(from + limit)};
  for (MessageSpan& span : prepared.messages) {
    const auto move = [&](uint32_t position) {
      return static_cast<uint32_t>(std::clamp<size_t>(position, from, from + limit) - from);
    };
    span.begin = move(span.begin);
    span.end = move(span.end);
  }
}

}  // namespace

TranscriptFormat ParseFormat(std::string_view name) {
  return name == "raw" ? TranscriptFormat::kRaw : TranscriptFormat::kChat;
}

std::string FormatName(TranscriptFormat format) {
  return format == TranscriptFormat::kRaw ? "raw" : "chat";
}

Truncate ParseTruncate(std::string_view name) {
  return name == "left" ? Truncate::kLeft : name == "right" ? Truncate::kRight : Truncate::kNone;
}

PrepareOptions PrepareOptionsOf(const std::string& run_config) {
  const auto config = nlohmann::json::parse(run_config, nullptr, /*allow_exceptions=*/false);
  const auto text = [&](const char* key) {
    return config.is_object() && config.contains(key) && config[key].is_string()
               ? config[key].get<std::string>()
               : std::string();
  };
  return {ParseFormat(text("format")), ParseTruncate(text("truncate"))};
}

PreparedTranscript Prepare(const LanguageModel& model, const Transcript& transcript,
                           const PrepareOptions& options) {
  PreparedTranscript prepared;
  prepared.raw = transcript.is_raw() || options.format == TranscriptFormat::kRaw;
  if (prepared.raw) {
    const std::string text = PlainText(transcript);
    const auto encoding = model.tokenizer->Encode(text, /*parse_special=*/false);
    prepared.tokens = encoding.ids;
    prepared.messages = {TokensOf(encoding, "text", 0, text.size())};
    if (model.tokenizer->add_bos() && model.tokenizer->bos_id()) {
      prepared.tokens.insert(prepared.tokens.begin(), *model.tokenizer->bos_id());
      for (MessageSpan& span : prepared.messages) ++span.begin, ++span.end;
    }
  } else {
    if (!model.chat_template) {
      throw Error("the model has no chat template, but the transcript has messages")
          .At("transcript '" + transcript.id + "'")
          .Hint("use --format raw, or a model that was trained for chat");
    }
    RenderedChat chat;
    try {
      chat = model.chat_template->RenderWithSpans(transcript.messages, false);
    } catch (Error& error) {
      error.At("transcript '" + transcript.id + "'");
      throw;
    }
    const auto encoding = model.tokenizer->Encode(chat.text, /*parse_special=*/true);
    prepared.tokens = encoding.ids;
    for (size_t i = 0; i < chat.content_spans.size(); ++i) {
      const auto [begin, end] = chat.content_spans[i];
      prepared.messages.push_back(TokensOf(encoding, transcript.messages[i].role, begin, end));
    }
  }
  if (prepared.tokens.empty()) {
    throw Error("a transcript has no tokens").At("transcript '" + transcript.id + "'");
  }
  const auto limit = static_cast<size_t>(model.architecture.context_length);
  if (prepared.tokens.size() > limit) {
    if (options.truncate == Truncate::kNone) {
      throw Error("a transcript is longer than the model's context")
          .At("transcript '" + transcript.id + "'")
          .Expected("at most " + std::to_string(limit) + " tokens")
          .Found(std::to_string(prepared.tokens.size()) + " tokens")
          .Hint("cut it with --truncate left or --truncate right");
    }
    CutToContext(prepared, limit, options.truncate);
  }
  return prepared;
}

std::vector<int32_t> SharedPrefix(std::span<const PreparedTranscript> transcripts) {
  std::vector<const PreparedTranscript*> sharers;
  for (const PreparedTranscript& transcript : transcripts) sharers.push_back(&transcript);
  const size_t needed = std::max<size_t>(2, (transcripts.size() + 1) / 2);
  std::vector<int32_t> prefix;
  while (true) {
    std::map<int32_t, size_t> counts;
    for (const PreparedTranscript* transcript : sharers) {
      // The last token stays out of the prefix: every sequence computes at least one.
      if (transcript->tokens.size() > prefix.size() + 1) {
        ++counts[transcript->tokens[prefix.size()]];
      }
    }
    const auto best = std::max_element(counts.begin(), counts.end(),
                                       [](auto& a, auto& b) { return a.second < b.second; });
    if (best == counts.end() || best->second < needed) break;
    std::erase_if(sharers, [&](const PreparedTranscript* transcript) {
      return transcript->tokens.size() <= prefix.size() + 1 ||
             transcript->tokens[prefix.size()] != best->first;
    });
    prefix.push_back(best->first);
  }
  if (prefix.size() < kMinPrefix) prefix.clear();
  return prefix;
}

std::vector<std::vector<uint32_t>> PlanBatches(std::span<const uint32_t> lengths,
                                               int64_t batch_tokens) {
  std::vector<uint32_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return lengths[a] > lengths[b]; });
  std::vector<std::vector<uint32_t>> batches;
  int64_t room = 0;
  for (const uint32_t index : order) {
    if (batches.empty() || room < lengths[index]) {
      batches.emplace_back();
      room = batch_tokens;
    }
    batches.back().push_back(index);
    room -= lengths[index];
  }
  return batches;
}

std::vector<uint32_t> PlanParts(std::span<const uint32_t> lengths, int64_t batch_tokens) {
  int64_t total = 0;
  for (const uint32_t length : lengths) total += length;
  const int64_t capacity = kPartBatches * batch_tokens;
  const int64_t n_parts = std::max<int64_t>(1, (total + capacity - 1) / capacity);
  std::vector<uint32_t> parts;
  int64_t before = 0, part = -1;
  for (size_t i = 0; i < lengths.size(); ++i) {
    // Part k begins at k / n_parts of all tokens; a long sequence may leave parts out.
    const int64_t here = before * n_parts / std::max<int64_t>(total, 1);
    if (here > part) parts.push_back(static_cast<uint32_t>(i));
    part = here;
    before += lengths[i];
  }
  return parts;
}

}  // namespace extrospect
