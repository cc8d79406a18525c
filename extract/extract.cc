#include "extract/extract.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "model/hooks.h"
#include "model/index_tensor.h"

namespace extrospect {
namespace {

// Batches that may wait for the sink; more would only take memory.
constexpr size_t kQueueLength = 2;

// The rows of one batch, ready to be written.
struct Finished {
  std::vector<uint32_t> transcripts;
  std::vector<uint64_t> first_rows;  // per transcript, in the file
  std::vector<int64_t> counts;       // per transcript
  std::vector<at::Tensor> hooks;     // per hook [rows of all transcripts, d_model] float32, CPU
};

// Hands finished batches to the sink on a thread of its own.
class SinkThread {
 public:
  SinkThread(RowSink& sink, const ExtractPlan& plan, const std::vector<int64_t>& blocks)
      : sink_(sink), plan_(plan), blocks_(blocks), thread_([this] { Run(); }) {}

  ~SinkThread() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // Waits for a place in the queue. Throws what the sink threw.
  void Push(Finished finished) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return queue_.size() < kQueueLength || failure_; });
    if (failure_) std::rethrow_exception(failure_);
    queue_.push_back(std::move(finished));
    changed_.notify_all();
  }

  // Waits until everything is written.
  void Finish() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void Run() {
    while (true) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !queue_.empty() || closed_; });
      if (queue_.empty()) return;
      const Finished finished = std::move(queue_.front());
      queue_.pop_front();
      changed_.notify_all();
      lock.unlock();
      try {
        Write(finished);
      } catch (...) {
        const std::lock_guard relock(mutex_);
        failure_ = std::current_exception();
        queue_.clear();
        changed_.notify_all();
        return;
      }
    }
  }

  void Write(const Finished& finished) {
    for (size_t hook = 0; hook < finished.hooks.size(); ++hook) {
      int64_t row = 0;
      for (size_t i = 0; i < finished.transcripts.size(); ++i) {
        const int64_t count = finished.counts[i];
        if (count == 0) continue;
        const at::Tensor rows = finished.hooks[hook].narrow(0, row, count);
        if (!at::isfinite(rows.sum()).item<bool>()) {
          throw Error("the activations hold a value that is not finite")
              .At("transcript '" + plan_.layout.transcripts[finished.transcripts[i]].id + "', " +
                  HookName(blocks_[hook]))
              .Hint("the weights may be damaged; try --dtype f32, and check the model file");
        }
        sink_.Write(hook, finished.first_rows[i], rows);
        row += count;
      }
    }
    sink_.Done(finished.transcripts);
  }

  RowSink& sink_;
  const ExtractPlan& plan_;
  const std::vector<int64_t>& blocks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Finished> queue_;
  bool closed_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

// Computes the rows of batches: owns the shared prefix.
class BatchRunner {
 public:
  BatchRunner(const Transformer& model, const ExtractPlan& plan, const ExtractOptions& options)
      : model_(model), plan_(plan), options_(options) {
    last_block_ = *std::max_element(options.blocks.begin(), options.blocks.end());
    if (plan.prefix.empty()) return;
    const int64_t length = static_cast<int64_t>(plan.prefix.size());
    prefix_ = model.MakeSegment(length, 0, last_block_);
    prefix_rows_.resize(options.blocks.size());
    const std::vector<Sequence> sequences = {{plan.prefix, {}, prefix_}};
    Forward(sequences, [this](size_t hook, const at::Tensor& residual) {
      prefix_rows_[hook] = residual.clone();
    });
  }

  Finished Run(const std::vector<uint32_t>& batch) {
    std::vector<Sequence> sequences;
    Finished finished;
    const auto prefix_length = static_cast<uint32_t>(plan_.prefix.size());
    // Positions of the rows in prefix rows | new rows of all sequences.
    std::vector<std::vector<int64_t>> places;
    bool reads_prefix = false;
    uint32_t first_new = prefix_length;
    for (const uint32_t index : batch) {
      const std::vector<int32_t>& tokens = plan_.transcripts[index].tokens;
      const uint32_t skipped = plan_.has_prefix[index] ? prefix_length : 0;
      Sequence& sequence = sequences.emplace_back();
      sequence.tokens.assign(tokens.begin() + skipped, tokens.end());
      if (skipped > 0) sequence.past = {prefix_};
      for (const std::vector<uint32_t>& positions : plan_.rows[index]) {
        std::vector<int64_t>& place = places.emplace_back();
        for (const uint32_t position : positions) {
          reads_prefix |= position < skipped;
          place.push_back(position < skipped ? position : first_new + position - skipped);
        }
      }
      first_new += static_cast<uint32_t>(tokens.size()) - skipped;
      const auto& record = plan_.layout.transcripts[index];
      finished.transcripts.push_back(index);
      finished.first_rows.push_back(record.first_row);
      finished.counts.push_back(record.n_rows);
    }
    const int64_t offset = reads_prefix ? 0 : prefix_length;
    const Selector selector = MakeSelector(places, offset);
    finished.hooks.resize(options_.blocks.size());
    Forward(sequences, [&](size_t hook, const at::Tensor& residual) {
      const at::Tensor source =
          reads_prefix ? at::cat({prefix_rows_[hook].to(residual.device()), residual}) : residual;
      const at::Tensor rows = selector.Rows(source, options_.pool_mean);
      finished.hooks[hook] = rows.to(at::kFloat).to(at::kCPU).contiguous();
    });
    return finished;
  }

 private:
  // What makes rows of the batch's residuals.
  struct Selector {
    at::Tensor places;  // [selected] int64: rows of the source, those of one result together
    at::Tensor starts;  // [results] int64: where each result's places begin

    // The selected rows of `source` [rows, d_model], or their means, float32.
    at::Tensor Rows(const at::Tensor& source, bool mean) const {
      constexpr int64_t kMean = 1;  // of embedding_bag's modes
      const at::Tensor index = places.to(source.device());
      if (!mean) return source.index_select(0, index);
      return std::get<0>(at::embedding_bag(source.to(at::kFloat), index, starts.to(index.device()),
                                           /*scale_grad_by_freq=*/false, kMean));
    }
  };

  Selector MakeSelector(const std::vector<std::vector<int64_t>>& places, int64_t offset) const {
    std::vector<int64_t> flat, starts;
    for (const std::vector<int64_t>& place : places) {
      starts.push_back(static_cast<int64_t>(flat.size()));
      for (const int64_t row : place) flat.push_back(row - offset);
    }
    return {IndexTensor(flat, at::kCPU), IndexTensor(starts, at::kCPU)};
  }

  template <typename Take>
  void Forward(const std::vector<Sequence>& sequences, Take take) {
    ForwardOptions forward;
    forward.sequences = sequences;
    forward.last_block = last_block_;
    forward.observe = [&](int64_t block, const at::Tensor& residual) {
      const auto found = std::find(options_.blocks.begin(), options_.blocks.end(), block);
      if (found != options_.blocks.end()) take(found - options_.blocks.begin(), residual);
    };
    model_.Forward(forward);
  }

  const Transformer& model_;
  const ExtractPlan& plan_;
  const ExtractOptions& options_;
  int64_t last_block_ = 0;
  std::shared_ptr<KvSegment> prefix_;
  std::vector<at::Tensor> prefix_rows_;
};

bool StartsWith(const std::vector<int32_t>& tokens, const std::vector<int32_t>& prefix) {
  return !prefix.empty() && tokens.size() > prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

}  // namespace

ExtractPlan PlanExtraction(const LanguageModel& model, const std::vector<Transcript>& transcripts,
                           const ExtractOptions& options) {
  if (transcripts.empty()) throw Error("there are no transcripts to extract from");
  if (options.selections.empty() || (!options.pool_mean && options.selections.size() != 1)) {
    throw UsageError("several token selections need a pool")
        .At("--tokens")
        .Hint("use --pool mean, which gives one row per selection, or one selection");
  }
  ExtractPlan plan;
  for (const Transcript& transcript : transcripts) {
    plan.transcripts.push_back(Prepare(model, transcript, options.prepare));
  }
  plan.prefix = SharedPrefix(plan.transcripts);
  ActivationLayout& layout = plan.layout;
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < transcripts.size(); ++i) {
    const PreparedTranscript& prepared = plan.transcripts[i];
    const auto n_tokens = static_cast<uint32_t>(prepared.tokens.size());
    const bool shares = StartsWith(prepared.tokens, plan.prefix);
    plan.has_prefix.push_back(shares);
    lengths.push_back(n_tokens - (shares ? static_cast<uint32_t>(plan.prefix.size()) : 0));
    auto& record = layout.transcripts.emplace_back();
    record.id = transcripts[i].id;
    record.json = transcripts[i].json;
    record.first_row = layout.n_rows();
    record.n_tokens = n_tokens;
    std::vector<std::vector<uint32_t>>& rows = plan.rows.emplace_back();
    const auto add_row = [&](size_t selection, std::vector<uint32_t> positions) {
      layout.transcript.push_back(static_cast<uint32_t>(i));
      layout.position.push_back(positions.back());
      if (options.pool_mean) layout.first_position.push_back(positions.front());
      layout.token_id.push_back(prepared.tokens[positions.back()]);
      plan.selection.push_back(static_cast<uint8_t>(selection));
      rows.push_back(std::move(positions));
    };
    for (size_t s = 0; s < options.selections.size(); ++s) {
      std::vector<uint32_t> positions =
          options.selections[s].Positions(n_tokens, prepared.messages);
      if (options.pool_mean) {
        if (!positions.empty()) add_row(s, std::move(positions));
      } else {
        for (const uint32_t position : positions) add_row(s, {position});
      }
    }
    record.n_rows = static_cast<uint32_t>(rows.size());
  }
  if (layout.n_rows() == 0) {
    throw Error("no transcript has a token that the selection names")
        .At("--tokens " + options.selections.front().name());
  }
  plan.parts = PlanParts(lengths, options.batch_tokens);
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    const size_t begin = plan.parts[i];
    const size_t end = i + 1 < plan.parts.size() ? plan.parts[i + 1] : lengths.size();
    auto batches =
        PlanBatches(std::span(lengths).subspan(begin, end - begin), options.batch_tokens);
    for (std::vector<uint32_t>& batch : batches) {
      for (uint32_t& index : batch) index += static_cast<uint32_t>(begin);
      plan.batches.push_back(std::move(batch));
    }
  }
  // Memory runs out early or never.
  std::stable_sort(plan.batches.begin(), plan.batches.end(), [&](const auto& a, const auto& b) {
    return lengths[a.front()] > lengths[b.front()];
  });
  return plan;
}

void RunExtraction(const LanguageModel& model, const ExtractPlan& plan,
                   const ExtractOptions& options, const std::vector<uint8_t>& done, RowSink& sink,
                   const std::function<void(int64_t tokens)>& progress) {
  const c10::InferenceMode inference;
  BatchRunner runner(*model.transformer, plan, options);
  SinkThread writer(sink, plan, options.blocks);
  for (const std::vector<uint32_t>& batch : plan.batches) {
    const bool written =
        std::all_of(batch.begin(), batch.end(), [&](uint32_t i) { return done[i] != 0; });
    int64_t tokens = 0;
    for (const uint32_t i : batch) {
      tokens += static_cast<int64_t>(plan.transcripts[i].tokens.size());
    }
    if (!written) writer.Push(runner.Run(batch));
    if (progress) progress(tokens);
    if (Interrupted()) break;
  }
  writer.Finish();
  ThrowIfInterrupted("what was finished is kept; run again with --resume to continue");
}

at::Tensor ExtractRows(const LanguageModel& model, const ExtractPlan& plan,
                       const ExtractOptions& options,
                       const std::function<void(int64_t tokens)>& progress) {
  struct MemorySink : RowSink {
    at::Tensor rows;
    void Write(size_t hook, uint64_t first_row, const at::Tensor& values) override {
      rows.narrow(0, static_cast<int64_t>(first_row), values.size(0))
          .select(1, static_cast<int64_t>(hook))
          .copy_(values);
    }
    void Done(const std::vector<uint32_t>&) override {}
  } sink;
  sink.rows = at::empty({static_cast<int64_t>(plan.layout.n_rows()),
                         static_cast<int64_t>(options.blocks.size()), model.architecture.d_model},
                        at::TensorOptions(at::kFloat).device(at::kCPU));
  RunExtraction(model, plan, options, std::vector<uint8_t>(plan.transcripts.size(), 0), sink,
                progress);
  return sink.rows;
}

}  // namespace extrospect
