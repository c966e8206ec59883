"""A trained model back from its artifact's folder."""

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

import cratelm.models  # noqa: F401 (registers our models with AutoModel)
from cratelm.artifacts import Artifact


def load_model(artifact: Artifact) -> PreTrainedModel:
    """The model in float32, ready to be measured: on the GPU if there is one. Nothing in the folder is executed."""
    model = AutoModelForCausalLM.from_pretrained(
        artifact.path / "model", dtype=torch.float32, trust_remote_code=False, local_files_only=True
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
