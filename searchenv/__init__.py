"""searchenv."""
