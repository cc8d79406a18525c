// TensorBoard event files: TFRecords of hand-serialised Event messages with scalar summaries.
//
// A record is: length (uint64, little-endian), masked CRC-32C of those 8 bytes, the data, masked
// CRC-32C of the data. The first record holds the file version "brain.Event:2".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace extrospect {

// CRC-32C (Castagnoli), as in RFC 3720.
uint32_t Crc32c(std::string_view bytes);
// The checksum as TFRecords store it: rotated, plus a constant.
uint32_t MaskedCrc32c(std::string_view bytes);

// One record around `data`.
std::string TfRecord(std::string_view data);

// The record that begins an event file.
std::string EventFileHeader();
// One Event with scalars (name, value). `wall_time` is in seconds.
std::string ScalarEvent(double wall_time, int64_t step,
                        const std::vector<std::pair<std::string, double>>& scalars);

}  // namespace extrospect
