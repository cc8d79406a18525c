// SentencePiece models: the fields that decide how text is tokenized, read from and written to the
// protocol-buffer format of `tokenizer.model` files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/token_types.h"

namespace extrospect {

struct SentencePieceVocabulary {
  enum class Algorithm { kUnigram = 1, kBpe = 2 };

  struct Piece {
    std::string text;  // spaces are U+2581
    float score = 0;
    TokenType type = TokenType::kNormal;
  };

  std::vector<Piece> pieces;  // the index is the id
  Algorithm algorithm = Algorithm::kUnigram;
  bool add_dummy_prefix = true;          // a space in front of the text
  bool remove_extra_whitespaces = true;  // runs of spaces become one, those at the ends none
  bool escape_whitespaces = true;        // spaces become U+2581
  bool treat_whitespace_as_suffix = false;
  bool byte_fallback = false;
  std::optional<int32_t> bos_id, eos_id;
  bool add_bos = false;  // not part of the format
};

// Reads the content of a `tokenizer.model` file. Throws Error if it is damaged, or if it normalises
// text by a table of its own (of the supported models none does).
SentencePieceVocabulary ParseSentencePieceModel(std::string_view bytes);

// The content of a `tokenizer.model` file.
std::string SerializeSentencePieceModel(const SentencePieceVocabulary& vocabulary);

}  // namespace extrospect
