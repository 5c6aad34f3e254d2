"""Every name that spans, attributes and logs use, in one place, so that dashboards cannot drift from code.

Names follow OpenTelemetry's semantic conventions where there is one (rpc.*, gen_ai.*);
what is Malha's own begins with ``malha.``.
"""

from __future__ import annotations

RPC_SYSTEM = "rpc.system"
RPC_SERVICE = "rpc.service"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.grpc.status_code"

MALHA_REASON = "malha.error.reason"
MALHA_RUN = "malha.run_id"
MALHA_STEP = "malha.step"

GEN_AI_OPERATION = "gen_ai.operation.name"
GEN_AI_PROVIDER = "gen_ai.provider.name"
GEN_AI_AGENT = "gen_ai.agent.name"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_TOOL_NAME = "gen_ai.tool.name"
GEN_AI_TOOL_CALL_ID = "gen_ai.tool.call.id"
