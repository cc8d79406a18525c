// The tokenizer that travels inside a GGUF file.
#pragma once

#include <memory>

#include "model/files/gguf.h"
#include "model/tokenizer/bpe_tokenizer.h"
#include "model/tokenizer/sentencepiece_tokenizer.h"
#include "model/tokenizer/tokenizer.h"

namespace extrospect {

// Reads the keys `tokenizer.ggml.*`. Throws Error (file and key named) for what is missing, damaged
// or of a kind that is not supported. The result does not need the file any more.
std::unique_ptr<Tokenizer> LoadTokenizerFromGguf(const GgufFile& file);

// The vocabulary of a file whose `tokenizer.ggml.model` is "gpt2".
BpeVocabulary ReadBpeVocabulary(const GgufFile& file);
// The vocabulary of a file whose `tokenizer.ggml.model` is "llama".
SentencePieceVocabulary ReadSentencePieceVocabulary(const GgufFile& file);

}  // namespace extrospect
