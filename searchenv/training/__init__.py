"""Training: tiny models, supervised fine-tuning, a driver in one process, experiments."""
