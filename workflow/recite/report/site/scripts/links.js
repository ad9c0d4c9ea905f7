"use strict";
// What pages share: the choice of colours, links to parts of the page, and a line that says what was done.

function element(name, about, ...inside) {
  const made = Object.assign(document.createElement(name), about);
  made.append(...inside);
  return made;
}

const TOLD = element("output", { className: "told" });
document.body.append(TOLD);

function tell(words) {
  clearTimeout(tell.timer);
  TOLD.textContent = words;
  tell.timer = setTimeout(() => TOLD.replaceChildren(), 5000);
}

// Of a page on disk the address says where it lies, which is nobody's business and leads nowhere elsewhere: its name is enough.
function linkTo(name) {
  const file = location.protocol === "file:" ? location.pathname.split("/").pop() : location.href.split("#")[0];
  return `${file}#${name}`;
}

async function copyLink(name) {
  const link = linkTo(name);
  try {
    await navigator.clipboard.writeText(link);
    tell(`Copied: ${link}`);
  } catch {
    tell(`The link: ${link}`);
  }
}

// Each finds what a name names, and brings it into the page where it is not; the first that finds something counts.
const FINDERS = [(name) => document.getElementById(name)];

function named() {
  const name = location.hash.slice(1);
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

// Show and focus what the address names: unfolded, and let through by whatever filters it.
function reveal() {
  for (const other of document.querySelectorAll(".named")) other.classList.remove("named");
  const name = named();
  const target = name && FINDERS.reduce((found, find) => found ?? find(name), null);
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  if (target.hidden) target.closest("table").showAll();
  if (target.matches("article, li, tr")) target.classList.add("named");
  const focused = target.matches("details") ? target.querySelector("summary") : target;
  if (focused === target) target.tabIndex = -1;
  focused.focus({ preventScroll: true });
  target.scrollIntoView({ block: target.matches("tr") ? "center" : "start" });
}

for (const choice of document.querySelectorAll(".colours select")) {
  choice.value = COLOURS.kept;
  choice.addEventListener("change", () => COLOURS.choose(choice.value));
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-link]");
  if (button) copyLink(button.dataset.link);
});
addEventListener("hashchange", reveal);
// Pictures have their heights only when all is loaded.
if (document.readyState === "complete") reveal();
else addEventListener("load", reveal);
