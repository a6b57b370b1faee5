"""One job: several candidates trained, one chosen on validation, that one a finished version.

Run as a child process, `python -m ml compare SPEC.json`, on the same terms as `ml.build`.
Every candidate that is done is kept in the workspace, so that `resume` trains none of them
again. The test pictures are looked at once, by the chosen one.
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from ml import events
from ml.architectures import architecture_named, check_options
from ml.build import BuildSpec, follow_plan, read_pictures
from ml.candidate import Candidate, make_candidate
from ml.contenders import Contender
from ml.cost import count_macs, ms_an_image
from ml.dataset import Dataset
from ml.errors import LacewingError
from ml.evaluation import format_results
from ml.leaderboard import LEADERBOARD_NAME, Leaderboard, LeaderboardRow, ranked, selection_optimism
from ml.pipeline import PictureCache, cache_pictures
from ml.plan import Plan
from ml.scoring import Scores, score, served
from ml.training_options import TrainingOptions
from ml.version import write_version

TIMED_PICTURES = 30
RESULT_NAME = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSpec:
    """All that a comparison must know."""

    build: BuildSpec
    """Its `options` hold for every contender that does not say otherwise."""
    contenders: tuple[Contender, ...]
    seeds: int
    """How many trainings of each, with the seeds from `build.options.seed` on."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON that the parent wrote: a build's fields, `contenders` and `seeds`."""
        values: dict[str, Any] = json.loads(path.read_text())
        contenders = tuple(Contender(**contender) for contender in values.pop("contenders"))
        seeds = values.pop("seeds")
        return cls(build=BuildSpec.from_dict(values), contenders=contenders, seeds=seeds)

    def options_of(self, contender: Contender, run: int) -> TrainingOptions:
        """Return what is asked of the contender's training number `run`."""
        base = self.build.options
        asked = contender.options | {
            "architecture": contender.architecture,
            "seed": base.seed + run,
        }
        return dataclasses.replace(base, **asked)

    def run_of(self, position: int, run: int) -> BuildSpec:
        """Return training number `run` of one contender as a build of its own."""
        workspace = self.build.workspace / f"candidate-{position}-{run}"
        return dataclasses.replace(
            self.build,
            workspace=workspace,
            options=self.options_of(self.contenders[position], run),
            resume=self.build.resume and (workspace / "plan.json").exists(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What is kept of one finished training."""

    correct: tuple[bool, ...]
    """Of each validation picture."""
    parameters: int
    macs: int
    file_bytes: int
    ms_an_image: float
    training_s: float

    def save(self, path: Path) -> None:
        """Write the result, whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(dataclasses.asdict(self)))
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        values: Mapping[str, Any] = json.loads(path.read_text())
        return cls(**{**values, "correct": tuple(values["correct"])})


def compare(spec: CompareSpec) -> None:
    """Train all contenders, choose one, score it and write it as a version; print what happens.

    A contender that cannot be trained on these pictures is listed with its reason. Raises
    LacewingError for whatever a person can mend; then there is no version, and what was trained
    waits in the workspace for `resume`.
    """
    for contender in spec.contenders:
        architecture_named(contender.architecture)
        check_options(contender.architecture, spec.options_of(contender, 0).shape())
    if not spec.build.resume:
        for leftover in spec.build.workspace.glob("candidate-*"):
            shutil.rmtree(leftover)
    dataset = read_pictures(spec.build)
    results = [_contend(spec, position, dataset) for position in range(len(spec.contenders))]
    rows = [
        _row(contender, found) for contender, found in zip(spec.contenders, results, strict=True)
    ]
    order = ranked(rows)
    best, run = rows.index(order[0]), order[0].best_run
    events.say(f"\nScoring {order[0].contender} on the test pictures.")
    build = dataclasses.replace(spec.run_of(best, run), resume=True)
    plan = follow_plan(build, dataset)
    cache = cache_pictures(dataset, plan.preprocessing, cache_dir=build.cache_dir)
    # Its finished training is taken up again, so that nothing is learned here.
    candidate = _candidate(build, plan, dataset, cache)
    events.stage("scoring")
    scores = score(
        candidate.metadata,
        candidate.network,
        dataset,
        cache,
        incumbent=build.incumbent,
        scratch=build.workspace,
        with_pictures=not build.serving_only,
    )
    board = Leaderboard(
        rows=order,
        chosen_seed=build.options.seed,
        test_correct=round(scores.candidate.accuracy * scores.candidate.n),
        test_n=scores.candidate.n,
        optimism=_optimism(rows, results),
    )
    events.stage("writing")
    _write(spec.build, candidate, scores, dataset, cache, board)
    events.say(format_results(scores.candidate, scores.incumbent))
    events.say("\n".join(["", *board.lines()]))


def _contend(spec: CompareSpec, position: int, dataset: Dataset) -> list[Result] | LacewingError:
    """Train one contender with every seed; return its results, or why there are none."""
    results = []
    for run in range(spec.seeds):
        number = position * spec.seeds + run + 1
        count = len(spec.contenders) * spec.seeds
        events.candidate(number, count)
        events.say(
            f"\n[{number} of {count}] {spec.contenders[position]}, "
            f"seed {spec.build.options.seed + run}"
        )
        try:
            results.append(_result(spec.run_of(position, run), dataset))
        except LacewingError as error:
            if error.code == "data_changed":
                raise
            events.say(f"Not trained: {error.message}")
            return error
    return results


def _result(build: BuildSpec, dataset: Dataset) -> Result:
    """Train and measure, or return what an earlier run of this comparison measured."""
    build.workspace.mkdir(parents=True, exist_ok=True)
    plan = follow_plan(build, dataset)
    kept = build.workspace / RESULT_NAME
    if kept.exists():
        events.say("Done before.")
        return Result.load(kept)
    events.say("\n".join(plan.lines()))
    events.stage("decoding")
    cache = cache_pictures(dataset, plan.preprocessing, cache_dir=build.cache_dir)
    candidate = _candidate(build, plan, dataset, cache)
    network = candidate.trained.network
    with served(candidate.metadata, candidate.network, build.workspace) as classifier:
        duration_ms = ms_an_image(classifier, n=TIMED_PICTURES)
    validation = candidate.validation
    correct = np.argmax(validation.logits, axis=1) == validation.truth
    result = Result(
        correct=tuple(correct.tolist()),
        parameters=network.count_params(),
        macs=count_macs(network, network.input_shape[1:]),
        file_bytes=len(candidate.network),
        ms_an_image=duration_ms,
        training_s=candidate.training_s,
    )
    result.save(kept)
    for features in build.workspace.glob("features-*.npy"):
        features.unlink()  # the largest part of the workspace, and made again in no time
    keras.backend.clear_session()
    events.say(
        f"Validation accuracy {np.mean(correct) * 100:.1f} % of {len(correct)} pictures, "
        f"trained in {result.training_s:.0f} s."
    )
    return result


def _candidate(build: BuildSpec, plan: Plan, dataset: Dataset, cache: PictureCache) -> Candidate:
    return make_candidate(
        dataset, plan, cache, name=build.name, sources=build.sources, workspace=build.workspace
    )


def _row(contender: Contender, found: list[Result] | LacewingError) -> LeaderboardRow:
    if isinstance(found, LacewingError):
        return LeaderboardRow(contender=contender, error=found.message)
    first = found[0]
    return LeaderboardRow(
        contender=contender,
        correct=tuple(sum(result.correct) for result in found),
        n=len(first.correct),
        parameters=first.parameters,
        macs=first.macs,
        file_bytes=first.file_bytes,
        ms_an_image=float(np.median([result.ms_an_image for result in found])),
        training_s=float(np.mean([result.training_s for result in found])),
    )


def _optimism(rows: list[LeaderboardRow], results: list[list[Result] | LacewingError]) -> float:
    """Return the optimism of the choice, ties resolved as `ranked` does."""
    trained = [
        (row.macs, found)
        for row, found in zip(rows, results, strict=True)
        if not isinstance(found, LacewingError)
    ]
    trained.sort(key=lambda pair: pair[0])
    correct = [result.correct for _, found in trained for result in found]
    groups = [group for group, (_, found) in enumerate(trained) for _ in found]
    return selection_optimism(np.array(correct, dtype=bool), groups)


def _write(
    build: BuildSpec,
    candidate: Candidate,
    scores: Scores,
    dataset: Dataset,
    cache: PictureCache,
    board: Leaderboard,
) -> None:
    note = (
        f"Chosen among {board.n_networks} trained networks by its accuracy on "
        f"{board.chosen.n} validation pictures; leaderboard.json lists them all."
    )
    write_version(
        build.output,
        candidate,
        scores,
        dataset,
        cache,
        notes=[*build.notes, note],
        serving_only=build.serving_only,
        extra_files={LEADERBOARD_NAME: json.dumps(board.to_dict(), indent=1).encode()},
    )


def run(spec_path: Path) -> None:
    """Do the job that a specification file names."""
    compare(CompareSpec.load(spec_path))
