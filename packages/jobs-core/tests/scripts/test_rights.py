import re
from pathlib import Path
from typing import cast

import pytest
from tests.support.documents import ROOT
from tests.support.engine import Engine

from jobs_core import loader
from jobs_core.connection import client_for, parse_address
from jobs_core.rights import COMMANDS, rule
from jobs_core.scripts import Scripts

LUA = Path(loader.__file__).parent / "lua"
SECRET = "hunter2"
KEYLESS = {"PING", "SCAN", "SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "TIME", "XREAD"}
RULES = rule("p").removeprefix("ACL SETUSER NAME ")


async def test_all_commands_of_scripts_and_programs_are_looked_at(engine: Engine) -> None:
    known = {
        name.decode().upper() for name in cast("list[bytes]", await engine.client.call("COMMAND", "LIST"))
    }
    sources = [path.read_text() for path in LUA.rglob("*.lua")]
    for folder in ("packages", "apps"):
        code = "\n".join(path.read_text() for path in ROOT.glob(f"{folder}/*/src/**/*.py"))
        sources += re.findall(r"call(?:_each)?\(\s*\*?\(?(\"[A-Z]+\")", code)
    named = known & set(re.findall(r'"([A-Z]{2,})"', "\n".join(sources)))
    # Of a cluster, of another database, and a part of BITFIELD.
    assert named - {"CLUSTER", "SELECT", "INCRBY"} <= set(COMMANDS)
    assert {"HSET", "ZREVRANGE", "XREAD", "INFO"} <= named


@pytest.mark.parametrize(
    ("rules", "denied"),
    [
        (RULES, []),
        (f"{RULES} -xadd -ping", ["PING", "XADD"]),
        ("~p:* resetchannels +@all", ["SPUBLISH", "SSUBSCRIBE"]),
        ("~other:* &* +@all -info -hset -rename", [each for each in COMMANDS if each not in KEYLESS]),
    ],
)
async def test_what_a_user_may_not_is_named(
    engine: Engine, redis_url: str, rules: str, denied: list[str]
) -> None:
    await engine.client.call("ACL", "SETUSER", "ada", "reset", "on", f">{SECRET}", *rules.split())
    client = client_for(parse_address(redis_url.replace("unix://", f"unix://ada:{SECRET}@")))
    await client.connect(timeout=40)
    try:
        [lacks] = (await Scripts(client, "p").rights(commands=COMMANDS)).values()
        assert lacks == denied
    finally:
        await client.close()
        await engine.client.call("ACL", "DELUSER", "ada")
