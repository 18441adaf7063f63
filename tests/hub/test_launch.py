"""The main way through the house, over REST and through the form."""

from __future__ import annotations

import json
from typing import Any

from tests.deployment import Deployment, Visitor, eventually

CUSTOM = {
    "environment": "numpy",
    "version": "2.3",
    "resource_group": "general",
    "resources": {"cpu": 2, "memory": "1.5GiB", "shm": "128MiB"},
    "mounts": [{"folder": "data", "mode": "rw"}],
    "env": {"GREETING": "hello"},
}


def test_a_session_is_limited_to_exactly_what_was_granted(
    deployment: Deployment, user: Visitor
) -> None:
    answer = user.start("one", CUSTOM, name="limited")
    assert answer.status_code == 201, answer.text
    config = deployment.container(user.user, "one").attrs["HostConfig"]
    assert config["CpuQuota"] / config["CpuPeriod"] == 2
    assert config["Memory"] == config["MemorySwap"] == 1536 * 1024**2
    assert config["ShmSize"] == 128 * 1024**2


def test_labels_say_what_is_held(deployment: Deployment, user: Visitor) -> None:
    user.start("one", CUSTOM, name="labelled")
    labels = deployment.container(user.user, "one").labels
    assert labels["bai.session"] == "labelled"
    assert labels["bai.environment"] == "numpy"
    assert labels["bai.version"] == "2.3"
    assert labels["bai.cpu"] == "2"
    assert labels["bai.memory"] == str(1536 * 1024**2)
    assert json.loads(labels["bai.folders"]) == ["data:rw", ".local:rw"]


def test_the_admin_panel_shows_what_was_chosen(user: Visitor) -> None:
    user.start("one", CUSTOM, name="readable")
    model = user.servers()["one"]
    assert model["display_name"] == "readable"
    assert model["user_options"]["profile"] == "numpy 2.3 · general · 2 CPU, 1.5 GiB RAM"


def test_an_unnamed_session_is_called_after_a_word(user: Visitor) -> None:
    user.start("one", {})
    assert user.servers()["one"]["display_name"].isalpha()


def test_two_live_sessions_of_a_user_have_two_names(user: Visitor) -> None:
    user.start("one", {}, name="twin")
    answer = user.start("two", {}, name="twin")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("display_name: 'twin'")


def test_a_start_without_options_gives_the_defaults(deployment: Deployment, user: Visitor) -> None:
    assert user.api("POST", f"/users/{user.user}/servers/one").status_code == 201
    labels = deployment.container(user.user, "one").labels
    assert (labels["bai.environment"], labels["bai.version"]) == ("python", "3.13")
    assert (labels["bai.cpu"], labels["bai.memory"]) == ("1", str(512 * 1024**2))


def test_an_administrator_starts_a_users_default_server_without_options(
    deployment: Deployment, user: Visitor, admin: Visitor
) -> None:
    answer = admin.api("POST", f"/users/{user.user}/server")
    assert answer.status_code == 201, answer.text
    assert deployment.container(user.user, "").labels["bai.environment"] == "python"
    admin.api("DELETE", f"/users/{user.user}/server")
    assert eventually(lambda: not deployment.containers(), seconds=20)


def test_a_file_in_a_folder_survives_and_the_others_do_not(
    deployment: Deployment, user: Visitor
) -> None:
    user.start("one", CUSTOM)
    made = deployment.container(user.user, "one").exec_run(
        ["sh", "-c", "echo kept > data/kept; echo lost > lost"]
    )
    assert made.exit_code == 0, made.output
    user.stop("one")
    assert (deployment.folder(user.user, "data") / "kept").read_text() == "kept\n"
    user.start("two", CUSTOM)
    listed = deployment.container(user.user, "two").exec_run(["ls", ".", "data"]).output.decode()
    assert "kept" in listed
    assert "lost" not in listed


def test_an_ended_sessions_named_server_is_removed(user: Visitor) -> None:
    user.start("one", {})
    assert user.stop("one").status_code == 204
    assert "one" not in user.servers()


def test_a_group_folder_is_read_only_for_its_members(deployment: Deployment) -> None:
    with deployment.login("member") as member:
        refused = member.start("one", {"mounts": [{"folder": "ml-team/corpus", "mode": "rw"}]})
        assert refused.status_code == 400
        assert refused.json()["message"].startswith("mounts[0].mode:")
        answer = member.start("one", {"mounts": [{"folder": "ml-team/corpus", "mode": "ro"}]})
        assert answer.status_code == 201, answer.text
        written = deployment.container("member", "one").exec_run(["touch", "corpus/file"])
        assert written.exit_code != 0
        assert b"Read-only" in written.output
        member.stop("one")


def test_the_steps_of_a_start_are_told(deployment: Deployment, user: Visitor) -> None:
    (deployment.state / "faults" / "start").write_text('{"delay": 1}')
    fields = {"environment": "python", "mount:data": "rw"}
    page = user.post_form(fields)
    assert page.url.path == f"/hub/spawn-pending/{user.user}/one"
    path = f"/users/{user.user}/servers/one/progress"
    events = [
        json.loads(line.removeprefix("data: "))
        for line in user.api("GET", path).text.splitlines()
        if line.startswith("data: ")
    ]
    told = [event["message"] for event in events]
    for step in ("Checking", "Creating", "Starting the container", "Waiting for Jupyter"):
        assert any(message.startswith(step) for message in told), told
    assert events[-1]["ready"] is True


def test_the_form_launches_with_every_field(deployment: Deployment, user: Visitor) -> None:
    fields = {
        "session_name": "fromform",
        "environment": "numpy",
        "version:numpy": "2.3",
        "resource_group": "general",
        "preset": "",
        "cpu": "2",
        "memory": "1.5",
        "shm": "0.125",
        "fgpu": "0",
        "sessions": "1",
        "mount:data": "ro",
        "new_folder": "results",
        "env": "A=1\r\nB=two words\r\n",
    }
    page = user.post_form(fields)
    assert page.status_code == 200, page.text
    assert user.ready("one")
    labels = deployment.container(user.user, "one").labels
    assert labels["bai.session"] == "fromform"
    assert labels["bai.memory"] == str(1536 * 1024**2)
    assert set(json.loads(labels["bai.folders"])) == {"data:ro", "results:rw", ".local:rw"}
    options: dict[str, Any] = user.servers()["one"]["user_options"]
    assert options["env"] == {"A": "1", "B": "two words"}
    assert deployment.folder(user.user, "results").stat().st_uid == 1000
