"""Scripts as integrators bring them from the platform that functions follow: ours, and its own where at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

_REFERENCES = Path(__file__).parents[3] / "shared" / "facts" / "scripts"

# Names that are not declared, as those scripts have them.
AUTHORIZER = """
function execute(data) {
  shown = JSON.parse(data).body.headers["x-auth"]
  if (shown !== "user1:xxxx") {
    return { status: "deny", context: { error_code: "1001", error_message: "no such token" } }
  }
  answer = { status: "allow", context: { user_name: shown.split(":")[0] } }
  return answer
}
"""

DATABASE = """
importClass(com.roma.apic.livedata.config.v1.DataSourceConfig);
importClass(com.roma.apic.livedata.client.v1.DataSourceClient);
function execute() {
  source = new DataSourceConfig();
  source.setType("mysql");
  source.setUrl("jdbc:mysql://127.0.0.1:3306/db?allowPublicKeyRetrieval=true");
  source.setUser("xxxx")
  source.setPassword("xxxx")
  return new DataSourceClient(source).execute("SELECT * FROM person where name = ? and age = ?", "Tom", 20);
}
"""


def scripts(own: str, reference: str) -> list[object]:
    """Parameters of a test: a script of ours, and the one of that file name that it stands for."""
    found = _REFERENCES / reference
    kept = [pytest.param(own, id="own")]
    return [*kept, pytest.param(found.read_text(), id="reference")] if found.exists() else kept


AUTHORIZERS = scripts(AUTHORIZER, "front-authorizer.js")
DATABASES = scripts(DATABASE, "mysql-query.js")
