"""A model with the autoencoders of a finished sae stage on it, or without: whatever is recorded and steered."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.artifacts import Artifact, open_artifact, read_json
from cratelm.corpus.model_tokenizer import model_start
from cratelm.errors import InputError
from cratelm.loading import DEFAULT_LOADING, Loading
from cratelm.models.devices import device_of
from cratelm.models.load import load_causal_lm
from cratelm.models.subject import SAES, model_folder, open_subject
from cratelm.sae.attach import attach_saes
from cratelm.sae.extra import quiet_sae_lens
from cratelm.training.evaluate_texts import open_language_model
from cratelm.training.text_losses import require_causal


def load_network(folder: Path, loading: Loading = DEFAULT_LOADING) -> PreTrainedModel:
    """A model ready to be measured, by the folder that `model_folder` gives.

    Of an sae stage's folder, the model that it was made for with the autoencoders attached; InputError where that
    model is gone, has become another one, or sees later tokens.
    """
    if not (folder / SAES).is_file():
        network = load_causal_lm(folder, loading)
        require_causal(network)
        return network
    network = load_network(model_folder(base_of(open_artifact(folder, "sae"))), loading)
    attach_saes(network, read_saes(folder, str(device_of(network))))
    return network


def open_with_latents(
    folder: Path, substitute: bool, loading: Loading = DEFAULT_LOADING
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """`open_language_model` of a model's folder or of an sae stage's, with the autoencoders attached.

    Raises InputError where `substitute` asks for a reconstruction and there are no autoencoders.
    """
    if not (folder / SAES).is_file():
        if substitute:
            raise InputError(f"{folder} holds no sparse autoencoders: there is no reconstruction to put in.")
        return open_language_model(folder, loading)
    base = base_of(open_artifact(folder, "sae"))
    network, tokenizer = open_language_model(base.path, loading)
    attach_saes(network, read_saes(folder, str(device_of(network))), substitute)
    return network, tokenizer


def start_of(folder: Path) -> int:
    """The token that a model reads before every context, by the folder that `model_folder` gives.

    Of an sae stage's folder, that of the model that it was made for.
    """
    if (folder / SAES).is_file():
        folder = model_folder(base_of(open_artifact(folder, "sae")))
    return model_start(folder)


def base_of(sae: Artifact) -> Artifact:
    """The model that a stage's autoencoders were made for; InputError where it is gone, or has become another."""
    base = open_subject(str(sae.path.parent / read_json(sae.path / SAES)["model"]))
    require_made_for(sae, base)
    return base


def require_made_for(sae: Artifact, model: Artifact) -> None:
    """Refuse autoencoders that were made for another model."""
    if sae.manifest["inputs"]["model"] != model.sha256:
        raise InputError(f"the autoencoders in {sae.path} were made for another model than {model.path}.")


def read_saes(folder: Path, device: str) -> dict[str, Any]:
    """The autoencoders in a folder, by site, in the order of the model's sites."""
    sites = read_json(folder / SAES)["sites"]
    with quiet_sae_lens() as lens:
        return {
            site: lens.SAE.load_from_disk(folder / str(site_index)).eval().to(device)
            for site_index, site in enumerate(sites)
        }
