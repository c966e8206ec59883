"""All that runs the study's models, imported as one: PyTorch takes seconds, which no other page waits for.

`networks.require_running` imports this module.
"""

from cratelm.models.subject import open_subject
from cratelm.sae.open import open_with_latents
from cratelm.units.clamp import Clamp
from cratelm.viewer.tryout import fire, steer_text
from cratelm.viewer.weights import weights_document

__all__ = ["Clamp", "fire", "open_subject", "open_with_latents", "steer_text", "weights_document"]
