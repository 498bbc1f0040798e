"use strict";

// Rows of a long table that stand there before "show all" is asked for.
const FEW = 25;

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
      keyed.sort(([a], [b]) => compare(a, b, down ? -1 : 1));
      body.append(...keyed.map(([, row]) => row));
      table.dispatchEvent(new Event("rows"));
    });
  });
  if (table.classList.contains("long")) shorten(table);
}

function keyOf(cell) {
  if (cell.dataset.value === undefined) return cell.textContent.trim().toLowerCase();
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

// What is missing comes last, whichever way the rest is sorted.
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

// What can be searched for: class, verdict and place, but no numbers.
function wordsOf(row) {
  const cells = [...row.cells].filter((cell) => cell.dataset.value === undefined);
  return cells.map((cell) => cell.textContent.toLowerCase()).join(" ");
}

function shorten(table) {
  const rows = [...table.tBodies[0].rows];
  const texts = new Map(rows.map((row) => [row, wordsOf(row)]));
  const search = document.querySelector(`input[data-table="${table.id}"]`);
  const found = search.closest(".search").querySelector(".found");
  const more = document.createElement("button");
  more.type = "button";
  more.className = "more";
  table.parentElement.after(more);
  let all = rows.length <= FEW;

  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matches = 0;
    for (const row of table.tBodies[0].rows) {
      const matched = words.every((word) => texts.get(row).includes(word));
      matches += matched;
      row.hidden = !matched || (!all && matches > FEW);
    }
    found.textContent = words.length ? `${matches} of ${rows.length} classes` : `${rows.length} classes`;
    more.hidden = all || matches <= FEW;
    more.textContent = `Show all ${matches}`;
  }

  more.addEventListener("click", () => { all = true; show(); });
  search.addEventListener("input", show);
  table.addEventListener("rows", show);
  addEventListener("beforeprint", () => { all = true; show(); });
  show();
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// A link to what is folded away unfolds it.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  target?.closest("details")?.setAttribute("open", "");
  target?.scrollIntoView();
}
addEventListener("hashchange", unfold);
if (location.hash) unfold();
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details.other")) folded.open = true;
});
