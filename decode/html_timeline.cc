#include "decode/html_timeline.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/html.h"
#include "records/lexicon.h"

namespace extrospect {
namespace {

constexpr size_t kBest = 5;

constexpr char kStyle[] = R"css(
:root{color-scheme:light dark;--paper:#faf9f6;--card:#fff;--ink:#22252a;--soft:#646a73;--rule:#e5e2db;
--low:201,84,25;--mid:128,128,128;--high:15,103,178;--shadow:0 1px 2px rgba(30,25,10,.05),0 8px 28px rgba(30,25,10,.05)}
@media(prefers-color-scheme:dark){:root{--paper:#15181c;--card:#1c2026;--ink:#e7e9ec;--soft:#9fa7b1;--rule:#2e343c;
--low:255,140,84;--mid:150,150,150;--high:96,176,255;--shadow:none}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.65 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:860px;margin:0 auto;padding:36px 20px 200px}
h1{font-size:27px;line-height:1.25;margin:0 0 6px;font-weight:680;letter-spacing:-.01em}
.about{color:var(--soft);font-size:14px;margin:0 0 4px;overflow-wrap:anywhere}
.legend{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;font-size:13.5px;color:var(--soft);margin:18px 0 26px}
.scale{width:190px;height:12px;border-radius:6px;background:linear-gradient(90deg,rgba(var(--low),.75),rgba(var(--mid),.22),rgba(var(--high),.75))}
.strength{width:90px;height:12px;border-radius:6px;background:linear-gradient(90deg,rgba(var(--low),.06),rgba(var(--low),.8))}
article{background:var(--card);border:1px solid var(--rule);border-radius:16px;box-shadow:var(--shadow);padding:20px 22px;margin:0 0 22px}
.id{font-size:13px;color:var(--soft);overflow-wrap:anywhere}.id b{font-weight:600;color:var(--ink)}
h2{font-size:20px;line-height:1.35;margin:4px 0 12px;font-weight:620;overflow-wrap:anywhere}
.overview{display:flex;flex-wrap:wrap;gap:10px 28px;align-items:center;margin:0 0 14px}
.best{display:grid;grid-template-columns:max-content 120px max-content;gap:3px 12px;font-size:14px;align-items:center}
.best i{display:block;height:8px;border-radius:4px;background:currentColor;opacity:.55;min-width:2px}
.best span:nth-child(3n){color:var(--soft);font-variant-numeric:tabular-nums;text-align:right}
.plane{width:92px;height:92px;flex:none}.plane text{font-size:9px;fill:var(--soft)}.plane line,.plane rect{stroke:var(--rule);fill:none}
.turn{border-top:1px solid var(--rule);padding:12px 0 4px}
.role{font-size:12px;font-weight:650;letter-spacing:.06em;text-transform:uppercase;color:var(--soft)}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 8px;line-height:1.85}
.t{border-radius:3px;padding:2px 0;cursor:default;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.t:hover,.t:focus{outline:2px solid var(--ink);outline-offset:0}
#now{position:fixed;left:0;right:0;bottom:0;background:var(--card);border-top:1px solid var(--rule);box-shadow:0 -6px 28px rgba(0,0,0,.12);padding:12px 20px;font-size:14.5px;min-height:74px}
#now div{max-width:820px;margin:0 auto;display:flex;flex-wrap:wrap;gap:2px 18px;align-items:baseline}
#now b{font-size:16px;font-weight:620;flex-basis:100%}#now span{color:var(--soft);font-variant-numeric:tabular-nums}
@media print{#now{display:none}}
)css";

// textContent throughout: what is shown is never parsed as HTML.
constexpr char kScript[] = R"js(
(function(){var box=document.querySelector('#now div');
function show(t){if(!t||!t.dataset||!t.dataset.s)return;box.textContent='';
var b=document.createElement('b');b.textContent=t.dataset.s;box.appendChild(b);
t.dataset.e.split('|').concat(t.dataset.a).forEach(function(x){var s=document.createElement('span');s.textContent=x;box.appendChild(s)})}
document.addEventListener('mouseover',function(e){show(e.target)});
document.addEventListener('focusin',function(e){show(e.target)});
document.addEventListener('keydown',function(e){var t=document.activeElement;
if(!t||!t.classList.contains('t')||(e.key!=='ArrowRight'&&e.key!=='ArrowLeft'))return;
var all=Array.prototype.slice.call(t.closest('article').querySelectorAll('.t')),
n=all[all.indexOf(t)+(e.key==='ArrowRight'?1:-1)];if(n){all.forEach(function(x){x.tabIndex=-1});n.tabIndex=0;n.focus();e.preventDefault()}});
})();
)js";

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Percent(double p) { return Format(p < 0.0995 ? "%.1f %%" : "%.0f %%", 100 * p); }

// Hue by valence (orange: bad, grey, blue: good; told apart by colour-blind readers too); strength
// by arousal and confidence.
std::string Background(const Reading& reading) {
  if (reading.abstained) return "";
  const double valence = std::clamp(reading.valence, -1.0, 1.0);
  const double arousal = (std::clamp(reading.arousal, -1.0, 1.0) + 1) / 2;
  const double sure = std::min(1.0, 0.35 + 1.3 * std::clamp(reading.confidence, 0.0, 1.0));
  const double strength = (0.25 + 0.75 * arousal) * sure;
  const double share = std::min(1.0, std::abs(valence) * 1.6);
  const std::string end = valence < 0 ? "--low" : "--high";
  return "background:color-mix(in srgb,rgb(var(" + end + ")) " + Format("%.0f", 100 * share) +
         "%,rgb(var(--mid)));background:color-mix(in srgb,color-mix(in srgb,rgb(var(" + end +
         ")) " + Format("%.0f", 100 * share) + "%,rgb(var(--mid))) " +
         Format("%.0f", 100 * (0.06 + 0.62 * strength)) + "%,transparent)";
}

std::string BestAsText(const Reading& reading) {
  std::string text;
  for (size_t i = 0; i < std::min(kBest, reading.emotions.size()); ++i) {
    text += (i == 0 ? "" : "|") + reading.emotions[i].name + " " + Percent(reading.emotions[i].p);
  }
  return text;
}

std::string AffectText(const Reading& reading) {
  return "valence " + Format("%+.2f", reading.valence) + ", arousal " +
         Format("%+.2f", reading.arousal);
}

std::string BestAsBars(const Reading& reading) {
  std::string html = "<div class=\"best\">";
  for (size_t i = 0; i < std::min(kBest, reading.emotions.size()); ++i) {
    const EmotionProbability& emotion = reading.emotions[i];
    html += "<span>" + EscapeHtml(emotion.name) + "</span><span><i style=\"width:" +
            Format("%.1f", 100 * std::clamp(emotion.p, 0.0, 1.0)) + "%\"></i></span><span>" +
            Percent(emotion.p) + "</span>";
  }
  return html + "</div>";
}

// Valence to the right, arousal upwards, the reading as a dot.
std::string Plane(const Reading& reading) {
  const double x = 46 + 36 * std::clamp(reading.valence, -1.0, 1.0);
  const double y = 46 - 36 * std::clamp(reading.arousal, -1.0, 1.0);
  return "<svg class=\"plane\" viewBox=\"0 0 92 92\" role=\"img\" aria-label=\"" +
         AffectText(reading) +
         "\"><rect x=\"10\" y=\"10\" width=\"72\" height=\"72\" rx=\"6\"/>"
         "<line x1=\"46\" y1=\"10\" x2=\"46\" y2=\"82\"/><line x1=\"10\" y1=\"46\" x2=\"82\" "
         "y2=\"46\"/><text x=\"46\" y=\"7\" text-anchor=\"middle\">aroused</text>"
         "<text x=\"46\" y=\"91\" text-anchor=\"middle\">bad - good</text><circle cx=\"" +
         Format("%.1f", x) + "\" cy=\"" + Format("%.1f", y) + "\" r=\"5\" fill=\"rgb(var(" +
         (reading.valence < 0 ? "--low" : "--high") + "))\"/></svg>";
}

std::string Token(const TimelineToken& token, bool& first) {
  if (token.text.empty()) return "";
  if (!token.reading) return EscapeHtml(token.text);
  // One stop for Tab in a transcript; the arrow keys go on from there.
  const std::string stop = first ? "0" : "-1";
  first = false;
  const std::string style = Background(*token.reading);
  return "<span class=\"t\" tabindex=\"" + stop + "\"" +
         (style.empty() ? "" : " style=\"" + style + "\"") + " data-s=\"" +
         EscapeHtml(token.reading->reading) + "\" data-e=\"" +
         EscapeHtml(BestAsText(*token.reading)) + "\" data-a=\"" + AffectText(*token.reading) +
         "\">" + EscapeHtml(token.text) + "</span>";
}

std::string Article(const TimelineTranscript& transcript) {
  std::string html = "<article><div class=\"id\">" + EscapeHtml(transcript.id);
  if (!transcript.meant.empty()) html += " · meant: <b>" + EscapeHtml(transcript.meant) + "</b>";
  html += "</div><h2>" + EscapeHtml(transcript.reading.reading) + "</h2><div class=\"overview\">" +
          BestAsBars(transcript.reading) + Plane(transcript.reading) + "</div>";
  bool first = true;
  for (const TimelineMessage& message : transcript.messages) {
    html += "<div class=\"turn\"><div class=\"role\">" + EscapeHtml(message.role) +
            "</div><div class=\"text\">";
    for (const TimelineToken& token : message.tokens) html += Token(token, first);
    html += "</div></div>";
  }
  return html + "</article>\n";
}

}  // namespace

std::string HtmlTimeline(const Timeline& timeline) {
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'\"><title>Readings</title><style>" +
      std::string(kStyle) + "</style></head><body><main><h1>What was read, token by token</h1>" +
      "<p class=\"about\">" + EscapeHtml(timeline.decoder) + "</p><p class=\"about\">" +
      EscapeHtml(timeline.source) +
      "</p><div class=\"legend\"><span>bad</span><span class=\"scale\"></span><span>good</span>"
      "<span>calm or unsure</span><span class=\"strength\"></span><span>aroused and sure</span>"
      "<span>no colour: nothing to report</span></div>\n";
  for (const TimelineTranscript& transcript : timeline.transcripts) html += Article(transcript);
  return html +
         "</main><div id=\"now\" aria-live=\"polite\"><div><span>Point at a word, or reach one "
         "with Tab and go on with the arrow keys, to see what is read there.</span></div></div>"
         "<script>" +
         kScript + "</script></body></html>\n";
}

}  // namespace extrospect
