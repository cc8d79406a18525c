// Text to token ids and back, whatever file the vocabulary came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace extrospect {

// What a tokenizer is. Implementations are immutable: every method may be called from any number of
// threads at once.
//
// Input text is any bytes. Bytes that are not UTF-8 are read as U+FFFD, one for each maximal
// subpart of an ill-formed sequence (the Unicode standard's recommendation, and what Python does
// with errors="replace").
class Tokenizer {
 public:
  struct Encoding {
    std::vector<int32_t> ids;
    // begin[i]: the byte offset in the input at which the text of token i begins. Where
    // normalisation merged several characters into one, the offset of the first of them. Ascending,
    // but not strictly: tokens for text that the tokenizer itself inserted (a leading space) share
    // the offset of what follows.
    std::vector<uint32_t> begin;
  };

  virtual ~Tokenizer() = default;

  // Tokenizes `text`; no beginning- or end-of-text token is added (see add_bos). `parse_special`
  // says what becomes of text that spells a special token, like "<|im_end|>": true, in rendered
  // chats, its id; false, in text from outside, the ids of its letters. Added tokens that are not
  // special (runs of spaces, say) are ordinary vocabulary and are found in either case. Throws
  // Error if the text is longer than 128 MiB.
  virtual Encoding Encode(std::string_view text, bool parse_special) const = 0;

  // The ids of a text from outside, from its beginning: no special tokens but bos_id in front,
  // where the file asks for it (add_bos).
  std::vector<int32_t> EncodePlain(std::string_view text) const;

  // The bytes that a token stands for, without regard to its neighbours: " the", a lone byte of a
  // multi-byte character, "<|im_end|>". Throws Error if there is no such id.
  virtual std::string TokenBytes(int32_t id) const = 0;

  // The text of a sequence. Always UTF-8: what is not becomes U+FFFD. `skip_special` leaves special
  // tokens out. Throws Error if an id is not in the vocabulary.
  virtual std::string Decode(std::span<const int32_t> ids, bool skip_special) const = 0;

  // One more than the largest id.
  virtual int32_t vocab_size() const = 0;
  virtual bool is_special(int32_t id) const = 0;

  // The token that stands for exactly these bytes (" ?", "<|im_end|>"), special and added ones
  // before ordinary ones, the byte tokens of a byte-fallback vocabulary last.
  virtual std::optional<int32_t> FindToken(std::string_view bytes) const = 0;

  // The SHA-256 (hexadecimal) of everything that decides which ids a text becomes.
  virtual std::string Sha256() const = 0;

  // Beginning and end of text, where the file names them, and whether the file asks for the former
  // in front of every text. Rendered chats bring their own.
  std::optional<int32_t> bos_id() const { return bos_id_; }
  std::optional<int32_t> eos_id() const { return eos_id_; }
  bool add_bos() const { return add_bos_; }

  // Whether Decode drops the space that Encode put in front of the first word.
  bool strips_leading_space() const { return strips_leading_space_; }

 protected:
  std::optional<int32_t> bos_id_, eos_id_;
  bool add_bos_ = false;
  bool strips_leading_space_ = false;
};

// Decodes token by token as a model produces them, and never emits a part of a character: bytes
// are held back until the character is whole. The emitted texts joined are Decode() of the same
// ids; only a run of byte tokens that is not UTF-8 may differ, in its number of U+FFFD. Not
// thread-safe; `tokenizer` must outlive it.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special = true);

  // The text that `id` completes, often empty.
  std::string Push(int32_t id);
  // The end of the sequence: U+FFFD for a character that was never finished, else nothing. The
  // decoder can then be used for another sequence.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_;
  bool at_start_ = true;
  std::string pending_;
};

// The tokenizer of a Hugging Face model directory: `tokenizer.json`, else the SentencePiece file
// `tokenizer.model`. `tokenizer_config.json`, if there, names the beginning and end of text. Throws
// Error (file and field named) if a file is missing, damaged, or needs something that is not
// supported.
std::unique_ptr<Tokenizer> LoadTokenizerFromDirectory(const std::filesystem::path& directory);

}  // namespace extrospect
