"""lm-evaluation-harness runs our models through its own `hf` model."""

import math

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from cratelm.corpus.tokenizer import END_OF_TEXT, train_bpe
from cratelm.models.build import build_model
from cratelm.models.save import save_model
from cratelm.shapes import ShapeConfig

lm_eval = pytest.importorskip("lm_eval", reason="the extra [eval] is not installed")


@pytest.mark.parametrize("name", ["crate", "gpt2"])
def test_the_harness_gives_the_log_likelihood_that_the_logits_give(name, tmp_path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    text = "the film was long and the actor was not very good " * 20
    tokenizer = train_bpe([text], 280)
    model = build_model(name, ShapeConfig(width=16, heads=2, context=64), 280, 0, seed=1).eval()
    save_model(model, tmp_path, {})
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT).save_pretrained(
        tmp_path
    )
    judge = HFLM(pretrained=str(tmp_path), trust_remote_code=True, device="cpu", dtype="float32", batch_size=1)
    context, continuation = "the film was long", " and the actor was"
    asked = Instance("loglikelihood", {}, (context, continuation), 0)
    found, _ = judge.loglikelihood([asked], disable_tqdm=True)[0]
    ids = tokenizer.encode(context + continuation).ids
    split = len(tokenizer.encode(context).ids)
    log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = sum(log_p[place - 1, ids[place]].item() for place in range(split, len(ids)))
    assert found == pytest.approx(expected, abs=1e-3)
    assert found < -math.log(2)
