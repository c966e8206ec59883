"""`cratelm import`."""

from pathlib import Path


def import_model(
    checkpoint: str,
    out: Path,
    /,
    *,
    activation: str | None = None,
    tokenizer: Path | None = None,
    to_official: bool = False,
) -> None:
    """Import another project's weights, or write a CRATE checkpoint.

    Weights become a model folder of ours, or ours an official checkpoint.

    Parameters
    ----------
    checkpoint
        A checkpoint file of the official repository (.pt, CRATE or GPT) or of nanoGPT; a folder of nanochat-crate-a
        (the newest step is taken) or a model_NNNNNN.pt of it; a folder with OpenAI's GPT-2 weights; or
        hub:OWNER/NAME[@REVISION][:FILE], a repository with such a file, the newest step unless FILE says otherwise.
        The hub is off unless HF_HUB_OFFLINE=0. With --to-official, a model folder of ours.
    out
        The model folder to write; with --to-official the file.
    activation
        What the hidden layer of a GPT in a checkpoint file passes through, which the file does not say: `relu` (the
        official repository), `gelu` (nanoGPT) or `gelu_new` (OpenAI, and nanoGPT at first).
    tokenizer
        The model's tokenizer.json, or a folder with one, which is added to the model. nanochat-crate-a needs it where
        there is none next to the checkpoint. With hub: it is GPT-2's by default.
    to_official
        Write the official repository's format instead of reading it.

    Examples
    --------
    cratelm import ckpt.pt crate --tokenizer tokenizer.json
    """
    from cratelm.errors import InputError
    from cratelm.models.hub_checkpoint import import_from_hub
    from cratelm.models.imported import import_local
    from cratelm.stages import require_place, write_whole

    require_place(out)
    if out.exists():
        raise InputError(f"{out} exists. Choose another place.")
    if to_official:
        if activation is not None or tokenizer is not None:
            raise InputError("--to-official writes a model as it is: leave --activation and --tokenizer out.")
        _write_official(checkpoint, out)
        return
    find = import_from_hub if checkpoint.startswith("hub:") else import_local
    write_whole(out, find(checkpoint, activation, tokenizer).save)


def _write_official(folder: str, out: Path) -> None:
    from cratelm.errors import InputError
    from cratelm.loading import Loading
    from cratelm.models.decoder import DecoderForCausalLM
    from cratelm.models.load import load_causal_lm
    from cratelm.models.official import export_official
    from cratelm.stages import write_whole

    model = load_causal_lm(Path(folder), Loading(device="cpu"))
    if not isinstance(model, DecoderForCausalLM):
        raise InputError(f"{folder} holds a {model.config.model_type} model, not one of ours.")
    write_whole(out, lambda place: export_official(model, place))
