from tests.support.engine import Engine


async def test_a_threshold_is_set_and_taken_back(engine: Engine) -> None:
    scripts = engine.scripts
    assert await scripts.alert_set(alert="mail/waiting", threshold="5")
    assert not await scripts.alert_set(alert="mail/waiting", threshold="5")
    assert await scripts.alert_set(alert="mail/waiting", threshold="off")
    assert (await scripts.alert_claim()).live == {"mail/waiting": b"off"}
    assert await scripts.alert_set(alert="mail/waiting", threshold="")
    assert not await scripts.alert_set(alert="mail/waiting", threshold="")
