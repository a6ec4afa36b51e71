"""The certificate authority of one sandbox: programs inside trust it, nobody else knows it.

It vouches for the hosts whose TLS ends at the proxy. Its key is made with the sandbox, handed on in
memory only, and gone with it; keys of hosts never leave the process that made them.
"""

import datetime as dt
import os
import ssl
import time
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agentstead.addresses import literal

AUTHORITY_DAYS, HOST_DAYS = 3650, 30
HOST_SECONDS = 7 * 86_400.0
"""A host gets a new certificate after so long."""
HOSTS_MAX = 256
NAME = "Agentstead sandbox"
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


class Made(NamedTuple):
    """A new authority, as PEM."""

    certificate: str
    key: str


def made() -> Made:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    built = (
        _built(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Made(_pem(built), _key_pem(key).decode())


class Authority:
    """Speaks TLS as the hosts it is asked for."""

    def __init__(self, given: Made) -> None:
        self._certificate = x509.load_pem_x509_certificate(given.certificate.encode())
        key = serialization.load_pem_private_key(given.key.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._host_key = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, tuple[float, ssl.SSLContext]] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """TLS of a server that is this host to whoever trusts the authority. HTTP/1.1 only."""
        now = time.monotonic()
        since, context = self._contexts.get(host, (0.0, None))
        if context is None or now - since > HOST_SECONDS:
            if len(self._contexts) >= HOSTS_MAX:
                self._contexts.clear()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            _load(context, _pem(self._vouched(host)).encode() + _key_pem(self._host_key))
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[host] = now, context
        return context

    def _vouched(self, host: str) -> x509.Certificate:
        common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        address = literal(host)
        named = x509.DNSName(host) if address is None else x509.IPAddress(ip_address(host))
        public = self._host_key.public_key()
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _built(common, self._certificate.subject, public, HOST_DAYS)
            .add_extension(x509.SubjectAlternativeName([named]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _built(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*named: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in named for usage in USAGES})


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """The library takes a key from a file only, so it gets one that is memory."""
    descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
