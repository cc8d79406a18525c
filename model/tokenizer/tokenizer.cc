#include "model/tokenizer/tokenizer.h"

#include "model/tokenizer/utf8.h"

namespace extrospect {

std::vector<int32_t> Tokenizer::EncodePlain(std::string_view text) const {
  std::vector<int32_t> ids = Encode(text, /*parse_special=*/false).ids;
  if (add_bos_ && bos_id_) ids.insert(ids.begin(), *bos_id_);
  return ids;
}

StreamingDecoder::StreamingDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamingDecoder::Push(int32_t id) {
  const std::string bytes = tokenizer_.TokenBytes(id);
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  const bool strip = at_start_ && tokenizer_.strips_leading_space() && bytes.starts_with(' ');
  pending_ += strip ? bytes.substr(1) : bytes;
  at_start_ = false;
  const size_t held_back = UnfinishedUtf8Bytes(pending_);
  std::string text = ReplaceInvalidUtf8(pending_.substr(0, pending_.size() - held_back));
  pending_.erase(0, pending_.size() - held_back);
  return text;
}

std::string StreamingDecoder::Finish() {
  std::string text = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  at_start_ = true;
  return text;
}

}  // namespace extrospect
