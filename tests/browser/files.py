"""Pictures that reach a page by drop or paste, where the browser's own gesture cannot be made."""

import base64
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import JSHandle, Page

_TRANSFER = """files => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: "image/png" }));
  }
  return transfer;
}"""


def transfer_of(page: Page, files: Sequence[Path]) -> JSHandle:
    """Return a DataTransfer in `page` that holds `files`."""
    content = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    return page.evaluate_handle(_TRANSFER, content)


def drop(page: Page, selector: str, files: Sequence[Path]) -> None:
    """Drag `files` over what `selector` names, and let go."""
    detail = {"dataTransfer": transfer_of(page, files)}
    page.dispatch_event(selector, "dragover", detail)
    page.dispatch_event(selector, "drop", detail)


def copy(page: Page, file: Path) -> None:
    """Put a PNG on the browser's clipboard, as a screenshot tool does."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(
        """async ([transfer]) => {
          const picture = transfer.files[0];
          await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
        }""",
        [transfer_of(page, [file])],
    )
