// What a token of a SentencePiece model or of a GGUF file is.
#pragma once

namespace extrospect {

// The numbers are the files'.
enum class TokenType {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

}  // namespace extrospect
