"""What pages accept, besides pictures: how many classes to show."""

from django import forms
from django.http import QueryDict

from recognition.errors import BadRequestError

DEFAULT_TOP_K = 5
SHOWN_INPUT_CHARS = 40


class TopKForm(forms.Form):
    """The `top_k` of a query: a whole number from 1; more than all classes means all."""

    top_k = forms.IntegerField(min_value=1, required=False)


def read_top_k(query: QueryDict) -> int:
    """Return how many classes a query asks for, `DEFAULT_TOP_K` where it does not say.

    Raises:
        BadRequestError: not a whole number from 1.
    """
    form = TopKForm(query)
    if not form.is_valid():
        received = query.get("top_k", "")[:SHOWN_INPUT_CHARS]
        raise BadRequestError(f'"top_k" must be a whole number from 1, received "{received}".')
    return form.cleaned_data["top_k"] or DEFAULT_TOP_K
