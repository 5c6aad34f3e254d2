"""``python -m malha_cost`` serves the cost service."""

from malha.lifecycle import run
from malha_cost.app import main
from malha_cost.settings import Settings

run("cost", Settings, main)
