"""The extender's settings; how they are read is :mod:`recorder.settings`."""

from pydantic import Field

from recorder.settings import Bind, CommonSettings


class ExtenderSettings(CommonSettings):
    """Answer kube-scheduler's prioritize calls from a watched view."""

    bind: Bind = Field("0.0.0.0:8888", description="HOST:PORT of the verbs, probes and metrics")
    tls_cert: str | None = Field(None, description="serve TLS with this certificate (PEM file)")
    tls_key: str | None = Field(None, description="its private key (PEM file)")
    client_ca: str | None = Field(None, description="only let in clients with a certificate of this CA (PEM file)")
