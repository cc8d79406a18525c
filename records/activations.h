// activations.h5: residual-stream rows of many transcripts, one dataset a hook.
//
//   /                        attributes: format="extrospect.activations", format_version=1,
//                            complete (0 or 1), and the fields of ActivationOrigin
//   /activations/<hook>      [rows, d_model]  float32, bfloat16 or float16
//   /rows/transcript         uint32, index into /transcripts
//   /rows/position           uint32, token position (the last token's, of a pooled span)
//   /rows/first_position     uint32, of pooled spans only
//   /rows/token_id           int32
//   /rows/selection          uint8, index into the config's "tokens", where those are several
//   /transcripts/id, json    UTF-8
//   /transcripts/first_row   uint64
//   /transcripts/n_rows, n_tokens   uint32
//   /transcripts/done        uint8, while complete=0: whose rows are written
//
// Rows may lie in other files (activation_shards.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace extrospect {

enum class StoreType { kFloat32, kBFloat16, kFloat16 };

// Bytes of one stored number.
int64_t BytesOf(StoreType type);

// What the file says of its origin. Every field is an attribute of the root group.
struct ActivationOrigin {
  std::string model_name, model_sha256, architecture;
  int64_t n_layers = 0;
  int64_t d_model = 0;
  std::string tokenizer_sha256, chat_template_sha256;
  std::string compute_dtype;     // "f32" or "bf16"
  std::string layer_convention;  // see model/hooks.h
  std::string config;            // JSON of the resolved run
  std::string created_by;        // program and version
};

// Everything about the rows that is known before the first of them is computed.
struct ActivationLayout {
  struct TranscriptRows {
    std::string id, json;
    uint64_t first_row = 0;
    uint32_t n_rows = 0;
    uint32_t n_tokens = 0;

    bool operator==(const TranscriptRows&) const = default;
  };
  std::vector<TranscriptRows> transcripts;
  // One entry a row.
  std::vector<uint32_t> transcript, position;
  std::vector<uint32_t> first_position;  // empty unless rows are pooled spans
  std::vector<int32_t> token_id;
  std::vector<uint8_t> selection;  // empty unless transcripts were read in several ways

  uint64_t n_rows() const { return transcript.size(); }
  bool operator==(const ActivationLayout&) const = default;
};

// Writes an activation file in any order of rows. The whole file is laid out when it is created;
// after that only plain data is written in place, so that a process killed at any moment leaves a
// readable file with complete=0, and a later one continues it. One thread at a time; HDF5 itself
// must not be used by another thread meanwhile.
class ActivationWriter {
 public:
  // Creates (replacing what is there) or, if `resume` and the file is there, continues. Continuing
  // a file of another run (config, model, layout or hooks differ) or a damaged one throws Error.
  ActivationWriter(const std::filesystem::path& path, const ActivationOrigin& origin,
                   const ActivationLayout& layout, const std::vector<std::string>& hooks,
                   StoreType store, bool resume);
  ~ActivationWriter();

  // Whose rows are in the file already, by transcript: 0 or 1.
  const std::vector<uint8_t>& done() const { return done_; }
  bool complete() const { return complete_; }

  // Rows [first_row, first_row + n) of hook number `hook`; `data` holds n · d_model stored numbers.
  void Write(size_t hook, uint64_t first_row, std::span<const std::byte> data);
  // All rows of these transcripts have been written for every hook. Data reaches the disk first.
  void MarkDone(std::span<const uint32_t> transcripts);
  // Marks the file as complete. Throws Error if a transcript is not done.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::vector<uint8_t> done_;
  bool complete_ = false;
};

// Reads activation files. Every size is checked against the others when the file is opened. Not
// thread-safe.
class ActivationReader {
 public:
  // Throws Error if the file is not an activation file, is damaged or incomplete, or if one of its
  // shards is, or is missing.
  explicit ActivationReader(const std::filesystem::path& path);
  ~ActivationReader();
  ActivationReader(ActivationReader&&) noexcept;
  ActivationReader& operator=(ActivationReader&&) noexcept;

  const std::filesystem::path& path() const;
  const ActivationOrigin& origin() const;
  const ActivationLayout& layout() const;
  const std::vector<std::string>& hooks() const;  // names, by block
  bool HasHook(const std::string& hook) const;

  // Rows [first_row, first_row + count) of a hook as float32, [count, d_model].
  void Read(const std::string& hook, uint64_t first_row, uint64_t count,
            std::span<float> out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace extrospect
