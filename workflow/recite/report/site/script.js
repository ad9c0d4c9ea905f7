"use strict";
// The page can be read without this. It sorts and filters tables, and shows a step's record beside its lineage.

// What is empty comes last, whichever way the others are sorted.
function compare(one, other, sign, numeric) {
  if (one === "" || other === "") return (one === "") - (other === "");
  return sign * (numeric ? Number(one) - Number(other) : one.localeCompare(other, "en", { numeric: true }));
}

function sortBy(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const numeric = headers[column].classList.contains("number");
  const sign = headers[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const header of headers) header.setAttribute("aria-sort", "none");
  headers[column].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const key = (row) => (numeric ? row.cells[column].dataset.number : row.cells[column].textContent);
  const rows = [...table.tBodies[0].rows].sort((one, other) => compare(key(one), key(other), sign, numeric));
  table.tBodies[0].append(...rows);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    cell.setAttribute("aria-sort", "none");
    cell.append(button);
  });
}

function makeFilterable(table) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  const found = document.createElement("output");
  input.type = "search";
  label.className = "filter";
  label.append("Rows with", input, found);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    found.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
  });
  table.parentElement.before(label);
}

// A step's record is told once, at the end of the page; a copy of it is shown under the lineage that it is chosen in.
function showRecord(event) {
  event.preventDefault();
  const node = event.currentTarget;
  const copy = document.querySelector(node.getAttribute("href")).cloneNode(true);
  copy.querySelector("summary").remove();
  node.closest("details").querySelector(".record").replaceChildren(...copy.childNodes);
  for (const other of node.parentElement.querySelectorAll("a")) other.removeAttribute("aria-current");
  node.setAttribute("aria-current", "true");
}

// A link into something folded unfolds it.
function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilterable(table);
}
for (const node of document.querySelectorAll(".lineage a")) node.addEventListener("click", showRecord);
addEventListener("hashchange", unfold);
unfold();
