#include "model/tokenizer/bpe_model.h"

#include <algorithm>
#include <cstdio>
#include <queue>

#include "base/error.h"
#include "model/files/quote.h"
#include "model/tokenizer/byte_level.h"
#include "model/tokenizer/character_pairs.h"
#include "model/tokenizer/utf8.h"
#include "model/tokenizer/word_cache.h"

namespace extrospect {
namespace {

// Tables by id are allocated for what a file says; twice the largest vocabularies there are.
constexpr int32_t kMaxId = (1 << 21) - 1;
// Words up to this many symbols are merged by looking for the best pair again and again, which for
// so few is faster than a queue.
constexpr size_t kFewSymbols = 48;
// Words of more bytes than this are cut where no merge can reach across.
constexpr size_t kLongWord = 16;

uint64_t Pair(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

std::string ByteToken(int byte) {
  char text[8];
  std::snprintf(text, sizeof(text), "<0x%02X>", byte);
  return text;
}

char32_t FirstCharacter(std::string_view text) {
  size_t at = 0;
  return NextCharacter(text, &at);
}

}  // namespace

// The parts of a word while they are merged.
struct BpeModel::Symbols {
  std::vector<int32_t> ids;
  std::vector<uint32_t> begin;

  void Add(int32_t id, size_t at) {
    ids.push_back(id);
    begin.push_back(static_cast<uint32_t>(at));
  }
};

void BpeModel::MergeTable::Reserve(size_t n) {
  int bits = 4;
  while ((size_t{1} << bits) < 2 * n) ++bits;
  entries_.assign(size_t{1} << bits, Entry());
  shift_ = 64 - bits;
}

size_t BpeModel::MergeTable::Slot(uint64_t key) const {
  size_t slot = key * 0x9E3779B97F4A7C15u >> shift_;  // Fibonacci hashing
  while (entries_[slot].key != key && entries_[slot].key != ~uint64_t{0}) {
    slot = (slot + 1) & (entries_.size() - 1);
  }
  return slot;
}

void BpeModel::MergeTable::Set(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = Pair(static_cast<uint32_t>(left), static_cast<uint32_t>(right));
  entries_[Slot(key)] = {key, merge};
}

const BpeModel::Merge* BpeModel::MergeTable::Find(int32_t left, int32_t right) const {
  const uint64_t key = Pair(static_cast<uint32_t>(left), static_cast<uint32_t>(right));
  const Entry& entry = entries_[Slot(key)];
  return entry.key == key ? &entry.merge : nullptr;
}

BpeModel::BpeModel(const BpeRules& rules)
    : byte_level_(rules.byte_level),
      fuse_unknown_(rules.fuse_unknown),
      cache_(std::make_unique<WordCache>()) {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(rules.vocabulary.size());
  for (const auto& [token, id] : rules.vocabulary) {
    if (id < 0 || id > kMaxId) {
      throw Error("cannot use the vocabulary")
          .At("token " + Quote(token))
          .Expected("an id from 0 to " + std::to_string(kMaxId))
          .Found(std::to_string(id));
    }
    ids[token] = id;
  }

  byte_ids_.fill(-1);
  ascii_ids_.fill(-1);
  byte_fallback_ = rules.byte_fallback && !byte_level_;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string token =
        byte_level_ ? ByteLevelToken(std::string(1, static_cast<char>(byte))) : ByteToken(byte);
    const auto found = ids.find(token);
    if ((byte_level_ || byte_fallback_) && found != ids.end()) byte_ids_[byte] = found->second;
  }
  for (const auto& [token, id] : rules.vocabulary) {
    if (!byte_level_ && !token.empty()) {
      size_t size = 0;
      const char32_t character = NextCharacter(token, &size);
      if (size == token.size()) {
        (character < 128 ? ascii_ids_[character] : character_ids_[character]) = id;
      }
    }
    if (rules.ignore_merges) {
      if (!byte_level_) {
        words_[token] = id;
      } else if (const auto bytes = BytesOfByteLevelToken(token)) {
        words_[*bytes] = id;
      }
    }
  }

  if (rules.unknown.has_value()) {
    const auto found = ids.find(*rules.unknown);
    if (found == ids.end()) {
      throw Error("cannot use the vocabulary")
          .At("the unknown token")
          .Expected("a token of the vocabulary")
          .Found(Quote(*rules.unknown));
    }
    unknown_ = found->second;
  }

  merges_.Reserve(rules.merges.size());
  std::string merged;
  for (size_t rank = 0; rank < rules.merges.size(); ++rank) {
    // Not by a structured binding: clang does not let a lambda see those.
    const std::string& left = rules.merges[rank].first;
    const std::string& right = rules.merges[rank].second;
    const auto id_of = [&](const std::string& token) {
      const auto found = ids.find(token);
      if (found == ids.end()) {
        throw Error("cannot use the vocabulary")
            .At("merge " + std::to_string(rank) + ": " + Quote(left) + " and " + Quote(right))
            .Expected("tokens of the vocabulary")
            .Found(Quote(token));
      }
      return found->second;
    };
    merged = left + right;
    merges_.Set(id_of(left), id_of(right), {static_cast<int32_t>(rank), id_of(merged)});
  }
  if (!byte_level_) FindJoined(rules);
}

BpeModel::~BpeModel() = default;

void BpeModel::FindJoined(const BpeRules& rules) {
  // An unknown character next to another may be fused with it, and one without any token leaves no
  // trace: cutting there would need more care than it is worth.
  const bool all_bytes = std::find(byte_ids_.begin(), byte_ids_.end(), -1) == byte_ids_.end();
  if (!byte_fallback_ || !all_bytes) return;

  auto joined = std::make_unique<CharacterPairs>();
  for (const auto& [left, right] : rules.merges) {
    const auto is_byte = [&](const std::string& token) {
      return token.size() == 6 && token.starts_with("<0x");
    };
    // Byte tokens stand for characters that their letters do not show.
    if (left.empty() || right.empty() || is_byte(left) || is_byte(right) || is_byte(left + right)) {
      return;
    }
    joined->Add(CharacterBefore(left, left.size()), FirstCharacter(right));
  }
  joined->Seal();
  joined_ = std::move(joined);
}

int32_t BpeModel::IdOfCharacter(char32_t character) const {
  if (character < 128) return ascii_ids_[character];
  const auto found = character_ids_.find(character);
  return found == character_ids_.end() ? -1 : found->second;
}

void BpeModel::AddSymbols(std::string_view word, Symbols* symbols) const {
  // An unknown token is added only once it is clear that it ends there, after any byte tokens that
  // come right behind it: the order of the reference.
  constexpr size_t kNone = SIZE_MAX;
  size_t unknown_at = kNone;
  const auto flush = [&] {
    if (unknown_at != kNone) symbols->Add(unknown_, unknown_at);
    unknown_at = kNone;
  };
  for (size_t at = 0, next = 0; at < word.size(); at = next) {
    int32_t id;
    if (byte_level_) {
      id = byte_ids_[static_cast<uint8_t>(word[next++])];
    } else {
      id = IdOfCharacter(NextCharacter(word, &next));
    }
    if (id >= 0) {
      flush();
      symbols->Add(id, at);
      continue;
    }
    const auto has_token = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)] >= 0; };
    if (byte_fallback_ && std::all_of(word.begin() + at, word.begin() + next, has_token)) {
      for (size_t i = at; i < next; ++i) symbols->Add(byte_ids_[static_cast<uint8_t>(word[i])], i);
    } else if (unknown_ >= 0) {
      if (!fuse_unknown_) flush();
      if (unknown_at == kNone) unknown_at = at;
    }
  }
  flush();
}

void BpeModel::MergeFew(Symbols* symbols) const {
  auto& ids = symbols->ids;
  auto& begin = symbols->begin;
  constexpr int32_t kNever = INT32_MAX;
  Merge next[kFewSymbols];  // what symbol i and its successor become
  const auto look_up = [&](size_t i) {
    const Merge* const merge = i + 1 < ids.size() ? merges_.Find(ids[i], ids[i + 1]) : nullptr;
    next[i] = merge != nullptr ? *merge : Merge{kNever, -1};
  };
  for (size_t i = 0; i < ids.size(); ++i) look_up(i);
  while (ids.size() > 1) {
    size_t best = 0;
    for (size_t i = 1; i < ids.size(); ++i) {
      if (next[i].rank < next[best].rank) best = i;
    }
    if (next[best].rank == kNever) break;
    ids[best] = next[best].id;
    std::copy(next + best + 2, next + ids.size(), next + best + 1);
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
    begin.erase(begin.begin() + static_cast<ptrdiff_t>(best) + 1);
    if (best > 0) look_up(best - 1);
    look_up(best);
  }
}

void BpeModel::MergeMany(Symbols* symbols) const {
  auto& ids = symbols->ids;
  const uint32_t n = static_cast<uint32_t>(ids.size());
  // A doubly linked list over the symbols; index n is the end, and `previous` of the first is n.
  std::vector<uint32_t> next(n), previous(n);
  std::vector<bool> gone(n);
  for (uint32_t i = 0; i < n; ++i) {
    next[i] = i + 1;
    previous[i] = i == 0 ? n : i - 1;
  }
  struct Candidate {
    int32_t rank;
    uint32_t at;
    int32_t id;
    bool operator<(const Candidate& other) const {  // the lowest rank is the queue's top
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  std::vector<Candidate> first;
  first.reserve(n);
  for (uint32_t i = 0; i + 1 < n; ++i) {
    if (const Merge* const merge = merges_.Find(ids[i], ids[i + 1])) {
      first.push_back({merge->rank, i, merge->id});
    }
  }
  std::priority_queue<Candidate> queue({}, std::move(first));
  const auto push = [&](uint32_t at) {
    if (const Merge* const merge = merges_.Find(ids[at], ids[next[at]])) {
      queue.push({merge->rank, at, merge->id});
    }
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const uint32_t left = top.at;
    if (gone[left] || next[left] == n) continue;
    const uint32_t right = next[left];
    // Either neighbour may have changed since.
    const Merge* const merge = merges_.Find(ids[left], ids[right]);
    if (merge == nullptr || merge->id != top.id) continue;
    ids[left] = top.id;
    gone[right] = true;
    next[left] = next[right];
    if (next[left] != n) {
      previous[next[left]] = left;
      push(left);
    }
    if (previous[left] != n) push(previous[left]);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i < n; ++i) {
    if (gone[i]) continue;
    ids[kept] = ids[i];
    symbols->begin[kept++] = symbols->begin[i];
  }
  ids.resize(kept);
  symbols->begin.resize(kept);
}

void BpeModel::EncodeStretch(std::string_view stretch, uint32_t offset, BpeTokens* tokens) const {
  if (cache_->Find(stretch, offset, tokens)) return;
  const size_t first = tokens->ids.size();
  Symbols symbols;
  AddSymbols(stretch, &symbols);
  if (symbols.ids.size() <= kFewSymbols) {
    MergeFew(&symbols);
  } else {
    MergeMany(&symbols);
  }
  for (size_t i = 0; i < symbols.ids.size(); ++i) {
    tokens->ids.push_back(symbols.ids[i]);
    tokens->begin.push_back(offset + symbols.begin[i]);
  }
  cache_->Put(stretch, offset, *tokens, first);
}

void BpeModel::Encode(std::string_view word, BpeTokens* tokens) const {
  if (!words_.empty()) {
    const auto found = words_.find(word);
    if (found != words_.end()) {
      tokens->ids.push_back(found->second);
      tokens->begin.push_back(0);
      return;
    }
  }
  if (joined_ == nullptr || word.size() <= kLongWord) return EncodeStretch(word, 0, tokens);
  size_t begin = 0, at = 0;
  char32_t left = NextCharacter(word, &at);
  while (at < word.size()) {
    const size_t boundary = at;
    const char32_t right = NextCharacter(word, &at);
    if (!joined_->Contains(left, right)) {
      EncodeStretch(word.substr(begin, boundary - begin), static_cast<uint32_t>(begin), tokens);
      begin = boundary;
    }
    left = right;
  }
  EncodeStretch(word.substr(begin), static_cast<uint32_t>(begin), tokens);
}

}  // namespace extrospect
