"""Fetching of a corpus from a local path, from a URL with a checksum, or from Kaggle."""

import hashlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stages.core.errors import UserError, refuse, shorten, warn
from stages.corpora.archive.damage import reading
from stages.params.schema import IN_PLACE, source_kind

CACHE_ENV = "EMOTION_RECOGNITION_CACHE"
RETRIES = 2
TIMEOUT_S = 30  # longest wait for the next byte
BLOCK_BYTES = 1 << 20

_RETRY_STATUS = (408, 425, 429)  # the 4xx codes that mean "try again later"
_KAGGLE_HELP = (
    "credentials are read from KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME with KAGGLE_KEY, or "
    "~/.kaggle/kaggle.json; or download it by hand from https://www.kaggle.com/datasets/{handle} and set the source to "
    "the absolute path of the download"
)


def fetch(source: str, checksum: str | None) -> Path:
    """Return the local file or folder of `source`, downloaded and verified where needed.

    Both arguments must be valid as `checks.params` defines. Downloads are kept in the user's cache folder, which
    `EMOTION_RECOGNITION_CACHE` moves, so that a second call downloads nothing. Raises `UserError` of one line for a
    source that is missing, unreachable or refused by the server, and for one that does not match `checksum`.
    """
    by_kind = {"kaggle": _from_kaggle, "url": _from_url}
    return by_kind.get(source_kind(source), _from_path)(source, checksum)


def without_secrets(source: str) -> str:
    """Return a URL without its password and query, which may hold a token; any other source unchanged."""
    if source_kind(source) != "url":
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _verify(path: Path, where: str, checksum: str) -> None:
    algorithm, _, digits = checksum.lower().partition(":")
    with reading(path), path.open("rb") as stream:
        received = hashlib.file_digest(stream, algorithm).hexdigest()
    if received != digits:
        raise UserError(f"{where}: {algorithm} does not match; expected: {digits}; received: {received}")


def _from_path(source: str, checksum: str | None) -> Path:
    path = Path(source.removeprefix(IN_PLACE))
    if not path.exists():
        refuse("no such file or folder", where="source", allowed="a path that exists", received=source)
    if checksum and path.is_dir():
        raise UserError(f"{path}: a folder has no checksum; leave it out, or give an archive")
    if checksum:
        _verify(path, source, checksum)
    return path


def _from_url(url: str, checksum: str) -> Path:
    import pooch  # imported here: most runs download nothing

    pooch.get_logger().setLevel("WARNING")  # its other messages show the whole URL, with password or token
    shown, checksum = without_secrets(url), checksum.lower()
    # The file keeps the last part of the URL's path as a safe name: a reader may look for it ('fer2013.csv').
    file = re.sub(r"[^\w.-]", "_", unquote(urlsplit(url).path).rpartition("/")[2], flags=re.ASCII)
    name = f"{checksum.rpartition(':')[2][:16]}/{file.lstrip('.')[-100:] or 'corpus'}"
    options = {"base_url": "", "env": CACHE_ENV, "retry_if_failed": RETRIES}
    folder = pooch.os_cache("emotion-recognition")
    cache = pooch.create(folder, registry={name: checksum}, urls={name: url}, **options)
    http = pooch.HTTPDownloader(progressbar=True, chunk_size=BLOCK_BYTES, timeout=TIMEOUT_S)
    try:
        return Path(cache.fetch(name, downloader=_without_useless_retries(http, shown, checksum)))
    except (OSError, ValueError) as error:  # includes the errors of requests
        traceback.clear_frames(error.__traceback__)  # ends the progress bar, which would appear after the message
        raise UserError(f"{shown}: download failed: {_reason(error)}; nothing of it was kept") from None


def _without_useless_retries(http: Callable, shown: str, checksum: str) -> Callable:
    """Return a downloader that raises `UserError`, which pooch does not retry, for a 404 and for a wrong checksum."""

    def download(url: str, output: str, pooch: object) -> None:
        try:
            http(url, output, pooch)
        except OSError as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if 400 <= status < 500 and status not in _RETRY_STATUS:
                raise UserError(f"{shown}: the server answered {status} ({error.response.reason})") from None
            warn(f"{shown}: {_reason(error)}")
            raise
        _verify(Path(output), shown, checksum)

    return download


def _reason(error: Exception) -> str:
    """Return a short reason, extracted from the nested messages of requests and urllib3."""
    text = str(error)
    if "Failed to resolve" in text or "NameResolution" in text:
        return "the server's name is unknown, or there is no network"
    if "Connection refused" in text:
        return "the server refused the connection"
    if "timed out" in text.lower():
        return f"no answer within {TIMEOUT_S} s"
    return f"{type(error).__name__}: {shorten(text, 200)}"


def _from_kaggle(source: str, checksum: str | None) -> Path:
    if checksum:
        raise UserError(f"{source}: a folder has no checksum; leave it out, or pin '/versions/<number>'")
    import kagglehub  # imported here: it takes a third of a second

    handle = source.removeprefix("kaggle:")
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # its errors have no common base class, and its SDK raises bare Exception
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"Kaggle download failed: {_reason(error)}"
        if status in (401, 403) or type(error).__name__ in ("UnauthenticatedError", "CredentialError"):
            reason = "Kaggle denies access (no or wrong credentials, terms not accepted, or no such dataset)"
        elif status == 404:
            reason = "no such dataset on Kaggle"
        raise UserError(f"{source}: {reason}; {_KAGGLE_HELP.format(handle=handle)}") from None
