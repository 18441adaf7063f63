"""GPUs: what there is, who gets which, and what enforces it."""
