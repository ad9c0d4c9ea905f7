"use strict";
// Tables are sorted by their headers and filtered by words.

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
  const rows = [...table.tBodies[0].rows];
  const input = element("input", { type: "search" });
  const found = element("output", {});
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent.toLowerCase()).join(" ");
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    found.textContent = `${shown} of ${rows.length} rows`;
  };
  input.addEventListener("input", filter);
  table.showAll = () => {
    input.value = "";
    filter();
  };
  const label = element("label", {}, "Rows with", input);
  table.parentElement.before(element("div", { className: "filter" }, label, found));
  filter();
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table);
  makeFilterable(table);
}
