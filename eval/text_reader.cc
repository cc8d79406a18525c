#include "eval/text_reader.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/error.h"
#include "eval/figures/channel_scores.h"

namespace extrospect {
namespace {

// Room for the longest word.
constexpr int64_t kWordTokens = 32;

const std::vector<std::string>& Holders() {
  static const std::vector<std::string> holders = {"user", "assistant", "character"};
  return holders;
}

std::string HolderOf(const Transcript& transcript) {
  const auto& known = Holders();
  return std::find(known.begin(), known.end(), transcript.holder) != known.end() ? transcript.holder
                                                                                 : "user";
}

}  // namespace

TextReader::TextReader(const LanguageModel& model, const Lexicon& lexicon, int64_t tails,
                       int64_t batch_tokens)
    : model_(model), lexicon_(lexicon) {
  const std::vector<std::string> words = WordsToScore(lexicon);
  for (const std::string& holder : Holders()) {
    scorers_.try_emplace(holder, model, "The " + holder + " feels", words, ContextOf("", holder),
                         WordScorerOptions{.tails = tails, .batch_tokens = batch_tokens});
  }
}

std::vector<int32_t> TextReader::PromptTokens(const std::string& text,
                                              const std::string& holder) const {
  const std::string question =
      "What does the " + holder + " in this text feel? Answer with one word.";
  const std::string prompt = "Read this text.\n\n" + text + "\n\n" + question;
  const std::string answer = "The " + holder + " feels";
  if (!model_.chat_template) return model_.tokenizer->EncodePlain(prompt + "\n\n" + answer);
  const std::string rendered = model_.chat_template->Render({{"user", prompt}}, true);
  return model_.tokenizer->Encode(rendered + answer, /*parse_special=*/true).ids;
}

WordContext TextReader::ContextOf(const std::string& text, const std::string& holder) const {
  const int64_t limit = model_.architecture.context_length - kWordTokens;
  const auto excess = [&](const std::vector<int32_t>& tokens) {
    return static_cast<int64_t>(tokens.size()) - limit;
  };
  std::vector<int32_t> prompt = PromptTokens(text, holder);
  if (excess(prompt) <= 0) return {std::move(prompt), {}};
  const std::vector<int32_t> all = model_.tokenizer->EncodePlain(text);
  // Where it is cut, a text may turn into other tokens than before.
  for (auto first = excess(prompt); excess(prompt) > 0; first += excess(prompt)) {
    if (first >= static_cast<int64_t>(all.size())) return {PromptTokens("", holder), {}};
    prompt = PromptTokens(
        model_.tokenizer->Decode(std::span(all).subspan(static_cast<size_t>(first)), true), holder);
  }
  return {std::move(prompt), {}};
}

std::vector<TextReader::Answer> TextReader::Read(
    std::span<const Transcript* const> transcripts) const {
  std::vector<Answer> answers(transcripts.size());
  for (const std::string& holder : Holders()) {
    std::vector<WordContext> contexts;
    std::vector<size_t> owners;
    for (size_t i = 0; i < transcripts.size(); ++i) {
      if (HolderOf(*transcripts[i]) != holder) continue;
      contexts.push_back(ContextOf(PlainText(*transcripts[i]), holder));
      owners.push_back(i);
    }
    if (contexts.empty()) continue;
    const auto scores = scorers_.at(holder).Score(contexts);
    const std::vector<double> prior = ClassScores(lexicon_, scorers_.at(holder).reference().log_p);
    for (size_t k = 0; k < owners.size(); ++k) {
      Answer& answer = answers[owners[k]];
      answer.raw = ClassScores(lexicon_, scores[k].log_p);
      answer.pmi = answer.raw;
      for (size_t c = 0; c < prior.size(); ++c) answer.pmi[c] -= prior[c];
    }
  }
  return answers;
}

std::vector<std::string> WordsOf(const Transcript& transcript) {
  std::string text = transcript.text;
  for (const ChatMessage& message : transcript.messages) text += " " + message.content;
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 128 && (std::isalpha(byte) != 0 || c == '\'')) {
      word += static_cast<char>(std::tolower(byte));
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

BagOfWords::BagOfWords(const Lexicon& lexicon, std::span<const Transcript* const> train) {
  const auto n = static_cast<size_t>(lexicon.size());
  std::vector<double> classes(n, 0.5), totals(n, 0.0);
  std::vector<std::vector<double>> counts;
  for (const Transcript* transcript : train) {
    const int64_t label = lexicon.Find(transcript->emotion);
    if (label < 0) continue;
    classes[label] += 1;
    for (const std::string& word : WordsOf(*transcript)) {
      const auto [found, is_new] = words_.emplace(word, static_cast<int64_t>(counts.size()));
      if (is_new) counts.emplace_back(n, 0.0);
      counts[found->second][label] += 1;
      totals[label] += 1;
    }
  }
  double sum = 0;
  for (const double count : classes) sum += count;
  for (const double count : classes) prior_.push_back(std::log(count / sum));
  const auto vocabulary = static_cast<double>(counts.size());
  for (const std::vector<double>& row : counts) {
    std::vector<float>& log_p = log_p_.emplace_back();
    for (size_t c = 0; c < n; ++c) {
      log_p.push_back(static_cast<float>(std::log((row[c] + 1) / (totals[c] + vocabulary))));
    }
  }
}

std::vector<double> BagOfWords::Scores(const Transcript& transcript) const {
  std::vector<double> evidence(prior_.size(), 0.0);
  double n = 0;
  for (const std::string& word : WordsOf(transcript)) {
    const auto found = words_.find(word);
    if (found == words_.end()) continue;
    ++n;
    const std::vector<float>& log_p = log_p_[found->second];
    for (size_t c = 0; c < evidence.size(); ++c) evidence[c] += log_p[c];
  }
  std::vector<double> scores = prior_;
  for (size_t c = 0; c < scores.size(); ++c) scores[c] += evidence[c] / std::sqrt(std::max(n, 1.0));
  return scores;
}

}  // namespace extrospect
