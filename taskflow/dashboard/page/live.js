// Optional. Every few seconds fetches this page and replaces the parts marked data-live by newer ones,
// and nothing else. A part that is used is left alone: focus, a tick, an open <details>, marked text.
// The rows of a list never move: it is asked for as it was (data-top), each row is replaced where it
// stands, one that is gone says so, and what came since is offered in the line #came.
"use strict";
const every = Number(document.body.dataset.every || 0) * 1000;
const isUsed = (part) =>
  part.contains(document.activeElement) ||
  part.querySelector("input:checked, details[open]") ||
  (!getSelection().isCollapsed && part.contains(getSelection().anchorNode));
let looking = false;

// Replaces the rows of a list by newer ones of their name; answers how many it has no place for.
function renew(list, other) {
  const newer = new Map([...other.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));
  let gone = 0;
  for (const row of list.querySelectorAll("[data-row]")) {
    const now = newer.get(row.dataset.row);
    newer.delete(row.dataset.row);
    row.classList.toggle("gone", !now);
    if (now) {
      if (now.innerHTML !== row.innerHTML && !isUsed(row)) row.replaceChildren(...now.childNodes);
      continue;
    }
    gone += 1;
    const state = row.querySelector(".state");
    if (state) [state.className, state.textContent] = ["state idle", "gone"];
  }
  return Math.max(0, newer.size - ("full" in list.dataset ? gone : 0)); // older ones fill the page up
}

function offer(said, more) {
  const line = document.getElementById("came");
  const count = Number(said.dataset.count) + more;
  line.hidden = !count;
  line.querySelector("strong").textContent = count.toLocaleString("en") + (said.dataset.more || "");
}

async function look() {
  if (document.hidden || looking) return;
  looking = true;
  try {
    const address = new URL(location.href);
    for (const list of document.querySelectorAll("[data-top]")) address.searchParams.set("top", list.dataset.top);
    const answer = await fetch(address, { headers: { "x-part": "live" } });
    if (!answer.ok && answer.status !== 503) throw new Error(answer.status);
    const newer = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.body.classList.remove("stale");
    if (document.body.dataset.page !== newer.body.dataset.page) location.reload();
    for (const part of document.querySelectorAll("[data-live][id]")) {
      const other = newer.getElementById(part.id);
      if (other && "list" in part.dataset && part.querySelector("[data-row]")) {
        offer(newer.getElementById("came"), renew(part, other));
      } else if (other && other.innerHTML !== part.innerHTML && !isUsed(part)) {
        part.replaceChildren(...other.childNodes);
        Object.assign(part.dataset, other.dataset);
      }
    }
  } catch {
    document.body.classList.add("stale");
  } finally {
    looking = false;
  }
}
if (every) setInterval(look, every);
