"""Every error of the platform; whose fault it is is the type.

AgentsteadError
├── Refusal            the caller's fault: 4xx, never retried by us
│   ├── Invalid            400 invalid_request_error
│   ├── Unauthenticated    401 authentication_error
│   ├── Forbidden          403 permission_error
│   ├── NotFound           404 not_found_error
│   ├── Conflict           409 conflict_error
│   ├── Precondition       412 invalid_request_error
│   ├── TooLarge           413 request_too_large
│   └── Limited            429 rate_limit_error
├── Fault              the world's fault; carries kind, retryable, retry_after
│   ├── ProviderFault
│   ├── SandboxFault
│   ├── McpFault
│   ├── ConnectorFault
│   ├── RepositoryFault
│   └── StoreFault
├── Misconfigured      the operator's: the process refuses to start and says what to do
└── LeaseLost          nobody's: another worker carries on
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class AgentsteadError(Exception):
    """Something went wrong in Agentstead."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        super().__init__(self.message)


class Refusal(AgentsteadError):
    """The request cannot be carried out."""

    status: ClassVar[int] = 400
    wire_type: ClassVar[str] = "invalid_request_error"
    should_retry: ClassVar[bool | None] = None

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        """Goes to `error.details.error_code`."""
        self.details = details or {}
        """What else goes to `error.details`."""


class Invalid(Refusal):
    """The request is not valid."""


class Unauthenticated(Refusal):
    """An API key is required: `Authorization: Bearer <key>` or `x-api-key: <key>`."""

    status = 401
    wire_type = "authentication_error"


class Forbidden(Refusal):
    """This key may not do that."""

    status = 403
    wire_type = "permission_error"


class NotFound(Refusal):
    """There is no such thing."""

    status = 404
    wire_type = "not_found_error"


class Conflict(Refusal):
    """The thing has changed since you read it; read it again and repeat your change."""

    status = 409
    wire_type = "conflict_error"
    should_retry = False


class Precondition(Refusal):
    """A precondition of the request does not hold."""

    status = 412


class TooLarge(Refusal):
    """The request body is too large."""

    status = 413
    wire_type = "request_too_large"


class Limited(Refusal):
    """Too many requests; slow down."""

    status = 429
    wire_type = "rate_limit_error"

    def __init__(
        self, message: str | None = None, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """None: the door's own."""


class Fault(AgentsteadError):
    """Something outside of us failed."""

    def __init__(
        self,
        message: str | None = None,
        *,
        kind: str = "failed",
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.retry_after = retry_after
        """Seconds, when the other side named a time."""


class ProviderFault(Fault):
    """The model provider failed.

    kind: overloaded | rate_limited | billing | auth | invalid | too_long | cut | unreachable | failed
    """


class SandboxFault(Fault):
    """The sandbox failed.

    kind: start | lost | limits | gone | packages | save | damaged | unknown. `unknown`: the call was
    started and its outcome is not known; it is told to the model and never run again.
    """


class McpFault(Fault):
    """A server of tools failed.

    kind: unreachable | auth (both: nothing was called) | refused (it answered with an error) |
    cut | timeout (both: whether it did what it was called for is not known)
    """


class ConnectorFault(Fault):
    """A connector's call has no result.

    kind: denied | invalid | rate_limited | circuit_open | unreachable | auth (these: nothing was done) |
    refused (the target answered with an error) | too_large (it did what it was called for, and said
    more than is taken in) | cut | timeout (both: whether it did it is not known)
    """


class RepositoryFault(Fault):
    """A repository could not be checked out.

    kind: authentication | forbidden | not_found | checkout (what is wanted is not in it, or there is
    no place for it) | clone (everything else)
    """


class StoreFault(Fault):
    """The database failed."""


class Misconfigured(AgentsteadError):
    """The platform cannot start as configured."""


class LeaseLost(AgentsteadError):
    """Another worker holds this session now."""
