"use strict";
// Before anything is drawn: what needs scripts is shown, and the page is light or dark as its reader chose.
document.documentElement.classList.add("scripted");

// A browser may keep nothing for a page; the choice then holds as long as the page is open.
const COLOURS = {
  get kept() {
    try {
      return localStorage.getItem("recite-colours") ?? "";
    } catch {
      return "";
    }
  },
  choose(value) {
    document.documentElement.dataset.colours = value;
    try {
      localStorage.setItem("recite-colours", value);
    } catch {
      // It is not kept.
    }
  },
};
document.documentElement.dataset.colours = COLOURS.kept;
