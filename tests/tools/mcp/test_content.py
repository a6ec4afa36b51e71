"""What servers answer, as blocks that models take."""

import base64
from typing import Any

from agentstead.tools.mcp.content import BLOCKS_MAX, MEDIA_CHARACTERS_MAX, outcome

IMAGE = base64.b64encode(b"png").decode()


def blocks(*items: Any, text_max: int = 1000, **more: Any) -> Any:
    return outcome({"content": list(items), **more}, text_max)


def words(text: str) -> Any:
    return {"type": "text", "text": text}


def image(data: str = IMAGE, media_type: str = "image/png") -> Any:
    return {"type": "image", "data": data, "mimeType": media_type}


def test_structured_content_shows_where_there_is_no_text() -> None:
    assert blocks(structuredContent={"a": "é"}).content == (words('{"a": "é"}'),)
    assert blocks(words("said"), structuredContent={"a": 1}).content == (words("said"),)
    assert blocks(words(" ")).content == ()


def test_errors_are_kept() -> None:
    assert blocks(words("no"), isError=True).is_error
    assert not blocks(words("yes")).is_error


def test_a_server_that_asks_for_something_is_not_answered() -> None:
    asked = outcome({"inputRequests": {}}, 100)
    assert asked.is_error
    assert "not possible here" in asked.content[0]["text"]


def test_what_cannot_be_shown_is_named() -> None:
    found = blocks(
        image(media_type="image/tiff"),
        image("no base64!"),
        image("A" * (MEDIA_CHARACTERS_MAX + 4)),
        {"type": "resource", "resource": {"uri": "file:///a.zip", "blob": "AAAA"}},
        {"type": "hologram"},
    ).content
    assert [block["type"] for block in found] == ["text"] * 5
    for block, said in zip(
        found,
        ("image/tiff", "cannot be read", "too large", "file:///a.zip", "hologram"),
        strict=True,
    ):
        assert said in block["text"]


def test_an_image_keeps_its_type_and_a_text_resource_its_name() -> None:
    text = {"uri": "file:///n.md", "text": "# N", "mimeType": "text/markdown"}
    picture, document = blocks(
        image(media_type="Image/PNG; x=y"), {"type": "resource", "resource": text}
    ).content
    assert picture["source"] == {"type": "base64", "media_type": "image/png", "data": IMAGE}
    assert document["source"] == {"type": "text", "media_type": "text/plain", "data": "# N"}
    assert document["title"] == "file:///n.md"


def test_text_beyond_the_limit_is_cut_and_says_so() -> None:
    found = blocks(words("a" * 60), image(), words("b" * 60), words("c"), text_max=100).content
    assert found[0] == words("a" * 60)
    assert found[2]["text"].startswith("b" * 40 + "\n[Cut: 20 more")
    assert len(found) == 3


def test_many_pieces_are_cut_and_say_so() -> None:
    found = blocks(*(words("x") for _ in range(BLOCKS_MAX + 5))).content
    assert len(found) == BLOCKS_MAX + 1
    assert found[-1]["text"] == "[Cut: 5 more pieces.]"
