"""Text protocols: how a policy writes its moves and reads what the tools return."""
