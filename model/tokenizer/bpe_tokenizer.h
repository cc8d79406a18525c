// Tokenizers whose vocabulary is byte-pair encoded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/bpe_model.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/pretokenizer.h"
#include "model/tokenizer/token_decoder.h"
#include "model/tokenizer/token_types.h"
#include "model/tokenizer/tokenizer.h"

namespace extrospect {

// The stations that text passes on its way to ids: added tokens are split off, the rest is
// normalised, cut into words, and each word encoded.
struct BpePipeline {
  Normalizer normalizer;
  Pretokenizer pretokenizer;
  BpeRules rules;
  std::vector<AddedToken> added_tokens;
  TokenDecoder decoder;
  bool strips_leading_space = false;  // whether the decoder does
  std::optional<int32_t> bos_id, eos_id;
  bool add_bos = false;
};

// Throws Error if the parts do not fit together.
std::unique_ptr<Tokenizer> MakeBpeTokenizer(BpePipeline pipeline);

// A byte-level vocabulary as GGUF files hold it (`tokenizer.ggml.model` = "gpt2").
struct BpeVocabulary {
  std::vector<std::string> tokens;  // in the byte-level alphabet; the index is the id
  std::vector<TokenType> types;     // one for each token, or none: all normal
  std::vector<std::string> merges;  // "left right", the first to be applied first
  std::string pretokenizer;         // `tokenizer.ggml.pre`
  std::optional<int32_t> bos_id, eos_id;
  std::optional<bool> add_bos;  // unset: what is usual with that pre-tokenizer
};

// Control and unknown tokens become special, user-defined ones added tokens. Throws Error if the
// pre-tokenizer is not known (known_pretokenizers.h) or the vocabulary is damaged.
std::unique_ptr<Tokenizer> MakeBpeTokenizer(const BpeVocabulary& vocabulary);

}  // namespace extrospect
