// What a browser with scripts adds to the page of a training: it follows it until its end.

const INTERVAL_MS = 1500;
const LONGEST_INTERVAL_MS = 15000; // while the server does not answer
const UNDER_WAY = new Set(["queued", "running"]);

const live = document.querySelector("[data-training-live]");
const said = document.querySelector("[data-training-said]");
let intervalMs = INTERVAL_MS;

/** Say what is new to those who listen; the same words are not said twice. */
function say() {
  const words = live.querySelector("[data-training-words]")?.textContent.trim() ?? "";
  if (said.textContent !== words) said.textContent = words;
}

/** Put the new state in, and leave the reader where they were. */
function show(html) {
  const places = new Map();
  for (const box of live.querySelectorAll("[tabindex]")) {
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
    places.set(box.className, { top: box.scrollTop, atEnd, focused: box === document.activeElement });
  }
  live.innerHTML = html;
  for (const box of live.querySelectorAll("[tabindex]")) {
    const place = places.get(box.className);
    if (place === undefined) continue;
    const isLog = box.hasAttribute("data-training-log");
    box.scrollTop = isLog && place.atEnd ? box.scrollHeight : place.top;
    if (place.focused) box.focus({ preventScroll: true });
  }
}

async function follow() {
  if (!document.hidden) {
    try {
      const answer = await fetch(live.dataset.url, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) throw new Error(`${answer.status}`);
      show(await answer.text());
      say();
      intervalMs = INTERVAL_MS;
      if (!UNDER_WAY.has(answer.headers.get("X-Training-State"))) {
        document.querySelector("[data-training-while]")?.remove();
        document.querySelector("[data-training-after]")?.removeAttribute("hidden");
        return;
      }
    } catch {
      intervalMs = Math.min(2 * intervalMs, LONGEST_INTERVAL_MS);
    }
  }
  setTimeout(follow, intervalMs);
}

const log = live.querySelector("[data-training-log]");
if (log !== null) log.scrollTop = log.scrollHeight;
if (live.dataset.url !== undefined) setTimeout(follow, INTERVAL_MS);
