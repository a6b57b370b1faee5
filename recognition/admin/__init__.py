"""The admin: where reviewers settle labels and administrators choose what serves."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from recognition.admin.activations import ActivationAdmin
from recognition.admin.erasures import ErasureReceiptAdmin
from recognition.admin.people import GroupAdmin, UserAdmin
from recognition.admin.predictions import PredictionAdmin
from recognition.admin.recognizers import RecognizerAdmin
from recognition.admin.reviews import ReviewAdmin
from recognition.admin.training_runs import TrainingRunAdmin
from recognition.admin.versions import ModelVersionAdmin

__all__ = [
    "ActivationAdmin",
    "ErasureReceiptAdmin",
    "GroupAdmin",
    "ModelVersionAdmin",
    "PredictionAdmin",
    "RecognizerAdmin",
    "ReviewAdmin",
    "TrainingRunAdmin",
    "UserAdmin",
]

admin.site.index_title = _("Review, compare, activate")
