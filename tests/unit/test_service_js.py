"""The pages' way to the service, run by Node with a fetch of the tests' own."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from bai_spawner.form import STATIC

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(not NODE, reason="needs Node, which the hub's proxy needs, too")

LOGIN = "<html>the hub's login</html>"
PROGRAM = """
const LOGIN = "<html>the hub's login</html>";
const asked = [];
const answers = ANSWERS;
globalThis.fetch = async (url, options) => {
  const {method = "GET", mode = "cors", body, headers = {}, credentials} = options;
  asked.push({path: url.pathname.replace(FOLDER, ""), method, mode, body, credentials, headers});
  const [status, text] = answers.shift();
  if (status === 0) throw new TypeError("fetch failed: 10.0.0.7");
  if (status === -1) throw new DOMException("late", "TimeoutError");
  const answer = new Response(status === 204 ? null : text, {status});
  // as the browser says of the page that a redirect led to
  if (text === LOGIN) Object.defineProperty(answer, "redirected", {value: true});
  return answer;
};
const FOLDER = new URL("../../", "MODULE").pathname;
const {visit, ServiceError} = await import("MODULE");
const told = [];
const note = (error) => told.push([error instanceof ServiceError, error.status, error.message]);
try {
  const service = await visit();
  told.push([service.user, service.admin]);
  WORK
} catch (error) { note(error); }
console.log(JSON.stringify({asked, told}));
"""


def visited(user: str = "ada", token: str = "t1") -> list[Any]:
    return [200, json.dumps({"user": user, "admin": False, "xsrf_token": token})]


def run(answers: list[list[Any]], work: str = "") -> tuple[list[dict[str, Any]], list[Any]]:
    """What was asked, and what came of it."""
    program = PROGRAM.replace("ANSWERS", json.dumps(answers)).replace("WORK", work)
    program = program.replace("MODULE", (STATIC / "service.js").as_uri())
    done = subprocess.run(
        [NODE or "", "--input-type=module", "-e", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return found["asked"], found["told"]


def test_the_first_question_follows_the_hubs_login_and_later_ones_carry_the_token() -> None:
    work = (
        'told.push(await service.get("api/x"));'
        'told.push(await service.put("api/y", {a: 1}));'
        'told.push(await service.remove("api/z"));'
    )
    asked, told = run([visited(), [200, '{"x": 1}'], [201, "{}"], [204, ""]], work)
    assert told == [["ada", False], {"x": 1}, {}, None]
    assert [(a["path"], a["method"], a["mode"]) for a in asked] == [
        ("api/visit", "GET", "no-cors"),
        ("api/x", "GET", "cors"),
        ("api/y", "PUT", "cors"),
        ("api/z", "DELETE", "cors"),
    ]
    assert {a["credentials"] for a in asked} == {"same-origin"}
    assert asked[2]["headers"] == {"X-XSRFToken": "t1", "Content-Type": "application/json"}
    assert asked[2]["body"] == '{"a":1}'
    assert "X-XSRFToken" not in asked[0]["headers"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_known_any_more_is_asked_for_once_more(status: int) -> None:
    answers = [visited(), [status, "{}"], visited(token="t2"), [200, "[1]"]]
    asked, told = run(answers, 'told.push(await service.get("api/x"));')
    assert told[1:] == [[1]]
    assert asked[3]["headers"]["X-XSRFToken"] == "t2"
    answers = [visited(), [status, "{}"], visited(), [status, '{"message": "no"}']]
    _, told = run(answers, 'await service.get("api/x");')
    assert told[1:] == [[True, status, "no"]]


def test_nothing_is_sent_in_the_name_of_somebody_else_who_logged_in_meanwhile() -> None:
    answers = [visited(), [403, "{}"], visited("grace")]
    asked, told = run(answers, 'await service.put("api/x", {});')
    assert told[1] == [True, 401, "you are logged in as grace now: reload the page"]
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([200, "<html>log in</html>"], [True, 0, "its answer cannot be read"]),
        ([0, ""], [True, 0, "it does not answer"]),
        ([-1, ""], [True, 0, "it takes too long to answer"]),
        ([503, "<html>"], [True, 503, "its answer cannot be read"]),
        ([500, '{"message": "what to do"}'], [True, 500, "what to do"]),
    ],
)
def test_whatever_goes_wrong_is_told_in_words(answer: list[Any], told: list[Any]) -> None:
    _, found = run([answer])
    assert len(found) == 1
    assert found[0][:2] == told[:2]
    assert found[0][2].startswith(told[2])


def test_what_may_have_been_done_already_is_not_asked_for_twice() -> None:
    work = 'await service.post("api/x", {a: 1});'
    asked, told = run([visited(), [0, ""]], work)
    assert told[1:] == [[True, 0, "it does not answer"]]
    assert [a["method"] for a in asked] == ["GET", "POST"]
    asked, told = run([visited(), [0, ""], visited(), [200, "{}"]], work.replace("post", "put"))
    assert [a["method"] for a in asked] == ["GET", "PUT", "GET", "PUT"]
    asked, told = run([visited(), [403, "{}"], visited(token="t2"), [200, "{}"]], work)
    assert told[1:] == []
    assert asked[3]["headers"]["X-XSRFToken"] == "t2"


def test_an_answer_that_goes_on_is_handed_over_and_a_refusal_of_it_told() -> None:
    work = (
        "const {signal} = new AbortController();"
        'told.push(await (await service.open("api/x", signal)).text());'
        'await service.open("api/y", signal);'
    )
    answers = [visited(), [403, "{}"], visited(token="t2"), [200, "a,b"]]
    asked, told = run([*answers, [503, '{"message": "later"}']], work)
    assert told[1:] == ["a,b", [True, 503, "later"]]
    assert asked[3]["headers"] == {"X-XSRFToken": "t2"}
    assert asked[3]["method"] == "GET"


def test_one_login_serves_all_who_find_out_that_it_is_needed() -> None:
    work = 'await Promise.all([service.get("api/x"), service.get("api/y")]);'
    answers = [visited(), [403, "{}"], [403, "{}"], visited(), [200, "{}"], [200, "{}"]]
    asked, told = run(answers, work)
    assert len(told) == 1
    assert [a["path"] for a in asked].count("api/visit") == 2


def test_who_is_led_to_the_hubs_login_is_told_so() -> None:
    _, told = run([[200, LOGIN]])
    assert told == [[True, 401, "you are logged out: log in again"]]
