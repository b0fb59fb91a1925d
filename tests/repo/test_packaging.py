"""What the package says about itself agrees with itself and with the registry's rules."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from .sources import ROOT, text, tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads(text("pyproject.toml"))


def requirement_lines() -> list[str]:
    lines = [line.split("#")[0].strip() for line in text("requirements.txt").splitlines()]
    return [line for line in lines if line]


def test_requirements_txt_is_the_projects_dependency_list() -> None:
    assert requirement_lines() == PROJECT["project"]["dependencies"]


def test_dependencies_are_floors_only() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for line in [*PROJECT["project"]["dependencies"], *(line for lines in extras.values() for line in lines)]:
        assert re.fullmatch(r"[\w.-]+>=\d+(\.\d+)*", line), f"{line}: one >= floor, no pin and no ceiling"


def test_the_safety_floors_hold() -> None:
    floors = dict(line.split(">=") for line in PROJECT["project"]["dependencies"])
    assert tuple(map(int, floors["transformers"].split("."))) >= (
        5,
        3,
    )  # older ones run a model's code unasked
    assert tuple(map(int, floors["safetensors"].split("."))) >= (0, 8)  # older ones tear files on a kill


def test_the_registry_accepts_the_metadata() -> None:
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert "comfyui" not in project["name"].lower() and len(project["name"]) < 100
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["urls"]["Repository"].startswith("https://")
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"] == ">=0.3.75"
    assert "web" not in comfy, "WEB_DIRECTORY serves web/ already: both together load it twice"
    icon = comfy["Icon"].partition("/main/")[2]
    assert (ROOT / icon).is_file(), f"the registry's icon {icon} is missing"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {PROJECT['project']['version']}" in text("CHANGELOG.md")


def test_the_wheel_does_not_shadow_comfyuis_nodes() -> None:
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["headless*", "pipelines*"]
    names = ("headless", "pipelines", "nodes")
    look = f"import importlib.util as u; print(*(bool(u.find_spec(name)) for name in {names}))"
    # From elsewhere: Python looks into the working directory first.
    done = subprocess.run([sys.executable, "-c", look], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"], "run: make setup"


def test_the_entry_point_is_an_entry_point_only() -> None:
    names = {target.id for node in tree("__init__.py").body for target in getattr(node, "targets", [])}
    assert names == {"WEB_DIRECTORY"}, "NODE_CLASS_MAPPINGS or code here would hide comfy_entrypoint from the host"


def test_no_registry_security_rule_is_broken() -> None:
    """The three rules that `comfy node validate` runs."""
    ruff = [sys.executable, "-m", "ruff", "check", ".", "-q", "--select", "S102,S307,E702"]
    done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["make demo", "make canvas"])
def test_the_readme_gives_the_first_commands(command: str) -> None:
    assert command in text("README.md")


def test_every_make_target_is_one_line() -> None:
    recipes = re.findall(r"^[a-z]+:.*\n((?:\t.*\n)+)", text("Makefile"), re.MULTILINE)
    assert len(recipes) >= 6 and all(recipe.count("\n") == 1 for recipe in recipes)


def test_ci_runs_make_test() -> None:
    assert text(".ci/run").splitlines()[-1] == "make test" and (ROOT / ".ci/run").stat().st_mode & 0o111
