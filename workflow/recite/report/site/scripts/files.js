"use strict";
// Files that the page holds, packed by gzip, to be saved.

async function save({ name, type, gzip }) {
  try {
    const packed = Uint8Array.from(atob(gzip), (letter) => letter.charCodeAt(0));
    const whole = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const file = await new Response(whole, { headers: { "content-type": type } }).blob();
    const address = URL.createObjectURL(file);
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    tell(`Saved: ${name}`);
  } catch {
    tell(`This browser cannot unpack ${name}; the study has it as figures/${name}.`);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-gzip]");
  if (button) save(button.dataset);
});
