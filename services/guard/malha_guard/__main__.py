"""``python -m malha_guard`` serves the guard."""

from malha.lifecycle import run
from malha_guard.app import main
from malha_guard.settings import Settings

run("guard", Settings, main)
