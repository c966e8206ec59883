"""Several sparse autoencoders trained in step on one stream, each by a SAETrainer of SAELens.

The steps are SAELens's own: `SAETrainer.step` is its entry for code that drives several trainers. What is ours is the
stream, progress, and checkpoints that are whole or ignored.
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from cratelm.errors import InputError, RunError
from cratelm.models.devices import device_of
from cratelm.progress import Progress
from cratelm.sae.config import SaeConfig
from cratelm.sae.extra import require_sae_lens
from cratelm.sae.stream import ActivationStream
from cratelm.seeds import derive_seed
from cratelm.training.checkpoints import commit, name_of_run, newest_committed, tensors_alone

BLOCKS_BETWEEN = 8
"""Blocks of the stream between two checkpoints."""


def make_trainers(config: SaeConfig, stream: ActivationStream, steps: int, name: str) -> dict[str, Any]:
    """A SAETrainer for each site.

    TopK is trained as the field does it (Gao et al., arXiv 2406.04093): activations scaled to a mean norm of sqrt(d),
    which SAELens folds into the weights again, the decoder's bias starting at their mean, and an auxiliary loss on
    latents that have been silent for a tenth of the run, 1,000 steps at most. Without these most latents of a short
    run die (docs/log.md).

    Raises InputError where a site's activations are all zero, or k is more than there are latents.
    """
    lens = require_sae_lens()
    from sae_lens.config import LoggingConfig, SAETrainerConfig
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.training.sae_trainer import SAETrainer

    device = str(device_of(stream.model))
    settings = SAETrainerConfig(
        total_training_samples=steps * config.batch,
        train_batch_size_samples=config.batch,
        lr=config.learning_rate,
        lr_end=config.learning_rate,
        lr_warm_up_steps=min(config.warmup, steps // 10),
        dead_feature_window=max(1, min(1000, steps // 10)),
        device=device,
        logger=LoggingConfig(log_to_wandb=False),
    )
    trainers = {}
    for site, activations in stream.block(0).items():
        if not activations.any():
            raise InputError(f"{site} is zero everywhere: there is nothing to reconstruct. Name other modules.")
        coordinates = activations.shape[-1]
        common: dict[str, Any] = {
            "d_in": coordinates,
            "d_sae": config.latents(coordinates),
            "device": device,
            "metadata": SAEMetadata(model_name=name, hook_name=site),
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(config.seed, "sae", site))
            if config.arch == "topk":
                scaled = {"normalize_activations": "expected_average_only_in"}
                sae: Any = _topk_class(config.k, common)(lens.TopKTrainingSAEConfig(k=config.k, **common, **scaled))
            else:
                penalty = l1_coefficient(config.l1, activations)
                sae = lens.StandardTrainingSAE(lens.StandardTrainingSAEConfig(l1_coefficient=penalty, **common))
        trainers[site] = SAETrainer(cfg=settings, sae=sae, data_provider=iter(()))
        if config.arch == "topk":
            _scale(trainers[site], activations)
    return trainers


def _topk_class(k: int, sizes: dict[str, Any]) -> Any:
    """SAELens's class, or ours where its sparse products are faster."""
    from cratelm.sae.sparse import SPARSE_FROM, SparseTopKTrainingSAE

    sparse = sizes["device"] == "cpu" and sizes["d_sae"] >= SPARSE_FROM * k
    return SparseTopKTrainingSAE if sparse else require_sae_lens().TopKTrainingSAE


@torch.no_grad()
def _scale(trainer: Any, activations: torch.Tensor) -> None:
    """Begin from activations (N, d): their mean norm becomes sqrt(d), and the decoder's bias their mean."""
    mean_norm = activations.norm(dim=-1).sum().item() / len(activations)
    factor = activations.shape[-1] ** 0.5 / mean_norm
    trainer.activation_scaler.scaling_factor = factor
    trainer.sae.b_dec.copy_(activations.mean(0) * factor)


def l1_coefficient(l1: float, activations: torch.Tensor) -> float:
    """The paper's penalty in SAELens's terms, at the mean norm of activations (N, d).

    The paper's loss is mean_d (x - x')^2 / |x| + l1 sum|f|; SAELens's is sum_d (x - x')^2 + c sum|f|. Times d |x|
    the first becomes the second, with c = l1 d |x|.
    """
    return l1 * activations.shape[-1] * activations.norm(dim=-1).double().mean().item()


def fit(
    config: SaeConfig, stream: ActivationStream, trainers: dict[str, Any], blocks: int, folder: Path, progress: Progress
) -> None:
    """Train in place over so many blocks, from the newest whole checkpoint in `folder` if there is one.

    Raises RunError, naming the site, where a loss is not finite.
    """
    done = _resume(trainers, folder, progress)
    names = f"{len(trainers)} sparse autoencoder{'s' if len(trainers) > 1 else ''}"
    with progress.task(f"training {names}", total=blocks, done=done) as bar:
        for block in range(done, blocks):
            for batch in stream.batches(block, config.batch):
                for site, trainer in trainers.items():
                    loss = trainer.step(batch[site]).loss
                    trainer.n_training_steps += 1
                    if not torch.isfinite(loss):
                        raise RunError(
                            f"the loss of the autoencoder of {site} is not finite: lower --saes.learning-rate."
                        )
            if (block + 1) % BLOCKS_BETWEEN == 0:
                _save(trainers, folder, block + 1)
            bar.advance(tokens=stream.rows * stream.windows.context)
    for trainer in trainers.values():
        # Into the weights, so that code that loads them need not know the scale that they were trained at.
        factor = trainer.activation_scaler.scaling_factor
        if factor is not None:
            trainer.sae.fold_activation_norm_scaling_factor(factor)
        trainer.set_final_sae_metadata()


def _save(trainers: dict[str, Any], folder: Path, blocks: int) -> None:
    checkpoint = folder / f"checkpoint-{blocks}"
    for place, trainer in enumerate(trainers.values()):
        trainer.save_checkpoint(str(place), base_path=checkpoint)
    # The older ones go when the new one is whole, so that there is one at any time.
    commit(checkpoint, name_of_run(folder.parent))
    for older in folder.glob("checkpoint-*"):
        if older != checkpoint:
            shutil.rmtree(older)


def _resume(trainers: dict[str, Any], folder: Path, progress: Progress) -> int:
    checkpoint = newest_committed(folder, name_of_run(folder.parent), progress)
    if checkpoint is None:
        return 0
    with tensors_alone(checkpoint):
        for place, trainer in enumerate(trainers.values()):
            trainer.load_trainer_state(checkpoint / str(place))
            trainer.sae.load_weights_from_checkpoint(checkpoint / str(place))
    blocks = int(checkpoint.name.removeprefix("checkpoint-"))
    progress.say(f"resuming after block {blocks}.")
    return blocks
