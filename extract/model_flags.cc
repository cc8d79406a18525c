#include "extract/model_flags.h"

#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>

#include "model/model.h"

namespace extrospect {

WeightOptions ComputeFlags::weights() const {
  return {.dtype = ParseDtype(dtype), .devices = ParseDevices(device), .trainable = false};
}

void ComputeFlags::SetThreads() const {
  if (threads > 0) at::set_num_threads(threads);
}

void AddComputeFlags(CLI::App& command, ComputeFlags& flags) {
  command.add_option("--dtype", flags.dtype, "Compute in float32 or bfloat16")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->capture_default_str();
  command.add_option("--device", flags.device, "cpu, cuda:N, or several separated by commas")
      ->capture_default_str();
  command.add_option("--threads", flags.threads, "CPU threads (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddBatchTokensFlag(CLI::App& command, int64_t& batch_tokens) {
  command.add_option("--batch-tokens", batch_tokens, "Tokens in one forward pass")
      ->check(CLI::Range(int64_t{1}, kMaxBatchTokens))
      ->capture_default_str();
}

PrepareOptions RenderFlags::prepare(const std::string& usual_format) const {
  return {ParseFormat(format.empty() ? usual_format : format), ParseTruncate(truncate)};
}

void AddRenderFlags(CLI::App& command, RenderFlags& flags, const std::string& usual_format) {
  command
      .add_option(
          "--format", flags.format,
          "Render messages by the chat template, or plainly (default: " + usual_format + ")")
      ->check(CLI::IsMember({"chat", "raw"}));
  command
      .add_option("--truncate", flags.truncate,
                  "Which end of a transcript beyond the model's context is cut off")
      ->check(CLI::IsMember({"none", "left", "right"}))
      ->capture_default_str();
}

}  // namespace extrospect
