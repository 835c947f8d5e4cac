// Optional. Every few seconds fetches this page and replaces the parts marked data-live by newer ones,
// and nothing else. A part that is used is left alone: focus, a tick, an open <details>, marked text.
"use strict";
const every = Number(document.body.dataset.every || 0) * 1000;
const isUsed = (part) =>
  part.contains(document.activeElement) ||
  part.querySelector("input:checked, details[open]") ||
  (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));
let looking = false;

async function look() {
  if (document.hidden || looking) return;
  looking = true;
  try {
    const answer = await fetch(location.href, { headers: { "x-part": "live" } });
    if (!answer.ok && answer.status !== 503) throw new Error(answer.status);
    const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.body.classList.remove("stale");
    if (document.body.dataset.page !== newer.body.dataset.page) location.reload();
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const other = newer.getElementById(part.id);
      if (other && other.innerHTML !== part.innerHTML && !isUsed(part)) part.replaceChildren(...other.childNodes);
    }
  } catch {
    document.body.classList.add("stale");
  } finally {
    looking = false;
  }
}
if (every) setInterval(look, every);
