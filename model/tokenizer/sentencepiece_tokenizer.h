// Tokenizers whose vocabulary is a SentencePiece model.
#pragma once

#include <memory>
#include <vector>

#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/sentencepiece_model.h"
#include "model/tokenizer/tokenizer.h"

namespace extrospect {

// Control and unknown pieces are special; where they are parsed, the text between them is tokenized
// piece by piece, each piece of text with a space in front if the model asks for one. User-defined
// pieces are found in any text. `added` are tokens beyond the model's own, or other properties for
// those that it has. Throws Error if the library does not accept the model.
std::unique_ptr<Tokenizer> MakeSentencePieceTokenizer(SentencePieceVocabulary vocabulary,
                                                      const std::vector<AddedToken>& added = {});

}  // namespace extrospect
