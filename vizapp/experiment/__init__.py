"""The same guest under many techniques."""
