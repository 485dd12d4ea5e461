"""Published systems, one package each: protocol, rewards and training parts together."""
