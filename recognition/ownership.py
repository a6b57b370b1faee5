"""Who may speak for an upload: the browser that made it, and whoever holds its key. No account.

The key is a signature of the prediction's id. The uploader's own link carries it, so that the
upload can be answered for from another browser, or without cookies.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.core import signing
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from recognition.errors import ApplicationError
from recognition.models import Prediction
from recognition.visitors import visitor_id_of

KEY_SALT: Final = "recognition.ownership"  # a signature made for anything else opens nothing
KEY_FIELD: Final = "key"


def owner_key(prediction_id: UUID) -> str:
    """Return the key of an upload; valid for as long as the server's secret key is."""
    return signing.Signer(salt=KEY_SALT).signature(str(prediction_id))


def fits(prediction_id: UUID, key: str) -> bool:
    """Return True where `key` is that of this upload, made with a secret key still known."""
    signer = signing.Signer(salt=KEY_SALT)
    try:
        signer.unsign(f"{prediction_id}{signer.sep}{key}")
    except signing.BadSignature:
        return False
    return True


def owner_path(prediction_id: UUID) -> str:
    """Return the path and query of the uploader's own link."""
    page = reverse("recognition:prediction", args=[prediction_id])
    return f"{page}?{urlencode({KEY_FIELD: owner_key(prediction_id)})}"


def key_of(request: HttpRequest) -> str:
    """Return the key that the request brings, in its form or its address; empty without one."""
    return request.POST.get(KEY_FIELD) or request.GET.get(KEY_FIELD) or ""


def owns(request: HttpRequest, prediction: Prediction) -> bool:
    """Return True where the request comes from who uploaded the picture.

    Raises:
        ApplicationError: `wrong_key`, whoever asks: a key that is not this upload's is either
            forged or a link that lost a part, and its holder should know.
    """
    if key := key_of(request):
        check_key(prediction.pk, key)
        return True
    visitor_id = visitor_id_of(request)
    return visitor_id is not None and visitor_id == prediction.visitor_id


def check_key(prediction_id: UUID, key: str) -> None:
    """Raise ApplicationError `wrong_key` unless `key` is that of this upload."""
    if not fits(prediction_id, key):
        raise ApplicationError(
            "wrong_key",
            _(
                "The key in this address does not belong to this picture: perhaps a part of the "
                "link is missing. Use the whole link that you were given after the upload."
            ),
            HTTPStatus.FORBIDDEN,
        )


def not_uploader() -> ApplicationError:
    """Return the refusal of everybody else."""
    return ApplicationError(
        "not_uploader",
        _(
            "Only who uploaded this picture may do that: in the browser it was uploaded with, or "
            "by the uploader’s own link."
        ),
        HTTPStatus.FORBIDDEN,
    )
