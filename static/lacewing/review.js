// Review by keys, card after card without a new page. Without this script every button still
// works as the form that it is.

const RENEW_EVERY_MS = 40_000; // a card is kept for two minutes
const KEYS_OFF = "lacewing-review-keys-off";

const page = document.getElementById("review");
const holder = document.getElementById("review-card");
const said = document.getElementById("review-said");
const help = document.getElementById("review-help");
const keysSwitch = document.getElementById("review-keys");
let isSending = false;
let showsActivation = false;

const body = () => holder.firstElementChild;
const find = (selector) => holder.querySelector(selector);

function say(text, isRefusal) {
  said.classList.toggle("review__said--refused", isRefusal);
  // A text that is said twice is announced twice only if it changes in between.
  said.textContent = "";
  requestAnimationFrame(() => (said.textContent = text));
}

function focusCard() {
  document.getElementById("review-question")?.focus({ preventScroll: true });
}

async function send(form, button) {
  if (isSending) return; // a second press speaks of a card that has not come yet
  isSending = true;
  holder.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form, button),
      headers: { "X-Lacewing-Card": "1" },
    });
    if (response.redirected) return location.reload(); // signed out meanwhile
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.text());
  } catch {
    say(page.dataset.failed, true);
  } finally {
    isSending = false;
    holder.removeAttribute("aria-busy");
  }
}

function show(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  holder.replaceChildren(document.adoptNode(parsed.body.firstElementChild));
  const overlay = document.getElementById("activation-switch");
  if (overlay) overlay.checked = showsActivation;
  say(body().dataset.said, "refused" in body().dataset);
  scrollTo(0, 0); // on a telephone the answer stood below the picture
  focusCard();
}

holder.addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target, event.submitter);
});

holder.addEventListener("change", (event) => {
  if (event.target.id === "activation-switch") showsActivation = event.target.checked;
});

function toggleActivation() {
  document.getElementById("activation-switch")?.click();
}

function focusLabel(event) {
  event.preventDefault(); // or the key is typed into the field
  document.getElementById("review-label")?.focus();
}

function press(key, event) {
  if (key === "?") return help.showModal();
  if (key === "/") return focusLabel(event);
  if (key === "m") return toggleActivation();
  const button = key === "Enter" ? find("[data-accept]") : find(`[data-key="${CSS.escape(key)}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
}

document.addEventListener(
  "keydown",
  (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || help.open) return;
    const element = event.target;
    if (element.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") focusCard();
      return;
    }
    if (!keysSwitch.checked && event.key !== "?") return;
    // Enter and the space bar belong to what has the focus.
    if (event.key === "Enter" && element.closest("a, button, summary")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // Keys that the admin takes for its own search and menu stop here.
    event.stopPropagation();
    press(key, event);
  },
  { capture: true },
);

keysSwitch.checked = localStorage.getItem(KEYS_OFF) === null;
keysSwitch.addEventListener("change", () => {
  if (keysSwitch.checked) localStorage.removeItem(KEYS_OFF);
  else localStorage.setItem(KEYS_OFF, "1");
});

const helpButton = document.getElementById("review-help-button");
helpButton.hidden = false;
helpButton.addEventListener("click", () => help.showModal());

setInterval(() => {
  const form = find("[data-renew]");
  if (!form || document.hidden) return;
  fetch(form.action, { method: "POST", body: new FormData(form) }).catch(() => {});
}, RENEW_EVERY_MS);

if (said.textContent.trim() === "" && body().dataset.said) say(body().dataset.said, false);
focusCard();
