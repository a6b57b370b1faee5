// Loaded right after the admin's htmx: it must add no inline sheet, which the policy refuses.
window.htmx.config.includeIndicatorStyles = false;
window.htmx.config.allowEval = false;
