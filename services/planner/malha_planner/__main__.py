"""``python -m malha_planner`` serves, works and follows."""

from malha.lifecycle import run
from malha_planner.app import main
from malha_planner.settings import Settings

run("planner", Settings, main)
