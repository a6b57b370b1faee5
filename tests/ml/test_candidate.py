"""From labelled pictures to a network that is ready to serve."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ml.artifact import NOVELTY_NAME
from ml.build import BuildSpec, build, follow_plan, read_pictures
from ml.candidate import evenly_spread, make_candidate
from ml.dataset import load_dataset
from ml.errors import TrainingError
from ml.inference import Classifier
from ml.outputs import served_outputs
from ml.pipeline import cache_pictures
from ml.scoring import served
from ml.training_options import TrainingOptions
from tests.ml.training_pictures import colored_pictures, write_folder


def spec_for(root: Path, **options: object) -> BuildSpec:
    source = write_folder(root / "colors", 12)
    (root / "work").mkdir()
    return BuildSpec(
        name="Colours",
        output=root / "version",
        workspace=root / "work",
        cache_dir=root / "cache",
        sources=[source],
        options=TrainingOptions(**options),  # type: ignore[arg-type]
    )


def test_pictures_can_be_learned_by_heart(tmp_path: Path) -> None:
    build(spec_for(tmp_path, architecture="nearest_neighbours", neighbours=3))
    classifier = Classifier.load(tmp_path / "version")
    assert classifier.metadata.config["options"] == {"neighbours": 3}
    assert set(classifier.metadata.prediction_set_thresholds) == {"0.90", "0.95"}
    assert NOVELTY_NAME in classifier.metadata.files
    pictures, truth = colored_pictures(1, 40, seed=9)
    for picture, right in zip(pictures, truth, strict=True):
        result = classifier.classify_picture(picture)
        assert result.top(1)[0][0] == classifier.labels[right]
        assert result.novelty is not None
        assert result.activation is None


def test_a_network_that_could_not_be_served_is_refused_before_it_is_trained(
    tmp_path: Path,
) -> None:
    spec = spec_for(tmp_path, architecture="cnn", width=1024, image_size_px=512, epochs=1)
    with pytest.raises(TrainingError) as refusal:
        build(spec)
    assert refusal.value.code == "cannot_export"
    assert not spec.output.exists()
    assert not (spec.workspace / "checkpoint.npz").exists()


@pytest.mark.slow
def test_training_outputs_of_a_new_head_alone_are_those_that_are_served(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    weights = tmp_path / "backbone.weights.h5"
    keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    ).save_weights(weights)
    spec = spec_for(
        tmp_path, architecture="mobilenet_v3_small", weights=str(weights), image_size_px=32,
        epochs=0,
    )  # fmt: skip
    dataset = read_pictures(spec)
    plan = follow_plan(spec, dataset)
    cache = cache_pictures(dataset, plan.preprocessing, cache_dir=spec.cache_dir)
    candidate = make_candidate(
        dataset, plan, cache, name=spec.name, sources=spec.sources, workspace=spec.workspace
    )
    with served(candidate.metadata, candidate.network, spec.workspace) as classifier:
        examples = candidate.train.examples
        expected = served_outputs(classifier, *cache.of(examples), examples)
    assert candidate.train.examples == dataset.of_split("train")
    np.testing.assert_array_equal(candidate.train.truth, expected.truth)
    np.testing.assert_allclose(candidate.train.embeddings, expected.embeddings, atol=0.01)
    np.testing.assert_allclose(candidate.train.logits, expected.logits, atol=0.05)


def test_a_sample_keeps_every_label_in_its_share(tmp_path: Path) -> None:
    dataset = load_dataset([write_folder(tmp_path / "colors", 12)], unpack_dir=tmp_path)
    sample = evenly_spread(dataset.examples, 6)
    assert sorted({example.label for example in sample}) == list(dataset.labels)
    assert len(sample) == 6
    assert len(set(sample)) == 6
    assert evenly_spread(dataset.examples, 100) == dataset.examples
