"""Candidate and incumbent on the same test pictures, also where one of those goes meanwhile."""

from pathlib import Path

import pytest

from ml.artifact import ArtifactMetadata, write_artifact
from ml.dataset import load_dataset
from ml.pipeline import cache_pictures
from ml.preprocessing import Preprocessing
from ml.scoring import score
from tests.ml.training_pictures import write_folder
from tests.networks import COLOR_LABELS, COLOR_WEIGHTS, color_network


def metadata_of(side_px: int) -> ArtifactMetadata:
    return ArtifactMetadata(
        name="Colours",
        labels=COLOR_LABELS,
        preprocessing=Preprocessing(height_px=side_px, width_px=side_px),
        architecture="colors",
        parameters=int(COLOR_WEIGHTS.size),
        config={},
        temperature=1.0,
        dataset={},
        libraries={},
        created_at="2026-11-22T00:00:00+00:00",
        files={},
    )


@pytest.mark.parametrize(("incumbent_px", "left_out"), [(24, 0), (16, 1)])
def test_a_test_picture_deleted_meanwhile_is_left_out_where_it_must_be_read_again(
    tmp_path: Path, incumbent_px: int, left_out: int, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 30)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    metadata = metadata_of(24)
    cache = cache_pictures(
        dataset, metadata.preprocessing, cache_dir=tmp_path / "cache", progress=False
    )
    incumbent = tmp_path / "incumbent"
    network = color_network(COLOR_WEIGHTS, size_px=incumbent_px)
    write_artifact(incumbent, metadata_of(incumbent_px), {"model.tflite": network})
    tested = dataset.of_split("test")
    tested[0].path.unlink()

    scores = score(
        metadata,
        color_network(COLOR_WEIGHTS, size_px=24),
        dataset,
        cache,
        incumbent=incumbent,
        scratch=tmp_path,
        with_pictures=True,
    )

    assert scores.incumbent is not None
    assert scores.candidate.n == scores.incumbent.n == len(tested) - left_out
    assert ("Not tested on, deleted during the training: 1." in capsys.readouterr().out) is bool(
        left_out
    )
