"""Models: what the operator's catalogue offers, in the shape of the Models API."""

from collections.abc import Mapping
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.errors import Invalid
from agentstead.wire.answers.agent import Model, ModelPage

router = Router("Models")
LIMIT, LIMIT_MAX = 20, 1000
STAGES = ("active", "deprecated", "retired")
USUAL = ("active", "deprecated")


@router.get("/v1/models", query=("after_id", "before_id", "limit", "lifecycle"), answer=ModelPage)
async def list_models(call: Call) -> Mapping[str, Any]:
    """List the models that agents can be made with."""
    most = call.query.number("limit", 1, LIMIT_MAX) or LIMIT
    stages = call.query.words("lifecycle", STAGES) or USUAL
    entries = [entry.wire() for entry in call.services.catalogue.list()]
    shown = [entry for entry in entries if entry["lifecycle"] in stages]
    names = [one["id"] for one in shown]
    after, before = call.query.text("after_id"), call.query.text("before_id")
    start, end = position(names, "after_id", after, 0, 1), len(names)
    if before is not None:
        end = position(names, "before_id", before, end, 0)
        start = max(start, end - most)
    part = shown[start:end][:most]
    return {
        "data": part,
        "has_more": start > 0 if before is not None else start + len(part) < end,
        "first_id": part[0]["id"] if part else None,
        "last_id": part[-1]["id"] if part else None,
    }


@router.get("/v1/models/{model_id:path}", answer=Model)
async def retrieve(call: Call, model_id: str) -> Mapping[str, Any]:
    """Retrieve one model; also one that only the operator's default runs."""
    return call.services.catalogue.info(model_id).wire()


def position(names: list[str], field: str, name: str | None, default: int, step: int) -> int:
    """Where a page begins or ends."""
    if name is None:
        return default
    if name not in names:
        raise Invalid(f'{field}: There is no model "{name}".')
    return names.index(name) + step
