// A decoder that writes: activation rows become a soft prefix, from which a small transformer,
// trained from scratch on descriptions, continues with a sentence. Its probabilities are those of
// the sentences "The {holder} feels {word}" and "The {holder} reports nothing of note".
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/load.h"
#include "decode/sentence_pieces.h"
#include "decode/small_network.h"

namespace extrospect {

// Whose feelings sentences tell of. The last one stands for a holder that labels do not name.
inline constexpr std::array<const char*, 4> kSmallHolders = {"user", "assistant", "character",
                                                             "holder"};

// The beginnings of the sentences that are scored.
std::string FeelsPrompt(const std::string& holder);
std::string NothingPrompt(const std::string& holder);

class Small : public Decoder {
 public:
  // holders: of kSmallHolders those that training knew; not empty.
  Small(DecoderInfo info, std::shared_ptr<const SentencePieces> pieces, SmallNetwork network,
        std::vector<std::string> holders);

  // Throws Error if weights or SentencePiece model do not fit decoder.json.
  static std::unique_ptr<Small> Load(const DecoderFile& file, const std::filesystem::path& folder,
                                     at::Device device);
  // The kind's part of decoder.json.
  static nlohmann::ordered_json Body(const SmallShape& shape,
                                     const std::vector<std::string>& holders);

  // Log-probabilities of the sentences, not calibrated and not normalised over the lexicon,
  // [n, classes]. Where the holder is not one that training knew, the likeliest one's.
  at::Tensor SentenceScores(const at::Tensor& coordinates,
                            const std::vector<std::string>& holders) const;

  const SmallNetwork& network() const { return network_; }
  const SentencePieces& pieces() const { return *pieces_; }

 protected:
  Scores ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const override;
  std::vector<std::string> SentencesOf(const at::Tensor& rows, const Scores& scores,
                                       const std::vector<std::string>& holders) const override;

 private:
  at::Tensor ScoresFor(const at::Tensor& coordinates, const std::string& holder) const;
  // Holders, those that training did not know replaced by what the network would say first.
  std::vector<std::string> Resolve(const at::Tensor& coordinates,
                                   const std::vector<std::string>& holders) const;
  std::vector<std::string> Write(const at::Tensor& coordinates, const std::vector<int64_t>& words,
                                 const std::string& holder) const;

  std::shared_ptr<const SentencePieces> pieces_;
  SmallNetwork network_;
  std::vector<std::string> holders_;
};

}  // namespace extrospect
