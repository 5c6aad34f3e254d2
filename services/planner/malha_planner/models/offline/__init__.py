"""The offline model: deterministic, extractive, free of charge, and honest about being no LLM."""
