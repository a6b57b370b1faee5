"""A head on an ImageNet backbone, then its top blocks.

The backbone's embeddings of every picture are computed once and a head is trained on them. Then
the top blocks are refined with the head, and their weights averaged with those from before.
"""

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml import events
from ml.architectures import architecture_named
from ml.augmentation import NO_AUGMENTATION
from ml.checkpoint import HistoryRow, Progress
from ml.features import head_features, split_at, through
from ml.fitting import STEPS_AT_ONCE, Fitting, score
from ml.frozen import frozen
from ml.pipeline import class_weights, training_batches

HEAD_EPOCHS = 20
HEAD_BATCH = 128
HEAD_BATCHES = 20  # an epoch at least, in smaller batches, so that few pictures make many steps
HEAD_LEAST_BATCH = 8
HEAD_RATE = 3e-3
HEAD_DECAY = 8.0  # with 0.05 the head has few pictures by heart; docs/networks.md
REFINED_SHARES = (0.5, 0.75)  # of the refined weights, beside all of them, to choose from


def transfer(fitting: Fitting, network: keras.Model) -> list[HistoryRow]:
    """Train the head and the top blocks of `network`, from where the checkpoint stands."""
    progress = fitting.store.load()
    if progress is None or progress.phase == "head":
        progress = _train_head(fitting, network)
    return _refine(fitting, network, progress)


def head_batch(pictures: int) -> int:
    """Return how many of the training pictures a step of the head sees."""
    return max(HEAD_LEAST_BATCH, min(HEAD_BATCH, pictures // HEAD_BATCHES))


def _train_head(fitting: Fitting, network: keras.Model) -> Progress:
    """Train the head on the embeddings of every picture."""
    data, head = fitting.data, network.get_layer("head")
    train, validation = head_features(
        network, data.train, data.validation, workspace=fitting.workspace, progress=fitting.show
    )
    truth = data.train_truth
    statistics = head.get_layer("standardise")
    statistics.moving_mean.assign(train.mean(axis=0))
    statistics.moving_variance.assign(train.var(axis=0) + 1e-6)
    config = replace(
        fitting.config,
        optimizer="adamw", schedule="cosine", learning_rate=HEAD_RATE,
        weight_decay=HEAD_DECAY, ema=0.0,
    )  # fmt: skip
    batch_size = head_batch(len(truth))
    steps = HEAD_EPOCHS * max(1, len(truth) // batch_size)
    fitting.compile(head, config, steps, at_once=STEPS_AT_ONCE)
    weights = class_weights(data.train_truth, len(data.labels))

    def batches(epoch: int) -> tf.data.Dataset:
        return training_batches(
            train, truth, weights, batch_size=batch_size, augmentation=NO_AUGMENTATION,
            seed=fitting.config.seed, epoch=epoch,
        )  # fmt: skip

    return fitting.fit(
        head, "head", HEAD_EPOCHS, batches, validation=validation, batch_size=batch_size
    )


def _refine(fitting: Fitting, network: keras.Model, progress: Progress) -> list[HistoryRow]:
    """Refine the top blocks together with the head; keep them only if they are better."""
    first_trained = architecture_named(fitting.config.architecture).refine_from
    bottom, top = split_at(network, first_trained)
    if progress.phase == "head":
        network.get_layer("head").set_weights(progress.best_weights)
        progress = Progress(
            phase="refine",
            first_weights=top.get_weights(),
            best_weights=top.get_weights(),
            best_score=progress.best_score,
            history=progress.history,
        )
    if fitting.config.epochs == 0:
        return progress.history
    fitting.compile(top, fitting.config, fitting.steps())
    maps = top.input_shape[1:]
    with frozen(bottom) as part:

        def batches(epoch: int) -> tf.data.Dataset:
            return through(part, fitting.batches(epoch), maps)

        validation = part(fitting.data.validation)
        done = fitting.fit(
            top, "refine", fitting.config.epochs, batches, validation=validation, begin=progress
        )
    if done.first_weights:  # a checkpoint of an earlier release has none
        _average(fitting, top, done, validation)
    return done.history


def _average(
    fitting: Fitting, top: keras.Model, done: Progress, validation: npt.NDArray[np.float32]
) -> None:
    """Leave the refined weights in `top`, or their mean with the first ones if that is better.

    Such a mean is often as right on pictures like the training's and better on others
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
    """
    if all(map(np.array_equal, done.first_weights, done.best_weights)):
        events.say("Kept: the weights from before refining, which brought nothing.")
        return
    judging, best, chosen = fitting.judging(validation), done.best_score, done.best_weights
    kept = "the refined weights"
    for share in REFINED_SHARES:
        top.set_weights(
            [
                (1 - share) * first + share * refined
                for first, refined in zip(done.first_weights, done.best_weights, strict=True)
            ]
        )
        loss, accuracy = top.evaluate(judging, verbose=0)
        if score("refine", accuracy, loss) > best:
            best, chosen = score("refine", accuracy, loss), top.get_weights()
            kept = f"{share:.0%} of the refined weights and {1 - share:.0%} of the first"
    top.set_weights(chosen)
    events.say(f"Kept: {kept}, the best on validation pictures.")
