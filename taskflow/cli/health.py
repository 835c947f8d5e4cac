"""`taskflow health`: ask a worker or a server how it is, where there is no curl."""

import json
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import click

from taskflow.cli.parameter_types import Seconds
from taskflow.text import printable

MOST = 65_536  # bytes of an answer that are read


@click.command()
@click.argument("url", metavar="URL", default="http://127.0.0.1:8090/ready")
@click.option(
    "--timeout", type=Seconds(), default="5", show_default=True, help="Longest wait for the answer."
)
@click.pass_context
def health(ctx: click.Context, url: str, timeout: float) -> None:
    """Ask URL; exit code 0 when it answers 200, 1 with the reasons when it does not.

    For the health check of a container: a worker with --health-port 8090 answers at /ready (the
    default here) and /live, `taskflow serve` at its port's /health.

    \b
    Example:
      taskflow health
      taskflow health http://127.0.0.1:9324/health
    """
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{url!r} is no address; write http://127.0.0.1:8090/ready")
    try:
        with urlopen(url, timeout=timeout) as answer:
            click.echo("healthy")
            answer.read(MOST)
            return
    except HTTPError as error:
        with error:
            said = f"status {error.code}: {_reasons(error.read(MOST))}"
    except URLError as error:
        said = f"no answer: {error.reason}"
    except (OSError, HTTPException, ValueError) as error:
        said = f"no answer: {error}"
    click.echo(printable(said), err=True)
    ctx.exit(1)


def _reasons(body: bytes) -> str:
    try:
        found = json.loads(body)["reasons"]
        return "; ".join(map(str, found))
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
