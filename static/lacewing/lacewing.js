// What a browser with scripts adds to pages that work without: dropping and pasting
// pictures, several at once with progress, copying a link, times of the visitor's zone.

const MAX_IN_FLIGHT = 2; // more would only wait in the server instead of here
const THUMBNAIL_PX = 112; // shown at half of that, sharp on dense screens
const CAN_BE_RETRIED = new Set([0, 429, 500, 502, 503, 504]); // 0: no answer came

const forms = [...document.querySelectorAll("form[data-upload]")];
const waiting = [];
let inFlight = 0;
let isKnown = false; // the first answer sets the visitor's cookie, which the others must carry
let uploads = 0;

/* Pictures come in: picked, dropped, pasted */

const zoneOf = (form) => form.closest("[data-drop-zone]");

/** The form whose zone holds `element`; anywhere else on the page, the only form there is. */
function formAt(element) {
  const inZone = forms.find((form) => zoneOf(form).contains(element));
  return inZone ?? (forms.length === 1 ? forms[0] : null);
}

function formPointedAt() {
  const pointedAt = forms.find((form) => zoneOf(form).matches(":hover, :focus-within"));
  return pointedAt ?? (forms.length === 1 ? forms[0] : null);
}

function markDropTarget(target) {
  for (const form of forms) {
    form.querySelector("[data-drop]").classList.toggle("drop--over", form === target);
  }
}

const carriesFiles = (transfer) => transfer !== null && [...transfer.types].includes("Files");

for (const form of forms) {
  const input = form.elements.image;
  input.multiple = true;
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be picked again
    take(form, files);
  });
}

if (forms.length > 0) {
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault(); // or a picture dropped beside the area would replace the page
    const target = formAt(event.target);
    event.dataTransfer.dropEffect = target ? "copy" : "none";
    markDropTarget(target);
  });

  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) markDropTarget(null);
  });

  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    markDropTarget(null);
    const target = formAt(event.target);
    if (target) take(target, [...event.dataTransfer.files]);
  });

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    const target = formPointedAt();
    const hint = document.querySelector("[data-paste-hint]");
    if (hint) hint.hidden = target !== null;
    if (target) take(target, files);
  });
}

/* Each goes out as its own request, with a row that tells how far it is */

function take(form, files) {
  document.getElementById("upload-error")?.remove();
  for (const file of files) {
    uploads += 1;
    const row = newRow(form, file);
    if (file.size > Number(form.dataset.maxBytes)) {
      fail(row, form.dataset.tooLarge);
    } else {
      enqueue({ form, file, row });
    }
  }
}

function newRow(form, file) {
  const row = form.querySelector("template").content.firstElementChild.cloneNode(true);
  row.querySelector(".upload__name").textContent = file.name;
  form.querySelector("[data-uploads]").append(row);
  drawThumbnail(row.querySelector("canvas"), file);
  return row;
}

/** Draw the middle square of the picture; a format the browser cannot show stays blank. */
async function drawThumbnail(canvas, file) {
  try {
    const bitmap = await createImageBitmap(file);
    const side = Math.min(bitmap.width, bitmap.height);
    const left = (bitmap.width - side) / 2;
    const top = (bitmap.height - side) / 2;
    canvas.width = canvas.height = THUMBNAIL_PX;
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, left, top, side, side, 0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
    bitmap.close();
  } catch {
    // The server may still read it: HEIC, for one.
  }
}

function enqueue(upload) {
  tell(upload.row, upload.form.dataset.waiting);
  waiting.push(upload);
  sendNext();
}

function sendNext() {
  if (inFlight >= (isKnown ? MAX_IN_FLIGHT : 1) || waiting.length === 0) return;
  inFlight += 1;
  send(waiting.shift());
  sendNext();
}

function send({ form, file, row }) {
  const progress = row.querySelector("progress");
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  body.set("image", file, file.name);

  const request = new XMLHttpRequest(); // fetch does not report the progress of an upload
  request.open("POST", form.action);
  request.setRequestHeader("HX-Request", "true");
  request.setRequestHeader("Accept", "application/json, text/html;q=0.5");
  tell(row, form.dataset.sending);
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) progress.value = event.loaded / event.total;
  });
  request.upload.addEventListener("load", () => {
    progress.removeAttribute("value"); // sent; how long recognizing takes is not known
    tell(row, form.dataset.recognizing);
  });
  request.addEventListener("loadend", () => {
    inFlight -= 1;
    if (request.status === 201) {
      isKnown = true;
      succeed(row, file, request);
    } else {
      const retry = CAN_BE_RETRIED.has(request.status) ? () => enqueue({ form, file, row }) : null;
      fail(row, messageOf(request, form), retry);
    }
    sendNext();
  });
  request.send(body);
}

function succeed(row, file, request) {
  if (uploads === 1) {
    location.assign(request.getResponseHeader("Location"));
    return;
  }
  const fragment = document.createElement("template");
  fragment.innerHTML = request.responseText;
  const result = fragment.content.querySelector("li");
  result.querySelector(".upload__name").textContent = file.name;
  row.replaceWith(result);
}

function messageOf(request, form) {
  if (request.status === 0) return form.dataset.connectionLost;
  try {
    return JSON.parse(request.responseText).error.message;
  } catch {
    return form.dataset.failed; // from a proxy, perhaps: not one of our answers
  }
}

function tell(row, message) {
  row.classList.remove("upload--failed");
  row.querySelector("progress").hidden = false;
  row.querySelector(".upload__message").textContent = message;
  row.querySelector("button").hidden = true;
}

function fail(row, message, retry = null) {
  tell(row, message);
  row.classList.add("upload--failed");
  row.querySelector("progress").hidden = true;
  const button = row.querySelector("button");
  button.hidden = retry === null;
  button.onclick = retry;
}

/* Links, times, forms that htmx sends */

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break; // only where the page came by HTTPS or from this machine
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = button.dataset.copied;
    setTimeout(() => (button.textContent = label), 2000);
  });
}

const localTime = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "medium",
  timeStyle: "short",
});
for (const time of document.querySelectorAll("time[data-local]")) {
  time.textContent = localTime.format(new Date(time.dateTime));
}

// Where htmx got an error, the plain form shows the page that explains it.
for (const name of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(name, (event) => event.target.closest("form")?.submit());
}
