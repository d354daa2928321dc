"""Where a corpus comes from: a local path, a URL with a checksum, or a Kaggle dataset."""

import hashlib
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from stages.core.errors import UserError, refuse, shorten, warn
from stages.corpora.archive.damage import readable

SOURCES = "'synthetic', an absolute path, 'https://…' or 'kaggle:<owner>/<slug>'"
CHECKSUMS = "'sha256:<64 hex digits>', 'md5:<32 hex digits>' or 64 hex digits alone (sha256)"
CACHE_ENV = "EMOTION_RECOGNITION_CACHE"
RETRIES = 2
TIMEOUT_S = 30  # without a byte
BLOCK_BYTES = 1 << 20

_CHECKSUM = re.compile(r"(?:(sha256):)?([0-9a-f]{64})|(md5):([0-9a-f]{32})", re.IGNORECASE)
_HANDLE = re.compile(r"[A-Za-z0-9][\w-]*/[A-Za-z0-9][\w-]*(/versions/[0-9]+)?")
_PASSING_STATUS = (408, 425, 429)  # "later", among the 4xx that mean "never"
_KAGGLE_HELP = (
    "credentials are read from KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME with KAGGLE_KEY, or "
    "~/.kaggle/kaggle.json; or download it by hand from https://www.kaggle.com/datasets/{handle} and set the source to "
    "the absolute path of what you got"
)


def fetch(source: str, checksum: str | None) -> Path:
    """The local file or folder that `source` names, downloaded and verified if need be.

    Downloads are kept in the user's cache folder (`EMOTION_RECOGNITION_CACHE` moves it), so a second call makes none.
    Raises `UserError`, in one line, for whatever is missing, unreachable, refused by the server, or not what
    `checksum` says.
    """
    expected = _parse_checksum(checksum) if checksum is not None else None
    if source.startswith("kaggle:"):
        return _from_kaggle(source, expected)
    if re.match(r"[A-Za-z][\w+.-]+:", source):  # two letters at least: 'C:' is a drive
        return _from_url(source, expected)
    return _from_path(source, expected)


def _parse_checksum(checksum: str) -> tuple[str, str]:
    """Algorithm and lower-case digest."""
    match = _CHECKSUM.fullmatch(str(checksum))
    if not match:
        refuse("not a checksum", where="checksum", allowed=CHECKSUMS, received=checksum)
    return ("md5", match[4].lower()) if match[3] else ("sha256", match[2].lower())


def _verify(path: Path, where: str, expected: tuple[str, str]) -> None:
    algorithm, digest = expected
    with readable(path), path.open("rb") as stream:
        received = hashlib.file_digest(stream, algorithm).hexdigest()
    if received != digest:
        raise UserError(f"{where}: {algorithm} does not match; expected: {digest}; received: {received}")


def _from_path(source: str, expected: tuple[str, str] | None) -> Path:
    path = Path(source)
    if not path.is_absolute():
        refuse(f"not a source{_absolute_form(source)}", where="source", allowed=SOURCES, received=source)
    if not path.exists():
        refuse("no such file or folder", where="source", allowed="a path that exists", received=source)
    if expected and path.is_dir():
        raise UserError(f"{path}: a folder has no checksum; leave it out, or give an archive")
    if expected:
        _verify(path, source, expected)
    return path


def _absolute_form(source: str) -> str:
    if not source.strip():
        return ""
    path = Path.home() / source[2:] if source.startswith("~/") else Path(source)
    return f" (the absolute path would be {path.resolve()})"


def _from_url(url: str, expected: tuple[str, str] | None) -> Path:
    parts = _checked_url(url)
    shown = without_secrets(url)
    if expected is None:
        refuse("a URL needs a checksum", where=shown, allowed=CHECKSUMS, received=None)
    import pooch  # imported here: most runs download nothing

    pooch.get_logger().setLevel("WARNING")  # its messages show the whole URL, with password or token
    name = f"{expected[1][:16]}/{_file_name(parts)}"
    cache = pooch.create(
        path=pooch.os_cache("emotion-recognition"),
        base_url="",
        env=CACHE_ENV,
        registry={name: ":".join(expected)},
        urls={name: url},
        retry_if_failed=RETRIES,
    )
    http = pooch.HTTPDownloader(progressbar=True, chunk_size=BLOCK_BYTES, timeout=TIMEOUT_S)
    try:
        return Path(cache.fetch(name, downloader=_final_answers_end_it(http, shown, expected)))
    except (OSError, ValueError) as error:  # requests' own errors are among them
        traceback.clear_frames(error.__traceback__)  # ends the progress bar, which would follow the line
        raise UserError(f"{shown}: download failed: {_reason(error)}; nothing of it was kept") from None


def without_secrets(source: str) -> str:
    """A URL without its password and query, which may be a token; any other source as it is."""
    if not source.startswith(("https://", "http://")):
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _checked_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        local = parts.hostname in ("localhost", "127.0.0.1")
    except ValueError:
        parts, local = SplitResult("", "", "", "", ""), False
    if not parts.hostname or parts.scheme not in ("https", *(["http"] if local else [])):
        refuse("not a source", where="source", allowed=SOURCES, received=url)
    return parts


def _file_name(parts: SplitResult) -> str:
    """The URL's last part, which a reader may look for ('fer2013.csv'), as a harmless file name."""
    name = unquote(parts.path).rpartition("/")[2]
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".")[-100:] or "corpus"


def _final_answers_end_it(http: Callable, shown: str, expected: tuple[str, str]) -> Callable:
    """pooch tries again after any failure; a 404 or gigabytes of the wrong file come out the same every time."""

    def download(url: str, output: str, pooch: object) -> None:
        try:
            http(url, output, pooch)
        except OSError as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if 400 <= status < 500 and status not in _PASSING_STATUS:
                raise UserError(f"{shown}: the server answered {status} ({error.response.reason})") from None
            warn(f"{shown}: {_reason(error)}")
            raise
        _verify(Path(output), shown, expected)

    return download


def _reason(error: Exception) -> str:
    """What a person can act on, out of the nested texts of requests and urllib3."""
    text = str(error)
    if "Failed to resolve" in text or "NameResolution" in text:
        return "the server's name is unknown, or there is no network"
    if "Connection refused" in text:
        return "the server refused the connection"
    if "timed out" in text.lower():
        return f"no answer within {TIMEOUT_S} s"
    return f"{type(error).__name__}: {shorten(text, 200)}"


def _from_kaggle(source: str, expected: tuple[str, str] | None) -> Path:
    handle = source.removeprefix("kaggle:")
    if not _HANDLE.fullmatch(handle):
        allowed = "'kaggle:<owner>/<slug>' or 'kaggle:<owner>/<slug>/versions/<number>'"
        refuse("not a Kaggle dataset", where="source", allowed=allowed, received=source)
    if expected:
        raise UserError(f"{source}: a folder has no checksum; leave it out, or pin '/versions/<number>'")
    import kagglehub  # imported here: it takes a third of a second

    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # its classes share no base, and its SDK raises bare Exception
        raise UserError(f"{source}: {_kaggle_reason(error)}; {_KAGGLE_HELP.format(handle=handle)}") from None


def _kaggle_reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403) or type(error).__name__ in ("UnauthenticatedError", "CredentialError"):
        return "Kaggle denies access (no or wrong credentials, terms not accepted, or no such dataset)"
    if status == 404:
        return "Kaggle knows no such dataset"
    return f"Kaggle download failed: {_reason(error)}"
