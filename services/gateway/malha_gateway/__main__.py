"""``python -m malha_gateway``"""

from malha.lifecycle import run
from malha_gateway.app import main
from malha_gateway.settings import Settings

run("gateway", Settings, main)
