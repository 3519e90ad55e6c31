"""What a page of the documentation prints for people to copy."""

from __future__ import annotations

import re


def blocks(text: str, language: str) -> list[str]:
    """Code blocks, also those inside of a list."""
    found = re.findall(rf"^( *)(?:\d\. )?```{language}\n(.*?)^\1 *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^ {3}", "", body, flags=re.MULTILINE) if indent else body for indent, body in found]


def commands(text: str) -> list[str]:
    """Whole command lines after a $ prompt, comments off."""
    joined = "\n".join(blocks(text, "console")).replace("\\\n", " ")
    return [line.partition("  #")[0].strip() for line in re.findall(r"^ *\$ (.*)$", joined, re.MULTILINE)]
