"""Files in a model's request: whole, or words in their place."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from agentstead.errors import StoreFault
from agentstead.worker import file_blocks
from agentstead.worker.file_blocks import with_content
from agentstead.worker.world import Content, NoFiles


class Shelf(NoFiles):
    """Files by id: type, content; None when the body is gone."""

    def __init__(self, **files: tuple[str, bytes | None]) -> None:
        self.files = files

    async def contents(self, _: str, file_ids: Sequence[str]) -> Mapping[str, Content]:
        return {
            file_id: Content(f"{file_id}.x", kind, len(body or b"gone"), lambda b=body: read(b))
            for file_id in file_ids
            if file_id in self.files
            for kind, body in [self.files[file_id]]
        }


async def read(body: bytes | None) -> AsyncIterator[bytes]:
    if body is None:
        raise StoreFault("The body is not there.", kind="missing")
    yield body[:1]
    yield body[1:]


def block(file_id: str, kind: str = "document", **more: Any) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "file", "file_id": file_id}, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


async def test_messages_without_files_are_left_alone() -> None:
    messages = [user({"type": "text", "text": "hi"})]
    assert await with_content(Shelf(), "s", messages) is messages


async def test_content_is_filled_in_wherever_a_file_is_named() -> None:
    shelf = Shelf(
        a=("image/png", b"png"), b=("text/csv", b"a\x00\xff"), c=("application/pdf", b"%P")
    )
    result = {"type": "tool_result", "tool_use_id": "t", "content": [block("a", "image")]}
    marked = block("c", title="T", cache_control={"type": "ephemeral"})
    first, second = await with_content(shelf, "s", [user(result), user(block("b"), marked)])
    assert first["content"][0]["content"][0]["source"]["data"] == "cG5n"
    assert second["content"][0]["source"]["data"] == "a\ufffd\ufffd"
    assert second["content"][1] == {
        "type": "document", "title": "T", "cache_control": {"type": "ephemeral"},
        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVA="},
    }  # fmt: skip


async def test_words_stand_for_what_is_gone() -> None:
    shelf = Shelf(lost=("image/png", None), blank=("text/plain", b" \n"))
    marked = block("none", cache_control={"type": "ephemeral"})
    (message,) = await with_content(shelf, "s", [user(block("lost"), block("blank"), marked)])
    lost, blank, none = message["content"]
    assert lost["type"] == none["type"] == "text"
    for words in (lost["text"], none["text"]):
        assert "deleted or has expired" in words
    assert none["cache_control"] == {"type": "ephemeral"}
    assert blank["source"]["data"] == "(empty)"


async def test_the_latest_files_are_shown_when_all_are_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_blocks, "SHOWN_BYTES_MAX", 8)
    shelf = Shelf(
        old=("text/plain", b"12345"), new=("text/plain", b"123456"), big=("text/plain", b"x" * 9)
    )
    messages = [user(block("old"), block("big")), user(block("new"), block("new"))]
    first, second = await with_content(shelf, "s", messages)
    assert [one["type"] for one in first["content"]] == ["text", "text"]
    assert "too large together" in first["content"][0]["text"]
    assert [one["type"] for one in second["content"]] == ["document", "document"]


async def test_a_database_that_is_away_is_no_reason_to_forget_a_file() -> None:
    class Away(Shelf):
        async def contents(self, _: str, __: Sequence[str]) -> Mapping[str, Content]:
            raise StoreFault("The database is not available.", kind="unavailable", retryable=True)

    with pytest.raises(StoreFault):
        await with_content(Away(), "s", [user(block("a"))])
