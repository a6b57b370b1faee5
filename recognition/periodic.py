"""What one worker does every minute; each duty returns soon and may be repeated."""

from collections.abc import Callable

from recognition import erasing, retention

PERIODIC: tuple[Callable[[], object], ...] = (retention.delete_expired, erasing.follow_up_all)
