"""Which handler runs which job: what is imported, what is refused with file and reason, what is not served."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from jobs_core import LIGHT, ConfigurationError, DeclarationError, Queue, SettingsError
from jobs_core.payloads import JsonValue
from jobs_core.queue import WEIGHT_CLASSES
from jobs_worker import JobContext, processor
from jobs_worker.processors import marks_of
from jobs_worker.routes import QueueRoutes, build_routes, load_routes

Write = Callable[[dict[str, str]], Path]

QUEUES = """
import msgspec
from jobs_core import HEAVY, LIGHT, MEDIUM, Queue

class Order(msgspec.Struct):
    number: int

QUEUE = Queue("{name}", profile={profile})
JOB = QUEUE.job("{name}-job", payload=Order, result=int)
OTHER = QUEUE.job("{name}-other", payload=Order)
"""
PROCESSOR = """
from jobs_worker import JobContext, processor
from {module} import JOB, OTHER, QUEUE, Order

@processor(JOB)
async def handle(payload: Order, ctx: JobContext) -> int:
    return payload.number
"""


def feature(name: str, *, profile: str = "LIGHT", processor: str = PROCESSOR) -> dict[str, str]:
    """Return the two modules of a feature folder."""
    module = f"shop.{name}.queue"
    return {
        f"{name}/queue.py": QUEUES.format(name=name, profile=profile),
        f"{name}/processor.py": processor.replace("{module}", module),
    }


def load(*only: str, weights: tuple[str, ...] = WEIGHT_CLASSES) -> dict[str, QueueRoutes]:
    """Load the routes of the package, without what is always there."""
    routes = load_routes(["shop"], ["shop"], weights=weights, only=only or None)
    return {name: each for name, each in routes.items() if name != "dead-letter"}


def test_processors_of_a_package_are_found(shop: Write) -> None:
    shop(feature("orders") | feature("stock", profile="MEDIUM"))
    routes = load()
    assert {name: list(each.named) for name, each in routes.items()} == {
        "orders": ["orders-job@1"],
        "stock": ["stock-job@1"],
    }
    route = routes["orders"].named["orders-job@1"]
    assert (route.runs_in, route.module, route.job and route.job.name) == (
        "async",
        "shop.orders.processor",
        "orders-job",
    )


def test_only_processors_of_served_queues_are_imported(shop: Write) -> None:
    shop(feature("orders") | feature("video", profile="HEAVY", processor="raise RuntimeError('imported')"))
    assert list(load(weights=("light", "medium"))) == ["orders"]
    assert "shop.video.queue" in sys.modules
    assert "shop.video.processor" not in sys.modules


def test_named_queues_narrow_what_is_imported(shop: Write) -> None:
    shop(feature("orders") | feature("stock", processor="raise RuntimeError('imported')"))
    assert list(load("orders")) == ["orders"]
    assert "shop.stock.processor" not in sys.modules


def test_processor_that_cannot_be_imported_is_named(shop: Write) -> None:
    package = shop(feature("orders", processor="\nimport no_such_library\n"))
    with pytest.raises(
        DeclarationError, match=rf"{package}/orders/processor.py:2.*ModuleNotFoundError.*no_such_library"
    ):
        load()


def test_wrong_declaration_in_a_processor_is_named(shop: Write) -> None:
    wrong = PROCESSOR.replace("payload: Order", "payload: str")
    package = shop(feature("orders", processor=wrong))
    with pytest.raises(DeclarationError, match=rf"{package}/orders/processor.py:\d+: .*takes str"):
        load()


def test_two_different_declarations_of_a_queue_stop(shop: Write) -> None:
    package = shop(feature("orders") | {"other/queue.py": "from jobs_core import *\nQ = Queue('orders')"})
    with pytest.raises(
        DeclarationError,
        match=rf"{package}/other/queue.py:2: queue 'orders' is already declared in {package}/orders/queue.py",
    ):
        load()


def test_queue_that_a_processor_declares_anew_stops(shop: Write) -> None:
    other = """
from jobs_core import Queue
from jobs_worker import processor
QUEUE = Queue("orders", concurrency=7)
JOB = QUEUE.job("orders-job", payload=dict)
@processor(JOB)
async def handle(payload, ctx): ...
"""
    package = shop(feature("orders", processor=other))
    with pytest.raises(
        DeclarationError,
        match=rf"{package}/orders/processor.py:6: .*declared differently in {package}/orders/queue.py",
    ):
        load()


def test_processor_of_an_undeclared_queue_stops(shop: Write) -> None:
    other = 'from jobs_core import Queue\nQUEUE = Queue("stock")\n'
    handler = "from jobs_worker import processor\n@processor(QUEUE)\nasync def handle(payload, ctx): ...\n"
    package = shop(feature("orders", processor=other + handler))
    with pytest.raises(
        DeclarationError, match=rf"{package}/orders/processor.py:4: .*'stock', which no queue.py"
    ):
        load()


def test_processor_of_an_undeclared_job_stops(shop: Write) -> None:
    added = PROCESSOR + (
        "\nMORE = Queue('orders', profile=LIGHT).job('more', payload=Order)"
        "\n@processor(MORE)\nasync def more(payload: Order, ctx: JobContext) -> None: ..."
    )
    package = shop(feature("orders", processor="from jobs_core import *\n" + added))
    with pytest.raises(
        DeclarationError, match=rf"{package}/orders/processor.py:\d+: .*orders/more@1.*not declared"
    ):
        load()


def test_two_processors_of_one_job_stop(shop: Write) -> None:
    second = PROCESSOR.replace("async def handle", "async def handle_too").partition("@processor")[2]
    package = shop(feature("orders", processor=PROCESSOR + "\n@processor" + second))
    with pytest.raises(
        DeclarationError,
        match=rf"processor.py:9: job orders/orders-job@1 already has a processor, in {package}/orders/pro",
    ):
        load()


def test_two_processors_of_one_job_stop_also_where_one_is_not_served(
    shop: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_URL", raising=False)
    needy = PROCESSOR.replace("@processor(JOB)", "@processor(JOB, requires=('SHOP_URL',))")
    second = PROCESSOR.replace("async def handle", "async def handle_too").partition("@processor")[2]
    shop(feature("orders", processor=needy + "\n@processor" + second))
    with pytest.raises(DeclarationError, match="already has a processor"):
        load()


def test_unknown_queue_is_a_wrong_setting(shop: Write) -> None:
    shop(feature("orders"))
    with pytest.raises(SettingsError, match=r"WORKER_QUEUES.*'order'.*orders"):
        load("order")


def test_queue_of_another_class_is_a_wrong_setting(shop: Write) -> None:
    shop(feature("orders"))
    with pytest.raises(ConfigurationError, match="WORKER_QUEUES names 'orders', a light queue"):
        load("orders", weights=("heavy",))


def test_worker_with_nothing_to_do_is_refused(shop: Write) -> None:
    shop(feature("orders"))
    with pytest.raises(ConfigurationError, match="no declared queue is of weight class heavy"):
        load(weights=("heavy",))


def test_queues_without_any_processor_stop_the_worker_and_say_what_to_set(shop: Write) -> None:
    shop(feature("orders"))
    with pytest.raises(ConfigurationError, match=r"no processor .* orders: .*JOBS_PROCESSORS.*; set both"):
        load_routes(["shop"], None, weights=WEIGHT_CLASSES, only=["orders"])


def test_queue_without_any_processor_is_left_out_loudly(
    shop: Write, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    modules = feature("orders") | feature("stock")
    del modules["stock/processor.py"]
    shop(modules)
    assert list(load()) == ["orders"]
    # Where it goes depends on whether a program has configured the logs before.
    told = caplog.text + "".join(capfd.readouterr())
    assert "no_processor" in told
    assert "stock" in told
    assert "JOBS_PROCESSORS" in told


def test_package_that_is_not_there_is_named() -> None:
    with pytest.raises(DeclarationError, match="no_such_shop"):
        load_routes(["no_such_shop"], None, weights=WEIGHT_CLASSES, only=None)


def test_built_in_features_are_served_by_default() -> None:
    routes = load_routes(None, None, weights=("light",), only=["email"])
    assert list(routes) == ["email"]


class Order(msgspec.Struct):
    number: int


ORDERS = Queue("orders", profile=LIGHT)
PACK = ORDERS.job("pack", payload=Order, result=int)
SHIP = ORDERS.job("ship", payload=Order)


@processor(PACK, concurrency=3)
def pack(payload: Order, ctx: JobContext) -> int:
    return payload.number


@processor(ORDERS)
async def rest(payload: JsonValue, ctx: JobContext) -> None: ...


def test_whole_queue_processor_takes_what_has_none_of_its_own() -> None:
    routes = build_routes([*marks_of(pack), *marks_of(rest)], [ORDERS])["orders"]
    assert routes.find("pack@1") is routes.named["pack@1"]
    assert routes.find("ship@1") is routes.find("anything@9") is routes.fallback
    assert routes.named["pack@1"].runs_in == "thread"
    assert routes.named["pack@1"].concurrency == 3


def test_without_a_whole_queue_processor_the_rest_is_unroutable() -> None:
    routes = build_routes(marks_of(pack), [ORDERS])["orders"]
    assert routes.find("ship@1") is None
    assert routes.find("pack@2") is None


def test_two_processors_of_a_whole_queue_stop() -> None:
    @processor(ORDERS)
    async def other(payload: JsonValue, ctx: JobContext) -> None: ...

    here = re.escape(__file__)
    with pytest.raises(DeclarationError, match=rf"{here}:\d+: queue 'orders' as a whole already.*{here}"):
        build_routes([*marks_of(rest), *marks_of(other)], [ORDERS])


def test_job_whose_variables_are_unset_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    @processor(SHIP, requires=("SHIP_URL",))
    async def ship(payload: Order, ctx: JobContext) -> None: ...

    specs = [*marks_of(ship), *marks_of(rest)]
    monkeypatch.setenv("SHIP_URL", "")
    routes = build_routes(specs, [ORDERS])["orders"]
    assert routes.missing == {"ship@1": ["SHIP_URL"]}
    # Nor by the processor of the rest, which knows nothing of shipping.
    assert routes.find("ship@1") is None
    monkeypatch.setenv("SHIP_URL", "https://ship.example")
    routes = build_routes(specs, [ORDERS])["orders"]
    assert routes.missing == {}
    assert routes.find("ship@1") is not None


@pytest.mark.parametrize(
    ("executor", "is_async", "where"),
    [
        ("auto", True, "async"),
        ("auto", False, "thread"),
        ("async", True, "async"),
        ("thread", False, "thread"),
        ("async", False, "on the loop, but this one is no `async def`"),
        ("thread", True, "in threads, but this one is an `async def`"),
        ("process", True, "must stand at the top of a module"),
    ],
)
def test_executor_of_the_queue_decides(executor: str, is_async: bool, where: str) -> None:  # noqa: FBT001
    queue = Queue("there", executor=executor)  # pyright: ignore[reportArgumentType]
    job = queue.job("job", payload=Order)

    def sync_handler(payload: Order, ctx: JobContext) -> None: ...
    async def async_handler(payload: Order, ctx: JobContext) -> None: ...

    handler = processor(job)(async_handler) if is_async else processor(job)(sync_handler)
    if where in ("async", "thread"):
        assert build_routes(marks_of(handler), [queue])["there"].named["job@1"].runs_in == where
    else:
        with pytest.raises(DeclarationError, match=where):
            build_routes(marks_of(handler), [queue])


def test_processor_of_a_queue_that_is_not_served_is_left_out() -> None:
    assert build_routes(marks_of(pack), []) == {}
