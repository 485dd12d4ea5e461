"""verl 0.9: agent loop, data, algorithms, and a CPU backend."""
