#include "eval/injection.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "model/index_tensor.h"

namespace extrospect {
namespace {

at::Tensor FloatTensor(const std::vector<float>& values, at::Device device) {
  const at::Tensor host = at::empty({static_cast<int64_t>(values.size())},
                                    at::TensorOptions(at::kFloat).device(at::kCPU));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<float>());
  return host.to(device);
}

std::vector<uint32_t> ContentPositions(const PreparedTranscript& prepared) {
  return Selection::Parse("content").Positions(static_cast<uint32_t>(prepared.tokens.size()),
                                               prepared.messages);
}

// The first `length` tokens of a segment, without a copy.
std::shared_ptr<KvSegment> Head(const KvSegment& segment, int64_t length) {
  auto head = std::make_shared<KvSegment>(segment);
  for (auto* tensors : {&head->keys, &head->values}) {
    for (at::Tensor& tensor : *tensors) {
      if (tensor.defined()) tensor = tensor.narrow(0, 0, length);
    }
  }
  head->length = head->capacity = length;
  return head;
}

// What the clean pass leaves of one transcript.
struct Clean {
  std::shared_ptr<KvSegment> segment;
  at::Tensor residual;                   // after the injection block [tokens, d_model]
  std::map<int64_t, at::Tensor> blocks;  // after the blocks that are read
};

class Runner {
 public:
  Runner(const LanguageModel& model, const std::vector<PreparedTranscript>& transcripts,
         const std::vector<InjectionSpan>& spans, const InjectionRun& run)
      : transformer_(*model.transformer), transcripts_(transcripts), spans_(spans), run_(run) {
    last_block_ = run.block;
    for (const ReadSpec& spec : run.reads) {
      for (const int64_t block : spec.blocks) last_block_ = std::max(last_block_, block);
    }
    if (run.whole_depth) last_block_ = model.architecture.n_layers - 1;
  }

  // The clean pass of these transcripts.
  std::map<size_t, Clean> RunClean(const std::vector<size_t>& chunk) const {
    std::map<size_t, Clean> cleans;
    std::vector<Sequence> sequences;
    std::vector<int64_t> lengths;
    for (const size_t index : chunk) {
      const auto& tokens = transcripts_[index].tokens;
      lengths.push_back(static_cast<int64_t>(tokens.size()));
      cleans[index].segment = transformer_.MakeSegment(lengths.back(), 0, last_block_);
      sequences.push_back({tokens, {}, cleans[index].segment});
    }
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.last_block = last_block_;
    forward.observe = [&](int64_t block, const at::Tensor& residual) {
      const bool read = IsRead(block);
      if (!read && block != run_.block) return;
      int64_t row = 0;
      for (size_t i = 0; i < chunk.size(); ++i) {
        const at::Tensor own = residual.narrow(0, row, lengths[i]).clone();
        if (block == run_.block) cleans[chunk[i]].residual = own;
        if (read) cleans[chunk[i]].blocks[block] = own;
        row += lengths[i];
      }
    };
    transformer_.Forward(forward);
    return cleans;
  }

  // Trials that add nothing: everything is there already.
  InjectedBatch TakeClean(const std::vector<const InjectedTrial*>& trials,
                          const std::map<size_t, Clean>& cleans) const {
    InjectedBatch batch = EmptyBatch(trials);
    for (size_t i = 0; i < trials.size(); ++i) {
      const Clean& clean = cleans.at(trials[i]->transcript);
      batch.past.push_back({clean.segment});
      for (size_t s = 0; s < run_.reads.size(); ++s) {
        const std::vector<uint32_t> positions = PositionsOf(run_.reads[s], trials[i]->transcript);
        if (!Note(batch, s, i, positions)) continue;
        batch.rows[s][static_cast<int64_t>(i)].copy_(
            run_.reads[s].pool(CleanRows(clean, run_.reads[s].blocks, positions)));
      }
    }
    return batch;
  }

  InjectedBatch RunInjected(const std::vector<const InjectedTrial*>& trials,
                            const std::map<size_t, Clean>& cleans) const {
    InjectedBatch batch = EmptyBatch(trials);
    std::vector<Sequence> sequences;
    std::vector<at::Tensor> residuals;
    std::vector<int64_t> injected_rows, directions;
    std::vector<float> norms;
    std::vector<int64_t> first_rows;
    int64_t row = 0;
    for (const InjectedTrial* trial : trials) {
      const Clean& clean = cleans.at(trial->transcript);
      const std::vector<int32_t>& tokens = transcripts_[trial->transcript].tokens;
      const int64_t begin = RestartAt(*trial), n = static_cast<int64_t>(tokens.size()) - begin;
      // Below the injection the clean keys and values hold; above it there is room for new ones.
      auto segment = transformer_.MakeSegment(n, run_.block + 1, last_block_);
      for (int64_t block = 0; block <= run_.block; ++block) {
        segment->keys[block] = clean.segment->keys[block].narrow(0, begin, n);
        segment->values[block] = clean.segment->values[block].narrow(0, begin, n);
      }
      Sequence sequence{{tokens.begin() + begin, tokens.end()}, {}, segment};
      if (begin > 0) sequence.past = {Head(*clean.segment, begin)};
      batch.past.push_back(sequence.past);
      batch.past.back().push_back(segment);
      sequences.push_back(std::move(sequence));
      residuals.push_back(clean.residual.narrow(0, begin, n));
      for (const uint32_t position : spans_[trial->transcript].positions) {
        injected_rows.push_back(row + position - begin);
        directions.push_back(trial->direction);
        norms.push_back(static_cast<float>(trial->norm));
      }
      first_rows.push_back(row);
      row += n;
    }
    at::Tensor residual = at::cat(residuals);
    const at::Device device = residual.device();
    const at::Tensor added =
        run_.directions.to(device).index_select(0, IndexTensor(directions, device)) *
        FloatTensor(norms, device).unsqueeze(-1);
    residual.index_add_(0, IndexTensor(injected_rows, device), added.to(residual.scalar_type()));

    // Pools see all blocks at once: the rows that they are over are kept until then.
    std::vector<KeptRows> kept;
    for (size_t s = 0; s < run_.reads.size(); ++s) kept.push_back(PlanKept(batch, s, first_rows));
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.first_block = run_.block + 1;
    forward.residual = residual;
    forward.last_block = last_block_;
    forward.observe = [&](int64_t block, const at::Tensor& after) {
      for (size_t s = 0; s < run_.reads.size(); ++s) {
        const auto& blocks = run_.reads[s].blocks;
        const auto found = std::find(blocks.begin(), blocks.end(), block);
        if (found == blocks.end()) continue;
        kept[s].blocks[static_cast<size_t>(found - blocks.begin())] =
            after.index_select(0, IndexTensor(kept[s].places, after.device())).to(at::kFloat);
      }
    };
    transformer_.Forward(forward);
    for (size_t s = 0; s < run_.reads.size(); ++s) PoolKept(batch, s, kept[s], cleans);
    return batch;
  }

  // Where the recomputed part of a trial's transcript begins.
  int64_t RestartAt(const InjectedTrial& trial) const {
    return spans_[trial.transcript].positions.front();
  }

 private:
  bool IsRead(int64_t block) const {
    return std::any_of(run_.reads.begin(), run_.reads.end(), [&](const ReadSpec& spec) {
      return std::find(spec.blocks.begin(), spec.blocks.end(), block) != spec.blocks.end();
    });
  }

  std::vector<uint32_t> PositionsOf(const ReadSpec& spec, size_t transcript) const {
    const PreparedTranscript& prepared = transcripts_[transcript];
    std::vector<uint32_t> positions =
        spec.selection.Positions(static_cast<uint32_t>(prepared.tokens.size()), prepared.messages);
    if (spec.after_only) {
      const uint32_t last = spans_[transcript].positions.back();
      std::erase_if(positions, [&](uint32_t position) { return position <= last; });
    }
    return positions;
  }

  InjectedBatch EmptyBatch(const std::vector<const InjectedTrial*>& trials) const {
    InjectedBatch batch;
    batch.trials = trials;
    const auto n = static_cast<int64_t>(trials.size());
    for (const ReadSpec& spec : run_.reads) {
      batch.rows.push_back(at::zeros(
          {n, static_cast<int64_t>(spec.blocks.size()), transformer_.architecture().d_model},
          at::TensorOptions(at::kFloat).device(at::kCPU)));
      batch.positions.emplace_back(trials.size());
      batch.read.emplace_back(trials.size());
    }
    return batch;
  }

  static bool Note(InjectedBatch& batch, size_t spec, size_t trial,
                   const std::vector<uint32_t>& positions) {
    if (positions.empty()) return false;
    batch.positions[spec][trial] = {positions.front(), positions.back()};
    batch.read[spec][trial] = 1;
    return true;
  }

  // Rows of the clean pass at some positions, [positions, blocks, d_model] float32, where the first
  // block is.
  static at::Tensor CleanRows(const Clean& clean, const std::vector<int64_t>& blocks,
                              const std::vector<uint32_t>& positions) {
    const std::vector<int64_t> places(positions.begin(), positions.end());
    std::vector<at::Tensor> rows;
    for (const int64_t block : blocks) {
      const at::Tensor& all = clean.blocks.at(block);
      rows.push_back(all.index_select(0, IndexTensor(places, all.device())).to(at::kFloat));
    }
    return StackBlocks(rows);
  }

  // Blocks [positions, d_model], each on its own device, to [positions, blocks, d_model].
  static at::Tensor StackBlocks(std::vector<at::Tensor> blocks) {
    for (at::Tensor& block : blocks) block = block.to(blocks.front().device());
    return at::stack(blocks, 1);
  }

  // A read's positions that lie before the recomputed part of a trial's transcript.
  std::vector<uint32_t> Before(const InjectedTrial& trial, const ReadSpec& spec) const {
    std::vector<uint32_t> positions = PositionsOf(spec, trial.transcript);
    std::erase_if(positions, [&](uint32_t position) { return position >= RestartAt(trial); });
    return positions;
  }

  // The new rows that one read is over, those of a trial together.
  struct KeptRows {
    std::vector<int64_t> places;     // in the batch
    std::vector<int64_t> counts;     // by trial
    std::vector<at::Tensor> blocks;  // [places, d_model] float32, by the read's blocks
  };

  KeptRows PlanKept(InjectedBatch& batch, size_t spec,
                    const std::vector<int64_t>& first_rows) const {
    KeptRows kept;
    kept.blocks.resize(run_.reads[spec].blocks.size());
    for (size_t i = 0; i < batch.trials.size(); ++i) {
      const InjectedTrial& trial = *batch.trials[i];
      const size_t before = kept.places.size();
      const std::vector<uint32_t> positions = PositionsOf(run_.reads[spec], trial.transcript);
      Note(batch, spec, i, positions);
      for (const uint32_t position : positions) {
        if (position < RestartAt(trial)) continue;
        kept.places.push_back(first_rows[i] + position - RestartAt(trial));
      }
      kept.counts.push_back(static_cast<int64_t>(kept.places.size() - before));
    }
    return kept;
  }

  void PoolKept(InjectedBatch& batch, size_t spec, const KeptRows& kept,
                const std::map<size_t, Clean>& cleans) const {
    const ReadSpec& read = run_.reads[spec];
    const at::Tensor rows = StackBlocks(kept.blocks);
    int64_t first = 0;
    for (size_t i = 0; i < batch.trials.size(); ++i) {
      const InjectedTrial& trial = *batch.trials[i];
      at::Tensor own = rows.narrow(0, first, kept.counts[i]);
      first += kept.counts[i];
      if (const std::vector<uint32_t> before = Before(trial, read); !before.empty()) {
        own = at::cat({CleanRows(cleans.at(trial.transcript), read.blocks, before), own});
      }
      if (own.size(0) > 0) batch.rows[spec][static_cast<int64_t>(i)].copy_(read.pool(own));
    }
  }

  const Transformer& transformer_;
  const std::vector<PreparedTranscript>& transcripts_;
  const std::vector<InjectionSpan>& spans_;
  const InjectionRun& run_;
  int64_t last_block_ = 0;
};

}  // namespace

InjectionSpan MakeSpan(const PreparedTranscript& prepared, double share) {
  const std::vector<uint32_t> content = ContentPositions(prepared);
  InjectionSpan span;
  if (content.size() < 2) return span;
  const auto n = static_cast<size_t>(
      std::clamp<double>(std::round(share * static_cast<double>(content.size())), 1.0,
                         static_cast<double>(content.size() - 1)));
  span.positions.assign(content.begin(), content.begin() + static_cast<ptrdiff_t>(n));
  span.after.assign(content.begin() + static_cast<ptrdiff_t>(n), content.end());
  return span;
}

void RunInjections(const LanguageModel& model, const std::vector<PreparedTranscript>& transcripts,
                   const std::vector<InjectionSpan>& spans,
                   const std::vector<InjectedTrial>& trials, const InjectionRun& run,
                   const std::function<void(const InjectedBatch&)>& take) {
  const Runner runner(model, transcripts, spans, run);
  std::map<size_t, std::vector<const InjectedTrial*>> by_transcript;
  for (const InjectedTrial& trial : trials) by_transcript[trial.transcript].push_back(&trial);
  auto next = by_transcript.begin();
  while (next != by_transcript.end()) {
    // As many transcripts at a time as one clean pass takes; their states are then given up.
    std::vector<size_t> chunk;
    std::vector<const InjectedTrial*> clean_trials, injected;
    int64_t tokens = 0;
    for (; next != by_transcript.end(); ++next) {
      tokens += static_cast<int64_t>(transcripts[next->first].tokens.size());
      if (!chunk.empty() && tokens > run.batch_tokens) break;
      chunk.push_back(next->first);
      for (const InjectedTrial* trial : next->second) {
        (trial->direction < 0 ? clean_trials : injected).push_back(trial);
      }
    }
    const std::map<size_t, Clean> cleans = runner.RunClean(chunk);
    if (!clean_trials.empty()) take(runner.TakeClean(clean_trials, cleans));
    std::vector<const InjectedTrial*> batch;
    int64_t room = run.batch_tokens;
    const auto flush = [&] {
      if (!batch.empty()) take(runner.RunInjected(batch, cleans));
      batch.clear();
      room = run.batch_tokens;
    };
    for (const InjectedTrial* trial : injected) {
      const int64_t n = static_cast<int64_t>(transcripts[trial->transcript].tokens.size()) -
                        runner.RestartAt(*trial);
      if (n > room) flush();
      batch.push_back(trial);
      room -= n;
    }
    flush();
  }
}

double MeanContentNorm(const LanguageModel& model,
                       const std::vector<PreparedTranscript>& transcripts, int64_t block,
                       int64_t batch_tokens) {
  std::vector<uint32_t> lengths;
  for (const auto& transcript : transcripts) {
    lengths.push_back(static_cast<uint32_t>(transcript.tokens.size()));
  }
  double sum = 0, count = 0;
  for (const std::vector<uint32_t>& batch : PlanBatches(lengths, batch_tokens)) {
    std::vector<Sequence> sequences;
    std::vector<int64_t> rows;
    int64_t row = 0;
    for (const uint32_t index : batch) {
      sequences.push_back({transcripts[index].tokens, {}, nullptr});
      for (const uint32_t position : ContentPositions(transcripts[index])) {
        rows.push_back(row + position);
      }
      row += lengths[index];
    }
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.last_block = block;
    const at::Tensor residual = model.transformer->Forward(forward).residual;
    const at::Tensor norms =
        residual.index_select(0, IndexTensor(rows, residual.device())).norm(2, {-1});
    sum += norms.sum().item<double>();
    count += static_cast<double>(rows.size());
  }
  return sum / std::max(count, 1.0);
}

}  // namespace extrospect
