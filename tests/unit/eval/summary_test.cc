#include "eval/figures/summary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "eval/figures/verdict.h"
#include "eval/report/svg_chart.h"
#include "tests/unit/eval/synthetic_trials.h"

namespace extrospect {
namespace {

using nlohmann::ordered_json;

Trial InjectedTrialOf(const std::string& word, double dose, const std::string& transcript) {
  Trial trial;
  trial.id = "injected/" + word + "/" + transcript + "/" + std::to_string(dose);
  trial.truth = "injected";
  trial.subset = "seen";
  trial.concept_word = word;
  trial.labels = {word};
  trial.family = "f";
  trial.transcript = transcript;
  trial.dose = dose;
  trial.dose_level = dose == 0 ? "0" : "0.4";
  return trial;
}

TrialRecord Record(const Trial& trial, const std::string& channel, const std::string& reading,
                   double rank, bool detected, double score) {
  TrialRecord record;
  record.trial = trial;
  record.channel = channel;
  record.reading = reading;
  record.rank = rank;
  record.guess = rank == 1 ? trial.concept_word : "other";
  record.guess_family = rank == 1 ? "f" : "g";
  record.detection = score;
  record.detected = detected;
  return record;
}

SummaryOptions SmallOptions() {
  SummaryOptions options;
  options.decoders = {"probe"};
  options.self_channels = {"self-report"};
  options.text_channel = "text-only-pmi";
  options.bootstrap = 200;
  options.shuffles = 2;
  return options;
}

TEST(Summarize, CountsByHand) {
  std::vector<TrialRecord> records;
  for (const char* word : {"a", "b", "c", "d"}) {
    const bool right = *word != 'd';
    records.push_back(
        Record(InjectedTrialOf(word, 0.4, "t1"), "probe", "after", right ? 1 : 7, right, 0.9));
    records.push_back(
        Record(InjectedTrialOf(word, 0.4, "t1"), "self-report", "", right ? 3 : 1, false, 0.5));
    // The zero-dose trials of one transcript are one trial for false alarms.
    records.push_back(Record(InjectedTrialOf(word, 0, "t1"), "probe", "after", 9, true, 0.2));
  }
  records.push_back(Record(InjectedTrialOf("a", 0, "t2"), "probe", "after", 9, false, 0.1));
  const ordered_json summary = Summarize(records, SmallOptions());
  const auto* const group = FindGroup(summary, "injected", "seen", "probe", "real", "after", "all");
  ASSERT_NE(group, nullptr);
  EXPECT_EQ((*group)["n"], 4);
  EXPECT_NEAR((*group)["identification"]["top1"][0].get<double>(), 0.75, 1e-9);
  EXPECT_NEAR((*group)["identification"]["top5"][0].get<double>(), 0.75, 1e-9);
  EXPECT_NEAR((*group)["detection"]["hit_rate"][0].get<double>(), 0.75, 1e-9);
  EXPECT_EQ((*group)["detection"]["n_noise"], 2);
  EXPECT_NEAR((*group)["detection"]["false_alarm_rate"][0].get<double>(), 0.5, 1e-9);
  EXPECT_EQ((*group)["detection"]["auroc"][0], 1.0);
  const auto* const difference =
      FindComparison(summary, "injected", "seen", "probe", "after", "self-report", "real");
  ASSERT_NE(difference, nullptr);
  EXPECT_NEAR((*difference)["top1"][0].get<double>(), 0.75 - 0.25, 1e-6);
  EXPECT_NEAR((*difference)["top5"][0].get<double>(), 0.75 - 1.0, 1e-6);
}

TEST(Summarize, AFamilyIsRightWhereTheWordIsOrBothAreKnown) {
  TrialRecord record = Record(InjectedTrialOf("a", 0.4, "t1"), "probe", "after", 7, true, 0.9);
  EXPECT_FALSE(IsRightFamily(record));
  record.guess_family = "f";
  EXPECT_TRUE(IsRightFamily(record));
  // Words of a lexicon without families.
  record.trial.family = record.guess_family = "";
  EXPECT_FALSE(IsRightFamily(record));
  // The second of several labels.
  record.trial.family = "f";
  record.guess_family = "g";
  record.rank = 1;
  EXPECT_TRUE(IsRightFamily(record));
  EXPECT_EQ(FamilyRead(record), "f");
}

TEST(Verdict, NamesWhatCannotBeInterpreted) {
  std::vector<TrialRecord> records;
  for (int i = 0; i < 20; ++i) {
    const std::string word(1, static_cast<char>('a' + i));
    const std::string transcript = "t" + std::to_string(i);
    for (const double dose : {0.0, 0.4}) {
      TrialRecord record =
          Record(InjectedTrialOf(word, dose, transcript), "probe", "after", 1, true, 0.5);
      records.push_back(record);
      record.variant = "shuffled";  // as good as the real one
      records.push_back(record);
    }
  }
  const ordered_json verdict = Summarize(records, SmallOptions())["verdict"];
  EXPECT_FALSE(verdict["interpretable"].get<bool>());
  const std::string problems = verdict["problems"].dump();
  EXPECT_NE(problems.find("zeroed control of the probe decoder is missing"), std::string::npos);
  EXPECT_NE(problems.find("not told apart from its controls (shuffled 100 %)"), std::string::npos);
  EXPECT_NE(problems.find("reports a feeling in 100 % of trials where there is none"),
            std::string::npos);
}

TEST(Verdict, AWorkingDecoderIsInterpretable) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "eval_report";
  const ordered_json report = WriteSyntheticReport(folder);
  const ordered_json& verdict = report["verdict"];
  EXPECT_EQ(verdict["decoder"], "probe");
  const auto sentence = verdict["sentence"].get<std::string>();
  EXPECT_NE(sentence.find("Reading the activations beats asking the model"), std::string::npos)
      << sentence;
  EXPECT_EQ(verdict["problems"].dump().find("missing"), std::string::npos);
}

TEST(Report, TextFromOutsideStaysText) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "eval_report_html";
  WriteSyntheticReport(folder);
  const std::string page = ReadFile(folder / "report.html");
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(page.find("<b>bold"), std::string::npos);
  EXPECT_NE(page.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  // Nothing is fetched from anywhere.
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
}

TEST(TrialRecord, SurvivesItsLine) {
  Trial trial = InjectedTrialOf("word3", 0.4, "t");
  trial.raw = 3.25;
  trial.block = 9;
  trial.span_first = 4;
  trial.span_last = 19;
  RandomStream random(1, "record");
  TrialRecord record = SyntheticRecord(SyntheticLexicon(), trial, "small", 2.0, random);
  record.text = "a \"sentence\"\nwith a line";
  record.extra = {{"d", 0.5}};
  const std::string line = ToJson(record);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const TrialRecord back = ParseTrialRecord(line, "here");
  EXPECT_EQ(ToJson(back), line);
  EXPECT_EQ(back.text, record.text);
  EXPECT_EQ(back.top.size(), 10u);
}

TEST(TrialRecord, RefusesDamagedLines) {
  for (const char* line :
       {"", "[]", "{", "{\"id\":\"a\",\"truth\":\"maybe\",\"channel\":\"c\"}",
        "{\"id\":3,\"truth\":\"natural\",\"channel\":\"c\"}",
        "{\"id\":\"a\",\"truth\":\"natural\",\"channel\":\"c\",\"rank\":\"first\"}",
        "{\"id\":\"a\",\"truth\":\"natural\",\"channel\":\"c\",\"span\":[1]}",
        "{\"id\":\"a\",\"truth\":\"natural\",\"channel\":\"c\",\"top\":[3]}"}) {
    EXPECT_THROW(ParseTrialRecord(line, "here"), Error) << line;
  }
}

TEST(FillFromDistribution, JudgesByTheNearestOfSeveralLabels) {
  const Lexicon lexicon = SyntheticLexicon();
  std::vector<double> log_p(lexicon.size(), std::log(0.1 / 24));
  log_p[5] = std::log(0.6);
  log_p[9] = std::log(0.3);
  TrialRecord record;
  record.trial.truth = "natural";
  record.trial.concept_word = "word9";
  record.trial.labels = {"word9", "word2"};
  FillFromDistribution(lexicon, log_p, 0.0, record);
  EXPECT_EQ(record.guess, "word5");
  EXPECT_EQ(record.rank, 2.0);
  EXPECT_TRUE(record.near);  // word9 lists word5
  EXPECT_FALSE(record.correct);
  EXPECT_FALSE(record.abstained);
}

// As decoders do: by how probable any feeling is, not by how probable the best one is.
TEST(FillFromDistribution, AbstainsWhereNoFeelingIsProbableEnough) {
  const Lexicon lexicon = SyntheticLexicon();
  std::vector<double> log_p(lexicon.size(), std::log(0.1 / 24));
  log_p[5] = std::log(0.6);
  log_p[9] = std::log(0.3);
  const double feeling = 1.0 - std::exp(log_p[lexicon.nothing()]);
  TrialRecord record;
  record.trial.labels = {"word5"};
  FillFromDistribution(lexicon, log_p, feeling - 0.001, record);
  EXPECT_FALSE(record.abstained);
  FillFromDistribution(lexicon, log_p, feeling + 0.001, record);
  EXPECT_TRUE(record.abstained);
}

TEST(NiceTicks, AreRound) {
  std::vector<std::string> labels;
  for (const Tick& tick : NiceTicks(0, 0.37, 4, true)) labels.push_back(tick.label);
  EXPECT_EQ(labels, (std::vector<std::string>{"0 %", "10 %", "20 %", "30 %"}));
}

TEST(XyChart, EscapesNames) {
  ChartOptions options;
  const std::string svg = XyChart(options, {{"a<b", 0, {{0.1, 0.2, 0.1, 0.3, "\"tip\""}}}});
  EXPECT_NE(svg.find("a&lt;b"), std::string::npos);
  EXPECT_NE(svg.find("&quot;tip&quot;"), std::string::npos);
  EXPECT_EQ(svg.find("a<b"), std::string::npos);
}

}  // namespace
}  // namespace extrospect
