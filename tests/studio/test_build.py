"""The built files in the package are what `web-src` builds."""

import subprocess
from pathlib import Path

import pytest

from dreamgrid.server.routes.studio import web_files


@pytest.mark.timeout(300)  # it may have to install what builds
def test_the_files_that_are_shipped_are_the_sources_of_today(web_src: Path, tmp_path: Path) -> None:
    built = tmp_path / "web"
    for command in (
        ["npx", "--no-install", "tsc", "--noEmit"],
        ["npx", "--no-install", "vite", "build", "--outDir", str(built), "--logLevel", "warn"],
    ):
        done = subprocess.run(command, cwd=web_src, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    fresh = {path.name: path.read_bytes() for path in built.iterdir()}
    shipped = {name: file.plain for name, file in web_files().items()}
    assert fresh.keys() == shipped.keys(), "run `make studio` and commit what it builds"
    assert all(fresh[name] == shipped[name] for name in fresh)
