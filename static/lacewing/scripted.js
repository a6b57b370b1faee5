// Runs before the first paint, so that the page is laid out once.
document.documentElement.classList.add("scripted");
