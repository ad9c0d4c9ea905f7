"use strict";
// Rows to read are shown page by page, filtered and searched.

const COUNTS = { "not counted": [-1, -1], none: [0, 0], once: [1, 1], "2 to 9": [2, 9], "10 to 99": [10, 99], "100 or more": [100, Infinity] };

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

  // A row by its name, with or without the model; its page is shown, whatever was filtered.
  find(name) {
    const place = this.rows.findIndex((row) => row.id === name || `row-${row.dataset.row}` === name);
    if (place < 0) return null;
    for (const choice of this.choices) choice.value = "";
    this.search.value = "";
    this.show(Math.floor(place / this.size));
    return this.rows[place];
  }
}

const section = document.querySelector("#gallery");
if (section) {
  const gallery = new Gallery(section);
  FINDERS.push((name) => gallery.find(name));
}
