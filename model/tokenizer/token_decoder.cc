#include "model/tokenizer/token_decoder.h"

#include <charconv>

#include "base/error.h"
#include "model/tokenizer/byte_level.h"
#include "model/tokenizer/utf8.h"

namespace extrospect {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 27;

class ByteLevel : public DecoderStep {
 public:
  void Apply(std::vector<std::string>* tokens) const override {
    std::string bytes;
    for (const std::string& token : *tokens) bytes += ApplyToOne(token);
    *tokens = {ReplaceInvalidUtf8(bytes)};
  }
  std::string ApplyToOne(std::string token) const override {
    std::optional<std::string> bytes = BytesOfByteLevelToken(token);
    return bytes.has_value() ? *std::move(bytes) : token;
  }
};

class Replace : public DecoderStep {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void Apply(std::vector<std::string>* tokens) const override {
    size_t room = kMaxTextBytes;
    for (std::string& token : *tokens) {
      token = Put(token, room);
      room -= token.size();
    }
  }
  std::string ApplyToOne(std::string token) const override { return Put(token, kMaxTokenBytes); }

 private:
  std::string Put(const std::string& token, size_t limit) const {
    std::vector<PatternPart> parts;
    pattern_.Cut(token, &parts);
    std::string result;
    for (const PatternPart& part : parts) {
      result += part.is_match ? content_ : token.substr(part.begin, part.end - part.begin);
      if (result.size() > limit) {
        throw Error("the tokenizer's decoder makes too much of its tokens")
            .Expected("at most " + std::to_string(limit) + " bytes")
            .Found("more");
      }
    }
    return result;
  }

  const Pattern pattern_;
  const std::string content_;
};

class ByteFallback : public DecoderStep {
 public:
  void Apply(std::vector<std::string>* tokens) const override {
    std::vector<std::string> result;
    std::string run;
    const auto flush = [&] {
      if (IsValidUtf8(run)) {
        if (!run.empty()) result.push_back(run);
      } else {
        result.insert(result.end(), run.size(), std::string(kReplacementCharacter));
      }
      run.clear();
    };
    for (std::string& token : *tokens) {
      if (const auto byte = ByteOfFallbackToken(token)) {
        run += *byte;
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    *tokens = std::move(result);
  }
  std::string ApplyToOne(std::string token) const override {
    const auto byte = ByteOfFallbackToken(token);
    return byte.has_value() ? std::string(1, *byte) : token;
  }
};

class Fuse : public DecoderStep {
 public:
  void Apply(std::vector<std::string>* tokens) const override {
    std::string text;
    for (const std::string& token : *tokens) text += token;
    *tokens = {text};
  }
};

class Strip : public DecoderStep {
 public:
  Strip(std::string content, size_t start, size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void Apply(std::vector<std::string>* tokens) const override {
    for (std::string& token : *tokens) {
      std::string_view text = token;
      for (size_t i = 0; i < start_ && text.starts_with(content_); ++i) {
        text.remove_prefix(content_.size());
      }
      for (size_t i = 0; i < stop_ && text.ends_with(content_); ++i) {
        text.remove_suffix(content_.size());
      }
      token = std::string(text);
    }
  }

 private:
  const std::string content_;
  const size_t start_, stop_;
};

class Metaspace : public DecoderStep {
 public:
  Metaspace(std::string replacement, bool strip_first)
      : replacement_(std::move(replacement)), strip_first_(strip_first) {}

  void Apply(std::vector<std::string>* tokens) const override {
    for (size_t i = 0; i < tokens->size(); ++i) {
      (*tokens)[i] = Put((*tokens)[i], i == 0 && strip_first_ ? "" : " ");
    }
  }
  std::string ApplyToOne(std::string token) const override { return Put(token, " "); }

 private:
  std::string Put(std::string_view token, std::string_view space) const {
    std::string result;
    size_t done = 0;
    for (size_t at; (at = token.find(replacement_, done)) != std::string_view::npos;) {
      result += token.substr(done, at - done);
      result += space;
      done = at + replacement_.size();
    }
    result += token.substr(done);
    return result;
  }

  const std::string replacement_;
  const bool strip_first_;
};

}  // namespace

std::unique_ptr<DecoderStep> MakeByteLevelDecoder() { return std::make_unique<ByteLevel>(); }
std::unique_ptr<DecoderStep> MakeReplaceDecoder(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}
std::unique_ptr<DecoderStep> MakeByteFallbackDecoder() { return std::make_unique<ByteFallback>(); }
std::unique_ptr<DecoderStep> MakeFuseDecoder() { return std::make_unique<Fuse>(); }
std::unique_ptr<DecoderStep> MakeStripDecoder(std::string content, size_t start, size_t stop) {
  return std::make_unique<Strip>(std::move(content), start, stop);
}
std::unique_ptr<DecoderStep> MakeMetaspaceDecoder(std::string replacement, bool strip_first) {
  return std::make_unique<Metaspace>(std::move(replacement), strip_first);
}

std::optional<char> ByteOfFallbackToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const auto result = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (result.ec != std::errc() || result.ptr != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

std::string TokenDecoder::Decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step->Apply(&tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (steps_.empty() && i > 0) text += ' ';
    text += tokens[i];
  }
  return text;
}

std::string TokenDecoder::DecodeOne(std::string token) const {
  for (const auto& step : steps_) token = step->ApplyToOne(std::move(token));
  return token;
}

}  // namespace extrospect
