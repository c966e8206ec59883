"""A text of one's own: its tokens, and what every unit of a model does on them."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.corpus.model_tokenizer import start_token
from cratelm.errors import InputError
from cratelm.models.devices import device_of
from cratelm.training.text_losses import context_length, encode
from cratelm.units.sites import at_sites
from cratelm.units.steer import LONGEST
from cratelm.units.unit_site import Site


def read_text(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, text: str) -> np.ndarray:
    """The text's tokens after the model's start token, (T,); InputError where it has none, or the text is too long."""
    if start_token(tokenizer) is None:
        raise InputError("the model's tokenizer has no token to begin a text with, and units are read after one.")
    vocabulary = model.config.get_text_config().vocab_size
    (tokens,) = encode(tokenizer, [text], vocabulary).tokens
    context = context_length(model, LONGEST)
    if len(tokens) > context:
        raise InputError(f"the text has {len(tokens)} tokens, the model reads {context}. Give a shorter one.")
    if len(tokens) < 2:
        raise InputError("the text is empty. Type something.")
    return tokens


@torch.inference_mode()
def read_units(model: PreTrainedModel, sites: Sequence[Site], tokens: np.ndarray) -> list[np.ndarray]:
    """The units of each layer on tokens (T,), the start token's left out: (T - 1, units) each, as they are recorded."""
    by_site: dict[str, np.ndarray] = {}
    signed = {site.name: site.signed for site in sites}

    def see(name: str, output: torch.Tensor) -> None:
        values = output[0, 1:].float()
        values = torch.cat([values.relu(), (-values).relu()], dim=-1) if signed[name] else values
        by_site[name] = values.cpu().numpy()

    with at_sites(model, list(signed), see):
        model.base_model(input_ids=torch.from_numpy(tokens)[None].to(device_of(model)), use_cache=False)
    return [by_site[site.name] for site in sites]
