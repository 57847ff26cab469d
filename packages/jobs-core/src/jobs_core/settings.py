"""Environment variables, checked once at the start and held in frozen Structs whose repr shows no secret."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast
from urllib.parse import quote, urlsplit

import msgspec

from jobs_core.codecs import KeyRing
from jobs_core.connection.address import CLUSTER_SCHEMES, SCHEMES, SENTINEL_SCHEMES, parse_address
from jobs_core.durations import parse_duration
from jobs_core.errors import ConfigurationError, OptionError, SettingsError
from jobs_core.hosts import Hosts, parse_hosts
from jobs_core.json_options import parse_options
from jobs_core.names import check_prefix, check_queue_name
from jobs_core.options import DefaultJobOptions, check_options
from jobs_core.queue import LOG_LEVELS, WEIGHT_CLASSES, JobLogs

__all__ = [
    "CommonSettings",
    "DashboardSettings",
    "FeatureSettings",
    "WorkerSettings",
    "check_trace_url",
    "mask_url",
    "read_flag",
]

LogFormat: TypeAlias = Literal["console", "json"]

_MASK = "***"
_SERVER_SCHEMES = SCHEMES + SENTINEL_SCHEMES + CLUSTER_SCHEMES
_SERVER_FORMS = "a URL redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://"
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_PACKAGE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII).fullmatch
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}", re.ASCII).fullmatch
_SECRET_PARAMETER = re.compile(r"([?&][^=&]*(?:pass|token|secret|key)[^=&]*=)[^&]*", re.IGNORECASE)
_MAX_PROCESSES = 1024
_MAIL_ADDRESS = re.compile(r"(?:[^<>\r\n]*<)?[^\s<>,;]+@[^\s<>@,;]+>?").fullmatch
_DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
_SHORTEST_SECRET = 16


def mask_url(url: str) -> str:
    """Return the URL with `***` in place of its user, password and secret parameters."""
    scheme, _, rest = url.partition("://")
    if "@" in rest:
        # Up to the last @, since a password that is not percent-encoded may hold @ and / too.
        url = f"{scheme}://{_MASK}@{rest.rpartition('@')[2]}"
    elif "@" in url:
        return _MASK
    return _SECRET_PARAMETER.sub(rf"\1{_MASK}", url)


def read_flag(variable: str, env: Mapping[str, str] | None = None, *, default: bool = False) -> bool:
    """Read one switch, by default from the variables of the process. Raises `SettingsError`."""
    return _Reader(os.environ if env is None else env).flag(variable, default=default)


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all settings share: reading, and a repr without secrets."""

    _secrets: ClassVar[frozenset[str]] = frozenset()
    _urls: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the variables of `env`, by default those of the process. Raises `SettingsError`."""
        return cls(**cls._values(_Reader(os.environ if env is None else env)))

    @classmethod
    def _values(cls, read: _Reader) -> dict[str, Any]:
        raise NotImplementedError

    def _shown(self) -> Iterator[tuple[str, object]]:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if field in self._secrets and value:
                value = _MASK
            elif field in self._urls and value:
                value = mask_url(value)
            yield field, value

    def __repr__(self) -> str:
        """Show the settings without secrets."""
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in self._shown())})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to rich, whose tracebacks print local variables."""
        return list(self._shown())


class CommonSettings(_Settings, frozen=True, kw_only=True):
    """What every program reads. `features` and `processors` None mean the built-in ones."""

    redis_url: str = "redis://localhost:6379/0"
    prefix: str = "jobs"
    features: tuple[str, ...] | None = None
    processors: tuple[str, ...] | None = None
    default_job_options: DefaultJobOptions = {}
    metrics: bool = True
    events: bool = True
    allow_eviction: bool = False
    keys: KeyRing | None = None
    log_level: str = "info"
    log_format: LogFormat = "json"

    _urls: ClassVar[frozenset[str]] = frozenset({"redis_url"})

    @classmethod
    def _values(cls, read: _Reader) -> dict[str, Any]:
        return {
            "redis_url": _redis_url(read),
            "prefix": _prefix(read),
            "features": _packages(read, "JOBS_FEATURES"),
            "processors": _packages(read, "JOBS_PROCESSORS"),
            "default_job_options": _default_job_options(read),
            "metrics": read.flag("JOBS_METRICS", default=True),
            "events": read.flag("JOBS_EVENTS", default=True),
            "keys": read.keys("JOBS_KEYS"),
            "allow_eviction": read.flag("JOBS_ALLOW_EVICTION", default=False),
            "log_level": read.choice("LOG_LEVEL", _LOG_LEVELS, "info"),
            "log_format": read.choice(
                "LOG_FORMAT", ("console", "json"), "console" if sys.stderr.isatty() else "json"
            ),
        }


class WorkerSettings(CommonSettings, frozen=True, kw_only=True):
    """What a worker reads. Durations are seconds; `weights` are the weight classes it serves.

    `concurrency` None means each queue's own, `queues` None all of the weight classes. `http_port_given`
    tells a port that was asked for from the default, which gives way to a free one.
    """

    weights: tuple[str, ...] = WEIGHT_CLASSES
    queues: tuple[str, ...] | None = None
    concurrency: int | None = None
    processes: int | Literal["auto"] = 1
    initial_processes: Mapping[str, int] = {}
    min_processes: int = 1
    max_processes: int = 16
    scale_up: int = 100
    scale_down: int = 10
    scale_cpu: float = 0.8
    scale_memory: float = 0.85
    scale_interval: float = 30.0
    shutdown_grace: float = 30.0
    http_host: str = "127.0.0.1"
    http_port: int = 9464
    http_port_given: bool = False
    job_logs: JobLogs | None = None

    @classmethod
    def _values(cls, read: _Reader) -> dict[str, Any]:
        weights = _weights(read)
        processes = read.text("WORKER_PROCESSES").lower()
        fewest = read.whole("WORKER_MIN_PROCESSES", 1, least=1, most=_MAX_PROCESSES)
        scale_down = read.whole("WORKER_SCALE_DOWN", 10, least=0)
        return {
            **super()._values(read),
            "weights": weights,
            "queues": _queues(read),
            "concurrency": read.whole("WORKER_CONCURRENCY", None, least=1, most=10_000),
            "processes": "auto"
            if processes == "auto"
            else read.whole("WORKER_PROCESSES", 1, least=1, most=_MAX_PROCESSES, also=" or auto"),
            "initial_processes": _initial_processes(read),
            "min_processes": fewest,
            "max_processes": read.whole(
                "WORKER_MAX_PROCESSES", max(16, fewest or 0), least=fewest or 1, most=_MAX_PROCESSES
            ),
            "scale_up": read.whole(
                "WORKER_SCALE_UP", max(100, (scale_down or 0) + 1), least=(scale_down or 0) + 1
            ),
            "scale_down": scale_down,
            "scale_cpu": read.share("WORKER_SCALE_CPU", 0.8),
            "scale_memory": read.share("WORKER_SCALE_MEMORY", 0.85),
            "scale_interval": read.seconds("WORKER_SCALE_INTERVAL", 30.0, least=1.0),
            "shutdown_grace": read.seconds("WORKER_SHUTDOWN_GRACE", 600.0 if weights == ("heavy",) else 30.0),
            "http_host": read.text("WORKER_HTTP_HOST", "127.0.0.1"),
            "http_port": read.port("WORKER_HTTP_PORT", 9464),
            "http_port_given": bool(read.text("WORKER_HTTP_PORT")),
            "job_logs": read.choice("WORKER_JOB_LOGS", LOG_LEVELS, LOG_LEVELS[1])
            if read.text("WORKER_JOB_LOGS")
            else None,
        }


class DashboardSettings(CommonSettings, frozen=True, kw_only=True):
    """What the dashboard reads. A token that is None is not in use, and a way to sign in neither; `session` is in seconds.

    `admins`, `operators` and `viewers` name people whom a proxy or an OpenID provider signs in.
    """

    host: str = "127.0.0.1"
    port: int = 3010
    token: str | None = None
    operator_token: str | None = None
    viewer_token: str | None = None
    url: str | None = None
    trace_url: str | None = None
    session: float = 43_200.0
    admins: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    proxy_header: str | None = None
    proxy_groups_header: str | None = None
    proxy_trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    oidc_issuer: str | None = None
    oidc_client_id: str | None = None
    oidc_client_secret: str | None = None
    oidc_claim: str = "email"
    oidc_groups_claim: str = "groups"
    oidc_scopes: str = "openid email profile"
    metrics_public: bool = False

    _secrets: ClassVar[frozenset[str]] = frozenset(
        {"token", "operator_token", "viewer_token", "oidc_client_secret"}
    )

    @classmethod
    def _values(cls, read: _Reader) -> dict[str, Any]:
        return {
            **super()._values(read),
            "host": read.text("DASHBOARD_HOST", "127.0.0.1"),
            "port": read.port("DASHBOARD_PORT", 3010),
            "token": read.text("DASHBOARD_TOKEN") or None,
            "operator_token": read.text("DASHBOARD_OPERATOR_TOKEN") or None,
            "viewer_token": read.text("DASHBOARD_VIEWER_TOKEN") or None,
            "url": read.url("DASHBOARD_URL", ("http", "https")),
            "trace_url": _trace_url(read),
            "session": read.seconds("DASHBOARD_SESSION", 43_200.0, least=60.0),
            "admins": tuple(read.names("DASHBOARD_ADMINS")),
            "operators": tuple(read.names("DASHBOARD_OPERATORS")),
            "viewers": tuple(read.names("DASHBOARD_VIEWERS")),
            "proxy_header": _header(read, "DASHBOARD_PROXY_HEADER"),
            "proxy_groups_header": _header(read, "DASHBOARD_PROXY_GROUPS_HEADER"),
            "proxy_trusted": _networks(read, "DASHBOARD_PROXY_TRUSTED"),
            "oidc_issuer": read.url("DASHBOARD_OIDC_ISSUER", ("http", "https")),
            "oidc_client_id": read.text("DASHBOARD_OIDC_CLIENT_ID") or None,
            "oidc_client_secret": read.text("DASHBOARD_OIDC_CLIENT_SECRET") or None,
            "oidc_claim": read.text("DASHBOARD_OIDC_CLAIM", "email"),
            "oidc_groups_claim": read.text("DASHBOARD_OIDC_GROUPS_CLAIM", "groups"),
            "oidc_scopes": read.text("DASHBOARD_OIDC_SCOPES", "openid email profile"),
            "metrics_public": read.flag("METRICS_PUBLIC", default=False),
        }


class FeatureSettings(_Settings, frozen=True, kw_only=True):
    """What the built-in features read; None is unset. `report_sources` maps names to URLs.

    The first of `download_secret` signs, all are good for checking; `download_ttl` is in seconds.
    """

    smtp_url: str | None = None
    mail_from: str | None = None
    webhook_secret: str | None = None
    llm_base_url: str | None = None
    llm_api_key: str | None = None
    files_url: str = "./files"
    download_secret: tuple[str, ...] = ()
    download_url: str = "http://localhost:3010/download"
    download_ttl: float = 86_400.0
    report_sources: Mapping[str, str] = {}
    cache_url: str | None = None
    alert_webhook: str | None = None
    alert_email: str | None = None
    digest_to: tuple[str, ...] = ()
    summary_to: tuple[str, ...] = ()
    webhook_allow_hosts: Hosts = frozenset()
    cache_allow_hosts: Hosts = frozenset()
    cache_warmup_urls: tuple[str, ...] = ()
    tool_allow_hosts: Hosts = frozenset()

    # A report source and a page may hold a password, and the path of an alert webhook often is one.
    _secrets: ClassVar[frozenset[str]] = frozenset(
        {
            *("webhook_secret", "llm_api_key", "report_sources", "alert_webhook", "download_secret"),
            "cache_warmup_urls",
        }
    )
    _urls: ClassVar[frozenset[str]] = frozenset({"smtp_url", "llm_base_url", "files_url", "cache_url"})

    @classmethod
    def _values(cls, read: _Reader) -> dict[str, Any]:
        return {
            "smtp_url": read.url("SMTP_URL", ("smtp", "smtps", "smtp+starttls")),
            "mail_from": _mail_address(read, "MAIL_FROM"),
            "webhook_secret": read.text("WEBHOOK_SECRET") or None,
            "llm_base_url": read.url("LLM_BASE_URL", ("http", "https")),
            "llm_api_key": read.text("LLM_API_KEY") or None,
            "files_url": read.text("FILES_URL", "./files"),
            "download_secret": _download_secrets(read),
            "download_url": _download_url(read),
            "download_ttl": read.seconds("DOWNLOAD_TTL", 86_400.0, least=60.0),
            "report_sources": _report_sources(read),
            "cache_url": read.url("CACHE_URL", _SERVER_SCHEMES),
            "alert_webhook": read.url("ALERT_WEBHOOK", ("http", "https")),
            "alert_email": _mail_address(read, "ALERT_EMAIL"),
            "digest_to": _mail_addresses(read, "DIGEST_TO"),
            "summary_to": _mail_addresses(read, "SUMMARY_TO"),
            "webhook_allow_hosts": read.hosts("WEBHOOK_ALLOW_HOSTS"),
            "cache_allow_hosts": read.hosts("CACHE_ALLOW_HOSTS"),
            "cache_warmup_urls": _pages(read),
            "tool_allow_hosts": read.hosts("TOOL_ALLOW_HOSTS"),
        }


class _Reader:
    """Reads variables by kind; an empty or blank value counts as unset."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def text(self, variable: str, default: str = "") -> str:
        return self._env.get(variable, "").strip() or default

    def names(self, variable: str) -> list[str]:
        return [one for one in (part.strip() for part in self.text(variable).split(",")) if one]

    def hosts(self, variable: str) -> Hosts:
        return parse_hosts(self.text(variable), variable=variable)

    def keys(self, variable: str) -> KeyRing | None:
        text = self.text(variable)
        return KeyRing.parse(text) if text else None

    def flag(self, variable: str, *, default: bool) -> bool:
        text = self.text(variable).lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text:
            raise SettingsError(variable, text, "1 or 0 (also true, false, yes, no, on, off)")
        return default

    def choice(self, variable: str, allowed: tuple[str, ...], default: str) -> str:
        text = self.text(variable, default)
        if text.lower() not in allowed:
            raise SettingsError(variable, text, _one_of(allowed))
        return text.lower()

    def whole(
        self, variable: str, default: int | None, *, least: int, most: int = 2**31, also: str = ""
    ) -> int | None:
        text = self.text(variable)
        if not text:
            return default
        # int() would also take 1_000, +5 and digits of other scripts, which is more than anybody means.
        if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
            raise SettingsError(variable, text, f"a whole number from {least} to {most}{also}")
        return int(text)

    def port(self, variable: str, default: int) -> int:
        port = self.whole(variable, default, least=0, most=65535)
        return default if port is None else port

    def share(self, variable: str, default: float) -> float:
        text = self.text(variable)
        if not text:
            return default
        try:
            share = float(text)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise SettingsError(variable, text, "a share over 0 and up to 1, such as 0.8")
        return share

    def seconds(self, variable: str, default: float, *, least: float = 0.0) -> float:
        text = self.text(variable)
        if not text:
            return default
        try:
            seconds = parse_duration(text, name=variable)
        except OptionError:
            seconds = math.nan
        if not seconds >= least:
            raise SettingsError(
                variable, text, f"seconds, or a duration such as 30s or 10m, at least {least:g} s"
            )
        return seconds

    def url(self, variable: str, schemes: tuple[str, ...]) -> str | None:
        text = self.text(variable)
        if not text:
            return None
        _check_url(variable, text, schemes, f"a URL {', '.join(f'{scheme}://' for scheme in schemes)}")
        return text


def check_trace_url(variable: str, text: str) -> None:
    """Refuse what is no address of a trace. Raises `SettingsError`."""
    allowed = (
        "a URL http:// or https:// with {trace_id} in it, such as https://traces.example/trace/{trace_id}"
    )
    if "{trace_id}" not in text:
        raise SettingsError(variable, text, allowed)
    _check_url(variable, text.replace("{trace_id}", "0"), ("http", "https"), allowed)


def _trace_url(read: _Reader) -> str | None:
    text = read.text("DASHBOARD_TRACE_URL")
    if text:
        check_trace_url("DASHBOARD_TRACE_URL", text)
    return text or None


def _header(read: _Reader, variable: str) -> str | None:
    text = read.text(variable)
    if text and not _HEADER(text):
        raise SettingsError(variable, text, "the name of a header, such as X-Forwarded-User")
    return text.lower() or None


def _networks(read: _Reader, variable: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(each) for each in read.names(variable))
    except ValueError:
        allowed = "addresses or networks with commas between them, such as 10.0.0.7,10.1.0.0/16"
        raise SettingsError(variable, read.text(variable), allowed) from None


def _redis_url(read: _Reader) -> str:
    url = read.text("REDIS_URL")
    if not url:
        host = read.text("REDIS_HOST", "localhost")
        port = read.port("REDIS_PORT", 6379)
        password = read.text("REDIS_PASSWORD")
        db = read.whole("REDIS_DB", 0, least=0)
        credentials = f":{quote(password, safe='')}@" if password else ""
        url = f"redis://{credentials}{f'[{host}]' if ':' in host else host}:{port}/{db}"
        _check_server("REDIS_HOST", url, "the name or address of a host")
        return url
    _check_server("REDIS_URL", url, _SERVER_FORMS)
    return url


def _check_server(variable: str, url: str, allowed: str) -> None:
    _check_url(variable, url, _SERVER_SCHEMES, allowed)
    try:
        parse_address(url)
    except ConfigurationError:
        # Its text is not shown: where a password is not percent-encoded, it may quote a part of it.
        hint = (
            "with a port from 1 to 65535, a number as database (of a cluster 0), the name of the service behind "
            "sentinels, and a percent-encoded password"
        )
        raise SettingsError(variable, mask_url(url), f"{allowed} {hint}") from None


def _check_url(variable: str, url: str, schemes: tuple[str, ...], allowed: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise SettingsError(variable, _MASK, allowed) from None
    if parts.scheme.lower() not in schemes or not url.partition("://")[2]:
        raise SettingsError(variable, mask_url(url), allowed)


def _prefix(read: _Reader) -> str:
    prefix = read.text("JOBS_PREFIX", "jobs")
    try:
        return check_prefix(prefix)
    except OptionError as error:
        allowed = (
            f"1 to 64 printable characters, segments joined by colons, no braces or spaces ({error.reason})"
        )
        raise SettingsError("JOBS_PREFIX", prefix, allowed) from None


def _packages(read: _Reader, variable: str) -> tuple[str, ...] | None:
    packages = read.names(variable)
    for package in packages:
        if not _PACKAGE(package):
            allowed = (
                "Python packages such as shop.queues, separated by commas; builtin keeps the built-in ones"
            )
            raise SettingsError(variable, package, allowed)
    return tuple(dict.fromkeys(packages)) or None


def _default_job_options(read: _Reader) -> DefaultJobOptions:
    text = read.text("JOBS_DEFAULT_OPTIONS", "{}")
    try:
        return cast("DefaultJobOptions", check_options(parse_options(msgspec.json.decode(text))))
    except (OptionError, msgspec.MsgspecError) as error:
        allowed = f'a JSON object of job options such as {{"attempts": 5, "timeout": "30s"}} ({error})'
        raise SettingsError("JOBS_DEFAULT_OPTIONS", text, allowed) from None


def _weights(read: _Reader) -> tuple[str, ...]:
    named = [name.lower() for name in read.names("WORKER_TYPE")] or ["all"]
    for name in named:
        if name not in WEIGHT_CLASSES and name != "all":
            raise SettingsError("WORKER_TYPE", name, f"all, or a comma list of {', '.join(WEIGHT_CLASSES)}")
    return WEIGHT_CLASSES if "all" in named else tuple(name for name in WEIGHT_CLASSES if name in named)


def _queues(read: _Reader) -> tuple[str, ...] | None:
    queues = read.names("WORKER_QUEUES")
    for queue in queues:
        try:
            check_queue_name(queue)
        except OptionError as error:
            raise SettingsError(
                "WORKER_QUEUES", queue, f"names of queues, separated by commas; {error.reason}"
            ) from None
    return tuple(dict.fromkeys(queues)) or None


def _initial_processes(read: _Reader) -> dict[str, int]:
    numbers: dict[str, int] = {}
    allowed = f"name=number pairs, separated by commas, each number from 1 to {_MAX_PROCESSES}"
    for entry in read.names("WORKER_INITIAL_PROCESSES"):
        name, _, number = (part.strip() for part in entry.partition("="))
        try:
            check_queue_name(name)
        except OptionError as error:
            raise SettingsError("WORKER_INITIAL_PROCESSES", entry, f"{allowed}; {error.reason}") from None
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= _MAX_PROCESSES):
            raise SettingsError("WORKER_INITIAL_PROCESSES", entry, allowed)
        numbers[name] = int(number)
    return numbers


def _report_sources(read: _Reader) -> dict[str, str]:
    sources: dict[str, str] = {}
    for entry in read.names("REPORT_SOURCES"):
        name, equals, url = (part.strip() for part in entry.partition("="))
        if not (name and equals and "://" in url):
            # The entry is not shown: it may hold a password.
            raise SettingsError("REPORT_SOURCES", _MASK, "name=URL pairs, separated by commas")
        if url.partition("://")[0].partition("+")[0] not in _DATABASES:
            allowed = f"name=URL pairs, separated by commas, of a file or server: {', '.join(_DATABASES)}"
            raise SettingsError("REPORT_SOURCES", f"{name}={_MASK}", allowed)
        sources[name] = url
    return sources


def _mail_address(read: _Reader, variable: str) -> str | None:
    text = read.text(variable)
    # Roughly: what a mail server takes is for the mail to find out.
    if text and not _MAIL_ADDRESS(text):
        raise SettingsError(variable, text, "one address: ada@example.com or Ada <ada@example.com>")
    return text or None


def _mail_addresses(read: _Reader, variable: str) -> tuple[str, ...]:
    addresses = tuple(read.names(variable))
    for each in addresses:
        if not _MAIL_ADDRESS(each):
            allowed = "addresses such as ada@example.com or Ada <ada@example.com>, separated by commas"
            raise SettingsError(variable, each, allowed)
    return addresses


def _pages(read: _Reader) -> tuple[str, ...]:
    urls = tuple(read.text("CACHE_WARMUP_URLS").replace(",", " ").split())
    for each in urls:
        _check_url(
            "CACHE_WARMUP_URLS", each, ("http", "https"), "URLs http:// or https://, separated by commas"
        )
    return urls


def _download_secrets(read: _Reader) -> tuple[str, ...]:
    secrets = tuple(read.names("DOWNLOAD_SECRET"))
    if any(len(each) < _SHORTEST_SECRET for each in secrets):
        allowed = (
            f"a secret of at least {_SHORTEST_SECRET} characters, such as `openssl rand -hex 32` prints; "
            "several, separated by commas, while you rotate"
        )
        # What is set is not shown: it may be a part of what was meant.
        raise SettingsError("DOWNLOAD_SECRET", _MASK, allowed)
    return secrets


def _download_url(read: _Reader) -> str:
    url = read.url("DOWNLOAD_URL", ("http", "https")) or "http://localhost:3010/download"
    if "?" in url or "#" in url or "@" in urlsplit(url).netloc:
        allowed = "a URL http:// or https:// without credentials, parameters or fragment"
        raise SettingsError("DOWNLOAD_URL", mask_url(url), allowed)
    return url


def _one_of(allowed: tuple[str, ...]) -> str:
    return f"one of {', '.join(allowed)}"
