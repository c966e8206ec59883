"""The page, its program and its documents in one HTML file, which needs no other file and no server."""

import base64
import hashlib
import json
from collections.abc import Mapping

BEGIN = "window.cratelm={early:[],put(address,pack){this.early.push([address,pack])}};"
"""Documents come before the program, which takes what waits for it when it starts."""


def one_page(files: Mapping[str, bytes], packs: Mapping[str, str]) -> bytes:
    """The built page's files by name, and packs by address (viewer/packing.py), as one page.

    Its policy allows the scripts and the style in it by their hashes, and nothing else.
    """
    page, style = files["index.html"].decode(), files["app.css"].decode()
    # In a script, nothing but this ends it; in JavaScript, the backslash changes nothing.
    program = files["app.js"].decode().replace("</script", "<\\/script")
    handed = "".join(f"cratelm.put({json.dumps(address)},{json.dumps(pack)});\n" for address, pack in packs.items())
    scripts = [BEGIN + handed, program]
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<head>\n    <meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '    <meta name="cratelm" content="one page">'
    )
    icon = base64.b64encode(files["icon.svg"]).decode()
    replaced = {
        "<head>": head,
        'href="/icon.svg"': f'href="data:image/svg+xml;base64,{icon}"',
        '<link rel="stylesheet" href="/app.css">': f"<style>{style}</style>",
        '<script defer src="/app.js"></script>': "",
        "</body>": "".join(f"<script>{script}</script>" for script in scripts) + "</body>",
    }
    for old, new in replaced.items():
        if old not in page:
            raise ValueError(f"the built page has no {old}")
        page = page.replace(old, new, 1)
    return page.encode()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
