// The report page's style sheet and its little script. Internal to the report.
#pragma once

namespace extrospect {

inline constexpr char kReportStyle[] = R"css(
:root{color-scheme:light dark;--page:#fbfaf7;--card:#fff;--ink:#1d2126;--soft:#5b636d;--faint:#8b929b;
--line:#e4e1da;--grid:#ecebe5;--accent:#0a62a6;--warn-back:#fff4e0;--warn-line:#d98a00;--good-back:#e9f5ee;--good-line:#1b8a5a;
--c0:#0a6ebd;--c1:#0b8f6a;--c2:#d1480b;--c3:#b87700;--c4:#a0479a;--c5:#5a5fc7;--c6:#7a5c3e;--c7:#00838f;--c8:#b8326b;--c9:#7d858e;
--cell:10,98,166;--shadow:0 1px 2px rgba(30,25,10,.05),0 6px 24px rgba(30,25,10,.05)}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1b1f25;--ink:#e8eaed;--soft:#aab1ba;--faint:#79818b;
--line:#2d333b;--grid:#262b32;--accent:#6db5f2;--warn-back:#33270f;--warn-line:#e0a030;--good-back:#13291f;--good-line:#4cc38a;
--c0:#5aaef5;--c1:#3cc79a;--c2:#ff8a57;--c3:#e9b03a;--c4:#d98ad3;--c5:#9ea2ff;--c6:#c9a77e;--c7:#4fc6d3;--c8:#ff86b3;--c9:#8b939d;
--cell:90,174,245;--shadow:none}}
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:860px;margin:0 auto;padding:40px 20px 80px}
.kicker{color:var(--soft);font-size:14px;letter-spacing:.02em;margin:0 0 14px}
.kicker b{color:var(--accent);font-weight:650;letter-spacing:.08em;text-transform:uppercase;font-size:12px;margin-right:8px}
h1{font-size:clamp(20px,3vw,26px);line-height:1.36;font-weight:660;letter-spacing:-.012em;margin:0 0 16px;text-wrap:pretty}
h2{font-size:21px;line-height:1.3;letter-spacing:-.01em;margin:60px 0 8px}
h3{font-size:16px;margin:26px 0 6px}
p{margin:8px 0;text-wrap:pretty}.lead{font-size:17px;color:var(--soft)}.note{color:var(--soft);font-size:14.5px}
.callout{border-left:4px solid var(--warn-line);background:var(--warn-back);padding:12px 16px;border-radius:0 10px 10px 0;margin:16px 0}
.callout.good{border-color:var(--good-line);background:var(--good-back)}
.callout ul{margin:4px 0;padding-left:20px}.callout p{margin:2px 0}
figure{margin:18px 0;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 16px 12px;box-shadow:var(--shadow)}
figure .scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}figure svg{display:block;width:100%;min-width:480px;height:auto}
figure.square svg{max-width:560px;min-width:430px;margin:0 auto}
figcaption{color:var(--soft);font-size:14px;line-height:1.5;margin-top:8px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:16px}.pair figure{margin:0}.pair figure svg{min-width:320px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;margin:18px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:14px 16px;box-shadow:var(--shadow)}
.card .n{font-size:27px;font-weight:660;letter-spacing:-.02em;line-height:1.2;font-variant-numeric:tabular-nums}
.card .w{font-size:13.5px;color:var(--soft);line-height:1.4}.card .i{font-size:12.5px;color:var(--faint);font-variant-numeric:tabular-nums}
.table{overflow-x:auto;margin:14px 0}table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft);text-align:right;padding:7px 10px;border-bottom:1.5px solid var(--line);white-space:nowrap;vertical-align:bottom}
td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}td .i{color:var(--faint);font-size:12px;margin-left:5px}
tr.quiet td{color:var(--soft)}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:8px;background:currentColor}
details{margin:12px 0}summary{cursor:pointer;color:var(--accent);font-size:14.5px}
summary:focus-visible,[data-tip]:focus-visible{outline:2px solid var(--accent);outline-offset:3px}
.example{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px 18px;margin:12px 0;box-shadow:var(--shadow)}
.example .top{display:flex;flex-wrap:wrap;gap:6px 12px;align-items:baseline;font-size:14px;color:var(--soft)}
.example .top b{color:var(--ink);font-size:15.5px}
.example blockquote{margin:10px 0;padding:0 0 0 14px;border-left:3px solid var(--line);white-space:pre-wrap;overflow-wrap:anywhere;font-size:15px;max-height:260px;overflow-y:auto}
.example .said{font-weight:600}.bars{display:grid;grid-template-columns:max-content 1fr max-content;gap:3px 10px;align-items:center;font-size:13.5px;margin-top:10px;max-width:460px}
.bars i{display:block;height:9px;border-radius:3px;background:var(--c0);opacity:.85;min-width:2px}.bars .hit{font-weight:700}.bars .hit+span i{background:var(--c1)}
.bars span:nth-child(3n){color:var(--soft);font-variant-numeric:tabular-nums}
.badge{display:inline-block;border-radius:20px;padding:1px 10px;font-size:12.5px;border:1px solid var(--line);color:var(--soft)}
pre{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;overflow-x:auto;font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}.hash{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--soft);overflow-wrap:anywhere;white-space:normal;text-align:left}
#tip{position:fixed;z-index:9;pointer-events:none;background:var(--ink);color:var(--page);padding:6px 10px;border-radius:8px;font-size:13px;line-height:1.4;max-width:280px;opacity:0;transition:opacity .1s;white-space:pre-line}
svg text{font-family:inherit;fill:var(--ink);font-size:12px}svg .tick{fill:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
svg .row,svg .heading,svg .title,svg .rule-name{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}svg .title{fill:var(--soft);font-size:12.5px}svg .row{font-size:13px}svg .heading{font-size:13px;font-weight:650}svg .name{font-size:13px;font-weight:600;fill:var(--c)}
svg .middle{text-anchor:middle}svg .end{text-anchor:end}svg .grid{stroke:var(--grid)}svg .axis{stroke:var(--faint)}
svg .rule{stroke:var(--faint);stroke-dasharray:5 4}svg .line{fill:none;stroke:var(--c);stroke-width:2.4;stroke-linejoin:round;stroke-linecap:round}
svg .dashed{stroke-dasharray:2 6}svg .band{fill:var(--c);opacity:.14}svg .whisker{stroke:var(--c);stroke-width:2.2;opacity:.6;stroke-linecap:round}
svg .dot{fill:var(--c);stroke:var(--card);stroke-width:1.4}svg .hollow{fill:var(--card);stroke:var(--c);stroke-width:2}svg .leader{stroke:var(--c);opacity:.5}
svg .cell-back{fill:var(--grid);opacity:.55}svg .cell{fill:rgb(var(--cell))}svg .cell-number{text-anchor:middle;font-size:10.5px;fill:var(--ink)}svg .cell-number.strong{fill:var(--card);font-weight:600}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}.c8{--c:var(--c8)}.c9{--c:var(--c9)}
.swatch[class*=" c"]{background:var(--c)}
footer{margin-top:60px;color:var(--faint);font-size:13px}
@media(max-width:720px){main{padding:24px 14px 60px}.pair{grid-template-columns:1fr}figure{padding:12px 10px}h2{margin-top:46px}}
@media print{figure,.card,.example{box-shadow:none;break-inside:avoid}}
)css";

// Shows what a mark stands for where the pointer is, or the keyboard.
inline constexpr char kReportScript[] = R"js(
(function(){var tip=document.getElementById('tip');
function show(e){var t=e.target.closest&&e.target.closest('[data-tip]');if(!t){tip.style.opacity=0;return}
tip.textContent=t.getAttribute('data-tip');var r=t.getBoundingClientRect(),x=r.left+r.width/2-tip.offsetWidth/2,y=r.top-tip.offsetHeight-8;
tip.style.left=Math.max(6,Math.min(x,innerWidth-tip.offsetWidth-6))+'px';tip.style.top=(y<6?r.bottom+8:y)+'px';tip.style.opacity=1}
document.querySelectorAll('svg [data-tip]').forEach(function(t){var n=t.querySelector('title');if(n)n.remove()});
document.addEventListener('pointerover',show);document.addEventListener('focusin',show);addEventListener('scroll',function(){tip.style.opacity=0},{passive:true})})();
)js";

}  // namespace extrospect
