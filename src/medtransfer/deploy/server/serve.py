"""A bundle over HTTP."""

import logging
import ssl
from collections.abc import Callable
from pathlib import Path

from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.server.config import EXTRA, ServerConfig
from medtransfer.errors import ConfigError


def serve(
    bundle: BundleModel | Path | str,
    config: ServerConfig | None = None,
    *,
    on_start: Callable[[str], None] = print,
) -> None:
    """Answer requests until the process is told to stop.

    Args:
        bundle: From `load_bundle`, or its path.
        config: Address, token and limits; `server_config` checks them.
        on_start: Called with the address once the network is loaded.

    Returns:
        Nothing, once the process is told to stop.

    Raises:
        ConfigError: The extra `serve` is not installed, there is no token beyond this machine, or
            the certificate cannot be used.
        BundleError: The bundle is damaged or has expired.
    """
    try:
        import uvicorn

        from medtransfer.deploy.server.app import server_app
    except ImportError as error:
        raise ConfigError(f"A server needs extra packages: {EXTRA}") from error
    config = config or ServerConfig()
    if config.token is None and not config.is_local:
        raise ConfigError(f"A server on {config.host} needs a token: other machines can reach it.")
    model = bundle if isinstance(bundle, BundleModel) else load_bundle(bundle)
    _ = model.networks  # the first request must not wait for it
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    scheme = "http" if config.certificate is None else "https"
    host = f"[{config.host}]" if ":" in config.host else config.host  # IPv6
    on_start(f"{scheme}://{host}:{config.port}   (Ctrl-C ends it)")
    try:
        uvicorn.run(
            server_app(model, config),
            host=config.host,
            port=config.port,
            access_log=False,  # it holds paths as clients wrote them
            log_level="warning",
            server_header=False,
            ssl_certfile=None if config.certificate is None else str(config.certificate),
            ssl_keyfile=None if config.key is None else str(config.key),
            h11_max_incomplete_event_size=64 * 1024,
        )
    except ssl.SSLError as error:
        raise ConfigError(
            "--certificate and --key are no TLS certificate with its key, both PEM "
            f"({error.reason or type(error).__name__})."
        ) from error
