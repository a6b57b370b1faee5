"""HTTP at the edge: waitress's connections with our limits, errors and sharing of work.

Waitress reads whole requests in one event loop and gives a thread only what has arrived
completely, so slow clients cost a file descriptor each and no thread. What is added here:
bodies that are too large are drained and not stored; requests that come too slowly are
refused; errors are in the shape of the API; workers share the connections out evenly.
"""

import json
import logging
import time
import uuid
from io import BytesIO
from typing import Any, Final

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from classifier_site.balance import LoadBoard

GRACE_S: Final = 20.0  # for the headers, and for the first byte of the body to come
MINIMUM_RATE_BYTES_PER_S: Final = 4096  # each received 4096 bytes earn a second more
SWEEP_INTERVAL_S: Final = 2
PATIENCE_S: Final = 0.005  # how long a busier worker leaves a new connection to the others
NEWCOMER_S: Final = 1.0  # in which a new connection's first request is waited for, at a stop
UPLOAD_BYTES: Final = 64 * 1024  # a request with a larger body counts as an upload
DRAINED_BODY_BYTES: Final = 1024 * 1024 * 1024  # larger still: cut off without draining

ERROR_CODES: Final = {413: "file_too_large", 431: "headers_too_large", 500: "internal_error"}
CLIENT_ERRORS: Final = {413: "413 Content Too Large", 431: "431 Request Header Fields Too Large"}

logger = logging.getLogger("lacewing.server")


class Nowhere:
    """A buffer that keeps nothing, for bodies that will be refused."""

    def append(self, data: bytes) -> None:
        """Drop the data."""

    def getfile(self) -> BytesIO:
        """Return an empty file."""
        return BytesIO()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def __len__(self) -> int:
        return 0


class RequestParser(HTTPRequestParser):
    """Collects one request; keeps no body larger than `adj.stored_body_bytes`.

    A client that sends too much reads no answer before it has sent everything, so the rest
    of its body is received and dropped. Django then refuses the request by its
    Content-Length, with the same page or JSON as any other refusal.
    """

    def __init__(self, adj: Adjustments) -> None:
        super().__init__(adj)
        self.begun_at = time.monotonic()
        self.completed = False
        self.expect_continue = False

    @property
    def is_upload(self) -> bool:
        """Whether the body is chunked or larger than a form without files."""
        return bool(self.chunked or self.content_length > UPLOAD_BYTES)

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers; send a body that is too large nowhere."""
        super().parse_header(header_plus)
        if self.content_length <= self.adj.stored_body_bytes:
            return
        if self.expect_continue:  # nothing is sent yet: refuse it before it is
            self.expect_continue = False
            self.body_rcv = None
        else:
            self.body_rcv = FixedStreamReceiver(self.content_length, Nowhere())

    def received(self, data: bytes) -> int:
        """Take in `data`, return how much of it was used; end a chunked body that is too large."""
        used: int = super().received(data)
        limit_bytes = self.adj.stored_body_bytes
        if self.chunked and not self.completed and self.body_bytes_received > limit_bytes:
            self.error = RequestEntityTooLarge(f"The body exceeds {limit_bytes} bytes.")
            self.completed = True
        return used

    def is_too_slow(self, now: float) -> bool:
        """Return whether the bytes so far came slower than the least rate allowed."""
        earned_s = self.body_bytes_received / MINIMUM_RATE_BYTES_PER_S
        return bool(now - self.begun_at > GRACE_S + earned_s)


class ApplicationTask(WSGITask):
    """Answers one request through Django."""

    def execute(self) -> None:
        """Run the application; close after an upload, and while the server stops.

        The next upload is then a new connection, which the least busy worker takes. On a
        connection that is kept, uploads stay with the worker that happened to accept it,
        and one worker may have them all while another is idle.
        """
        if self.request.is_upload or self.channel.server.is_stopping:
            self.set_close_on_finish()
        super().execute()

    def finish(self) -> None:
        """End the answer, and log it in this thread, which knows the request's id."""
        super().finish()
        logger.info(
            "%s %s %s in %.0f ms",
            self.request.command,
            self.request.path,
            self.status[:3],
            (time.time() - self.start_time) * 1000,
        )


class RefusalTask(ErrorTask):
    """Answers a request that never reached Django, in the error shape of the API."""

    def execute(self) -> None:
        """Write the error as JSON and close."""
        error: Error = self.request.error
        server_fault = error.code == 500
        self.status = "500 Internal Server Error"
        if not server_fault:
            self.status = CLIENT_ERRORS.get(error.code, "400 Bad Request")
        request_id = uuid.uuid4().hex
        content = {
            "code": ERROR_CODES.get(error.code, "bad_request"),
            "message": str(error.body),
            "request_id": request_id,
        }
        body = json.dumps({"error": content}).encode()
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("X-Request-ID", request_id),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        logger.log(
            logging.ERROR if server_fault else logging.INFO,
            "refused with %s: %s",
            self.status,
            error.body,
            extra={"request_id": request_id},
        )


class Connection(HTTPChannel):
    """One client's connection."""

    task_class = ApplicationTask
    error_task_class = RefusalTask
    parser_class = RequestParser
    request: RequestParser | None
    is_new = True

    def refuse_if_too_slow(self, now: float) -> None:
        """Answer 400 to a request whose rest is not worth waiting for."""
        with self.requests_lock:
            request = self.request
            if request is None or self.requests or not request.is_too_slow(now):
                return
            request.error = BadRequest(
                f"The request came too slowly: {request.body_bytes_received} of "
                f"{request.content_length or 'unknown'} bytes of its body arrived in "
                f"{now - request.begun_at:.0f} s."
            )
            request.completed = True
            self.request = None
            self.requests.append(request)
            self.server.add_task(self)

    def received(self, data: bytes) -> bool:
        """Take in bytes; whoever has sent some is no newcomer."""
        self.is_new = False
        return bool(super().received(data))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being received, answered or sent, nor about to come."""
        if self.is_new and time.time() < self.creation_time + NEWCOMER_S:
            return False
        return self.request is None and not self.requests and not self.total_outbufs_len


class Server(TcpWSGIServer):
    """Accepts connections on one listening socket, in one worker process.

    All workers wait on the same socket. A worker that holds more requests than another
    leaves a new connection to the others for `PATIENCE_S`, then takes it itself, so that
    a worker that hangs never holds up the rest.
    """

    channel_class = Connection
    is_stopping = False  # set, every further answer closes its connection

    def __init__(self, *args: Any, board: LoadBoard, slot: int, **kwargs: Any) -> None:
        self.board = board
        self.slot = slot
        self.patient_until = 0.0
        super().__init__(*args, **kwargs)

    @property
    def load(self) -> int:
        """Requests that are whole and not yet answered."""
        dispatcher: ThreadedTaskDispatcher = self.task_dispatcher
        return len(dispatcher.queue) + max(int(dispatcher.active_count), 0)

    def poll_timeout_s(self, longest_s: float) -> float:
        """Return how long the event loop may sleep.

        Not at all when patience has run out: `readable` then takes the connection, and the
        turn of the loop that is under way does not yet watch it.
        """
        if not self.patient_until:
            return longest_s
        left_s = self.patient_until - time.monotonic()
        # Rounded up: waitress cuts to whole milliseconds, and would spin through the last.
        return min(left_s + 0.001, longest_s) if left_s > 0 else 0.0

    def readable(self) -> bool:
        """Return whether to look for new connections; publish the load meanwhile."""
        self.board.publish(self.slot, self.load)
        accepting: bool = super().readable()
        if self.patient_until and accepting:
            if time.monotonic() < self.patient_until:
                return False
            self.patient_until = 0.0
            super().handle_accept()  # if it is still waiting; this does not block
        return accepting

    def handle_accept(self) -> None:
        """Take a new connection, unless a less busy worker should have it."""
        if self.board.someone_is_less_busy(self.slot):
            self.patient_until = time.monotonic() + PATIENCE_S
        else:
            super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Refuse what comes too slowly, then close what is idle."""
        for connection in list(self.active_channels.values()):
            connection.refuse_if_too_slow(time.monotonic())
        super().maintenance(now)

    def stop_accepting(self) -> None:
        """Take what has connected already, then leave the listening socket to the others."""
        connections = -1
        while connections < len(self.active_channels):
            connections = len(self.active_channels)
            super().handle_accept()
        self.accepting = False
        self.del_channel()

    def close_idle_connections(self) -> int:
        """Close the connections with nothing to finish; return how many remain."""
        for connection in list(self.active_channels.values()):
            if connection.is_idle:
                connection.handle_close()
        return len(self.active_channels)
