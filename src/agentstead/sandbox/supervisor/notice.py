"""What the model has to be told of its sandbox with the next result, once: it was made anew."""

import sys
from typing import Any

from agentstead.sandbox.supervisor.place import Place


class Notice:
    """The notice that lies in the sandbox's folder until a result has told it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._text: str = place.meta().get("note", "")

    def add(self, outcome: dict[str, Any]) -> None:
        """Put it in front of an outcome."""
        if not self._text:
            return
        content = outcome["content"]
        if content[0].get("type") == "text":
            content[0]["text"] = f"{self._text}\n{content[0]['text']}"
        else:
            content.insert(0, {"type": "text", "text": self._text})

    def told(self) -> None:
        """Forget it: the outcome is in the journal."""
        if not self._text:
            return
        self._text = ""
        try:
            self._place.write_meta(note="")
        except OSError as error:
            # told again after the next start: better twice than never
            sys.stderr.write(f"the notice cannot be forgotten: {error}\n")
