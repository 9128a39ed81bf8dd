"""`dreamgrid explain`: what a project waits for, for people and for programs."""

import dreamgrid
from tests.cli.conftest import Call
from tests.cli.processes import Grid

ASK = ("generate", "a sun", "--model", "pattern-v1", "--size", "64x64", "--json")


def test_a_finished_project_and_its_job_are_explained(grid: Grid, call: Call) -> None:
    made = call(*ASK, environment=grid.environment).last_json
    told = call("explain", made["project"], "--json", environment=grid.environment).last_json
    assert (told["projectId"], told["state"]) == (made["project"], "ended")
    (job,) = told["jobs"]
    assert job["whyThere"]["idleWorkers"] >= 1
    same = call("explain", job["jobId"], "--json", environment=grid.environment).last_json
    assert same["projectId"] == made["project"]
    words = call("explain", made["project"], environment=grid.environment).stdout
    assert "ended" in words
    assert "went there after" in " ".join(words.split())


def test_what_waits_for_a_worker_says_for_which(idle_grid: Grid, call: Call) -> None:
    url, key = idle_grid.ready["url"], idle_grid.ready["api_key"]
    with dreamgrid.Client(url=url, api_key=key) as client:
        project = client.projects.create_image(model="pattern-v1", prompt="a sun")
        told = client.projects.explain(project.id)
        assert (told.state, told.reason) == ("waiting", "worker_away")
        words = call("explain", project.id[:8], environment=idle_grid.environment).stdout
        project.cancel()
    assert "waiting, worker_away" in words
    assert "away comes back" in " ".join(words.split())
    ended = call("explain", project.id, "--json", environment=idle_grid.environment).last_json
    assert ended["state"] == "ended"


def test_what_nobody_knows_is_refused(idle_grid: Grid, call: Call) -> None:
    nobodys = "00000000-0000-4000-8000-000000000000"
    ran = call("explain", nobodys, environment=idle_grid.environment)
    assert ran.returncode == 2
    assert nobodys in ran.stderr


def test_a_job_is_asked_for_by_its_whole_id(idle_grid: Grid, call: Call) -> None:
    ran = call("explain", "ZZZZZZZZ", environment=idle_grid.environment)
    assert ran.returncode == 2
    assert "a job is only known by its whole id" in ran.stderr
