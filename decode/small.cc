#include "decode/small.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "decode/probe.h"
#include "model/index_tensor.h"
#include "model/weights/weight_file.h"

namespace extrospect {
namespace {

constexpr int64_t kRowsAtOnce = 512;  // bounds memory
constexpr size_t kMaxModelBytes = size_t{64} << 20;
// What a feeling is about is said only if every piece of it is at least this probable. A decoder
// that has learned the words but not the circumstances would otherwise make them up.
constexpr double kSure = 0.15;

// The same tokens for every row: [n, tokens].
at::Tensor Repeated(const std::vector<int64_t>& ids, int64_t n, at::Device device) {
  return IndexTensor(ids, device).unsqueeze(0).expand({n, static_cast<int64_t>(ids.size())});
}

int64_t Size(const nlohmann::json& body, const char* name, int64_t max, const std::string& where) {
  const auto found = body.find(name);
  if (found == body.end() || !found->is_number_unsigned() || found->get<uint64_t>() == 0 ||
      found->get<uint64_t>() > static_cast<uint64_t>(max)) {
    throw Error("a field of the decoder is wrong")
        .At(where + ", small." + name)
        .Expected("an integer from 1 to " + std::to_string(max))
        .Found(found == body.end() ? "nothing" : found->dump().substr(0, 80));
  }
  return found->get<int64_t>();
}

// Decoders that do not name theirs were trained on all but the last.
std::vector<std::string> HoldersOf(const nlohmann::json& body, const std::string& where) {
  const auto found = body.find("holders");
  if (found == body.end()) return {kSmallHolders.begin(), kSmallHolders.end() - 1};
  std::vector<std::string> holders;
  for (const char* const holder : kSmallHolders) {
    if (found->is_array() && std::count(found->begin(), found->end(), holder) == 1) {
      holders.push_back(holder);
    }
  }
  if (holders.empty() || holders.size() != found->size()) {
    throw Error("a field of the decoder is wrong")
        .At(where + ", small.holders")
        .Expected("some of user, assistant, character and holder");
  }
  return holders;
}

}  // namespace

std::string FeelsPrompt(const std::string& holder) { return "The " + holder + " feels"; }
std::string NothingPrompt(const std::string& holder) {
  return "The " + holder + " reports nothing of note";
}

Small::Small(DecoderInfo info, std::shared_ptr<const SentencePieces> pieces, SmallNetwork network,
             std::vector<std::string> holders)
    : Decoder(std::move(info)),
      pieces_(std::move(pieces)),
      network_(std::move(network)),
      holders_(std::move(holders)) {}

nlohmann::ordered_json Small::Body(const SmallShape& shape,
                                   const std::vector<std::string>& holders) {
  return {{"normalisation", "standardise, then project"},
          {"rank", shape.rank},
          {"prefix", shape.prefix},
          {"width", shape.width},
          {"layers", shape.layers},
          {"heads", shape.heads},
          {"max_tokens", shape.max_tokens},
          {"holders", holders},
          {"prompt_template", "The {holder} feels {word}"}};
}

std::unique_ptr<Small> Small::Load(const DecoderFile& file, const std::filesystem::path& folder,
                                   at::Device device) {
  const std::string where = (folder / "decoder.json").string();
  const DecoderInfo& info = file.info;
  SmallShape shape;
  shape.features = static_cast<int64_t>(info.hooks.size()) * info.d_model;
  shape.rank = Size(file.body, "rank", shape.features, where);
  shape.prefix = Size(file.body, "prefix", 1024, where);
  shape.width = Size(file.body, "width", 8192, where);
  shape.layers = Size(file.body, "layers", 128, where);
  shape.heads = Size(file.body, "heads", shape.width, where);
  shape.max_tokens = Size(file.body, "max_tokens", 4096, where);
  if (shape.width % shape.heads != 0) {
    throw Error("a field of the decoder is wrong")
        .At(where + ", small.heads")
        .Expected("a divisor of the width " + std::to_string(shape.width))
        .Found(std::to_string(shape.heads));
  }
  const std::filesystem::path model = folder / "sentencepiece.model";
  auto pieces = std::make_shared<const SentencePieces>(
      info.lexicon, ReadFile(model, kMaxModelBytes), model.string());
  shape.vocabulary = pieces->size();
  std::vector<int64_t> words;
  for (int64_t i = 0; i < info.lexicon.size(); ++i) {
    if (i != info.lexicon.nothing()) words.push_back(pieces->SymbolOf(i));
  }
  shape.words = static_cast<int64_t>(words.size());
  // Shapes are compared before anything is allocated, so that absurd sizes fail on the first.
  const SafetensorsFile tensors(folder / "weights.safetensors");
  std::map<std::string, at::Tensor> loaded;
  for (const auto& [name, sizes] : SmallNetwork::Shapes(shape)) {
    loaded[name] = LoadTensor(tensors, name, sizes, device);
  }
  return std::make_unique<Small>(info, std::move(pieces),
                                 SmallNetwork(shape, std::move(loaded), IndexTensor(words, device)),
                                 HoldersOf(file.body, where));
}

at::Tensor Small::ScoresFor(const at::Tensor& coordinates, const std::string& holder) const {
  const int64_t n = coordinates.size(0);
  const at::Device device = coordinates.device();
  // "The {holder}" is read once; both continuations begin from its cache.
  std::vector<int64_t> feels = pieces_->Encode(FeelsPrompt(holder));
  std::vector<int64_t> nothing = pieces_->Encode(NothingPrompt(holder));
  feels.insert(feels.begin(), pieces_->bos());
  nothing.insert(nothing.begin(), pieces_->bos());
  const auto common = static_cast<size_t>(
      std::mismatch(feels.begin(), feels.end(), nothing.begin(), nothing.end()).first -
      feels.begin());
  SmallCache cache;
  const std::vector<int64_t> shared(feels.begin(), feels.begin() + static_cast<ptrdiff_t>(common));
  const at::Tensor start =
      network_.Continue(at::cat({network_.Prefix(coordinates),
                                 network_.Embed(Repeated(shared, n, device), 0, coordinates)},
                                1),
                        cache);
  const at::Tensor fork = start.select(1, start.size(1) - 1);

  // Log-probability of a continuation, and the hidden state after its last token.
  const auto follow = [&](const std::vector<int64_t>& ids) {
    const std::vector<int64_t> rest(ids.begin() + static_cast<ptrdiff_t>(common), ids.end());
    SmallCache own = cache;
    const at::Tensor hidden = network_.Continue(
        network_.Embed(Repeated(rest, n, device), static_cast<int64_t>(common), coordinates), own);
    at::Tensor states = fork.unsqueeze(1);
    if (rest.size() > 1) states = at::cat({states, hidden.narrow(1, 0, hidden.size(1) - 1)}, 1);
    const at::Tensor log_p = at::log_softmax(network_.Logits(states), -1);
    const at::Tensor score =
        log_p.gather(2, Repeated(rest, n, device).unsqueeze(2)).squeeze(2).sum(1);
    return std::make_pair(score, hidden.select(1, hidden.size(1) - 1));
  };
  const auto [feels_score, feels_state] = follow(feels);
  const auto [nothing_score, nothing_state] = follow(nothing);
  // A word's probability is its share among the words.
  const at::Tensor words =
      feels_score.unsqueeze(1) + at::log_softmax(network_.WordLogits(feels_state), 1);
  const int64_t index = info().lexicon.nothing();
  return at::cat({words.narrow(1, 0, index), nothing_score.unsqueeze(1),
                  words.narrow(1, index, words.size(1) - index)},
                 1);
}

std::vector<std::string> Small::Resolve(const at::Tensor& coordinates,
                                        const std::vector<std::string>& holders) const {
  std::vector<std::string> resolved = holders;
  std::vector<int64_t> unknown;
  for (size_t i = 0; i < holders.size(); ++i) {
    if (std::find(holders_.begin(), holders_.end(), holders[i]) != holders_.end()) continue;
    unknown.push_back(static_cast<int64_t>(i));
    resolved[i] = holders_.front();
  }
  if (unknown.empty() || holders_.size() == 1) return resolved;
  const at::Device device = coordinates.device();
  const at::Tensor rows = coordinates.index_select(0, IndexTensor(unknown, device));
  // By the first token in which "The user", "The assistant" and so on differ.
  std::vector<std::vector<int64_t>> openings;
  for (const std::string& holder : holders_) {
    openings.push_back(pieces_->Encode("The " + holder));
    openings.back().insert(openings.back().begin(), pieces_->bos());
  }
  size_t common = 0;
  const auto same = [&] {
    return std::all_of(openings.begin(), openings.end(), [&](const auto& opening) {
      return common + 1 < opening.size() && opening[common] == openings[0][common];
    });
  };
  while (same()) ++common;
  const std::vector<int64_t> shared(openings[0].begin(),
                                    openings[0].begin() + static_cast<ptrdiff_t>(common));
  std::vector<int64_t> next;
  for (const auto& opening : openings) next.push_back(opening[common]);
  SmallCache cache;
  const at::Tensor hidden = network_.Continue(
      at::cat(
          {network_.Prefix(rows), network_.Embed(Repeated(shared, rows.size(0), device), 0, rows)},
          1),
      cache);
  const at::Tensor best = network_.Logits(hidden.select(1, hidden.size(1) - 1))
                              .index_select(1, IndexTensor(next, device))
                              .argmax(1)
                              .to(at::kCPU);
  for (size_t i = 0; i < unknown.size(); ++i) {
    resolved[static_cast<size_t>(unknown[i])] =
        holders_[static_cast<size_t>(best.const_data_ptr<int64_t>()[i])];
  }
  return resolved;
}

at::Tensor Small::SentenceScores(const at::Tensor& coordinates,
                                 const std::vector<std::string>& holders) const {
  const std::vector<std::string> known = Resolve(coordinates, holders);
  at::Tensor scores =
      at::empty({coordinates.size(0), info().lexicon.size()}, coordinates.options());
  std::map<std::string, std::vector<int64_t>> groups;
  for (size_t i = 0; i < known.size(); ++i) groups[known[i]].push_back(static_cast<int64_t>(i));
  for (const auto& [holder, rows] : groups) {
    const at::Tensor all = IndexTensor(rows, coordinates.device());
    for (int64_t first = 0; first < all.size(0); first += kRowsAtOnce) {
      const at::Tensor some = all.narrow(0, first, std::min(kRowsAtOnce, all.size(0) - first));
      scores.index_copy_(0, some, ScoresFor(coordinates.index_select(0, some), holder));
    }
  }
  return scores;
}

Scores Small::ReadRows(const at::Tensor& rows, const std::vector<std::string>& holders) const {
  const at::Tensor features =
      rows.to(network_.Get("mean").device()).reshape({rows.size(0), network_.shape().features});
  return ScoresOf(info(), SentenceScores(network_.Coordinates(features), holders), {});
}

std::vector<std::string> Small::Write(const at::Tensor& coordinates,
                                      const std::vector<int64_t>& words,
                                      const std::string& holder) const {
  // Rows of one kind of opening go together: "feels <word>" or "nothing of note".
  const auto n = static_cast<int64_t>(words.size());
  const at::Device device = coordinates.device();
  const bool nothing = words[0] == info().lexicon.nothing();
  std::vector<int64_t> opening =
      pieces_->Encode(nothing ? NothingPrompt(holder) : FeelsPrompt(holder));
  opening.insert(opening.begin(), pieces_->bos());
  at::Tensor tokens = Repeated(opening, n, device).contiguous();
  if (!nothing) {
    std::vector<int64_t> symbols;
    for (const int64_t word : words) symbols.push_back(pieces_->SymbolOf(word));
    tokens = at::cat({tokens, IndexTensor(symbols, device).unsqueeze(1)}, 1);
  }
  SmallCache cache;
  at::Tensor hidden = network_.Continue(
      at::cat({network_.Prefix(coordinates), network_.Embed(tokens, 0, coordinates)}, 1), cache);
  const int64_t n_opening = tokens.size(1);
  at::Tensor open = at::ones({n}, tokens.options().dtype(at::kBool));
  at::Tensor sure = open;
  while (tokens.size(1) < network_.shape().max_tokens) {
    const auto [probability, piece] =
        at::softmax(network_.Logits(hidden.select(1, hidden.size(1) - 1)), 1).max(1);
    sure = sure.logical_and((probability >= kSure).logical_or(open.logical_not()));
    const at::Tensor next = piece.masked_fill(open.logical_not(), pieces_->eos()).unsqueeze(1);
    tokens = at::cat({tokens, next}, 1);
    open = open.logical_and(next.squeeze(1) != pieces_->eos());
    if (!open.any().item<bool>()) break;
    hidden = network_.Continue(network_.Embed(next, tokens.size(1) - 1, coordinates), cache);
  }
  // A sentence without an end is none either.
  sure = sure.logical_and(open.logical_not()).to(at::kCPU);
  const at::Tensor ids = tokens.to(at::kCPU).contiguous();
  std::vector<std::string> sentences;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t* const row = ids.const_data_ptr<int64_t>() + i * ids.size(1);
    const int64_t* const end = sure.const_data_ptr<bool>()[i]
                                   ? std::find(row, row + ids.size(1), pieces_->eos())
                                   : row + n_opening;
    sentences.push_back(pieces_->Decode({row, end}));
    if (!sentences.back().ends_with('.')) sentences.back() += '.';
  }
  return sentences;
}

std::vector<std::string> Small::SentencesOf(const at::Tensor& rows, const Scores& scores,
                                            const std::vector<std::string>& holders) const {
  const int64_t classes = info().lexicon.size(), nothing = info().lexicon.nothing();
  const at::Tensor features =
      rows.to(network_.Get("mean").device()).reshape({rows.size(0), network_.shape().features});
  const at::Tensor coordinates = network_.Coordinates(features);
  const std::vector<std::string> known = Resolve(coordinates, holders);
  std::map<std::pair<std::string, bool>, std::vector<int64_t>> groups;
  std::vector<int64_t> words;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const float* const row = scores.log_p.const_data_ptr<float>() + i * classes;
    words.push_back(Abstains(info(), row) ? nothing : std::max_element(row, row + classes) - row);
    groups[{known[static_cast<size_t>(i)], words.back() == nothing}].push_back(i);
  }
  std::vector<std::string> sentences(words.size());
  for (const auto& [group, members] : groups) {
    for (size_t first = 0; first < members.size(); first += kRowsAtOnce) {
      const size_t count = std::min<size_t>(kRowsAtOnce, members.size() - first);
      const std::vector<int64_t> some(members.begin() + static_cast<ptrdiff_t>(first),
                                      members.begin() + static_cast<ptrdiff_t>(first + count));
      std::vector<int64_t> chosen;
      for (const int64_t row : some) chosen.push_back(words[static_cast<size_t>(row)]);
      const auto written =
          Write(coordinates.index_select(0, IndexTensor(some, coordinates.device())), chosen,
                group.first);
      for (size_t i = 0; i < some.size(); ++i) sentences[static_cast<size_t>(some[i])] = written[i];
    }
  }
  return sentences;
}

}  // namespace extrospect
