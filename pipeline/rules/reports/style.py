"""How a report looks: on paper first, then by day and by night, from a phone to a desk."""

from __future__ import annotations

import hashlib
from base64 import b64encode

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #FAF7F0; --ink: #16202C; --ink-2: #454D56; --line: #DED8CA; --deep: #0F5C5A;
  --gold: #8A6116; --warn: #A6501C;
  --night: #16202C; --night-ink: #ECE7DB; --lamp: #E4BE6C; --beam: #8FCFC8; --dim: #7F8B97;
  --serif: Charter, 'Bitstream Charter', 'Sitka Text', Cambria, Georgia, serif;
  --sans: 'Avenir Next', 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12171D; --ink: #ECE7DB; --ink-2: #B9B6AC; --line: #333B44; --deep: #7FC7C0;
    --gold: #D9B05C; --warn: #EDA273; --night: #0A0E13;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 18px/1.55 var(--serif);
  overflow-wrap: anywhere; font-variant-numeric: oldstyle-nums; }
main, header, footer { width: min(100% - 40px, 760px); margin-inline: auto; }
h1, h2, p, ul, ol, table, figure { margin: 0; padding: 0; }
a { color: var(--deep); text-underline-offset: .18em; text-decoration-thickness: 1px; }
:focus-visible { outline: 3px solid var(--deep); outline-offset: 3px; }
.running { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 24px;
  padding: 22px 0 10px; border-bottom: 3px double var(--deep); color: var(--ink-2);
  font: 600 14px/1.5 var(--sans); letter-spacing: .01em; }
.running span:first-child { color: var(--deep); }
h1 { padding-top: 40px; font-weight: normal; font-size: clamp(40px, 9vw, 68px);
  line-height: 1.05; letter-spacing: -.022em; text-wrap: balance; }
.lede { max-width: 33em; margin: 14px 0 30px; font-size: 21px; line-height: 1.5;
  color: var(--ink-2); text-wrap: pretty; }
.lede b { color: var(--ink); font-weight: 600; white-space: nowrap; }
section { padding-top: 46px; }
h2 { margin-bottom: 12px; font-weight: normal; font-style: italic; font-size: 27px;
  line-height: 1.25; letter-spacing: -.01em; text-wrap: balance; }
section > p { max-width: 36em; text-wrap: pretty; }
.small { color: var(--ink-2); font: 15px/1.5 var(--sans); }
.warn { color: var(--warn); }
figure + *, table + .small, svg + .small { margin-top: 14px; }

.sky { display: block; width: 100%; height: auto; }
.night { fill: var(--night); }
.sky .hand { fill: var(--lamp); }
.sky .rays { fill: var(--lamp); opacity: .85; }
.sky .machine { fill: var(--beam); }
.sky .none { fill: none; stroke: var(--dim); stroke-width: 1.1; vector-effect: non-scaling-stroke; }
.joined line { stroke: var(--lamp); stroke-width: .9; opacity: .5;
  vector-effect: non-scaling-stroke; }
.key { display: flex; flex-wrap: wrap; gap: 4px 26px; margin-top: 12px; padding: 0;
  list-style: none; color: var(--ink-2); font: 15px/1.6 var(--sans); }
.key svg { width: 18px; height: 18px; margin-inline-end: 7px; vertical-align: -4px; }
.key .hand { fill: var(--gold); } .key .machine { fill: var(--deep); }
.key .none { fill: none; stroke: var(--ink-2); stroke-width: 1.4; }
.key b, .sums b { color: var(--ink); font-weight: 600; }

.names { columns: 17em; column-gap: 36px; padding: 0; list-style: none; }
.names li { break-inside: avoid; padding: 3px 0; }
.names span { color: var(--ink-2); font: 15px/1.5 var(--sans); }
.stories { padding-inline-start: 1.5em; }
.stories li { padding: 3px 0 3px 4px; }
.stories li::marker { color: var(--gold); font-variant-numeric: lining-nums; }
.sums { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 18px 28px;
  margin: 4px 0 0; }
.sums div { padding-top: 10px; border-top: 1px solid var(--line); }
.sums dt { color: var(--ink-2); font: 15px/1.4 var(--sans); }
.sums dd { margin: 0; font-size: 38px; line-height: 1.15; letter-spacing: -.02em;
  font-variant-numeric: lining-nums; }
.beats { display: grid; grid-template-columns: minmax(0, 310px) minmax(0, 1fr); gap: 26px 40px;
  align-items: start; margin-top: 20px; }
.sheet { display: block; width: 100%; max-width: 340px; height: auto; }
.sheet text { fill: var(--ink-2); font: 13px var(--sans); text-anchor: middle; }
.sheet .dow { font-size: 12px; } .sheet .busy { fill: var(--ink); font-weight: 700; }
.sheet .rule { stroke: var(--line); fill: none; }
.sheet .kept { fill: var(--deep); }
.sheet .planned { fill: none; stroke: var(--deep); stroke-width: 1.6; }
.sheet .missed { fill: none; stroke: var(--warn); stroke-width: 2.2; stroke-linecap: round; }
.sheet .skipped { fill: none; stroke: var(--ink-2); stroke-width: 2; }

table { width: 100%; border-collapse: collapse; font: 15px/1.45 var(--sans);
  overflow-wrap: break-word; }
caption { padding-bottom: 8px; text-align: start; color: var(--ink-2); }
th, td { padding: 7px 12px 7px 0; border-top: 1px solid var(--line); text-align: start;
  vertical-align: baseline; font-weight: normal; font-variant-numeric: tabular-nums lining-nums; }
thead th { border-top: 0; color: var(--ink-2); font-size: 14px; white-space: nowrap; }
tbody th { font-family: var(--serif); font-size: 17px; }
.beats td:first-child { white-space: nowrap; }
.n { text-align: end; padding-right: 0; padding-left: 12px; white-space: nowrap; }
.zero { color: var(--ink-2); }
tbody tr:last-child > * { border-bottom: 1px solid var(--line); }
footer { margin-top: 52px; padding: 16px 0 56px; border-top: 3px double var(--deep);
  color: var(--ink-2); font: 15px/1.6 var(--sans); }
@media (min-width: 561px) { .wide td { white-space: nowrap; } }
@media (max-width: 560px) {
  body { font-size: 17px; }
  .lede { font-size: 19px; }
  .sky circle, .sky .rays { transform: scale(1.7); transform-box: fill-box;
    transform-origin: center; }
  .beats { grid-template-columns: minmax(0, 1fr); }
  .wide thead { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .wide tr { display: flex; flex-wrap: wrap; gap: 0 10px; padding: 8px 0;
    border-top: 1px solid var(--line); }
  .wide tbody tr:last-child { border-bottom: 1px solid var(--line); }
  .wide tbody tr > * { padding: 0; border: 0; text-align: start; }
  .wide tbody th { flex: 0 0 100%; }
  .wide td { color: var(--ink-2); font-size: 14px; }
  .wide td:nth-child(3) { flex: 1 0 60%; }
  .wide td[data-of]::after { content: " " attr(data-of); }
}
@page { size: A4; margin: 17mm 18mm 19mm; }
@media print {
  :root { color-scheme: light; --paper: #FFF; --ink: #000; --ink-2: #333; --line: #BBB;
    --deep: #0F5C5A; --gold: #7A5410; --warn: #8A3E12; --night: #FFF; --lamp: #7A5410;
    --beam: #0F5C5A; --dim: #777; }
  body { font-size: 10.5pt; }
  main, header, footer { width: 100%; }
  h1 { padding-top: 6mm; font-size: 34pt; } h2 { font-size: 15pt; break-after: avoid; }
  .lede { font-size: 12.5pt; } .sums dd { font-size: 20pt; }
  section { padding-top: 7mm; }
  .running, .small, .key, .names span, th, td, footer, .sums dt { font-size: 8.5pt; }
  thead th { font-size: 8.5pt; } tbody th { font-size: 10pt; }
  .beats { grid-template-columns: 58mm minmax(0, 1fr); gap: 4mm 10mm; margin-top: 3mm; }
  .wide tbody tr:nth-child(-n+3) { break-after: avoid; }
  .wide tbody tr:nth-last-child(-n+3) { break-before: avoid; }
  .wide th, .wide td { padding-block: 4px; }
  .night { stroke: var(--line); }
  figure, .sums, .beats, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  a { color: inherit; text-decoration: none; }
  footer { margin-top: 4mm; padding: 2mm 0 0; break-before: avoid; }
  footer a[href="index.html"] { display: none; }
}
"""

#: Nothing is asked of anywhere; the one style is known by its digest.
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
