"use strict";
// A step's record is shown beside the lineage that it is chosen in.

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

for (const node of document.querySelectorAll(".lineage a")) node.addEventListener("click", showRecord);
