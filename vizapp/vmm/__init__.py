"""The monitors, one module or package a technique, and what they share."""
