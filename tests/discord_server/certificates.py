"""Make an authority and certificates of it, for servers of tests that speak TLS."""

import datetime as dt
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HEARD = Callable[[str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Sign certificates that only those accept who hold `trust()`."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls) -> Self:
        """Make an authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("An authority of tests")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = _builder(name, name, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return cls(
            key=key, certificate=builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
        )

    def trust(self) -> ssl.SSLContext:
        """Return a client's context that trusts this authority alone."""
        return ssl.create_default_context(cadata=_pem(self.certificate).decode())

    def server(self, host: str, heard: HEARD | None = None) -> ssl.SSLContext:
        """Return a server's context for a host; `heard` is told the name each client asks for."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(host), self.certificate.subject, key.public_key()).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False
        )
        certificate = builder.sign(self.key, hashes.SHA256())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(context, key, certificate)
        if heard:
            context.sni_callback = lambda sock, name, own: heard(name)
        return context

    def file(self, path: Path) -> Path:
        """Write what trusts this authority, as PEM, and return where."""
        path.write_bytes(_pem(self.certificate))
        return path

    def client(self, path: Path, email: str, name: str = "TradingView Webhooks") -> Path:
        """Write a client's key and certificate into one file and return where."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.certificate.subject, key.public_key())
        for extension in (
            x509.SubjectAlternativeName([x509.RFC822Name(email)]),
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]),
        ):
            builder = builder.add_extension(extension, critical=False)
        path.write_bytes(_private(key) + _pem(builder.sign(self.key, hashes.SHA256())))
        return path


def _load(context: ssl.SSLContext, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both.pem"
        path.write_bytes(_private(key) + _pem(certificate))
        context.load_cert_chain(path)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
