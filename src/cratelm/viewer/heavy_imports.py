"""All that runs the study's models, imported as one: PyTorch takes seconds, which no other page waits for.

`networks.require_running` imports this module.
"""

from cratelm.circuits.attribution import Target
from cratelm.circuits.graph import Node
from cratelm.greedy import Writing
from cratelm.models.subject import open_subject
from cratelm.sae.open import open_with_latents
from cratelm.units.clamp import Clamp
from cratelm.viewer.neighbour_layers import connections_document
from cratelm.viewer.tryout import Where, fire, steer_text
from cratelm.viewer.weights import weights_document
from cratelm.viewer.why import recorded_ids, text_ids, why, without

__all__ = ["Clamp", "Node", "Target", "Where", "Writing", "connections_document", "fire", "open_subject"]
__all__ += ["open_with_latents", "recorded_ids", "steer_text", "text_ids", "weights_document", "why", "without"]
