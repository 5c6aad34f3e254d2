"""The gateway's RPCs: scope, idea, response."""
