// SHA-256, for naming files and configurations beyond doubt.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace extrospect {

// Incremental SHA-256. Add() any number of times, then HexDigest() once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(std::string_view bytes);
  std::string HexDigest();

 private:
  void* context_;
};

// Lower-case hexadecimal digests. The file variant streams; it throws Error if the file is
// unreadable.
std::string Sha256Hex(std::string_view bytes);
std::string Sha256HexOfFile(const std::filesystem::path& path);

}  // namespace extrospect
