#include "model/tokenizer/sentencepiece_model.h"

#include <bit>
#include <cstring>
#include <functional>

#include "base/error.h"

namespace extrospect {
namespace {

// Field numbers of sentencepiece_model.proto.
namespace model {
constexpr uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3;
}
namespace piece {
constexpr uint32_t kText = 1, kScore = 2, kType = 3;
}
namespace trainer {
constexpr uint32_t kAlgorithm = 3, kWhitespaceAsSuffix = 24, kByteFallback = 35, kBosId = 41,
                   kEosId = 42;
}
namespace normalizer {
constexpr uint32_t kTable = 2, kDummyPrefix = 3, kRemoveExtra = 4, kEscape = 5;
}

constexpr size_t kMaxPieces = size_t{1} << 24;

enum class Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint32_t number;
  Wire wire;
  uint64_t value = 0;      // of numbers
  std::string_view bytes;  // of texts and messages
};

Error Damaged(std::string expected, std::string found) {
  return Error("cannot read a SentencePiece model")
      .Expected(std::move(expected))
      .Found(std::move(found))
      .Hint("the file is damaged, or of another kind; copy it again");
}

// The fields of one message, in order.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  // False at the end.
  bool Next(Field* field) {
    if (at_ == bytes_.size()) return false;
    const uint64_t key = Varint();
    field->number = static_cast<uint32_t>(key >> 3);
    field->wire = static_cast<Wire>(key & 7);
    switch (field->wire) {
      case Wire::kVarint:
        field->value = Varint();
        return true;
      case Wire::kFixed64:
        field->value = Fixed(8);
        return true;
      case Wire::kFixed32:
        field->value = Fixed(4);
        return true;
      case Wire::kBytes: {
        const uint64_t size = Varint();
        if (size > bytes_.size() - at_) throw Damaged("a field within the file", "its end");
        field->bytes = bytes_.substr(at_, size);
        at_ += size;
        return true;
      }
    }
    throw Damaged("a field of a known kind", "kind " + std::to_string(key & 7));
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) throw Damaged("a whole number", "the end of the file");
      const uint8_t byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    throw Damaged("a number of at most 64 bits", "a longer one");
  }

  uint64_t Fixed(size_t size) {
    if (bytes_.size() - at_ < size) throw Damaged("a whole number", "the end of the file");
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value |= uint64_t{static_cast<uint8_t>(bytes_[at_ + i])} << 8 * i;
    }
    at_ += size;
    return value;
  }

  const std::string_view bytes_;
  size_t at_ = 0;
};

void ForEachField(std::string_view bytes, const std::function<void(const Field&)>& action) {
  Reader reader(bytes);
  for (Field field; reader.Next(&field); field = Field()) action(field);
}

SentencePieceVocabulary::Piece ParsePiece(std::string_view bytes) {
  SentencePieceVocabulary::Piece result;
  ForEachField(bytes, [&](const Field& field) {
    if (field.number == piece::kText) result.text = field.bytes;
    if (field.number == piece::kScore) {
      result.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    }
    if (field.number == piece::kType) {
      if (field.value < 1 || field.value > static_cast<uint64_t>(TokenType::kByte)) {
        throw Damaged("a type of piece from 1 to 6", std::to_string(field.value));
      }
      result.type = static_cast<TokenType>(field.value);
    }
  });
  return result;
}

void ParseTrainer(std::string_view bytes, SentencePieceVocabulary* vocabulary) {
  ForEachField(bytes, [&](const Field& field) {
    const auto id = [&]() -> std::optional<int32_t> {
      const int32_t value = static_cast<int32_t>(field.value);
      if (value < 0) return std::nullopt;
      return value;
    };
    switch (field.number) {
      case trainer::kAlgorithm:
        if (field.value != 1 && field.value != 2) {
          throw Error("cannot use a SentencePiece model")
              .Expected("byte-pair encoding or a unigram model")
              .Found("algorithm " + std::to_string(field.value));
        }
        vocabulary->algorithm = static_cast<SentencePieceVocabulary::Algorithm>(field.value);
        break;
      case trainer::kWhitespaceAsSuffix:
        vocabulary->treat_whitespace_as_suffix = field.value != 0;
        break;
      case trainer::kByteFallback:
        vocabulary->byte_fallback = field.value != 0;
        break;
      case trainer::kBosId:
        vocabulary->bos_id = id();
        break;
      case trainer::kEosId:
        vocabulary->eos_id = id();
        break;
      default:
        break;
    }
  });
}

void ParseNormalizer(std::string_view bytes, SentencePieceVocabulary* vocabulary) {
  ForEachField(bytes, [&](const Field& field) {
    switch (field.number) {
      case normalizer::kTable:
        // An automaton that the library follows without checks.
        if (!field.bytes.empty()) {
          throw Error("cannot use a SentencePiece model")
              .Expected("text that is not normalised (\"identity\")")
              .Found("a normalisation table of " + std::to_string(field.bytes.size()) + " bytes");
        }
        break;
      case normalizer::kDummyPrefix:
        vocabulary->add_dummy_prefix = field.value != 0;
        break;
      case normalizer::kRemoveExtra:
        vocabulary->remove_extra_whitespaces = field.value != 0;
        break;
      case normalizer::kEscape:
        vocabulary->escape_whitespaces = field.value != 0;
        break;
      default:
        break;
    }
  });
}

class Writer {
 public:
  void Number(uint32_t field, uint64_t value) {
    Key(field, Wire::kVarint);
    Varint(value);
  }
  void Float(uint32_t field, float value) {
    Key(field, Wire::kFixed32);
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(bits >> 8 * i & 0xFF);
  }
  void Bytes(uint32_t field, std::string_view value) {
    Key(field, Wire::kBytes);
    Varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Key(uint32_t field, Wire wire) { Varint(field << 3 | static_cast<uint32_t>(wire)); }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace

SentencePieceVocabulary ParseSentencePieceModel(std::string_view bytes) {
  SentencePieceVocabulary vocabulary;
  vocabulary.bos_id = 1;  // unless the file says otherwise
  vocabulary.eos_id = 2;
  ForEachField(bytes, [&](const Field& field) {
    const bool known = field.number >= model::kPieces && field.number <= model::kNormalizer;
    if (known && field.wire != Wire::kBytes) throw Damaged("a message", "a number");
    if (field.number == model::kPieces) {
      if (vocabulary.pieces.size() == kMaxPieces) throw Damaged("fewer pieces", "too many");
      vocabulary.pieces.push_back(ParsePiece(field.bytes));
    } else if (field.number == model::kTrainer) {
      ParseTrainer(field.bytes, &vocabulary);
    } else if (field.number == model::kNormalizer) {
      ParseNormalizer(field.bytes, &vocabulary);
    }
  });
  if (vocabulary.pieces.empty()) throw Damaged("pieces", "none");
  return vocabulary;
}

std::string SerializeSentencePieceModel(const SentencePieceVocabulary& vocabulary) {
  Writer result;
  for (const SentencePieceVocabulary::Piece& one : vocabulary.pieces) {
    Writer message;
    message.Bytes(piece::kText, one.text);
    message.Float(piece::kScore, one.score);
    message.Number(piece::kType, static_cast<uint64_t>(one.type));
    result.Bytes(model::kPieces, message.bytes());
  }
  const auto id = [](std::optional<int32_t> value) {
    return static_cast<uint64_t>(int64_t{value.value_or(-1)});  // negative ones have 64 bits
  };
  Writer training;
  training.Number(trainer::kAlgorithm, static_cast<uint64_t>(vocabulary.algorithm));
  training.Number(trainer::kWhitespaceAsSuffix, vocabulary.treat_whitespace_as_suffix ? 1 : 0);
  training.Number(trainer::kByteFallback, vocabulary.byte_fallback ? 1 : 0);
  training.Number(trainer::kBosId, id(vocabulary.bos_id));
  training.Number(trainer::kEosId, id(vocabulary.eos_id));
  result.Bytes(model::kTrainer, training.bytes());
  Writer normalizing;
  normalizing.Number(normalizer::kDummyPrefix, vocabulary.add_dummy_prefix ? 1 : 0);
  normalizing.Number(normalizer::kRemoveExtra, vocabulary.remove_extra_whitespaces ? 1 : 0);
  normalizing.Number(normalizer::kEscape, vocabulary.escape_whitespaces ? 1 : 0);
  result.Bytes(model::kNormalizer, normalizing.bytes());
  return result.bytes();
}

}  // namespace extrospect
