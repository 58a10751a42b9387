"""HVM domains: unmodified guests under VT-x or AMD-V, beside the paravirtual ones."""
