"""What may be asked of a training, and what its child is told to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings

from ml.artifact import read_artifact
from ml.contenders import Contender
from ml.errors import TrainingError
from ml.named_sets import located
from recognition.models import REVIEWED_NAME, Prediction, Recognizer, TrainingRun
from recognition.taking_in import Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """What a person asks of a training; None means "as last time", or the best recipe."""

    slug: str
    name: str = ""
    sources: Sequence[Path] = ()
    options: Mapping[str, Any]
    """`architecture`, `image_size_px`, `epochs`, `weights`, `pictures`, `seed`."""
    activate: Activation = "auto"
    resume: bool = False
    serving_only: bool = False
    notes: Sequence[str] = ()

    job: ClassVar[str] = "build"
    """Which job of `python -m ml` does it."""

    @property
    def workspace_name(self) -> str:
        """Name of the folder that the training works in."""
        return self.slug

    def document(self) -> dict[str, Any]:
        """Return it as the row of the training keeps it; `request_of` reads it."""
        return {
            "name": self.name,
            "sources": [str(located(source)) for source in self.sources],
            "options": asked_options(self),
            "serving_only": self.serving_only,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest(RetrainRequest):
    """What a person asks of a comparison; the options hold for all that is compared."""

    contenders: Sequence[Contender]
    """Empty only to resume."""
    seeds: int = 1
    """How many trainings of each."""

    job: ClassVar[str] = "compare"

    @property
    def workspace_name(self) -> str:
        """Name of the folder that the comparison works in."""
        # No slug has a full stop in it: this is nobody else's workspace.
        return f"{self.slug}.compare"

    def document(self) -> dict[str, Any]:
        """Return it as the row of the training keeps it; `request_of` reads it."""
        contenders = [asdict(contender) for contender in self.contenders]
        return RetrainRequest.document(self) | {"contenders": contenders, "seeds": self.seeds}


def request_of(run: TrainingRun) -> RetrainRequest:
    """Return what a run's row says was asked."""
    asked: Mapping[str, Any] = run.request
    fields: dict[str, Any] = {
        "slug": run.recognizer.slug,
        "name": asked.get("name", ""),
        "sources": [Path(source) for source in asked.get("sources", ())],
        "options": asked.get("options", {}),
        "activate": run.activation,
        "serving_only": asked.get("serving_only", False),
        "notes": asked.get("notes", ()),
    }
    if "contenders" not in asked:
        return RetrainRequest(**fields)
    contenders = [Contender(**contender) for contender in asked["contenders"]]
    return CompareRequest(**fields, contenders=contenders, seeds=asked["seeds"])


def asked_options(request: RetrainRequest) -> dict[str, Any]:
    """Return the options that were asked for."""
    return {key: value for key, value in request.options.items() if value is not None}


def new_spec(
    recognizer: Recognizer,
    request: RetrainRequest,
    workspace: Path,
    reviewed: Iterable[Prediction] = (),
) -> dict[str, Any]:
    """Return the specification that `ml.build.BuildSpec` or `ml.compare.CompareSpec` reads.

    Raises:
        TrainingError: `no_data`, there is nothing to learn from.
    """
    sources = [str(located(source)) for source in request.sources] or recognizer.data_sources
    pictures = [
        {
            "path": str(prediction.picture_path),
            "label": prediction.reviewed_label,
            "name": f"{REVIEWED_NAME}{prediction.pk}",
        }
        for prediction in reviewed
    ]
    if not sources and not pictures:
        raise TrainingError(
            "no_data",
            f'There are no pictures to train "{recognizer.slug}" on: pass --data with a folder '
            "that holds a folder of pictures for every class.",
        )
    versions = recognizer.versions.order_by("number") if recognizer.pk else []
    more: dict[str, Any] = {}
    if isinstance(request, CompareRequest):
        more = {"contenders": list(map(asdict, request.contenders)), "seeds": request.seeds}
    return {
        "name": request.name or recognizer.name,
        "output": str(workspace / "version"),
        "workspace": str(workspace),
        "cache_dir": str(settings.CACHE_DIR),
        "sources": sources,
        "datasets_url": settings.DATASETS_URL,
        "reviewed": pictures,
        "known_splits": [
            str(path)
            for version in versions
            if (path := version.path / "examples.csv.gz").is_file()
        ],
        "options": _options(recognizer, request),
        "serving_only": request.serving_only,
        "notes": list(request.notes),
        **more,
    }


def remembered_options(recognizer: Recognizer) -> dict[str, Any]:
    """Return what the last training was asked for, less a weights file that has gone.

    A version that ships was trained elsewhere: its own metadata says what it is.
    """
    options = dict(recognizer.training_options)
    options.pop("quick", None)  # a first answer is not how the next training should go
    active = recognizer.active_version() if recognizer.pk else None
    if not options and active is not None:
        metadata = read_artifact(active.path)
        options = {
            "architecture": metadata.architecture,
            "image_size_px": metadata.preprocessing.width_px,
            "fit": metadata.preprocessing.fit,
            "pictures": "drawings" if metadata.preprocessing.ink else "photos",
        }
    weights = options.get("weights")
    if weights not in (None, "imagenet", "none") and not Path(weights).is_file():
        del options["weights"]
    return options


def _options(recognizer: Recognizer, request: RetrainRequest) -> dict[str, Any]:
    remembered, asked = remembered_options(recognizer), asked_options(request)
    architecture = remembered.get("architecture")
    if isinstance(request, CompareRequest) or asked.get("architecture", architecture) != (
        architecture
    ):
        # What else was asked last time was asked of another network.
        remembered = {key: value for key, value in remembered.items() if key == "pictures"}
    return remembered | asked
