"""`cratelm import`."""

from pathlib import Path


def import_model(checkpoint: str, out: Path, /, *, activation: str | None = None, to_official: bool = False) -> None:
    """Turn weights of other projects into a model folder of ours, or ours into an official checkpoint.

    Parameters
    ----------
    checkpoint
        A checkpoint file of the official repository (.pt, CRATE or GPT) or of nanoGPT; a folder with OpenAI's GPT-2
        weights; or hub:OWNER/NAME[@REVISION][:FILE], a repository with such a file, the newest step unless FILE says
        otherwise, beside which GPT-2's tokenizer is put. The hub is off unless HF_HUB_OFFLINE=0. With --to-official, a
        model folder of ours.
    out
        The model folder to write; with --to-official the file.
    activation
        What the hidden layer of a GPT in a checkpoint file passes through, which the file does not say: `relu` (the
        official repository), `gelu` (nanoGPT) or `gelu_new` (OpenAI, and nanoGPT at first).
    to_official
        Write the official repository's format instead of reading it.
    """
    from cratelm.errors import InputError
    from cratelm.loading import Loading
    from cratelm.models.decoder import DecoderForCausalLM
    from cratelm.models.hub_checkpoint import import_from_hub
    from cratelm.models.load import load_causal_lm
    from cratelm.models.official import export_official, import_official
    from cratelm.models.openai import import_gpt2
    from cratelm.models.save import save_model
    from cratelm.stages import require_place, write_whole

    require_place(out)
    if out.exists():
        raise InputError(f"{out} exists. Choose another place.")
    hub = checkpoint.startswith("hub:")
    file = hub or Path(checkpoint).is_file() or checkpoint.endswith(".pt")
    if activation is not None and (to_official or not file):
        raise InputError("--activation is for a GPT in a checkpoint file; a model's folder says what its own is.")
    if to_official:
        model = load_causal_lm(Path(checkpoint), Loading(device="cpu"))
        if not isinstance(model, DecoderForCausalLM):
            raise InputError(f"{checkpoint} holds a {model.config.model_type} model, not one of ours.")
        write_whole(out, lambda place: export_official(model, place))
        return
    if hub:
        import_from_hub(checkpoint, out, activation)
        return
    made = import_official(Path(checkpoint), activation) if file else import_gpt2(checkpoint)
    source = Path(checkpoint).name if file else checkpoint
    write_whole(out, lambda place: save_model(made, place, {"Imported from": source}))
