"""What is refused at start, each with one line what is wrong and one line what to do.

Nothing is changed before these have passed.
"""

import errno
import ipaddress
import os
import shutil
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from agentstead.errors import Misconfigured
from agentstead.sandbox.images.images import Images, NoSuchImage
from agentstead.settings import Settings
from agentstead.store import data_dir

FREE_BYTES_MIN = 100 << 20
"""Below this much free disk the database could stop in the middle of its work."""
BACKLOG = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}


def check_door(settings: Settings) -> None:
    """TLS is whole, and a host others can reach has it or is behind a proxy."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise Misconfigured(
            "TLS needs a certificate and its key, and only one of them is given.\n"
            "Pass both --tls-cert and --tls-key."
        )
    for path in (settings.tls_cert, settings.tls_key):
        if path is not None and not os.access(path, os.R_OK):
            raise Misconfigured(f"{path} cannot be read.\nCorrect --tls-cert and --tls-key.")
    if not is_loopback(settings.host) and settings.tls_cert is None and not settings.behind_proxy:
        raise Misconfigured(
            f"Listening on {settings.host} without TLS would send keys in clear over the network.\n"
            "Pass --tls-cert and --tls-key, or --behind-proxy when a proxy in front does TLS."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_upstreams(settings: Settings, port: int) -> None:
    """No model upstream is this server itself, which would call itself for ever."""
    upstreams = {
        "AGENTSTEAD_ANTHROPIC_BASE_URL (or ANTHROPIC_BASE_URL)": settings.anthropic_base_url,
        "AGENTSTEAD_OPENAI_BASE_URL": settings.openai_base_url,
    }
    for name, url in upstreams.items():
        if url is not None and points_at(url, settings.host, port):
            raise Misconfigured(
                f"{name} is {url}, which is this server itself.\n"
                "Set it to the model's own address, or unset it."
            )


def points_at(url: str, host: str, port: int) -> bool:
    """Whether `url` names the address that this server listens on."""
    try:
        parts = urlsplit(url)
        if (parts.port or DEFAULT_PORTS.get(parts.scheme)) != port or parts.hostname is None:
            return False
    except ValueError:
        return False
    everywhere = host in {"0.0.0.0", "::", ""}  # noqa: S104 (compared, not bound)
    if is_loopback(parts.hostname):
        return everywhere or is_loopback(host)
    return parts.hostname == host or (everywhere and parts.hostname in own_names())


def own_names() -> set[str]:
    """Names this machine calls itself by."""
    return {socket.gethostname(), socket.getfqdn(), "0.0.0.0", "::"}  # noqa: S104


def check_image(settings: Settings) -> None:
    """The image that sandboxes shall be made from is there."""
    if settings.sandbox != "bubblewrap":
        return
    try:
        Images.of(settings).resolve(None)
    except NoSuchImage as error:
        raise Misconfigured(
            f"AGENTSTEAD_SANDBOX_IMAGE, or `agentstead image use`: {error.message}\n"
            "Import it, or choose another one."
        ) from None


def prepare_data_dir(path: Path) -> None:
    """Make the data directory and see that it can be written and has room."""
    try:
        with tempfile.TemporaryFile(dir=data_dir.make(path)) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        raise Misconfigured(
            f"The data directory {path} cannot be used: {error.strerror}.\n{remedy_for(error)}"
        ) from error
    free = shutil.disk_usage(path).free
    if free < FREE_BYTES_MIN:
        raise Misconfigured(
            f"The disk of {path} is full: {free >> 20} MiB are free, {FREE_BYTES_MIN >> 20} MiB"
            " are needed.\nMake room, or name another place with --data-dir."
        )


def remedy_for(error: OSError) -> str:
    """What to do about a data directory that cannot be used."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Make room on that disk, or name another place with --data-dir."
    return "Make it writable for this user, or name another place with --data-dir."


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on; taken first, so that nothing else starts when it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named, since asyncio's own loop sends without delay (40 ms) only on sockets that say TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise cannot_listen(settings, error) from error
    except OverflowError:
        listener.close()
        raise Misconfigured(f"{settings.port} is no port.\nPorts go from 0 to 65535.") from None
    return listener


def cannot_listen(settings: Settings, error: OSError) -> Misconfigured:
    """Why the address cannot be listened on."""
    where = f"{settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return Misconfigured(
            f"{where} is in use by another program.\n"
            f"Stop that program, or choose another port: --port {settings.port + 1},"
            " or --port 0 for a free one."
        )
    if error.errno == errno.EACCES:
        return Misconfigured(
            f"{where} may not be used by this user.\nChoose a port above 1023 with --port."
        )
    return Misconfigured(
        f"{where} cannot be listened on: {error.strerror or error}.\n"
        "Name an address of this machine with --host."
    )
