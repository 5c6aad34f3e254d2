"""``python -m malha_tools`` serves the tools service."""

from malha.lifecycle import run
from malha_tools.app import main
from malha_tools.settings import Settings

run("tools", Settings, main)
