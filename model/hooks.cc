#include "model/hooks.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "base/error.h"

namespace extrospect {
namespace {

template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// What stands between a prefix and a suffix, if both are there.
std::optional<std::string_view> Between(std::string_view text, std::string_view prefix,
                                        std::string_view suffix) {
  if (text.size() < prefix.size() + suffix.size() || !text.starts_with(prefix) ||
      !text.ends_with(suffix)) {
    return std::nullopt;
  }
  return text.substr(prefix.size(), text.size() - prefix.size() - suffix.size());
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Error BadLayers(std::string_view text, int64_t n_layers) {
  return UsageError("cannot understand the layers")
      .At("--layers " + std::string(text))
      .Expected("block numbers 0 to " + std::to_string(n_layers - 1) +
                ", percentages of depth, or 'all'")
      .Hint("for example: --layers 14, --layers 3,7,11, --layers 4-9, --layers 50%");
}

}  // namespace

std::string HookName(int64_t block) {
  if (block == kEmbeddingBlock) return "blocks.0.hook_resid_pre";
  return "blocks." + std::to_string(block) + ".hook_resid_post";
}

int64_t ParseHookName(std::string_view name) {
  if (name == "blocks.0.hook_resid_pre") return kEmbeddingBlock;
  auto number = Between(name, "blocks.", ".hook_resid_post");
  if (!number) number = Between(name, "model.layers.", ".output");
  if (number) {
    const auto block = ParseNumber<int64_t>(*number);
    if (block && *block >= 0) return *block;
  }
  throw UsageError("unknown hook")
      .Expected("blocks.K.hook_resid_post, blocks.0.hook_resid_pre or model.layers.K.output")
      .Found(std::string(name));
}

std::vector<int64_t> ParseLayers(std::string_view text, int64_t n_layers) {
  std::set<int64_t> blocks;
  const auto add = [&](int64_t block) {
    if (block < kEmbeddingBlock || block >= n_layers) throw BadLayers(text, n_layers);
    blocks.insert(block);
  };
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view item = Trim(rest.substr(0, comma));
    const size_t dash = item.find('-');
    if (item == "all") {
      for (int64_t block = 0; block < n_layers; ++block) add(block);
    } else if (item.find("hook_") != item.npos || item.starts_with("model.")) {
      add(ParseHookName(item));
    } else if (item.ends_with('%')) {
      const auto percent = ParseNumber<double>(item.substr(0, item.size() - 1));
      if (!percent || !(*percent >= 0 && *percent <= 100)) throw BadLayers(text, n_layers);
      // The small step back keeps 70 % of 30 blocks at block 20 in spite of binary fractions.
      const double depth = std::ceil(*percent / 100.0 * static_cast<double>(n_layers) - 1e-9);
      add(std::max<int64_t>(0, static_cast<int64_t>(depth) - 1));
    } else if (dash != item.npos) {
      const auto first = ParseNumber<int64_t>(item.substr(0, dash));
      const auto last = ParseNumber<int64_t>(item.substr(dash + 1));
      if (!first || !last || *first > *last || *last >= n_layers) throw BadLayers(text, n_layers);
      for (int64_t block = *first; block <= *last; ++block) add(block);
    } else {
      const auto block = ParseNumber<int64_t>(item);
      if (!block || *block < 0) throw BadLayers(text, n_layers);
      add(*block);
    }
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {blocks.begin(), blocks.end()};
}

}  // namespace extrospect
