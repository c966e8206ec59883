"""The sae stage: a trained model and its train text in, sparse autoencoders on its sites and their quality out.

DIR/NUMBER       a site's autoencoder, as `SAE.load_from_disk` of SAELens reads it
DIR/sae.json     the model and its sites, by number
DIR/tokenizer.json  the model's own
DIR/quality.json what quality.py measures, on validation documents
"""

import os
import shutil
from pathlib import Path
from typing import Any

from cratelm.artifacts import Artifact, Stage, read_json, run_stage, write_json
from cratelm.corpus.model_tokenizer import model_start
from cratelm.corpus.read_tokens import read_side, read_train
from cratelm.corpus.training_windows import Windows
from cratelm.errors import InputError
from cratelm.loading import Loading
from cratelm.models.devices import device_of, require_float64
from cratelm.models.subject import SAES, model_folder, require_embedding, tokenizer_file
from cratelm.progress import Progress
from cratelm.sae.config import SaeConfig
from cratelm.sae.extra import require_sae_lens
from cratelm.sae.fit_dictionary import fit, make_trainers
from cratelm.sae.open import load_network, read_saes
from cratelm.sae.quality import HeldOut, measure
from cratelm.sae.stream import ActivationStream
from cratelm.seeds import derive_seed
from cratelm.training.text_losses import context_length
from cratelm.units.sites import find_sites

TRAINED = Stage(
    "sae",
    files=("[0-9]*/cfg.json", "[0-9]*/sae_weights.safetensors", SAES, "tokenizer.json", "quality.json"),
    scratch=("checkpoints/checkpoint-*", "checkpoints/damaged-*"),
    kept=("checkpoints/*",),
)


def train_saes(
    config: SaeConfig, model: Artifact, tokens: Artifact, out: Path, progress: Progress, device: str = "auto"
) -> Artifact:
    """Train and measure the autoencoders of `model` in `out`, all on `device`.

    Raises InputError where `model` is itself a folder of autoencoders.
    """
    require_sae_lens()
    if (model.path / SAES).is_file():
        raise InputError(f"{model.path} holds sparse autoencoders. Give the model that they were made for.")
    inputs = {"model": model, "tokens": tokens}
    loading = Loading(dtype=config.dtype, device=device)

    def work(folder: Path) -> None:
        _train(config, model, tokens, folder, progress, loading)

    return run_stage(out, TRAINED, config, inputs, work, lambda: require_float64(device))


def _train(
    config: SaeConfig, model: Artifact, tokens: Artifact, folder: Path, progress: Progress, loading: Loading
) -> None:
    network = load_network(model_folder(model), loading).requires_grad_(False)
    sites = find_sites(network, config.sites)
    start = model_start(model_folder(model))
    checkpoints = folder / "checkpoints"
    if not (folder / SAES).is_file():  # written when all autoencoders are whole
        stream, blocks = _stream(config, network, sites, tokens, start)
        steps = blocks * (stream.rows * stream.windows.context // config.batch)
        checkpoints.mkdir(exist_ok=True)
        trainers = make_trainers(config, stream, steps, model.name)
        fit(config, stream, trainers, blocks, checkpoints, progress)
        for site_index, trainer in enumerate(trainers.values()):
            trainer.sae.save_inference_model(folder / str(site_index))
            # SAELens writes its keys in the order of a set, which differs from process to process.
            write_json(folder / str(site_index) / "cfg.json", read_json(folder / str(site_index) / "cfg.json"))
        shutil.copyfile(tokenizer_file(model), folder / "tokenizer.json")
        write_json(folder / SAES, {"model": os.path.relpath(model.path, folder.parent), "sites": sites} | model.origin)
    saes = read_saes(folder, str(device_of(network)))
    held_out = HeldOut(network, read_side(tokens, "validation"), start, config.documents)
    write_json(folder / "quality.json", measure(held_out, saes, progress))
    shutil.rmtree(checkpoints, ignore_errors=True)


def _stream(
    config: SaeConfig, network: Any, sites: list[str], tokens: Artifact, start: int
) -> tuple[ActivationStream, int]:
    """The stream, and how many of its blocks hold the tokens that were asked for."""
    train, context = read_train(tokens), context_length(network)
    require_embedding(tokens, train.vocabulary, network.config.get_text_config().vocab_size, start)
    if len(train) <= context:
        raise InputError(f"too little text: the train side's {len(train)} tokens fill no window of {context}.")
    rows = max(1, config.buffer // context)
    if rows * context < config.batch:
        raise InputError(f"--buffer {config.buffer} holds no batch of {config.batch} in whole windows of {context}.")
    blocks = -(-config.tokens // (rows * context))
    windows = Windows(train, context, blocks * rows, derive_seed(config.seed, "sae windows"))
    return ActivationStream(network, sites, windows, config.buffer, config.seed), blocks
