"""Other people's sparse autoencoders on a model: from SAELens's releases, or folders in its format.

DIR/NUMBER       a site's autoencoder, as `SAE.load_from_disk` of SAELens reads it, in float32
DIR/sae.json     the model and its sites, by number
DIR/tokenizer.json  the model's own

Such a folder is an sae stage like one that was trained here. Its manifest says where the autoencoders came from.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import is_offline_mode

from cratelm.artifacts import Artifact, Stage, hash_file, read_json, run_stage, write_json
from cratelm.corpus.model_tokenizer import model_start
from cratelm.errors import InputError, first_line
from cratelm.loading import DEFAULT_LOADING, Loading
from cratelm.models.devices import device_of
from cratelm.models.subject import SAES, model_folder, tokenizer_file
from cratelm.progress import Progress
from cratelm.sae.attach import CENTRING, attach_saes
from cratelm.sae.extra import quiet_sae_lens
from cratelm.sae.open import load_network
from cratelm.units.hook_points import site_of_hook
from cratelm.units.places import INPUT

PUBLIC = Stage("sae", files=("[0-9]*/cfg.json", "[0-9]*/sae_weights.safetensors", SAES, "tokenizer.json"))
FILES = ("cfg.json", "sae_weights.safetensors")
TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
ARCHITECTURES = ("standard", "gated", "topk", "jumprelu", *TRANSCODERS)
"""What SAELens calls those whose latents are never negative and are a token's own."""
SCALINGS = ("none", "layer_norm", "constant_norm_rescale")
"""What may be done to an activation before it is encoded, that needs nothing but the activation."""
HARMLESS = (CENTRING, "center_unembed", "device", "dtype", "n_devices")
"""Settings of TransformerLens's models that change no activation that is read here, or are followed (attach.py)."""
ELSEWHERE = ("mntss_clt_layer_transcoder",)
"""Releases that SAELens fetches past the hub's client, and so past HF_HUB_OFFLINE; they write to all later layers."""
FOR_TRANSCODERS = "A transcoder has to say where it writes, and nothing else may."
FOLD = "Fold the scale into the weights first, as fold_activation_norm_scaling_factor of SAELens does, and save it."
UNPROCESSED = f"Known are {', '.join(HARMLESS)}: the model is read as it is."


@dataclass(frozen=True, kw_only=True)
class SaeSource:
    """Where autoencoders come from: a release and an id that SAELens knows, or a folder."""

    release: str | None = None
    sae_id: str | None = None
    folder: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each file of the folder that is read, by its path there."""

    def load(self) -> list[Any]:
        """The autoencoders, in float32; InputError where SAELens cannot open them."""
        try:
            with quiet_sae_lens() as lens:
                if self.folder is None:
                    return [lens.SAE.from_pretrained(self.release, self.sae_id, dtype="float32").eval()]
                folders = sorted({(Path(self.folder) / name).parent for name in self.files})
                return [lens.SAE.load_from_disk(folder, dtype="float32").eval() for folder in folders]
        except InputError:
            raise
        except Exception as error:  # SAELens's readers raise nearly anything
            off = " The hub is off; HF_HUB_OFFLINE=0 turns it on." if not self.folder and is_offline_mode() else ""
            name = self.folder or f"{self.release}/{self.sae_id}"
            raise InputError(
                f"SAELens cannot open the autoencoder {name}: {first_line(error).rstrip('.')}.{off}"
            ) from error


def public_saes(
    name: str, model: Artifact, out: Path, progress: Progress, loading: Loading = DEFAULT_LOADING
) -> Artifact:
    """The autoencoders called `name`, a folder or RELEASE/ID, on `model`, in `out`.

    Raises InputError where there are none of that name, they do not fit the model, or read it in a way that is not
    known here.
    """
    if (model.path / SAES).is_file():
        raise InputError(f"{model.path} holds sparse autoencoders. Give the model that they were made for.")
    source = find_source(name)

    def work(folder: Path) -> None:
        _place(source, model, folder, progress, loading)

    with progress.task(f"placing the autoencoders of {name}"):
        return run_stage(out, PUBLIC, source, {"model": model}, work)


def find_source(name: str) -> SaeSource:
    """What a name given to --sae means; InputError where it means nothing."""
    folder = Path(name)
    if folder.is_dir():
        files = sorted(path for file in FILES for path in folder.rglob(file))
        if not files:
            raise InputError(f"{name} holds no autoencoder: {FILES[0]} is missing, which SAELens writes.")
        return SaeSource(folder=name, files={str(path.relative_to(folder)): hash_file(path) for path in files})
    with quiet_sae_lens():
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
    known, parts = get_pretrained_saes_directory(), name.split("/")
    words = 1 if parts[0] in known else 2  # else a repository of the hub: OWNER/NAME
    if len(parts) <= words or not all(parts):
        ids = f" Its ids begin with {', '.join(list(known[parts[0]].saes_map)[:5])}." if parts[0] in known else ""
        raise InputError(f"--sae {name}: there is no such folder. Give one, or RELEASE/ID as SAELens knows them.{ids}")
    if words == 1 and known[parts[0]].conversion_func in ELSEWHERE:
        raise InputError(f"--sae {name}: cross-layer transcoders are not supported. Give one that writes to one layer.")
    return SaeSource(release="/".join(parts[:words]), sae_id="/".join(parts[words:]))


def _place(source: SaeSource, model: Artifact, folder: Path, progress: Progress, loading: Loading) -> None:
    network = load_network(model_folder(model), loading)
    saes = place(network, source.load())
    for name in sorted({str(sae.cfg.metadata.model_name) for sae in saes.values()} - {"None"}):
        progress.say(f"the autoencoders say that they were made for {name}; here they read {model.path}.")
    for number, sae in enumerate(saes.values()):
        sae.save_model(folder / str(number))
        # In an order that does not differ from process to process.
        write_json(folder / str(number) / FILES[0], read_json(folder / str(number) / FILES[0]))
    shutil.copyfile(tokenizer_file(model), folder / "tokenizer.json")
    made_for = {"model": os.path.relpath(model.path, folder.parent), "sites": list(saes)}
    write_json(folder / SAES, made_for | model.origin)
    attach_saes(network, {site: sae.to(str(device_of(network))) for site, sae in saes.items()})
    with torch.inference_mode():  # refuses those that do not fit
        network.base_model(input_ids=torch.full((1, 2), model_start(model_folder(model)), device=device_of(network)))


def place(network: torch.nn.Module, found: Sequence[Any]) -> dict[str, Any]:
    """Autoencoders by the site that each reads, in the model's order.

    Raises InputError where one cannot be read as it was trained, or two would read the same module.
    """
    saes: dict[str, Any] = {}
    for sae in found:
        require_known_settings(sae.cfg)
        site = site_of_hook(network, sae.cfg.metadata.hook_name)
        if site.removesuffix(INPUT) in {other.removesuffix(INPUT) for other in saes}:
            raise InputError(f"two autoencoders read {site.removesuffix(INPUT)}. Give a folder with one of them.")
        saes[site] = sae
    order = [name for name, _ in network.named_modules()]
    return {site: saes[site] for site in sorted(saes, key=lambda site: order.index(site.removesuffix(INPUT)))}


def require_known_settings(config: Any) -> None:
    """Refuse an autoencoder that reads the model in a way that is not known here; raises InputError."""
    told, kind = config.metadata, config.architecture()
    changed = [name for name, value in (told.model_from_pretrained_kwargs or {}).items() if value]
    one_of = f"Known are {', '.join(ARCHITECTURES)}."
    settings = [
        ("architecture", kind, kind in ARCHITECTURES, one_of),
        ("hook_name", told.hook_name, bool(told.hook_name), "It has to say where it reads."),
        ("hook_name_out", told.hook_name_out, bool(told.hook_name_out) == (kind in TRANSCODERS), FOR_TRANSCODERS),
        ("normalize_activations", config.normalize_activations, config.normalize_activations in SCALINGS, FOLD),
        ("hook_head_index", told.hook_head_index, told.hook_head_index is None, "Known are those on all heads."),
        ("seqpos_slice", told.seqpos_slice, not any(told.seqpos_slice or ()), "Known are those on all tokens."),
        ("model_from_pretrained_kwargs", ", ".join(changed), set(changed) <= set(HARMLESS), UNPROCESSED),
    ]
    for name, value, known, advice in settings:
        if not known:
            raise InputError(f"the autoencoder on {told.hook_name} has {name} {value}, not supported here. {advice}")
