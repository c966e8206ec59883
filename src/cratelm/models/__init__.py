"""CRATE and its rivals as transformers models. Importing this package registers them with AutoModel."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from cratelm.families import FAMILIES
from cratelm.models.configuration_baseline import BaselineConfig
from cratelm.models.configuration_crate import CrateConfig
from cratelm.models.configuration_crate_variant import CrateVariantConfig
from cratelm.models.configuration_nanochat_crate import NanochatCrateConfig
from cratelm.models.modeling_baseline import BaselineForCausalLM, BaselineModel
from cratelm.models.modeling_crate import CrateForCausalLM, CrateModel
from cratelm.models.modeling_crate_variant import CrateVariantForCausalLM, CrateVariantModel
from cratelm.models.modeling_nanochat_crate import NanochatCrateForCausalLM, NanochatCrateModel

__all__ = [
    "BaselineConfig",
    "BaselineForCausalLM",
    "BaselineModel",
    "CrateConfig",
    "CrateForCausalLM",
    "CrateModel",
    "CrateVariantConfig",
    "CrateVariantForCausalLM",
    "CrateVariantModel",
    "NanochatCrateConfig",
    "NanochatCrateForCausalLM",
    "NanochatCrateModel",
]

for family in FAMILIES:
    config, model, causal_lm = (family.load(what) for what in ("configuration", "model", "causal_lm"))
    AutoConfig.register(family.model_type, config, exist_ok=True)
    AutoModel.register(config, model, exist_ok=True)
    AutoModelForCausalLM.register(config, causal_lm, exist_ok=True)
    # A saved folder carries its own code, for those who have no cratelm and trust it.
    config.register_for_auto_class()
    model.register_for_auto_class("AutoModel")
    causal_lm.register_for_auto_class("AutoModelForCausalLM")
