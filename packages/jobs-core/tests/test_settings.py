"""Environment variables: defaults, what each takes, what is refused, and that no secret shows."""

import pytest
from msgspec import Struct

from jobs_core import Exponential, Keep, SettingsError
from jobs_core.settings import CommonSettings, DashboardSettings, FeatureSettings, WorkerSettings, mask_url

SECRET = "s3cr3t"


def refused(kind: type[CommonSettings | FeatureSettings], variable: str, value: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        kind.from_env({variable: value})
    assert caught.value.variable == variable
    assert variable in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


def test_common_defaults() -> None:
    settings = CommonSettings.from_env({"LOG_FORMAT": "json"})
    assert settings == CommonSettings(
        redis_url="redis://localhost:6379/0",
        prefix="jobs",
        features=None,
        processors=None,
        default_job_options={},
        metrics=True,
        events=True,
        allow_eviction=False,
        log_level="info",
        log_format="json",
    )


def test_worker_defaults() -> None:
    settings = WorkerSettings.from_env({})
    assert settings.weights == ("light", "medium", "heavy")
    assert (settings.queues, settings.concurrency, settings.processes) == (None, None, 1)
    assert (settings.min_processes, settings.max_processes) == (1, 16)
    assert (settings.scale_up, settings.scale_down, settings.scale_interval) == (100, 10, 30.0)
    assert (settings.scale_cpu, settings.scale_memory, settings.shutdown_grace) == (0.8, 0.85, 30.0)
    assert (settings.http_host, settings.http_port, settings.http_port_given) == ("127.0.0.1", 9464, False)


def test_dashboard_defaults() -> None:
    settings = DashboardSettings.from_env({})
    assert (settings.host, settings.port, settings.metrics_public) == ("127.0.0.1", 3010, False)
    assert (settings.token, settings.operator_token, settings.viewer_token) == (None, None, None)


@pytest.mark.parametrize("kind", [CommonSettings, WorkerSettings, DashboardSettings, FeatureSettings])
def test_empty_and_blank_values_count_as_unset(kind: type[CommonSettings | FeatureSettings]) -> None:
    class Recorder(dict[str, str]):
        """An environment that notes what is read."""

        def get(self, key: str, default: str | None = None) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
            self[key] = "  "
            return default or ""

    env = Recorder()
    unset = kind.from_env(env)
    assert len(env) > 3
    assert kind.from_env(dict(env)) == unset
    assert kind.from_env({}) == unset


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_PREFIX", "mine")
    assert CommonSettings.from_env().prefix == "mine"


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6380/2",
        f"rediss://user:{SECRET}@cache",
        "unix:///run/valkey.sock?db=1",
        "redis+sentinel://a:26379,b:26379/mymaster",
        "redis+cluster://a:7000,b:7001",
        f"rediss+cluster://:{SECRET}@a",
    ],
)
def test_redis_url_is_taken_as_it_is(url: str) -> None:
    settings = CommonSettings.from_env({"REDIS_URL": url, "REDIS_HOST": "elsewhere"})
    assert settings.redis_url == url
    assert SECRET not in repr(settings)


def test_redis_url_is_built_from_its_parts() -> None:
    parts = {"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_PASSWORD": f"{SECRET}@/", "REDIS_DB": "3"}
    assert CommonSettings.from_env(parts).redis_url == "redis://:s3cr3t%40%2F@cache:6380/3"
    assert CommonSettings.from_env({"REDIS_HOST": "::1"}).redis_url == "redis://[::1]:6379/0"
    assert CommonSettings.from_env({"REDIS_DB": "1"}).redis_url == "redis://localhost:6379/1"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        f"http://:{SECRET}@x",
        f"redis://:{SECRET}@x:99999",
        "redis://x/first",
        f"redis://:a/{SECRET}@x",
        "unix://",
        "redis+sentinel://x",
        f"redis+cluster://:{SECRET}@x/2",
        f"redis://:{SECRET}@[x",
        f":{SECRET}@x",
    ],
)
def test_wrong_redis_urls_are_refused_without_their_password(url: str) -> None:
    assert "redis://" in refused(CommonSettings, "REDIS_URL", url).allowed


def test_wrong_parts_of_the_address_are_refused() -> None:
    refused(CommonSettings, "REDIS_PORT", "70000")
    refused(CommonSettings, "REDIS_DB", "first")
    refused(CommonSettings, "REDIS_HOST", "[x")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        (f"redis://:{SECRET}@x/0", "redis://***@x/0"),
        (f"redis://:a/{SECRET}@b@x/0", "redis://***@x/0"),
        (f"unix:///run/x.sock?password={SECRET}&db=1", "unix:///run/x.sock?password=***&db=1"),
        (f"s3://bucket?secret_key={SECRET}", "s3://bucket?secret_key=***"),
        (f"me:{SECRET}@x", "***"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_prefix_may_hold_colons() -> None:
    assert CommonSettings.from_env({"JOBS_PREFIX": "shop:jobs"}).prefix == "shop:jobs"
    for wrong in ("a{b", "a::b", ":a", "x" * 65):
        assert refused(CommonSettings, "JOBS_PREFIX", wrong).value == wrong


def test_packages_are_listed() -> None:
    settings = CommonSettings.from_env(
        {"JOBS_FEATURES": "shop.queues, builtin,,shop.queues", "JOBS_PROCESSORS": "shop"}
    )
    assert settings.features == ("shop.queues", "builtin")
    assert settings.processors == ("shop",)
    assert CommonSettings.from_env({"JOBS_FEATURES": " , "}).features is None
    for wrong in ("shop/queues", "shop.", "1shop", "a b"):
        refused(CommonSettings, "JOBS_FEATURES", wrong)


def test_default_job_options_are_checked() -> None:
    text = (
        '{"attempts": 5, "timeout": "30s", "backoff": {"type": "exponential", "base": 2},'
        ' "remove_on_fail": {"count": 9}}'
    )
    assert CommonSettings.from_env({"JOBS_DEFAULT_OPTIONS": text}).default_job_options == {
        "attempts": 5,
        "timeout": 30.0,
        "backoff": Exponential(2),
        "remove_on_fail": Keep(count=9),
    }
    for wrong in ("{", "5", '{"attempts": 0}', '{"attempt": 1}', '{"delay": 5}', '{"timeout": "soon"}'):
        refused(CommonSettings, "JOBS_DEFAULT_OPTIONS", wrong)


@pytest.mark.parametrize(
    ("variable", "field"),
    [("JOBS_METRICS", "metrics"), ("JOBS_EVENTS", "events"), ("JOBS_ALLOW_EVICTION", "allow_eviction")],
)
def test_flags(variable: str, field: str) -> None:
    for text in ("1", "true", "YES", "on"):
        assert getattr(CommonSettings.from_env({variable: text}), field) is True
    for text in ("0", "False", "no", "off"):
        assert getattr(CommonSettings.from_env({variable: text}), field) is False
    assert "1 or 0" in refused(CommonSettings, variable, "2").allowed


def test_log_settings() -> None:
    settings = CommonSettings.from_env({"LOG_LEVEL": "DEBUG", "LOG_FORMAT": "Console"})
    assert (settings.log_level, settings.log_format) == ("debug", "console")
    refused(CommonSettings, "LOG_LEVEL", "loud")
    refused(CommonSettings, "LOG_FORMAT", "xml")


@pytest.mark.parametrize(("terminal", "expected"), [(True, "console"), (False, "json")])
def test_log_format_follows_the_terminal(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, expected: str
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert CommonSettings.from_env({}).log_format == expected


@pytest.mark.parametrize(
    ("text", "weights", "grace"),
    [
        ("all", ("light", "medium", "heavy"), 30.0),
        ("heavy", ("heavy",), 600.0),
        ("Heavy,heavy", ("heavy",), 600.0),
        ("heavy, light", ("light", "heavy"), 30.0),
        ("light,all", ("light", "medium", "heavy"), 30.0),
    ],
)
def test_worker_type_selects_weights_and_grace(text: str, weights: tuple[str, ...], grace: float) -> None:
    settings = WorkerSettings.from_env({"WORKER_TYPE": text})
    assert (settings.weights, settings.shutdown_grace) == (weights, grace)
    assert WorkerSettings.from_env({"WORKER_TYPE": text, "WORKER_SHUTDOWN_GRACE": "5m"}).shutdown_grace == 300


def test_worker_values() -> None:
    settings = WorkerSettings.from_env(
        {
            "WORKER_QUEUES": "email, reports,email",
            "WORKER_CONCURRENCY": "7",
            "WORKER_PROCESSES": "Auto",
            "WORKER_MIN_PROCESSES": "20",
            "WORKER_SCALE_DOWN": "200",
            "WORKER_SCALE_CPU": "0.5",
            "WORKER_SCALE_INTERVAL": "10s",
            "WORKER_HTTP_HOST": "0.0.0.0",
            "WORKER_HTTP_PORT": "9464",
        }
    )
    assert (settings.queues, settings.concurrency) == (("email", "reports"), 7)
    assert (settings.processes, settings.min_processes, settings.max_processes) == ("auto", 20, 20)
    assert (settings.scale_down, settings.scale_up, settings.scale_cpu) == (200, 201, 0.5)
    assert (settings.scale_interval, settings.http_host) == (10.0, "0.0.0.0")
    assert (settings.http_port, settings.http_port_given) == (9464, True)
    assert WorkerSettings.from_env({"WORKER_HTTP_PORT": "0"}).http_port == 0
    assert WorkerSettings.from_env({"WORKER_PROCESSES": "4"}).processes == 4


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WORKER_TYPE", "giant"),
        ("WORKER_QUEUES", "e mail"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "1_0"),
        ("WORKER_PROCESSES", "many"),
        ("WORKER_PROCESSES", "0"),
        ("WORKER_MIN_PROCESSES", "-1"),
        ("WORKER_MAX_PROCESSES", "0"),
        ("WORKER_SCALE_UP", "5"),
        ("WORKER_SCALE_DOWN", "few"),
        ("WORKER_SCALE_CPU", "0"),
        ("WORKER_SCALE_CPU", "80%"),
        ("WORKER_SCALE_MEMORY", "nan"),
        ("WORKER_SCALE_INTERVAL", "0"),
        ("WORKER_SHUTDOWN_GRACE", "-5"),
        ("WORKER_HTTP_PORT", "65536"),
    ],
)
def test_wrong_worker_values_are_refused(variable: str, value: str) -> None:
    error = refused(WorkerSettings, variable, value)
    assert error.value == value
    assert error.allowed


def test_processes_may_be_auto_says_the_refusal() -> None:
    assert "auto" in refused(WorkerSettings, "WORKER_PROCESSES", "many").allowed


def test_dashboard_values_show_no_token() -> None:
    settings = DashboardSettings.from_env(
        {
            "DASHBOARD_HOST": "0.0.0.0",
            "DASHBOARD_PORT": "80",
            "DASHBOARD_TOKEN": SECRET,
            "DASHBOARD_OPERATOR_TOKEN": SECRET,
            "DASHBOARD_VIEWER_TOKEN": SECRET,
            "DASHBOARD_TRACE_URL": "https://traces.example/trace/{trace_id}?kind=jobs",
            "METRICS_PUBLIC": "1",
            "REDIS_PASSWORD": SECRET,
        }
    )
    assert (settings.host, settings.port, settings.metrics_public) == ("0.0.0.0", 80, True)
    assert settings.token == settings.operator_token == settings.viewer_token == SECRET
    assert_shows_no_secret(settings)
    assert settings.trace_url == "https://traces.example/trace/{trace_id}?kind=jobs"
    refused(DashboardSettings, "DASHBOARD_PORT", "http")
    for wrong in ("https://traces.example/", "javascript:alert('{trace_id}')"):
        assert "{trace_id}" in refused(DashboardSettings, "DASHBOARD_TRACE_URL", wrong).allowed


def test_feature_values_show_no_secret() -> None:
    settings = FeatureSettings.from_env(
        {
            "SMTP_URL": f"smtp+starttls://me:{SECRET}@mail:587",
            "WEBHOOK_SECRET": SECRET,
            "LLM_API_KEY": SECRET,
            "REPORT_SOURCES": f"shop=postgresql://me:{SECRET}@db/shop, stock=sqlite:///stock.db",
            "ALERT_WEBHOOK": f"https://chat.example.com/{SECRET}",
            "CACHE_URL": f"redis://:{SECRET}@cache/1",
            "FILES_URL": f"s3://key:{SECRET}@bucket",
            "DOWNLOAD_SECRET": f"{SECRET * 4}, {SECRET * 5}",
        }
    )
    assert settings.report_sources["stock"] == "sqlite:///stock.db"
    assert FeatureSettings.from_env({}).files_url == "./files"
    named = {"MAIL_FROM": "Our Shop <shop@example.com>", "ALERT_EMAIL": '"Ops, Inc." <ops@example.com>'}
    assert FeatureSettings.from_env(named).mail_from == "Our Shop <shop@example.com>"
    assert settings.download_secret == (SECRET * 4, SECRET * 5)
    assert (settings.download_url, settings.download_ttl) == ("http://localhost:3010/download", 86_400)
    assert_shows_no_secret(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SMTP_URL", f"http://me:{SECRET}@mail"),
        ("LLM_BASE_URL", "api.example.com"),
        ("CACHE_URL", f"memcached://:{SECRET}@x"),
        ("ALERT_WEBHOOK", "ftp://x"),
        ("REPORT_SOURCES", f"postgresql://me:{SECRET}@db/shop"),
        ("REPORT_SOURCES", "shop"),
        ("REPORT_SOURCES", f"shop=oracle://me:{SECRET}@db/shop"),
        ("MAIL_FROM", "nobody"),
        ("ALERT_EMAIL", "ada@example.com, bob@example.com"),
        ("DIGEST_TO", "ada@example.com,bob"),
        ("SUMMARY_TO", "ada@example.com;bob@example.com"),
        ("WEBHOOK_ALLOW_HOSTS", "http://hooks.internal"),
        ("CACHE_ALLOW_HOSTS", "*.internal"),
        ("TOOL_ALLOW_HOSTS", "api.internal:http"),
        ("CACHE_WARMUP_URLS", f"https://example.com/ ftp://me:{SECRET}@example.com"),
        ("DOWNLOAD_SECRET", "short"),
        ("DOWNLOAD_SECRET", "long-enough-to-be-one,short"),
        ("DOWNLOAD_URL", "files.example"),
        ("DOWNLOAD_URL", f"https://me:{SECRET}@files.example/download"),
        ("DOWNLOAD_URL", "https://files.example/download?a=b"),
        ("DOWNLOAD_TTL", "5"),
    ],
)
def test_wrong_feature_values_are_refused(variable: str, value: str) -> None:
    refused(FeatureSettings, variable, value)


def assert_shows_no_secret(settings: Struct) -> None:
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in repr(settings.__rich_repr__())


def test_initial_processes_are_pairs() -> None:
    read = WorkerSettings.from_env({"WORKER_INITIAL_PROCESSES": "email=4, images = 2,"})
    assert read.initial_processes == {"email": 4, "images": 2}
    for wrong in ("email", "email=", "email=0", "email=many", "=4", "no good=4"):
        with pytest.raises(SettingsError, match="WORKER_INITIAL_PROCESSES"):
            WorkerSettings.from_env({"WORKER_INITIAL_PROCESSES": wrong})
