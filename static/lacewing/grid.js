// The grid by keys: arrows move, the space bar ticks, "a" ticks all.

const form = document.getElementById("grid");
const all = document.getElementById("grid-all");
const count = document.getElementById("grid-count");

const ticks = () => [...form.querySelectorAll(".grid__tick")];

function tell() {
  const n = ticks().filter((tick) => tick.checked).length;
  count.textContent = n === 1 ? count.dataset.one : count.dataset.many.replace("{n}", String(n));
}

function tickAll() {
  const isAll = ticks().every((tick) => tick.checked);
  for (const tick of ticks()) tick.checked = !isAll;
  tell();
}

function columns(boxes) {
  const top = boxes[0].getBoundingClientRect().top;
  const first = boxes.findIndex((box) => box.getBoundingClientRect().top > top + 4);
  return first === -1 ? boxes.length : first;
}

function move(event) {
  const boxes = ticks();
  const index = boxes.indexOf(event.target);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(boxes), ArrowDown: columns(boxes) };
  const step = steps[event.key];
  if (index === -1 || step === undefined) return;
  event.preventDefault();
  boxes[index + step]?.focus();
}

if (form) {
  form.addEventListener("change", tell);
  form.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "a" && event.target.matches(".grid__tick")) return tickAll();
    // Enter in a field means its own button, not the first of the form, which confirms.
    if (event.key === "Enter" && event.target.matches(".grid__other input")) {
      event.preventDefault();
      form.requestSubmit(event.target.parentElement.querySelector("button"));
      return;
    }
    if (event.key === "Enter" && event.target.matches(".grid__tick")) event.preventDefault();
    move(event);
  });
  all.setAttribute("role", "button");
  all.addEventListener("click", (event) => {
    event.preventDefault();
    tickAll();
  });
  all.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    tickAll();
  });
  tell();
}
