/** Pieces that the views are made of. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Verdict } from "../../report/figures.js";
import { number } from "../../report/format.js";
import type { Html } from "../../report/html.js";
import { badge } from "../../report/pieces.js";
import { type Cell, csv, fileName, save, svgFile, tableCells } from "./download.js";

/** Rows of a figure's data, the headings first. */
type Rows = readonly (readonly Cell[])[];

/**
 * Markup that the report's own functions drew: every text in it is escaped there (`report/html.ts`). Its charts and tables
 * can be saved; `data` is that of its only chart.
 */
export function Drawn({ markup, class: name, data }: { markup: string; class?: string; data?: Rows }) {
  const box = useRef<HTMLDivElement>(null);
  const saved = useRef(data);
  saved.current = data;
  useLayoutEffect(() => addTools(box.current!, saved.current && (() => saved.current!)), [markup]);
  return <div ref={box} class={name} dangerouslySetInnerHTML={{ __html: markup }} />;
}

/** Puts the downloads of charts and tables beside them. */
function addTools(box: HTMLElement, data: (() => Rows) | undefined): void {
  for (const chart of box.querySelectorAll<SVGSVGElement>("figure svg.chart")) {
    const figure = chart.closest("figure")!;
    if (figure.querySelector(".saves")) continue;
    const title = figure.querySelector("h3")?.textContent ?? "figure";
    const rows: Save = [
      "Data",
      `Save the data of ${title} as CSV`,
      () => save(fileName(title, "csv"), "text/csv", csv(data!())),
    ];
    figure.append(saves([["SVG", `Save ${title} as SVG`, () => saveChart(chart, title)], ...(data ? [rows] : [])]));
  }
  for (const table of box.querySelectorAll("table")) {
    const title = table.caption?.textContent ?? "table";
    table.after(saves([["CSV", `Save the table as CSV: ${title}`, () => saveTable(table, title)]]));
  }
}

const saveChart = (chart: SVGSVGElement, title: string) =>
  save(fileName(title, "svg"), "image/svg+xml", svgFile(chart));
const saveTable = (table: HTMLTableElement, title: string) =>
  save(fileName(title.slice(0, 60), "csv"), "text/csv", csv(tableCells(table)));

/** Button that saves something: its text, its label, what it does. */
type Save = readonly [text: string, label: string, action: () => void];

function saves(items: readonly Save[]): HTMLElement {
  const line = document.createElement("p");
  line.className = "saves";
  for (const [text, label, action] of items) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = text;
    button.setAttribute("aria-label", label);
    button.addEventListener("click", action);
    line.append(button);
  }
  return line;
}

/** Figure that the report's functions drew, with its chart and its data to save. */
export const Figure = ({ drawn, data }: { drawn: Html; data?: Rows }) => (
  <Drawn class="framed" markup={drawn.markup} data={data} />
);

/** Table with its rows to save as CSV. `values`: what is saved in place of what is shown. */
export function Table(props: {
  caption: string;
  headings: readonly string[];
  rows: readonly (readonly ComponentChildren[])[];
  values?: readonly (readonly Cell[])[];
  class?: string;
}) {
  const { caption, headings, rows, values, class: name = "" } = props;
  const table = useRef<HTMLTableElement>(null);
  const store = () =>
    save(
      fileName(caption.slice(0, 60), "csv"),
      "text/csv",
      csv(values ? [headings, ...values] : tableCells(table.current!)),
    );
  return (
    <div class="tabled">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="wide" tabIndex={0} aria-label={caption}>
        <table ref={table} class={name}>
          <caption>{caption}</caption>
          <thead>
            <tr>
              {headings.map((heading) => (
                <th scope="col" key={heading}>
                  {heading}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([first, ...cells], i) => (
              <tr key={i}>
                <th scope="row">{first}</th>
                {cells.map((cell, j) => (
                  <td key={headings[j + 1]}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <p class="saves">
        <button type="button" class="save" aria-label={`Save the table as CSV: ${caption}`} onClick={store}>
          CSV
        </button>
      </p>
    </div>
  );
}

/** Number that is moved by a slider or typed in. */
export function Slider(props: {
  label: string;
  value: number;
  low: number;
  high: number;
  step: number;
  /** Position of a value on the slider and back; both linear where left out. */
  scale?: { to(value: number): number; from(position: number): number };
  note?: ComponentChildren;
  marks?: readonly { readonly value: number; readonly name: string }[];
  onChange(value: number): void;
}) {
  const { label, value, low, high, step, scale = same, note, marks = [], onChange } = props;
  const id = useId();
  const [typed, setTyped] = useState<string | null>(null);
  const [from, to] = [scale.to(low), scale.to(high)];
  const tidy = (found: number) => Number(found.toPrecision(12));
  const place = (of: number) => Math.min(1, Math.max(0, (scale.to(of) - from) / (to - from || 1)));
  return (
    <div class="slider">
      <label for={id}>{label}</label>
      <input
        class="number"
        type="text"
        inputMode="decimal"
        aria-label={`${label}, typed`}
        value={typed ?? String(value)}
        onInput={({ currentTarget }) => {
          setTyped(currentTarget.value);
          const found = Number(currentTarget.value.replace("−", "-").replace(",", "."));
          if (currentTarget.value.trim() !== "" && Number.isFinite(found)) onChange(found);
        }}
        onBlur={() => setTyped(null)}
      />
      <input
        id={id}
        type="range"
        min={from}
        max={to}
        step={step}
        value={scale.to(value)}
        aria-valuetext={number(value)}
        aria-describedby={note === undefined ? undefined : `${id}-note`}
        onInput={({ currentTarget }) => {
          setTyped(null);
          const found = scale.from(Number(currentTarget.value));
          onChange(tidy(found));
        }}
      />
      {marks.length > 0 && (
        <svg class="marks" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          {marks.map(({ value: at, name }) => (
            <rect key={name} x={100 * place(at) - 0.3} y="0" width="0.6" height="8">
              <title>{name}</title>
            </rect>
          ))}
        </svg>
      )}
      {note !== undefined && (
        <p class="hint" id={`${id}-note`}>
          {note}
        </p>
      )}
    </div>
  );
}

const same = { to: (value: number) => value, from: (value: number) => value };

/** Pages of a long list. */
export function Pager(props: { page: number; size: number; total: number; noun: string; onTurn(page: number): void }) {
  const { page, size, total, noun, onTurn } = props;
  const pages = Math.max(1, Math.ceil(total / size));
  const first = total === 0 ? 0 : page * size + 1;
  const turn = (to: number) => to >= 0 && to < pages && onTurn(to);
  return (
    <div class="pager">
      <button type="button" aria-disabled={page === 0} onClick={() => turn(page - 1)} aria-label={`Earlier ${noun}`}>
        ←
      </button>
      <span role="status">
        {noun} {first.toLocaleString("en-US")}–{Math.min(total, (page + 1) * size).toLocaleString("en-US")} of{" "}
        {total.toLocaleString("en-US")}
      </span>
      <button
        type="button"
        aria-disabled={page >= pages - 1}
        onClick={() => turn(page + 1)}
        aria-label={`Further ${noun}`}
      >
        →
      </button>
    </div>
  );
}

/** Verdict with its mark. */
export function Badge({ verdict }: { verdict: Verdict | null }) {
  return verdict === null ? null : <span dangerouslySetInnerHTML={{ __html: badge(verdict).markup }} />;
}

/** Sentence on what went wrong. */
export const Trouble = ({ text }: { text: string | undefined }) =>
  text === undefined ? null : (
    <p class="trouble" role="alert">
      {text}
    </p>
  );

/** What is being waited for. */
export const Waiting = ({ text }: { text: string }) => <p class="waiting">{text}</p>;

/** Value that is said to a screen reader once it has rested. */
export function Spoken({ text }: { text: string }) {
  const [said, say] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => say(text), 600);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <p class="unseen" role="status">
      {said}
    </p>
  );
}
