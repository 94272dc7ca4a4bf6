import { Html } from "./html.js";

/**
 * Search, sort and pages of the responses' table. Without it the table shows every row. It runs under a policy that
 * names its hash, so nothing else in the page can run; a test checks that the two agree.
 */
export const script = new Html(`
(() => {
  const table = document.getElementById("responses-table");
  if (!table) return;
  const size = 10;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));
  const tools = document.getElementById("responses-tools");
  const search = document.getElementById("responses-search");
  const status = document.getElementById("responses-status");
  const pages = document.getElementById("responses-pages");
  const [back, next] = pages.querySelectorAll("button");
  let page = 0;

  const show = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const found = rows.filter(({ text }) => words.every((word) => text.includes(word)));
    page = Math.max(0, Math.min(page, Math.ceil(found.length / size) - 1));
    const visible = new Set(found.slice(page * size, (page + 1) * size).map(({ row }) => row));
    for (const { row } of rows) row.hidden = !visible.has(row);
    const first = page * size + 1;
    const of = found.length + (words.length ? " found" : "");
    status.textContent = found.length ? "Rows " + first + "–" + (first + visible.size - 1) + " of " + of : "No row has these words.";
    back.setAttribute("aria-disabled", page === 0);
    next.setAttribute("aria-disabled", (page + 1) * size >= found.length);
  };

  const sort = (header) => {
    const column = header.cellIndex;
    const down = header.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = ({ row }) => Number(row.cells[column].dataset.value);
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return down ? y - x : x - y;
    });
    body.append(...rows.map(({ row }) => row));
    page = 0;
    show();
  };

  const turn = (button, by) => {
    if (button.getAttribute("aria-disabled") === "true") return;
    page += by;
    show();
    tools.scrollIntoView({ block: "start" });
  };

  search.addEventListener("input", () => {
    page = 0;
    show();
  });
  back.addEventListener("click", () => turn(back, -1));
  next.addEventListener("click", () => turn(next, 1));
  for (const header of table.tHead.rows[0].cells) {
    const name = header.querySelector("[data-sort]");
    if (!name) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...name.childNodes);
    name.replaceWith(button);
    button.addEventListener("click", () => sort(header));
  }
  table.classList.add("live");
  tools.hidden = false;
  pages.hidden = false;
  show();
})();
`);

/** Hash of the text above, as a content security policy names it. */
export const scriptHash = "sha256-vZqWMYbxjEzHc8QqiiMKrjzemvvpxmYNK+TKfxYTsRo=";
