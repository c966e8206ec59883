"""What the package contains of other projects is named, with its licence."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_dependency_of_the_page_is_named_with_its_version_and_licence() -> None:
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    dependencies = json.loads((ROOT / "viewer" / "package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "viewer" / "package-lock.json").read_text())["packages"]
    assert dependencies
    for name, version in dependencies.items():
        assert f"| {name} {version} | {locked[f'node_modules/{name}']['license']} |" in notices
        assert f"The licence of {name}:" in notices


def test_the_page_is_built_with_the_check_of_the_notices() -> None:
    assert "plugins: [notices]" in (ROOT / "viewer" / "vite.config.mjs").read_text()
