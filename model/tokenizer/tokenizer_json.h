// Hugging Face's tokenizer.json.
#pragma once

#include <string>
#include <string_view>

#include "model/tokenizer/bpe_tokenizer.h"

namespace extrospect {

// Reads the text of a file called `name`: byte-pair encoding, with the normalizers, pre-tokenizers
// and decoders that the Llama, Mistral, Qwen, Gemma and OLMo families use. Of the post-processor
// only a token in front of the text is taken over (add_bos). Throws Error naming file and field for
// what is damaged or not supported.
BpePipeline ParseTokenizerJson(std::string_view text, const std::string& name);

}  // namespace extrospect
