"""What a cluster is, and whether this namespace of it can hold sandboxes: asked of its API."""

from typing import Any
from urllib.parse import urlsplit

from agentstead.sandbox.engines.engine import EngineFault, Found
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi

NEEDED = (
    ("", "pods", "", ("create", "delete", "get", "list", "watch")),
    ("", "pods", "exec", ("create", "get")),
    ("", "configmaps", "", ("create", "delete", "get", "list", "patch")),
    ("networking.k8s.io", "networkpolicies", "", ("list",)),
)
SANDBOX_GROUP = "agents.x-k8s.io"
SANDBOX_NEEDED = ((SANDBOX_GROUP, "sandboxes", "", ("create", "delete")),)
FORBIDDEN = 403
NOT_FOUND = 404


async def survey(
    api: KubernetesApi, namespace: str, runtime_class: str, sandbox_resource: bool
) -> Found:
    """Ask; the problems are sentences that say what to do."""
    version = await api.json("GET", "/version")
    problems = await _missing_rights(api, namespace, sandbox_resource)
    notes = []
    if not problems and not await network_closed(api, namespace):
        problems.append(
            f"No NetworkPolicy of namespace {namespace} denies all traffic of its pods: apply"
            " deploy/kubernetes/namespace.yaml, or one with an empty podSelector and both policyTypes."
        )
    if sandbox_resource and not await _there(api, f"/apis/{SANDBOX_GROUP}"):
        problems.append(
            f"The cluster has no {SANDBOX_GROUP}: install agent-sandbox, or unset AGENTSTEAD_KUBERNETES_SANDBOX_RESOURCE."
        )
    if runtime_class:
        if not await _there(api, f"/apis/node.k8s.io/v1/runtimeclasses/{runtime_class}"):
            problems.append(
                f"The cluster has no RuntimeClass {runtime_class!r} (AGENTSTEAD_CONTAINER_RUNTIME)."
            )
    else:
        notes.append(
            "Sandboxes share the nodes' kernel: a RuntimeClass such as gVisor's (AGENTSTEAD_CONTAINER_RUNTIME)"
            " keeps them from it."
        )
    kind = "Sandbox resources" if sandbox_resource else "pods"
    mode = f"{version.get('gitVersion', '?')}, {kind} in namespace {namespace}, runtime class {runtime_class or 'default'}"
    return Found(
        mode, "the nodes' control groups", tuple(problems), tuple(notes), await _addresses(api)
    )


async def network_closed(api: KubernetesApi, namespace: str) -> bool:
    """Whether a policy denies every pod all traffic, and no other opens any."""
    listed = await api.json(
        "GET", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    )
    specs = [policy["spec"] for policy in listed["items"]]
    return any(map(_denies_all, specs)) and not any(map(_opens, specs))


def _denies_all(spec: Any) -> bool:
    everybody = not any((spec.get("podSelector") or {}).values())
    return (
        everybody
        and {"Ingress", "Egress"} <= set(spec.get("policyTypes") or ())
        and not _opens(spec)
    )


def _opens(spec: Any) -> bool:
    """Policies add up: one rule anywhere may be for our pods."""
    return bool(spec.get("ingress") or spec.get("egress"))


async def _missing_rights(api: KubernetesApi, namespace: str, sandbox_resource: bool) -> list[str]:
    missing = []
    for group, resource, part, verbs in (*NEEDED, *(SANDBOX_NEEDED if sandbox_resource else ())):
        for verb in verbs:
            about = {
                "namespace": namespace,
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": part,
            }
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": about},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            answer = await api.json("POST", path, body)
            if not answer.get("status", {}).get("allowed"):
                missing.append(f"{verb} {resource}{f'/{part}' if part else ''}")
    if not missing:
        return []
    return [
        f"The server's account may not do this in namespace {namespace}: {', '.join(missing)}."
        " deploy/kubernetes/namespace.yaml has the role that it needs."
    ]


async def _there(api: KubernetesApi, path: str) -> bool:
    try:
        await api.json("GET", path)
    except EngineFault as fault:
        if fault.status == NOT_FOUND:
            return False
        if fault.status != FORBIDDEN:
            raise
    return True


async def _addresses(api: KubernetesApi) -> tuple[tuple[str, int], ...]:
    """Where pods could reach something, if they could: the API itself, from outside and from inside."""
    url = urlsplit(await api.address())
    found = [(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))]
    try:
        service = await api.json("GET", "/api/v1/namespaces/default/services/kubernetes")
        found.append((service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]))
    except EngineFault:
        pass  # it may be nobody's business
    return tuple(one for one in found if one[0])
