import { Html } from "./html.js";

/** Style sheet of the page. Charts take their colours from the same variables (`ink` in `charts/chart.ts`). */
export const style = new Html(`
:root {
  color-scheme: light dark;
  --paper: #fcfbf9; --panel: #f5f3ee; --text: #1e1d1b; --muted: #5c5953; --rule: #e5e1d9; --faint: #9d978b;
  --accent: #12597f; --reference: #6d6a64; --asked: #a2481b;
  --held: #1c6a3b; --failed: #a42222; --open: #775200;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", "Source Serif 4", "Liberation Serif", Georgia, serif;
  --sans: -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #17181b; --panel: #1f2125; --text: #e9e6e0; --muted: #aca8a0; --rule: #303339; --faint: #6d7077;
    --accent: #84c3e9; --reference: #a8a59e; --asked: #f0a273;
    --held: #85d49d; --failed: #ff9f94; --open: #e5c06a;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3.5rem 2rem 4rem; max-width: 74rem;
  background: var(--paper); color: var(--text);
  font: 1.0625rem/1.6 var(--serif); font-kerning: normal; text-rendering: optimizeLegibility;
  overflow-wrap: break-word;
}
p { margin: 0 0 1rem; max-width: 43rem; text-wrap: pretty; }
a { color: var(--accent); text-underline-offset: 0.2em; text-decoration-thickness: 1px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: 0.5rem 1rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.over { margin: 0 0 1.25rem; font: 600 0.8125rem/1.4 var(--sans); letter-spacing: 0.06em; color: var(--muted); }
h1 { margin: 0 0 1.25rem; max-width: 22ch; font-weight: 500; font-size: clamp(2rem, 1.2rem + 3.2vw, 3.25rem); line-height: 1.1; letter-spacing: -0.018em; text-wrap: balance; }
h2 { margin: 0 0 1rem; font-weight: 500; font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.01em; }
h3 { margin: 0 0 0.5rem; font: 600 0.9375rem/1.35 var(--sans); }
.answer { max-width: 40rem; margin: 0 0 1.5rem; padding-left: 1.1rem; border-left: 3px solid; border-color: var(--muted); font-size: 1.3125rem; line-height: 1.45; }
.answer strong { font-weight: 600; }
.held { border-color: var(--held); } .held > strong { color: var(--held); }
.failed { border-color: var(--failed); } .failed > strong { color: var(--failed); }
.open { border-color: var(--open); } .open > strong { color: var(--open); }
.lead { color: var(--muted); }
.lead b { color: var(--text); font-weight: 500; }
.note { font: 0.875rem/1.55 var(--sans); color: var(--muted); max-width: 52rem; }
.note b { color: var(--text); }

section { margin-top: 4rem; padding-top: 2.25rem; border-top: 1px solid var(--rule); }
.verdict { margin-top: 2.5rem; padding-top: 0; border-top: 0; }
nav { margin-top: 2.5rem; font: 0.9375rem/1.5 var(--sans); }
nav ol { display: flex; flex-wrap: wrap; gap: 0.4rem 1.5rem; margin: 0; padding: 0; list-style: none; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
footer { margin-top: 4rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); font: 0.875rem/1.55 var(--sans); color: var(--muted); }

.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 2.75rem 3.5rem; margin: 2rem 0; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; }
figcaption { margin-top: 0.6rem; max-width: 31rem; font: 0.875rem/1.55 var(--sans); color: var(--muted); }
@media (min-width: 62rem) {
  .figures > :last-child:nth-child(odd) { grid-column: 1 / -1; display: grid; grid-template-columns: 1fr 1fr; column-gap: 3.5rem; align-items: start; }
  .figures > :last-child:nth-child(odd) > :is(h3, .key) { grid-column: 1 / -1; }
  .figures > :last-child:nth-child(odd) > figcaption { margin-top: 1.4rem; }
}
.chart { display: block; width: 100%; max-width: 31rem; height: auto; overflow: visible; font: 12.5px var(--sans); color: var(--muted); }
.chart text { white-space: pre; }
.key { display: flex; flex-wrap: wrap; gap: 0.2rem 1.25rem; margin: 0 0 0.4rem; font: 0.8125rem/1.5 var(--sans); color: var(--muted); }
.key span::before { print-color-adjust: exact; content: ""; display: inline-block; width: 0.9em; height: 0.7em; margin-right: 0.45em; }
.filled::before { background: var(--reference); opacity: 0.5; }
.outline::before { border: 2px solid var(--accent); border-bottom: 0; }
.key .dot::before { width: 0.7em; border-radius: 50%; background: var(--reference); }
.key .measured::before { background: var(--text); }
.key :is(.round, .ring, .triangle, .square, .frame, .diamond)::before { width: auto; height: auto; margin-right: 0.35em; }
.key .round::before { content: "●"; color: var(--accent); } .key .ring::before { content: "○"; color: var(--accent); }
.key .triangle::before { content: "▲"; color: var(--text); } .key .square::before { content: "■"; color: var(--reference); }
.key .frame::before { content: "□"; color: var(--reference); }
.key .diamond::before { content: "◆"; color: var(--asked); }
.key .times::before { content: "×"; width: auto; height: auto; margin-right: 0.35em; color: var(--reference); }
.cautions { max-width: 52rem; margin: 0 0 1.5rem; padding-left: 1.2rem; font: 0.9375rem/1.55 var(--sans); }
.cautions li { margin-bottom: 0.3rem; }

.facts { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.5rem 0; font-family: var(--sans); }
.facts div { min-width: 0; }
dt { font-size: 0.8125rem; color: var(--muted); }
dd { margin: 0; font-size: 1rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }

table { width: 100%; border-collapse: collapse; font: 0.9375rem/1.45 var(--sans); font-variant-numeric: tabular-nums; }
caption { padding-bottom: 0.6rem; text-align: left; font-size: 0.875rem; color: var(--muted); }
th, td { padding: 0.6rem 1rem 0.6rem 0; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--rule); font-weight: 400; }
thead th { font-size: 0.8125rem; color: var(--muted); border-bottom-color: var(--faint); }
tbody th { font-weight: 600; }
th small, td small { font-size: 0.8125rem; font-weight: 400; color: var(--muted); white-space: nowrap; }
.plain { margin-bottom: 1.25rem; }
.badge { white-space: nowrap; font-weight: 600; }
.badge.held { color: var(--held); } .badge.not-held { color: var(--failed); } .badge.undecided { color: var(--open); }
pre { max-height: 28rem; overflow: auto; margin: 0 0 1.5rem; padding: 1rem 1.25rem; background: var(--panel); border-radius: 4px; font: 0.8125rem/1.55 var(--mono); tab-size: 2; }

.tools { display: flex; flex-wrap: wrap; align-items: end; justify-content: space-between; gap: 0.75rem 2rem; margin: 1.5rem 0 1rem; font: 0.875rem/1.5 var(--sans); }
.tools[hidden], .pages[hidden] { display: none; }
.tools p { margin: 0; color: var(--muted); }
.tools label { color: var(--muted); flex: 0 1 26rem; }
input { display: block; width: 100%; margin-top: 0.25rem; padding: 0.5rem 0.7rem; font: 1rem/1.4 var(--sans); color: var(--text); background: var(--paper); border: 1px solid var(--faint); border-radius: 4px; }
button { padding: 0.45rem 0.9rem; font: 0.875rem/1.4 var(--sans); color: var(--text); background: var(--panel); border: 1px solid var(--faint); border-radius: 4px; cursor: pointer; }
[aria-disabled="true"] { color: var(--muted); border-color: var(--rule); cursor: default; }
.pages { display: flex; justify-content: flex-end; gap: 0.75rem; margin-top: 1.25rem; }

.beside { margin: 2.25rem 0 0; padding-top: 1.25rem; border-top: 1px solid var(--rule); }
.beside h3 { max-width: 52rem; font-size: 1.0625rem; white-space: pre-wrap; unicode-bidi: isolate; }
.beside .chosen { margin: 0 0 1rem; font: 0.8125rem/1.4 var(--sans); color: var(--muted); }
.beside > div { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); gap: 1.25rem 1.75rem; }
.beside section { margin: 0; padding: 0; border: 0; min-width: 0; display: flex; flex-direction: column; font: 0.875rem/1.5 var(--sans); }
.beside h4 { margin: 0 0 0.2rem; font: 600 0.8125rem/1.4 var(--sans); color: var(--accent); }
.beside section:first-child h4 { color: var(--muted); }
.response { margin: 0 0 0.35rem; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.beside dl { display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0; font-size: 0.8125rem; color: var(--muted); font-variant-numeric: tabular-nums; }
.beside dl div { display: flex; gap: 0.35rem; }
.beside :is(dt, dd) { font-size: inherit; }

#responses-table { font-size: 0.875rem; line-height: 1.5; table-layout: fixed; }
#responses-table th:first-child { width: 3.6rem; }
#responses-table th:nth-child(2) { width: 18%; }
#responses-table thead .number:not(:first-child) { width: 7rem; }
#responses-table.crowded thead .number:not(:first-child) { width: 5.4rem; }
#responses-table.crowded td.number span { font-size: 0.75rem; }
#responses-table thead :is(th, button) { overflow-wrap: anywhere; }
#responses-table tbody :is(th, td) { vertical-align: top; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate; }
#responses-table tbody th { font-weight: 500; }
#responses-table .number { white-space: normal; text-align: right; padding-right: 0; padding-left: 0.75rem; }
#responses-table :is(td, th).number:first-child { text-align: left; padding-left: 0; }
td.number span { display: block; color: var(--muted); font-size: 0.8125rem; }
td.number span span { display: inline; }
td.number b { font-weight: 600; }
tr[hidden] { display: none; }
details { display: inline; }
summary { display: inline; cursor: pointer; color: var(--accent); white-space: nowrap; }
summary::before { content: " … "; }
details[open] summary { display: block; color: var(--muted); }
thead button { padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: inherit; text-decoration: underline; text-decoration-color: var(--faint); text-underline-offset: 0.25em; }
thead small { display: block; }
[aria-sort="ascending"] button::after { content: " ↑"; }
[aria-sort="descending"] button::after { content: " ↓"; }

@media screen and (max-width: 60rem) {
  body { padding: 2rem 1rem 3rem; }
  section { margin-top: 3rem; padding-top: 1.75rem; }
  .verdict { padding-top: 0; }
  .answer { font-size: 1.1875rem; }
  .tools label { flex-basis: 100%; }
  .chart { font-size: 13.5px; }
  table, table :is(caption, thead, tbody, tr, th, td) { display: block; width: auto !important; }
  tr[hidden] { display: none !important; }
  tbody tr { padding: 0.9rem 0; border-top: 1px solid var(--rule); }
  tbody :is(th, td) { padding: 0 0 0.6rem; border: 0; }
  td[data-name]::before { content: attr(data-name); display: block; font-size: 0.8125rem; font-weight: 400; color: var(--muted); }
  .plain thead { position: absolute; width: 1px !important; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .plain tbody tr { display: grid; grid-template-columns: 0.95fr 1fr 1fr 1.2fr; gap: 0 0.6rem; font-size: 0.875rem; }
  .many tbody tr { grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: 0.4rem 0.6rem; }
  .many .badge { white-space: normal; }
  .plain tbody :is(th, td) { min-width: 0; }
  .plain tbody th { grid-column: 1 / -1; }
  .plain tbody td { padding: 0; }
  .plain td small { display: block; white-space: normal; }
  #responses-table tbody th { font-weight: 600; }
  #responses-table thead tr { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
  #responses-table thead tr::before { content: "Sort by"; color: var(--muted); font-size: 0.8125rem; }
  #responses-table:not(.live) thead { display: none; }
  #responses-table thead th { padding: 0 0 0.5rem; border: 0; }
  #responses-table thead th:not(.number) { display: none; }
  #responses-table thead small { display: inline; }
  #responses-table .number { padding-left: 0; text-align: left; }
  #responses-table tbody td.number:first-child { padding: 0; color: var(--muted); font-size: 0.8125rem; }
  #responses-table td.number[data-name] { display: inline-block; margin-right: 1.75rem; padding-bottom: 0; }
}

@media print {
  :root {
    --paper: #fff; --panel: #f5f5f5; --text: #111; --muted: #444; --rule: #ccc; --faint: #888;
    --accent: #12597f; --reference: #666; --asked: #a2481b; --held: #1c6a3b; --failed: #a42222; --open: #775200;
  }
  @page { margin: 16mm 15mm; }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  nav, .tools, .pages, .skip { display: none; }
  h1 { font-size: 25pt; } h2 { font-size: 16pt; }
  h2, h3, caption, h2 + p { break-after: avoid; }
  figure, tr, dl, .answer, .beside section { break-inside: avoid; }
  .beside > div { grid-template-columns: repeat(3, 1fr); gap: 0.9rem 1.25rem; }
  .beside section, .beside dl { font-size: 8pt; }
  .beside :is(h3, .chosen) { break-after: avoid; }
  section { margin-top: 1.75rem; padding-top: 1.25rem; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1.5rem 2rem; }
  pre { max-height: none; overflow: visible; white-space: pre-wrap; }
  table, caption, .note, figcaption, .key, footer, .facts dd { font-size: 9pt; }
  #responses-table, #responses-table :is(thead th, small, td.number span), #responses-table.crowded td.number span { font-size: 7.5pt; }
  #responses { break-before: page; margin-top: 0; padding-top: 0; border-top: 0; }
  #responses-table th:first-child { width: 2rem; }
  #responses-table th:nth-child(2) { width: 15%; }
  #responses-table thead .number:not(:first-child), #responses-table.crowded thead .number:not(:first-child) { width: 4.4rem; }
  #responses-table .number { padding-left: 0.4rem; }
  #responses-table:not(.live) tbody tr:nth-child(n + 13) { display: none; }
  thead button { display: contents; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`);

/** Colours of the page on light ground by their names, for a figure that stands alone. */
export const lightColours: ReadonlyMap<string, string> = new Map(
  Array.from(style.markup.slice(0, style.markup.indexOf("}")).matchAll(/--(\w+): (#[0-9a-f]+)/g), ([, name, value]) => [
    name!,
    value!,
  ]),
);
