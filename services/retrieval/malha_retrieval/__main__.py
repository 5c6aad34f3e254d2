"""``python -m malha_retrieval`` serves retrieval."""

from malha.lifecycle import run
from malha_retrieval.app import main
from malha_retrieval.settings import Settings

run("retrieval", Settings, main)
