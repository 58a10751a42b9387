"""One scenario: run control, auditor, recorder, timeline, and the process boundary."""
