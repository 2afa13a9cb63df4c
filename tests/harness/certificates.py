"""Certificates for tests, made anew in each run by the openssl program: an authority, what it signed, and another authority."""

import subprocess

NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"


def _openssl(*args):
    subprocess.run(("openssl", *map(str, args)), check=True, capture_output=True)


class Certificates:
    """Files in a directory: NAME.crt and NAME.key in PEM, NAME.p12 with the password "secret". `ca` has signed `server`, `client` and
    `renewed`, which is another certificate for the server; `strange` is signed by nobody's authority."""

    def __init__(self, path):
        self.path = path
        self._authority("ca")
        self._authority("other")
        for name in ("server", "renewed", "client"):
            self._sign(name, "ca")
        self._sign("strange", "other")

    def file(self, name):
        return str(self.path / name)

    def cert(self, name):
        return self.file(name + ".crt")

    def key(self, name):
        return self.file(name + ".key")

    def store(self, name):
        return self.file(name + ".p12")

    def serial(self, name):
        told = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", self.cert(name)], check=True,
                              capture_output=True, text=True)
        return told.stdout.strip().removeprefix("serial=")

    def lock_key(self, name, password):
        """A copy of the key that needs a password."""
        out = self.file(name + ".locked.key")
        _openssl("pkey", "-aes256", "-in", self.key(name), "-out", out, "-passout", "pass:" + password)
        return out

    def _authority(self, name):
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                 "-subj", "/CN=" + name, "-keyout", self.key(name), "-out", self.cert(name))

    def _sign(self, name, authority):
        request, extensions = self.file(name + ".csr"), self.path / (name + ".ext")
        extensions.write_text(NAMES + "\n")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                 "-keyout", self.key(name), "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert(authority), "-CAkey", self.key(authority),
                 "-CAcreateserial", "-days", 2, "-extfile", extensions, "-out", self.cert(name))
        _openssl("pkcs12", "-export", "-in", self.cert(name), "-inkey", self.key(name), "-certfile",
                 self.cert(authority), "-name", name, "-out", self.store(name), "-passout", "pass:secret")
