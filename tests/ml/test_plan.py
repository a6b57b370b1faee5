"""What training does when it is told nothing, and what it refuses to be told."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.dataset import Dataset, load_dataset
from ml.errors import TrainingError
from ml.plan import Plan, make_plan
from ml.recipes import recipe_for
from ml.training_options import TrainingOptions
from tests.ml.training_pictures import write_folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("small")
    return load_dataset(
        [write_folder(root / "colors", 6, side_px=32)], unpack_dir=root, progress=False
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("photos")
    return load_dataset(
        [write_folder(root / "colors", 6, side_px=300)], unpack_dir=root, progress=False
    )


def test_small_pictures_get_a_network_from_scratch_at_their_size(small: Dataset) -> None:
    plan = make_plan(small, TrainingOptions())
    assert plan.config.architecture == "cnn"
    assert plan.config.weights == "none"
    assert (plan.preprocessing.width_px, plan.preprocessing.color) == (32, "rgb")


def test_photographs_get_an_imagenet_backbone(photos: Dataset) -> None:
    plan = make_plan(photos, TrainingOptions())
    assert plan.config.architecture == "mobilenet_v2"
    assert plan.config.weights == "imagenet"
    assert (plan.preprocessing.height_px, plan.preprocessing.width_px) == (224, 224)
    assert plan.config.augmentation == "photos"


def test_a_backbone_sees_pictures_cropped_as_it_learned_them(photos: Dataset) -> None:
    assert make_plan(photos, TrainingOptions()).preprocessing.fit == "crop"
    scratch = make_plan(photos, TrainingOptions(architecture="residual_cnn"))
    assert scratch.preprocessing.fit == "stretch"
    asked = make_plan(photos, TrainingOptions(fit="letterbox"))
    assert asked.preprocessing.fit == "letterbox"


def test_photographs_from_scratch_are_seen_often_and_mixed(photos: Dataset) -> None:
    config = make_plan(photos, TrainingOptions(architecture="residual_cnn")).config
    assert (config.optimizer, config.epochs) == ("muon", 250)
    assert (config.augmentation, config.mix) == ("photos_strong", "both")
    plain = TrainingOptions(architecture="residual_cnn", augmentation="light", mix="none")
    config = make_plan(photos, plain).config
    assert (config.augmentation, config.mix) == ("photos_light", "none")
    config = make_plan(photos, TrainingOptions(architecture="residual_cnn", quick=True)).config
    assert (config.augmentation, config.mix, config.epochs) == ("none", "none", 1)


def test_crops_are_learned_from_at_a_smaller_size_than_is_served(photos: Dataset) -> None:
    plan = make_plan(photos, TrainingOptions(architecture="residual_cnn"))
    assert (plan.preprocessing.height_px, plan.config.train_side_px) == (160, 128)
    assert "learned from at 128 px" in plan.lines()[1]
    whole = TrainingOptions(architecture="residual_cnn", augmentation="light")
    assert make_plan(photos, whole).config.train_side_px is None
    other_layers = TrainingOptions(architecture="residual_cnn", image_size_px=96)
    assert make_plan(photos, other_layers).config.train_side_px is None


def test_photographs_from_scratch_are_answered_for_both_ways_round(photos: Dataset) -> None:
    options = TrainingOptions(architecture="residual_cnn")
    plan = make_plan(photos, options)
    assert plan.config.mirror_averaged
    assert "averaged with the mirror image's" in plan.lines()[1]
    named = {label: f"{label} left" for label in photos.labels}
    sides = replace(
        photos,
        labels=tuple(named.values()),
        examples=tuple(replace(e, label=named[e.label]) for e in photos.examples),
    )
    assert not make_plan(sides, options).config.mirror_averaged
    assert not make_plan(photos, TrainingOptions()).config.mirror_averaged


def test_few_pictures_are_refined_at_the_higher_rate(photos: Dataset) -> None:
    options = TrainingOptions(batch_size=64)
    few = make_plan(photos, options).config
    many = make_plan(replace(photos, examples=photos.examples * 1000), options).config
    assert few.learning_rate / few.batch_size**0.5 == pytest.approx(1e-3 / 8)
    assert many.learning_rate / many.batch_size**0.5 == pytest.approx(5e-4 / 8)


@pytest.mark.parametrize(("photos", "epochs"), [(3_250, 250), (13_000, 62), (1_000_000, 30)])
def test_many_photographs_are_each_seen_less_often(photos: int, epochs: int) -> None:
    assert recipe_for("residual_cnn").epochs_for(photos) == epochs
    assert recipe_for("cnn").epochs_for(photos) == 30


def test_grey_pictures_get_one_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        folder = tmp_path / "greys" / label
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = np.clip(rng.normal(level, 20, (30, 30)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    dataset = load_dataset([tmp_path / "greys"], unpack_dir=tmp_path, progress=False)
    plan = make_plan(dataset, TrainingOptions())
    assert plan.preprocessing.color == "grey"
    assert plan.config.augmentation == "grey"


@pytest.mark.parametrize(
    ("architecture", "side_px"), [(None, 16), ("mlp", 8), ("residual_cnn", 16), ("pp_lcnet", 32)]
)
def test_tiny_pictures_are_enlarged_to_what_the_network_needs(
    tmp_path: Path, architecture: str | None, side_px: int
) -> None:
    source = write_folder(tmp_path / "tiny", 4, side_px=8)
    dataset = load_dataset([source], unpack_dir=tmp_path, progress=False)
    plan = make_plan(dataset, TrainingOptions(architecture=architecture))
    assert (plan.preprocessing.height_px, plan.preprocessing.width_px) == (side_px, side_px)
    drawings = TrainingOptions(architecture=architecture, pictures="drawings")
    assert make_plan(dataset, drawings).preprocessing.height_px == max(28, side_px)


def test_drawings_are_cropped_to_their_ink_and_never_mirrored(photos: Dataset) -> None:
    plan = make_plan(photos, TrainingOptions(pictures="drawings"))
    assert plan.preprocessing.ink
    assert (plan.preprocessing.height_px, plan.preprocessing.color) == (28, "grey")
    assert plan.config.augmentation == "drawings"


def test_what_is_asked_for_is_followed(photos: Dataset) -> None:
    options = TrainingOptions(
        architecture="mobilenet_v3_small", image_size_px=96, epochs=7, weights="none", seed=5
    )
    plan = make_plan(photos, options)
    assert plan.config.architecture == "mobilenet_v3_small"
    assert plan.config.weights == "none"
    assert (plan.config.epochs, plan.config.seed) == (7, 5)
    assert plan.preprocessing.width_px == 96


def test_little_data_still_makes_many_steps(small: Dataset) -> None:
    assert make_plan(small, TrainingOptions()).config.batch_size == 8


def test_a_quick_training_is_one_epoch_or_a_head_on_smaller_pictures(
    small: Dataset, photos: Dataset
) -> None:
    assert make_plan(small, TrainingOptions(quick=True)).config.epochs == 1
    plan = make_plan(photos, TrainingOptions(quick=True))
    assert (plan.config.epochs, plan.preprocessing.width_px) == (0, 176)


def test_simple_networks_are_not_augmented_unless_asked(small: Dataset) -> None:
    plan = make_plan(small, TrainingOptions(architecture="linear"))
    assert plan.config.augmentation == "none"
    asked = make_plan(small, TrainingOptions(architecture="linear", augmentation="light"))
    assert asked.config.augmentation == "photos_light"


def test_the_rate_follows_the_batch(small: Dataset) -> None:
    rates = [
        make_plan(small, TrainingOptions(batch_size=size)).config.learning_rate for size in (2, 4)
    ]
    assert rates[1] == pytest.approx(2 * rates[0])


def test_recipe_and_shape_are_as_asked(small: Dataset) -> None:
    options = TrainingOptions(
        architecture="cnn", depth=3, width=12, loss="hinge", optimizer="muon", mix="mixup",
        schedule="cosine", learning_rate=0.02, weight_decay=0.1, label_smoothing=0.0, l2=1e-4,
        ema=0.99, patience=3, augmentation="strong",
    )  # fmt: skip
    plan = make_plan(small, options)
    config = plan.config
    assert config.options == {"depth": 3, "width": 12}
    assert (config.loss, config.optimizer, config.mix) == ("hinge", "muon", "mixup")
    assert (config.schedule, config.learning_rate, config.weight_decay) == ("cosine", 0.02, 0.1)
    assert (config.label_smoothing, config.l2, config.ema, config.patience) == (0.0, 1e-4, 0.99, 3)
    assert config.augmentation == "photos_strong"
    assert "depth 3, width 12" in plan.lines()[0]


def test_three_lines_say_what_was_chosen_and_why(photos: Dataset) -> None:
    network, training, augmentation = make_plan(photos, TrainingOptions()).lines()
    assert "mobilenet_v2" in network
    assert "because the pictures are photographs (300 px)" in network
    assert "new head" in training
    assert augmentation == "Augmentation: photos."


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (TrainingOptions(architecture="resnet_9000"), "unknown_architecture"),
        (TrainingOptions(pictures="paintings"), "bad_pictures"),
        (TrainingOptions(augmentation="wild"), "bad_augmentation"),
        (TrainingOptions(fit="squeeze"), "bad_fit"),
        (TrainingOptions(architecture="linear", layers=(5,)), "unknown_option"),
        (TrainingOptions(depth=0), "bad_depth"),
        (TrainingOptions(optimizer="adam_smith"), "bad_optimizer"),
        (TrainingOptions(architecture="mobilenet_v2", weights="/no.weights.h5"), "bad_weights"),
    ],
)
def test_what_cannot_be_followed_is_refused_before_training(
    small: Dataset, options: TrainingOptions, code: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        make_plan(small, options)
    assert refusal.value.code == code


def test_a_plan_survives_the_disk(small: Dataset, tmp_path: Path) -> None:
    plan = make_plan(small, TrainingOptions())
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_without_a_plan_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as refusal:
        Plan.load(tmp_path / "plan.json")
    assert refusal.value.code == "nothing_to_resume"
