"""A judge that answers by rule, so that a test knows what it says."""

from cratelm.llm.config import JudgeConfig

NAMED = JudgeConfig(llm="by rule")


class ByRule:
    """Says that a unit fires on films; expects 9 on tokens that hold `film`, and fails on texts that hold `broken`."""

    name, cannot = "by rule", {}

    def __init__(self, broken: str = "", dumb: int = 0) -> None:
        self.broken, self.dumb, self.asked = broken, dumb, 0

    def texts(self, prompts, limit):
        for number, prompt in enumerate(prompts):
            self.asked += 1
            yield number, " \n" if number < self.dumb else f" films, number {len(prompt)}.\nMore of it"

    def digits(self, prompts, places):
        for number, (prompt, at) in enumerate(zip(prompts, places, strict=True)):
            self.asked += 1
            own = prompt.rpartition("<tokens>\n")[2]
            if self.broken and self.broken in own:
                yield number, [None] * len(at)
            else:
                yield number, [self.share(prompt[:place]) for place in at]

    def share(self, before: str) -> list[float]:
        return [0.0] * 9 + [1.0] if "film" in before.rpartition("\n")[2] else [1.0] + [0.0] * 9
