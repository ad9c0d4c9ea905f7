"use strict";
// The page can be read without this, but for the rows to read after the first ones. It shows these page by page, sorts and
// filters tables, and shows a step's record beside its lineage.

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

const COUNTS = { "not counted": [-1, -1], none: [0, 0], once: [1, 1], "2 to 9": [2, 9], "10 to 99": [10, 99], "100 or more": [100, Infinity] };

function element(name, about, ...inside) {
  const made = Object.assign(document.createElement(name), about);
  made.append(...inside);
  return made;
}

// Rows to read: those that no page shows wait in a template, where they cost no layout.
class Gallery {
  constructor(section) {
    this.list = section.querySelector(".rows");
    this.size = this.list.children.length;
    this.rows = [...this.list.children, ...section.querySelector("template").content.children];
    this.choices = ["class", "domain", "model"].map((name) => this.choice(name, [...new Set(this.rows.map((row) => row.dataset[name]))]));
    const inRange = (name) => this.rows.some((row) => this.counts(row, name));
    this.choices.push(this.choice("count", Object.keys(COUNTS).filter(inRange)));
    this.search = element("input", { type: "search" });
    this.search.addEventListener("input", () => this.show(0));
    this.found = element("output");
    this.back = element("button", { type: "button" }, "Previous");
    this.on = element("button", { type: "button" }, "Next");
    this.back.addEventListener("click", () => this.turn(-1));
    this.on.addEventListener("click", () => this.turn(1));
    const labels = this.choices.map((choice) => element("label", {}, choice.name, choice));
    const controls = element("div", { className: "controls" }, ...labels, element("label", {}, "text", this.search));
    this.list.before(controls, element("p", { className: "pager" }, this.back, this.on, this.found));
    this.show(0);
  }

  choice(name, values) {
    const made = element("select", { name }, element("option", { value: "" }, "any"));
    made.append(...values.map((value) => element("option", { value }, value)));
    made.addEventListener("change", () => this.show(0));
    return made;
  }

  counts(row, name) {
    const [low, high] = COUNTS[name];
    return low <= Number(row.dataset.count) && Number(row.dataset.count) <= high;
  }

  matches(row, words) {
    const chosen = ({ name, value }) => !value || (name === "count" ? this.counts(row, value) : row.dataset[name] === value);
    if (!this.choices.every(chosen)) return false;
    row.text ??= [...row.querySelectorAll("dd")].map((part) => part.textContent.toLowerCase()).join("\n");
    return words.every((word) => row.text.includes(word));
  }

  show(page) {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.rows.filter((row) => this.matches(row, words));
    this.page = page;
    this.list.replaceChildren(...found.slice(page * this.size, (page + 1) * this.size));
    const last = Math.max(0, Math.ceil(found.length / this.size) - 1);
    this.back.disabled = page === 0;
    this.on.disabled = page >= last;
    this.found.textContent = `${found.length} of ${this.rows.length} rows, page ${page + 1} of ${last + 1}`;
  }

  turn(by) {
    this.show(this.page + by);
    this.list.parentElement.scrollIntoView();
  }

  // The row that the address names, with or without the model.
  reveal() {
    const name = decodeURIComponent(location.hash.slice(1));
    const place = this.rows.findIndex((row) => row.id === name || `row-${row.dataset.row}` === name);
    if (place < 0) return;
    for (const choice of this.choices) choice.value = "";
    this.search.value = "";
    this.show(Math.floor(place / this.size));
    for (const row of this.rows) row.classList.toggle("named", row === this.rows[place]);
    this.rows[place].tabIndex = -1;
    this.rows[place].focus();
    this.rows[place].scrollIntoView();
  }
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
const section = document.querySelector("#gallery");
if (section) {
  const gallery = new Gallery(section);
  addEventListener("hashchange", () => gallery.reveal());
  gallery.reveal();
}
