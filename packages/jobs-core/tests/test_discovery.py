"""Discovery: which modules are imported, and what is made of them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs_core import DeclarationError, JobsError, Queue, UnknownJob, UnknownQueue
from jobs_core.discovery import Catalog, load_features, processor_modules

Write = Callable[[str, str], Path]

QUEUE = 'from jobs_core import Queue\nQUEUE = Queue("{name}")\nJOB = QUEUE.job("{name}-job", dict)\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Return a function that writes a module below an import root of its own; what is imported goes again."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)

    def write(path: str, text: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for parent in file.relative_to(tmp_path).parents:
            (tmp_path / parent / "__init__.py").touch()
        file.write_text(text)
        return file

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def queues_in(catalog: Catalog) -> dict[str, str]:
    """Return the folders of the queues, without what is always there."""
    return {name: catalog.folder_of(name) for name in catalog.queues if name != "dead-letter"}


def test_sub_packages_are_walked(write: Write) -> None:
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    write("shop/queues/stock/levels/queue.py", QUEUE.format(name="stock-levels"))
    write("shop/queues/helpers/other.py", "raise RuntimeError")
    catalog = load_features(["shop.queues"])
    assert queues_in(catalog) == {"invoices": "invoices", "stock-levels": "levels"}
    assert catalog.job("invoices", "invoices-job").payload_type is dict


def test_queue_module_of_the_named_package_counts(write: Write) -> None:
    write("shop/invoices/queue.py", QUEUE.format(name="invoices"))
    assert queues_in(load_features(["shop.invoices"])) == {"invoices": "invoices"}


def test_folder_without_init_is_found(write: Write) -> None:
    file = write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    (file.parent / "__init__.py").unlink()
    assert queues_in(load_features(["shop.queues"])) == {"invoices": "invoices"}


def test_nothing_beside_the_queue_modules_is_imported(write: Write) -> None:
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    write("shop/queues/invoices/handlers.py", "raise RuntimeError")
    write("shop/queues/empty/handlers.py", "raise RuntimeError")
    load_features(["shop.queues"])
    assert "shop.queues.empty" not in sys.modules


def test_built_in_features_are_the_default() -> None:
    catalog = load_features(None)
    assert catalog.folder_of("email") == "email"
    assert catalog.job("email", "send-email").queue is catalog.queues["email"]


def test_a_list_replaces_the_built_in_features(write: Write) -> None:
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    assert "email" not in load_features(["shop.queues"]).queues
    assert {"email", "invoices"} <= load_features(["shop.queues", "builtin"]).queues.keys()


def test_queue_belongs_to_the_folder_that_made_it(write: Write) -> None:
    write("shop/queues/a_user/queue.py", "from shop.queues.invoices.queue import QUEUE\n")
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    assert queues_in(load_features(["shop.queues"])) == {"invoices": "invoices"}


def test_queue_of_a_helper_belongs_to_the_module_that_names_it(write: Write) -> None:
    write("shop/helper.py", "from jobs_core import Queue\ndef made(name):\n    return Queue(name)\n")
    write("shop/queues/invoices/queue.py", 'from shop.helper import made\nQUEUE = made("invoices")\n')
    assert queues_in(load_features(["shop.queues"])) == {"invoices": "invoices"}


def test_a_queue_is_found_by_its_jobs_where_it_was_made(write: Write) -> None:
    start = "from jobs_core import Queue\n"
    write("shop/refresh/queue.py", start + 'EXTRACT = Queue("extract").job("extract", payload=str)')
    write("other/queue.py", start + 'from shop.refresh.queue import EXTRACT\nOTHER = Queue("other")')
    catalog = load_features(["shop"])
    assert queues_in(catalog) == {"extract": "refresh"}
    assert list(catalog.queue("extract").jobs) == ["extract"]
    # There the job is only used: who serves that package serves no queue of another one.
    assert queues_in(load_features(["other"])) == {"other": "other"}


def test_sources_name_the_lines(write: Write) -> None:
    file = write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    sources = load_features(["shop.queues"]).sources
    assert sources["invoices"] == f"{file}:2"
    assert sources["invoices/invoices-job@1"] == f"{file}:3"


def test_two_different_declarations_of_one_name_are_refused(write: Write) -> None:
    first = write("shop/queues/a/queue.py", 'from jobs_core import Queue\nA = Queue("same", concurrency=2)\n')
    second = write(
        "shop/queues/b/queue.py", 'from jobs_core import Queue\nB = Queue("same", concurrency=3)\n'
    )
    with pytest.raises(DeclarationError, match="concurrency 2 there and 3 here") as caught:
        load_features(["shop.queues"])
    assert f"{first}:2" in str(caught.value)
    assert caught.value.file == f"{second}:2"


def test_two_different_sets_of_jobs_are_refused() -> None:
    first, second = Queue("same"), Queue("same")
    first.job("a", dict)
    with pytest.raises(DeclarationError, match="'same' is already declared"):
        Catalog([(first, "a"), (second, "b")])


def test_the_same_declaration_twice_is_one_queue() -> None:
    first, second = Queue("same"), Queue("same")
    first.job("a", dict)
    second.job("a", dict)
    catalog = Catalog([(first, "a"), (second, "b"), (first, "c")])
    assert catalog.queues == {"same": first}
    assert catalog.folder_of("same") == "a"


def test_missing_package_is_named() -> None:
    for missing in ("nowhere", "nowhere.queues", "keyword"):
        with pytest.raises(DeclarationError, match="no such Python package") as caught:
            load_features([missing])
        assert caught.value.file == missing


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("import nothing_of_the_kind\n", 1, ModuleNotFoundError),
        ("x = 1\nx.y\n", 2, AttributeError),
        ("x = 1\n\nx = (\n", 3, SyntaxError),
        ('from jobs_core import Queue\n\nQueue("q", concurrency=0)\n', 3, JobsError),
    ],
    ids=["import", "attribute", "syntax", "option"],
)
def test_module_that_cannot_be_imported_is_named(
    write: Write, text: str, line: int, cause: type[Exception]
) -> None:
    file = write("shop/queues/invoices/queue.py", text)
    with pytest.raises(DeclarationError, match=r"shop\.queues\.invoices\.queue cannot be imported") as caught:
        load_features(["shop.queues"])
    assert caught.value.file == f"{file}:{line}"
    assert isinstance(caught.value.__cause__, cause)


def test_declaration_error_of_a_module_is_left_as_it_is(write: Write) -> None:
    text = 'from jobs_core import Queue\nQueue("q").job("a", complex)\n'
    file = write("shop/queues/invoices/queue.py", text)
    with pytest.raises(DeclarationError, match="complex has no JSON form") as caught:
        load_features(["shop.queues"])
    assert caught.value.file == f"{file}:2"


def test_parent_that_cannot_be_imported_is_named(write: Write) -> None:
    write("shop/__init__.py", "raise RuntimeError('closed')")
    with pytest.raises(DeclarationError, match="RuntimeError: closed"):
        load_features(["shop.queues"])
    write("store/__init__.py", "import nothing_of_the_kind")
    with pytest.raises(DeclarationError, match="No module named 'nothing_of_the_kind'"):
        load_features(["store.queues"])


def test_overlapping_packages_give_each_module_once(write: Write) -> None:
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    write("shop/workers/invoices/processor.py", "")
    catalog = load_features(["shop", "shop.queues"])
    assert queues_in(catalog) == {"invoices": "invoices"}
    chosen = processor_modules(["shop", "shop.workers"], catalog, {"invoices"})
    assert [name for name, _ in chosen if name.startswith("shop")] == ["shop.workers.invoices.processor"]


def test_links_are_not_followed_in_circles(write: Write) -> None:
    file = write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    (file.parent / "circle").symlink_to(file.parents[1])
    (file.parent / "__init__.py").unlink()
    (file.parents[1] / "__init__.py").unlink()
    assert queues_in(load_features(["shop.queues"])) == {"invoices": "invoices"}


def test_package_without_features_is_named(write: Write) -> None:
    write("shop/queues/__init__.py", "")
    with pytest.raises(DeclarationError, match=r"has a module queue\.py"):
        load_features(["shop.queues"])


def test_unknown_names_come_with_the_nearest() -> None:
    queue = Queue("invoices")
    queue.job("send-invoice", dict)
    queue.job("send-invoice", list, version=3)
    catalog = Catalog([(queue, "invoices")])
    assert catalog.job("invoices", "send-invoice").version == 3
    assert catalog.job("invoices", "send-invoice", 1).version == 1
    with pytest.raises(UnknownQueue) as no_queue:
        catalog.folder_of("invoice")
    assert no_queue.value.nearest == ["invoices"]
    with pytest.raises(UnknownJob) as no_job:
        catalog.job("invoices", "send_invoices")
    assert no_job.value.nearest == ["send-invoice"]
    with pytest.raises(UnknownJob) as no_version:
        catalog.job("invoices", "send-invoice", 2)
    assert no_version.value.nearest == ["send-invoice@1", "send-invoice@3"]


def test_processors_of_served_queues_alone(write: Write) -> None:
    for folder in ("invoices", "stock", "hooks"):
        write(f"shop/workers/{folder}/processor.py", "raise RuntimeError")
    catalog = Catalog(
        [(Queue("invoices"), "invoices"), (Queue("stock-a"), "stock"), (Queue("stock-b"), "stock")]
    )
    chosen = processor_modules(["shop.workers"], catalog, {"stock-b"})
    ours = [module for module in chosen if module[0].startswith("shop.")]
    assert ours == [("shop.workers.hooks.processor", "hooks"), ("shop.workers.stock.processor", "stock")]
    assert not any(name.endswith(".processor") for name in sys.modules if name.startswith("shop"))


def test_missing_processor_package_is_named() -> None:
    with pytest.raises(DeclarationError, match="no such Python package"):
        processor_modules(["nowhere.workers"], Catalog(), set())


def test_built_in_processors_count_only_beside_their_features(write: Write) -> None:
    write("shop/queues/invoices/queue.py", QUEUE.format(name="invoices"))
    catalog = load_features(["shop.queues"])
    assert processor_modules(None, catalog, {"invoices"}) == []
    everything = load_features(["builtin", "shop.queues"])
    folders = {folder for _, folder in processor_modules(None, everything, everything.queues.keys())}
    assert folders >= {"email", "images", "reports", "webhooks"}
