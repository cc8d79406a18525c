#include "train/loop/tfevents.h"

#include <array>
#include <bit>

namespace extrospect {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = MakeTable();

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::string Varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>((value & 0x7F) | 0x80);
  return text + static_cast<char>(value);
}

// Protocol buffer fields by wire type.
std::string Field(int number, int wire_type, std::string_view payload) {
  return Varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire_type)) +
         std::string(payload);
}
std::string DoubleField(int number, double value) {
  return Field(number, 1, LittleEndian(std::bit_cast<uint64_t>(value), 8));
}
std::string FloatField(int number, float value) {
  return Field(number, 5, LittleEndian(std::bit_cast<uint32_t>(value), 4));
}
std::string IntegerField(int number, int64_t value) {
  return Field(number, 0, Varint(static_cast<uint64_t>(value)));
}
std::string BytesField(int number, std::string_view bytes) {
  return Field(number, 2, Varint(bytes.size()) + std::string(bytes));
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  uint32_t value = 0xFFFFFFFFu;
  for (const char byte : bytes) {
    value = kTable[(value ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (value >> 8);
  }
  return ~value;
}

uint32_t MaskedCrc32c(std::string_view bytes) { return std::rotr(Crc32c(bytes), 15) + 0xA282EAD8u; }

std::string TfRecord(std::string_view data) {
  const std::string length = LittleEndian(data.size(), 8);
  return length + LittleEndian(MaskedCrc32c(length), 4) + std::string(data) +
         LittleEndian(MaskedCrc32c(data), 4);
}

// Event: 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary (Summary).
// Summary: 1 value (repeated Value).  Value: 1 tag (string), 2 simple_value (float).
std::string EventFileHeader() {
  return TfRecord(DoubleField(1, 0.0) + BytesField(3, "brain.Event:2"));
}

std::string ScalarEvent(double wall_time, int64_t step,
                        const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [name, value] : scalars) {
    summary += BytesField(1, BytesField(1, name) + FloatField(2, static_cast<float>(value)));
  }
  return TfRecord(DoubleField(1, wall_time) + IntegerField(2, step) + BytesField(5, summary));
}

}  // namespace extrospect
