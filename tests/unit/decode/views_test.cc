// What people look at: HTML, terminal, sentences, running means.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/html.h"
#include "decode/html_timeline.h"
#include "decode/reader.h"
#include "decode/sentence_pieces.h"
#include "decode/terminal.h"

namespace extrospect {
namespace {

Reading Sample(const std::string& sentence) {
  Reading reading;
  reading.transcript = "t<1>";
  reading.reading = sentence;
  reading.emotions = {{"angry", 0.6}, {"<em>", 0.2}};
  reading.valence = -0.5;
  reading.arousal = 0.5;
  reading.confidence = 0.6;
  return reading;
}

TEST(HtmlTest, EscapesEverythingThatHtmlReads) {
  EXPECT_EQ(EscapeHtml("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(EscapeHtml("tab\tline\n"), "tab\tline\n");
  EXPECT_EQ(EscapeHtml("é ⟦漢⟧ 😀"), "é ⟦漢⟧ 😀");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(EscapeHtml(std::string("a\0b\x1B", 4)), "a" + bad + "b" + bad);
  EXPECT_EQ(EscapeHtml("\xC3("), bad + "(");               // cut off
  EXPECT_EQ(EscapeHtml("\xC0\xBC"), bad + bad);            // "<", overlong
  EXPECT_EQ(EscapeHtml("\xED\xA0\x80"), bad + bad + bad);  // a surrogate
}

TEST(HtmlTest, AScriptInATranscriptIsText) {
  const std::string evil = "<script>alert(1)</script>";
  const std::string attribute = "\" onmouseover=\"alert(2)";
  TimelineTranscript transcript;
  transcript.id = evil;
  transcript.meant = evil;
  transcript.reading = Sample(evil);
  transcript.messages = {{evil, {{evil, Sample(attribute)}, {attribute, {}}, {"", Sample("x")}}}};
  const std::string html = HtmlTimeline({evil, evil, {transcript}});
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  EXPECT_EQ(html.find("\" onmouseover"), std::string::npos);
  EXPECT_EQ(html.find("<em>"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(1)&lt;/script&gt;"), std::string::npos);
  EXPECT_NE(html.find("data-s=\"&quot; onmouseover=&quot;alert(2)\""), std::string::npos);
  // One script: the page's own. Nothing is loaded.
  EXPECT_EQ(html.find("<script>"), html.rfind("<script>"));
  EXPECT_EQ(html.find("http://"), std::string::npos);
  EXPECT_EQ(html.find("https://"), std::string::npos);
  EXPECT_EQ(html.find(" src="), std::string::npos);
}

TEST(TerminalTest, ControlCharactersCannotSteerTheTerminal) {
  Reading reading = Sample("The user feels angry.\033[2J");
  const std::string text = TerminalView(reading, false);
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_NE(text.find("The user feels angry.?[2J"), std::string::npos);
  EXPECT_NE(text.find("60.0%"), std::string::npos);
  EXPECT_NE(TerminalView(reading, true).find("\033["), std::string::npos);
}

TEST(SentenceTest, TemplatesNameHolderAndWord) {
  EXPECT_EQ(TemplateSentence("user", "ashamed"), "The user feels ashamed.");
  EXPECT_EQ(TemplateSentence("", "calm"), "The holder feels calm.");
  EXPECT_EQ(TemplateSentence("assistant", "nothing to report"),
            "The assistant reports nothing of note.");
}

TEST(SentencePiecesTest, WordsThatStandAloneAreMarked) {
  const Lexicon lexicon(
      {{"mad", "", 0, 0, {}}, {"worn out", "", 0, 0, {}}, {"worn", "", 0, 0, {}}});
  EXPECT_EQ(MarkWords(lexicon, "The user feels mad."), "The user feels⟦0⟧.");
  EXPECT_EQ(MarkWords(lexicon, "Made madly, half-mad: Mad"), "Made madly, half-mad:⟦0⟧");
  EXPECT_EQ(MarkWords(lexicon, "is worn out, worn outside"), "is⟦1⟧,⟦2⟧ outside");
}

TEST(SentencePiecesTest, ComesBackAsItWentIn) {
  const Lexicon lexicon({{"mad", "", 0, 0, {}}, {"worn out", "", 0, 0, {}}});
  std::vector<std::string> sentences;
  for (int i = 0; i < 40; ++i) {
    sentences.push_back("The user feels mad about the letter number " + std::to_string(i) + ".");
    sentences.push_back("The assistant feels worn out by a heap of logs.");
  }
  const std::string model = SentencePieces::Train(lexicon, sentences, 100);
  EXPECT_EQ(model, SentencePieces::Train(lexicon, sentences, 100));
  const SentencePieces pieces(lexicon, model, "test");
  for (const std::string& sentence : {sentences[3], sentences[4]}) {
    EXPECT_EQ(pieces.Decode(pieces.Encode(sentence)), sentence);
  }
  const auto ids = pieces.Encode("The user feels worn out");
  EXPECT_EQ(ids.back(), pieces.SymbolOf(1));
  EXPECT_THROW(SentencePieces(lexicon, "nonsense", "test"), std::exception);
  const Lexicon larger({{"mad", "", 0, 0, {}}, {"worn out", "", 0, 0, {}}, {"glad", "", 0, 0, {}}});
  EXPECT_THROW(SentencePieces(larger, model, "test"), std::exception);
}

}  // namespace
}  // namespace extrospect
