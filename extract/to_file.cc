#include "extract/to_file.h"

#include <algorithm>
#include <span>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "extract/file_sink.h"
#include "records/activation_shards.h"

namespace extrospect {
namespace {

int64_t TokensOf(const ExtractPlan& plan, Share share) {
  int64_t tokens = 0;
  for (uint32_t i = share.begin; i < share.end; ++i) tokens += plan.layout.transcripts[i].n_tokens;
  return tokens;
}

Share AllOf(const ExtractPlan& plan) {
  return {0, static_cast<uint32_t>(plan.layout.transcripts.size())};
}

// Makes room for shards. Returns whether there is nothing to do, because all is there already.
bool PrepareShards(const ExtractTarget& target, const ActivationLayout& layout) {
  const std::filesystem::path& path = target.path;
  if (target.resume && std::filesystem::exists(path)) {
    // Throws if it is of another run.
    if (!ActivationWriter(path, target.origin, layout, target.hooks, target.store, true)
             .complete()) {
      throw Error("the file to resume was begun by one process")
          .At(path.string())
          .Hint("resume without mpirun or srun, or start over without --resume");
    }
    try {
      const ActivationReader whole(path);
      return true;
    } catch (const Error&) {
      // Shards are missing or unfinished, and made now.
    }
  }
  std::error_code failed;
  // What it refers to is about to change.
  std::filesystem::remove(path, failed);
  if (!target.resume) RemoveShards(path);
  const std::filesystem::path folder = (path.parent_path() / ShardFile(path, 0)).parent_path();
  std::filesystem::create_directory(folder, failed);
  if (failed) throw Error("cannot make the folder").At(folder.string()).Found(failed.message());
  return false;
}

void ExtractShard(const LanguageModel& model, ExtractPlan& plan, const ExtractOptions& options,
                  const ExtractTarget& target, const Ranks& ranks, Share share) {
  const std::filesystem::path path =
      target.path.parent_path() / ShardFile(target.path, ranks.rank());
  ActivationWriter writer(path, target.origin, PartOfLayout(plan.layout, share.begin, share.end),
                          target.hooks, target.store, target.resume);
  if (writer.complete()) return;
  std::erase_if(plan.batches, [&](const std::vector<uint32_t>& batch) {
    return batch.front() < share.begin || batch.front() >= share.end;
  });
  std::vector<uint8_t> done(plan.layout.transcripts.size(), 1);  // the others' are not to be done
  std::copy(writer.done().begin(), writer.done().end(), done.begin() + share.begin);
  FileSink sink(writer, target.store, share.begin, plan.layout.transcripts[share.begin].first_row);
  Progress progress("extract, rank 0 of " + std::to_string(ranks.size()), "tokens",
                    TokensOf(plan, share), target.progress);
  RunExtraction(model, plan, options, done, sink, [&](int64_t n) { progress.Add(n); });
  writer.Finish();
}

}  // namespace

ExtractTime ExtractToFile(const LanguageModel& model, const ExtractPlan& plan,
                          const ExtractOptions& options, const ExtractTarget& target) {
  const std::filesystem::path first_shard = target.path.parent_path() / ShardFile(target.path, 0);
  if (target.resume && !std::filesystem::exists(target.path) &&
      std::filesystem::exists(first_shard)) {
    throw Error("the run to resume was begun by several ranks")
        .At(first_shard.parent_path().string())
        .Hint("resume with mpirun or srun and as many ranks, or start over without --resume");
  }
  ActivationWriter writer(target.path, target.origin, plan.layout, target.hooks, target.store,
                          target.resume);
  if (!target.resume) RemoveShards(target.path);
  if (writer.complete()) return {};
  FileSink sink(writer, target.store);
  Progress progress("extract", "tokens", TokensOf(plan, AllOf(plan)), target.progress);
  RunExtraction(model, plan, options, std::vector<uint8_t>(writer.done()), sink,
                [&](int64_t n) { progress.Add(n); });
  writer.Finish();
  return {progress.seconds(), progress.rate()};
}

std::vector<Share> ShareOut(const ExtractPlan& plan, int ranks) {
  const auto n = static_cast<uint32_t>(plan.layout.transcripts.size());
  const int64_t total = std::max<int64_t>(TokensOf(plan, AllOf(plan)), 1);
  std::vector<Share> shares(static_cast<size_t>(ranks), Share{n, n});
  int64_t before = 0;
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    const Share part = {plan.parts[i], i + 1 < plan.parts.size() ? plan.parts[i + 1] : n};
    const int64_t tokens = TokensOf(plan, part);
    // The rank in whose share of all tokens the part's middle lies.
    const auto rank = static_cast<size_t>((2 * before + tokens) * ranks / (2 * total));
    Share& share = shares[std::min(rank, shares.size() - 1)];
    share = {std::min(share.begin, part.begin), part.end};
    before += tokens;
  }
  return shares;
}

ExtractTime ExtractOverRanks(const LanguageModel& model, ExtractPlan& plan,
                             const ExtractOptions& options, const ExtractTarget& target,
                             const Ranks& ranks) {
  const int64_t tokens = TokensOf(plan, AllOf(plan));
  double complete = 0;
  if (ranks.first()) complete = PrepareShards(target, plan.layout) ? 1 : 0;
  ranks.Broadcast(std::span(&complete, 1));
  if (complete != 0) return {};
  const std::vector<Share> shares = ShareOut(plan, ranks.size());
  const Share share = shares[static_cast<size_t>(ranks.rank())];
  Progress clock("", "tokens", tokens, nullptr);
  if (share.begin < share.end) ExtractShard(model, plan, options, target, ranks, share);
  ranks.Barrier();
  clock.Add(tokens);
  if (ranks.first()) {
    std::vector<ActivationShard> shards;
    for (int rank = 0; rank < ranks.size(); ++rank) {
      const auto [begin, end] = shares[static_cast<size_t>(rank)];
      if (begin == end) continue;
      const auto& first = plan.layout.transcripts[begin];
      const auto& last = plan.layout.transcripts[end - 1];
      const uint64_t n_rows = last.first_row + last.n_rows - first.first_row;
      if (n_rows > 0) shards.push_back({ShardFile(target.path, rank), first.first_row, n_rows});
    }
    WriteActivationsOverShards(target.path, target.origin, plan.layout, target.hooks, target.store,
                               shards);
  }
  return {clock.seconds(), clock.rate()};
}

}  // namespace extrospect
