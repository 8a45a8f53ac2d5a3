// What pages gain from a script; they work without it. No page is built here: fragments are rendered by the server.
"use strict";

// A part of a page that is asked for again every few seconds, while somebody looks at it.
function follow(part) {
  const every = Number(part.dataset.every || 5) * 1000;
  let shown = null;
  let looks = 0;
  // What says where it stands is asked for only when it has moved; now and then all the same, for the times on it.
  const address = () => {
    const seq = part.querySelector("[data-seq]")?.dataset.seq;
    looks += 1;
    return seq && looks % 10 ? `${part.dataset.live}?seq=${seq}` : part.dataset.live;
  };
  const look = async () => {
    if (!document.hidden && !part.contains(document.activeElement?.closest("form, details"))) {
      try {
        const answer = await fetch(address(), { headers: { "x-fragment": "1" }, redirect: "error" });
        if (answer.status === 401) { location.reload(); return; }
        if (answer.status === 204) { part.classList.remove("stale"); return; }
        if (answer.ok) {
          const html = await answer.text();
          if (html !== shown) { replace(part, html); shown = html; }
          part.classList.remove("stale");
        } else { part.classList.add("stale"); }
      } catch { part.classList.add("stale"); }
      if (part.querySelector("[data-ended]")) return;
    }
    setTimeout(look, every);
  };
  if (!part.querySelector("[data-ended]")) setTimeout(look, every);
}

// Takes the new content in, with what was unfolded or scrolled left as it was.
function replace(part, html) {
  const open = new Set([...part.querySelectorAll("details[open][id]")].map((one) => one.id));
  const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
  const parsed = new DOMParser().parseFromString(html, "text/html");
  part.replaceChildren(...parsed.body.childNodes);
  for (const one of part.querySelectorAll("details[id]")) if (open.has(one.id)) one.open = true;
  part.querySelectorAll(".scroll").forEach((one, at) => {
    if (scrolled[at]) [one.scrollLeft, one.scrollTop] = scrolled[at];
  });
}

// Where a payment stands is shown first on a narrow screen.
document.querySelectorAll(".diagram .here").forEach((node) => {
  const scroll = node.closest(".scroll");
  const [box, whole] = [node.getBoundingClientRect(), scroll.getBoundingClientRect()];
  scroll.scrollLeft += box.left - whole.left - (whole.width - box.width) / 2;
});

document.querySelectorAll("[data-live]").forEach(follow);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    const word = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = word; }, 1200);
  } catch { /* The text is there to be selected by hand. */ }
});

// "/" goes to the search, as in many places.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.getElementById("search");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  }
});

// A form that is sent is sent once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => { delete form.dataset.sent; }, 8000);
});
